"""What the benchmarks find: series of values over the runs, the ratios between them, and what those must be."""

from dataclasses import asdict, dataclass, field
from statistics import median, quantiles
from typing import Any

MORE, LESS = "more", "less"


@dataclass
class Series:
    """One quantity of one contestant, a value for each run. `note` says why there is none, or what to know of it."""

    key: str
    title: str
    unit: str
    values: list[float] = field(default_factory=list)
    note: str = ""

    @property
    def median(self) -> float | None:
        return median(self.values) if self.values else None

    def to_json(self) -> dict[str, Any]:
        spread = {"low": min(self.values), "high": max(self.values)} if self.values else {"low": None, "high": None}
        return asdict(self) | {"median": self.median} | spread


@dataclass(frozen=True, slots=True)
class Ratio:
    """The median of one series over the median of another; with a limit it is a target."""

    of: str
    to: str
    text: str
    better: str = MORE
    limit: float | None = None


@dataclass
class Section:
    """One part of the report. `better` says which way the figures are good."""

    key: str
    title: str
    explanation: str
    better: str = MORE
    series: list[Series] = field(default_factory=list)
    ratios: list[Ratio] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failed: bool = False

    def add(self, key: str, title: str, unit: str, note: str = "") -> Series:
        """A new series of this section."""
        self.series.append(Series(key, title, unit, note=note))
        return self.series[-1]

    def get(self, key: str) -> Series:
        """The series of this key; raises KeyError."""
        for series in self.series:
            if series.key == key:
                return series
        raise KeyError(key)

    def value(self, ratio: Ratio) -> float | None:
        """A ratio's value; None while one of its sides was not measured."""
        of, to = self.get(ratio.of).median, self.get(ratio.to).median
        return of / to if of is not None and to else None

    def holds(self, ratio: Ratio) -> bool | None:
        """Whether a target is met; None for a ratio without a limit, or one that was not measured."""
        value = self.value(ratio)
        if ratio.limit is None or value is None:
            return None
        return value >= ratio.limit if ratio.better == MORE else value <= ratio.limit

    def to_json(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "title": self.title,
            "explanation": self.explanation,
            "better": self.better,
            "series": [series.to_json() for series in self.series],
            "ratios": [
                asdict(ratio) | {"value": self.value(ratio), "holds": self.holds(ratio)} for ratio in self.ratios
            ],
            "notes": self.notes,
            "failed": self.failed,
        }


def percentile(values: list[float], percent: int) -> float:
    """The value that `percent` of them don't exceed; a single value stands for itself."""
    if len(values) == 1:
        return values[0]
    return quantiles(values, n=100, method="inclusive")[percent - 1]
