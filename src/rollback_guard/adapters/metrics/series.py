"""Count and time things under labels that stay bounded, and forget the names that the configuration forgot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from itertools import product
from threading import Lock

from prometheus_client import CollectorRegistry, Histogram

from rollback_guard.adapters.metrics.label import OTHER
from rollback_guard.adapters.metrics.metric import Label, Metric

OPEN_VALUES = 100
"""Different values of a label that has neither a list nor a configuration to bound it; more become `other`."""

Names = Mapping[str, AbstractSet[str]]
"""The names that the configuration in force knows, by the label they stand in."""


class Bounds:
    """Which series one metric has."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._open: dict[str, set[str]] = {label.name: set() for label in metric.labels}

    def bounded(self, values: tuple[str, ...]) -> tuple[str, ...]:
        """Return label values of which there can not be endlessly many."""
        return tuple(self._one(label, value) for label, value in zip(self._metric.labels, values, strict=True))

    def _one(self, label: Label, value: str) -> str:
        if label.configured:
            return value
        if label.values:
            return value if value in label.values else OTHER
        seen = self._open[label.name]
        if len(seen) < OPEN_VALUES:
            seen.add(value)
        return value if value in seen else OTHER

    def at_first(self) -> Iterator[tuple[str, ...]]:
        """Yield the series that are there before anything was counted, whatever the configuration names."""
        if not self._follows():
            yield from _zeros(self._metric, self._metric.labels)

    def forgotten(self, names: Names, present: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
        """Return the series whose name the configuration does not know any more."""
        if not self._follows():
            return []
        known = names[self._metric.labels[0].name]
        return [values for values in present if values[0] not in known]

    def named(self, names: Names) -> Iterator[tuple[str, ...]]:
        """Yield the series that every name of the configuration has."""
        if self._follows():
            rest = tuple(_zeros(self._metric, self._metric.labels[1:]))
            for name in names[self._metric.labels[0].name]:
                yield from ((name, *values) for values in rest)

    def _follows(self) -> bool:
        return bool(self._metric.labels) and self._metric.labels[0].configured


class Counts:
    """The series of one counter. May be used from several threads.

    A configured name always has its series, from zero on; the series of a name that is gone go with it. Plain numbers
    in place of prometheus-client's objects save a thousand guards sixty megabytes.
    """

    def __init__(self, metric: Metric) -> None:
        self._bounds = Bounds(metric)
        self._lock = Lock()
        self._counts: dict[tuple[str, ...], int] = dict.fromkeys(self._bounds.at_first(), 0)

    def add(self, *values: str) -> None:
        """Count one more under these label values."""
        with self._lock:
            series = self._bounds.bounded(values)
            self._counts[series] = self._counts.get(series, 0) + 1

    def follow(self, names: Names) -> None:
        """Have exactly the series of these names."""
        with self._lock:
            for values in self._bounds.forgotten(names, self._counts):
                del self._counts[values]
            for values in self._bounds.named(names):
                self._counts.setdefault(values, 0)

    def rows(self) -> list[tuple[tuple[str, ...], int]]:
        """Return every series with its count."""
        with self._lock:
            return list(self._counts.items())


class Spans:
    """The series of one histogram, with names as those of `Counts`. May be used from several threads."""

    def __init__(self, metric: Metric, registry: CollectorRegistry) -> None:
        names = [label.name for label in metric.labels]
        self._made = Histogram(metric.name, metric.help, names, buckets=metric.buckets, registry=registry)
        self._bounds = Bounds(metric)
        self._lock = Lock()
        self._series: dict[tuple[str, ...], Histogram] = {}
        for values in self._bounds.at_first():
            self._at(values)

    def add(self, seconds: float, *values: str) -> None:
        """Count something that took so long under these label values."""
        with self._lock:
            series = self._at(self._bounds.bounded(values))
        # A wall clock that was set back would make it negative.
        series.observe(max(0.0, seconds))

    def follow(self, names: Names) -> None:
        """Have exactly the series of these names."""
        with self._lock:
            for values in self._bounds.forgotten(names, self._series):
                self._made.remove(*values)
                del self._series[values]
            for values in self._bounds.named(names):
                self._at(values)

    def _at(self, values: tuple[str, ...]) -> Histogram:
        if values not in self._series:
            self._series[values] = self._made.labels(*values) if values else self._made
        return self._series[values]


def _zeros(metric: Metric, labels: tuple[Label, ...]) -> Iterator[tuple[str, ...]]:
    """Yield the values that are exported before anything was counted; none where they cannot be known."""
    if metric.zeros is not None:
        yield from metric.zeros
    elif all(label.values for label in labels):
        yield from product(*(label.values for label in labels))
