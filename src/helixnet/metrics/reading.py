"""The exporter's side of the folder: what all processes of the service have counted, the dead ones too."""

import fcntl
import json
import os
from array import array
from collections.abc import Iterator
from math import isnan
from pathlib import Path

from helixnet.metrics.kinds import Gauge, Metric

Series = tuple[str, tuple[str, ...]]


class Totals:
    """The sums over the processes that ever were in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._of_dead: dict[Series, list[float]] = {}

    def read(self) -> tuple[dict[Series, list[float]], list[int]]:
        """Every series with its numbers, and the pids of the living processes."""
        totals = {series: list(numbers) for series, numbers in self._of_dead.items()}
        pids = []
        for file in sorted(self._folder.glob("*.series")):
            alive = _is_alive(file)  # asked first: what it counts until its end is read in any case
            try:
                counted = list(_read(file))
            except FileNotFoundError:
                continue
            if alive:
                pids.append(_pid(file))
            else:
                self._bury(file, counted)
            for series, numbers in counted:
                if alive or not isinstance(Metric.all.get(series[0]), Gauge):
                    _merge(totals, series, numbers)
        return totals, pids

    def _bury(self, file: Path, counted: list[tuple[Series, list[float]]]) -> None:
        """Keep what a dead process counted, without its files."""
        for series, numbers in counted:
            if not isinstance(Metric.all.get(series[0]), Gauge):
                _merge(self._of_dead, series, numbers)
        file.unlink(missing_ok=True)
        file.with_suffix(".numbers").unlink(missing_ok=True)


def _pid(file: Path) -> int:
    return int(file.name.partition("-")[0])


def _is_alive(file: Path) -> bool:
    """Whether the process whose file this is holds its lock. Our own lock would not keep us out."""
    if _pid(file) == os.getpid():
        return True
    try:
        opened = os.open(file, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.lockf(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(opened)
    return False


def _read(file: Path) -> Iterator[tuple[Series, list[float]]]:
    lines = file.read_bytes()
    numbers = array("d")
    numbers.frombytes(file.with_suffix(".numbers").read_bytes())
    for line in lines.splitlines(keepends=True):
        if not line.endswith(b"\n"):
            continue  # still being written
        name, labels, first = json.loads(line)
        metric = Metric.all.get(name)
        if metric is not None:
            yield (name, tuple(labels)), list(numbers[first : first + metric.width])


def _merge(totals: dict[Series, list[float]], series: Series, numbers: list[float]) -> None:
    known = totals.get(series)
    metric = Metric.all[series[0]]
    if isinstance(metric, Gauge):
        if isnan(numbers[0]):
            return
        if known is not None and metric.merge == "max":
            numbers = [max(known[0], numbers[0])]
            known = None
    totals[series] = numbers if known is None else [one + other for one, other in zip(known, numbers, strict=True)]
