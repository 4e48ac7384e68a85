"""Count and time things under labels that stay bounded, and forget the names that the configuration forgot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from itertools import product
from threading import Lock
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics import MetricWrapperBase

from rollback_guard.adapters.metrics.label import OTHER
from rollback_guard.adapters.metrics.metric import Label, Metric

OPEN_VALUES = 100
"""Different values of a label that has neither a list nor a configuration to bound it; more become `other`."""

Names = Mapping[str, AbstractSet[str]]
"""The names that the configuration in force knows, by the label they stand in."""


Made = TypeVar("Made", bound=MetricWrapperBase)


class Series(Generic[Made]):
    """The series of one counter or histogram. May be used from several threads.

    A configured name always has its series, from zero on; the series of a name that is gone go with it.
    """

    def __init__(self, metric: Metric, made: Made) -> None:
        self._metric = metric
        self._made = made
        self._lock = Lock()
        self._values: set[tuple[str, ...]] = set()
        self._open: dict[str, set[str]] = {label.name: set() for label in metric.labels}
        if metric.labels and not metric.labels[0].configured:
            for values in _zeros(metric, metric.labels):
                self._child(values)

    def at(self, *values: str) -> Made:
        """Return the one series with these label values."""
        with self._lock:
            return self._child(values)

    def follow(self, names: Names) -> None:
        """Have exactly the series of these names."""
        labels = self._metric.labels
        if not labels or not labels[0].configured:
            return
        known = names[labels[0].name]
        with self._lock:
            for values in [values for values in self._values if values[0] not in known]:
                self._made.remove(*values)
                self._values.discard(values)
            for name in known:
                for rest in _zeros(self._metric, labels[1:]):
                    self._child((name, *rest))

    def _child(self, values: tuple[str, ...]) -> Made:
        labels = self._metric.labels
        if not labels:
            return self._made
        bounded = tuple(self._bounded(label, value) for label, value in zip(labels, values, strict=True))
        self._values.add(bounded)
        return self._made.labels(*bounded)

    def _bounded(self, label: Label, value: str) -> str:
        if label.configured:
            return value
        if label.values:
            return value if value in label.values else OTHER
        seen = self._open[label.name]
        if len(seen) < OPEN_VALUES:
            seen.add(value)
        return value if value in seen else OTHER


def _zeros(metric: Metric, labels: tuple[Label, ...]) -> Iterator[tuple[str, ...]]:
    """Yield the values that are exported before anything was counted; none where they cannot be known."""
    if metric.zeros is not None:
        yield from metric.zeros
    elif all(label.values for label in labels):
        yield from product(*(label.values for label in labels))


def counter(metric: Metric, registry: CollectorRegistry) -> Series[Counter]:
    """Return the series of a counter."""
    return Series(metric, Counter(metric.name, metric.help, [label.name for label in metric.labels], registry=registry))


def histogram(metric: Metric, registry: CollectorRegistry) -> Series[Histogram]:
    """Return the series of a histogram."""
    names = [label.name for label in metric.labels]
    return Series(metric, Histogram(metric.name, metric.help, names, buckets=metric.buckets, registry=registry))
