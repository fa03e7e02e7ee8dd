"""Metrics as Prometheus reads them.

Source: Prometheus, "Exposition formats", text-based format 0.0.4.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from helixnet.metrics.kinds import Histogram, Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def expose(series: Mapping[tuple[str, tuple[str, ...]], Sequence[float]]) -> str:
    """Series with their numbers as text: each metric with what it is about and its series, in order."""
    by_metric: dict[str, list[tuple[tuple[str, ...], Sequence[float]]]] = defaultdict(list)
    for (name, labels), numbers in series.items():
        by_metric[name].append((labels, numbers))
    lines: list[str] = []
    for name in sorted(by_metric):
        metric = Metric.all[name]
        lines += head(name, metric.kind, metric.about)
        for labels, numbers in sorted(by_metric[name]):
            lines += _samples(metric, labels, numbers)
    return "".join(lines)


def head(name: str, kind: str, about: str) -> tuple[str, str]:
    return f"# HELP {name} {_escaped(about)}\n", f"# TYPE {name} {kind}\n"


def sample(name: str, labels: Mapping[str, str], value: float) -> str:
    inner = ",".join(f'{label}="{_escaped(text, quote=True)}"' for label, text in labels.items())
    return f"{name}{{{inner}}} {number(value)}\n" if inner else f"{name} {number(value)}\n"


def number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(value)


def _samples(metric: Metric, labels: tuple[str, ...], numbers: Sequence[float]) -> Iterator[str]:
    named = dict(zip(metric.labels, labels, strict=True))
    if not isinstance(metric, Histogram):
        yield sample(metric.name, named, numbers[0])
        return
    so_far = 0.0
    for bound, count in zip((*map(repr, metric.bounds), "+Inf"), numbers[1:], strict=True):
        so_far += count
        yield sample(f"{metric.name}_bucket", named | {"le": bound}, so_far)
    yield sample(f"{metric.name}_sum", named, numbers[0])
    yield sample(f"{metric.name}_count", named, so_far)


def _escaped(text: str, *, quote: bool = False) -> str:
    plain = text.replace("\\", r"\\").replace("\n", r"\n")
    return plain.replace('"', r"\"") if quote else plain
