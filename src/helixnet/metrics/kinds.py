"""Counters, gauges and histograms, in the words and by the conventions of Prometheus.

A metric has a bounded number of series: labels beyond `MOST_SERIES` are counted together as `other`, so no text from
outside can grow without end what Prometheus has to keep.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from math import nan
from typing import ClassVar, Literal

from helixnet.metrics.values import VALUES

MOST_SERIES = 500
OTHER = "other"

Merge = Literal["sum", "max"]


class Metric:
    """A metric with its series; `labels` are the names of its labels, in the order in which values are given."""

    kind: ClassVar[str] = "untyped"
    all: ClassVar[dict[str, "Metric"]] = {}

    def __init__(self, name: str, about: str, labels: tuple[str, ...] = ()) -> None:
        self.name, self.about, self.labels = name, about, labels
        self._places: dict[tuple[str, ...], int] = {}
        Metric.all[name] = self

    @property
    def width(self) -> int:
        """How many numbers a series has."""
        return 1

    def _place(self, labels: tuple[str, ...]) -> int | None:
        """The series's place, for a series that is new here. Call it under the lock."""
        if labels in self._places:
            return self._places[labels]
        if len(labels) != len(self.labels):
            raise ValueError(f"{self.name} has the labels {self.labels}, not {labels}")
        if labels and len(self._places) >= MOST_SERIES:
            labels = (OTHER,) * len(labels)
            if labels in self._places:
                return self._places[labels]
        place = VALUES.place(self.name, labels, self.width)
        if place is not None:
            self._places[labels] = place
        return place


class Counter(Metric):
    """Only ever grows; its name ends in `_total`."""

    kind = "counter"

    def add(self, amount: float, *labels: str) -> None:
        with VALUES.lock:
            place = self._places.get(labels)
            if place is None and (place := self._place(labels)) is None:
                return
            VALUES.numbers[place] += amount


class Gauge(Metric):
    """Goes up and down. Those of a service's processes are put together by `merge`."""

    kind = "gauge"

    def __init__(self, name: str, about: str, labels: tuple[str, ...] = (), merge: Merge = "sum") -> None:
        super().__init__(name, about, labels)
        self.merge = merge

    def set(self, value: float, *labels: str) -> None:
        with VALUES.lock:
            self._set(value, labels)

    def replace(self, values: Mapping[str, float]) -> None:
        """Of a gauge with one label: these series and no others; those left out have no value any more."""
        wanted = {(label,): value for label, value in values.items()}
        with VALUES.lock:
            for labels in self._places.keys() - wanted.keys():
                self._set(nan, labels)
            for labels, value in wanted.items():
                self._set(value, labels)

    def _set(self, value: float, labels: tuple[str, ...]) -> None:
        if (place := self._place(labels)) is not None:
            VALUES.numbers[place] = value


class Histogram(Metric):
    """How values are spread over `bounds`; the places are the sum, then a count for each bound and for the rest."""

    kind = "histogram"

    def __init__(self, name: str, about: str, bounds: tuple[float, ...], labels: tuple[str, ...] = ()) -> None:
        super().__init__(name, about, labels)
        self.bounds = bounds

    @property
    def width(self) -> int:
        return len(self.bounds) + 2

    def observe(self, value: float, *labels: str) -> None:
        with VALUES.lock:
            place = self._places.get(labels)
            if place is None and (place := self._place(labels)) is None:
                return
            numbers = VALUES.numbers
            numbers[place] += value
            numbers[place + 1 + bisect_left(self.bounds, value)] += 1

    def observe_all(self, values: Sequence[float], *labels: str) -> None:
        """As `observe` for many values, at a fraction of the cost of each."""
        bounds = self.bounds
        counts = [0] * (len(bounds) + 1)
        for value in values:
            counts[bisect_left(bounds, value)] += 1
        with VALUES.lock:
            place = self._place(labels)
            if place is None:
                return
            numbers = VALUES.numbers
            numbers[place] += sum(values)
            for bucket, count in enumerate(counts, start=place + 1):
                if count:
                    numbers[bucket] += count
