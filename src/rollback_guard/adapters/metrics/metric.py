"""Say what a metric is: its name, its type, its labels with the values they can have, and what it is good for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What Prometheus calls the type of a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


REQUEST_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
ACTION_S = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
REACTION_S = (1, 5, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
"""From a breach to what follows: `for` alone is minutes, a playbook with two steps may take hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One label.

    Attributes:
        values: All the words it can have; empty where `what` says where they come from.
        what: What its values are, for people.
        configured: Whether they are names out of the configuration: its series go when the name goes.
    """

    name: str
    what: str = ""
    values: tuple[str, ...] = ()
    configured: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Metric:
    """One metric of the guard.

    Attributes:
        question: What somebody on call learns from it.
        labels: A configured one, if there is any, comes first.
        zeros: Values of the labels after the configured one that are exported from the start; ``None`` means every
            combination, the empty tuple none.
    """

    name: str
    kind: Kind
    help: str
    question: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()
    zeros: tuple[tuple[str, ...], ...] | None = None

    @property
    def unit(self) -> str:
        """The unit as the name tells it; empty for plain numbers."""
        bare = self.name.removesuffix("_total")
        return next((unit for unit in ("seconds", "bytes", "ratio") if bare.endswith(f"_{unit}")), "")


def counter(
    name: str, text: str, question: str, *labels: Label, zeros: tuple[tuple[str, ...], ...] | None = None
) -> Metric:
    """Return a metric that only grows."""
    full = f"rollback_guard_{name}"
    return Metric(name=full, kind=Kind.COUNTER, help=text, question=question, labels=labels, zeros=zeros)


def gauge(name: str, text: str, question: str, *labels: Label) -> Metric:
    """Return a metric that says what is the case."""
    return Metric(name=f"rollback_guard_{name}", kind=Kind.GAUGE, help=text, question=question, labels=labels)


def histogram(name: str, text: str, question: str, *labels: Label, buckets: tuple[float, ...]) -> Metric:
    """Return a metric that says how long things took."""
    full = f"rollback_guard_{name}"
    return Metric(name=full, kind=Kind.HISTOGRAM, help=text, question=question, buckets=buckets, labels=labels)
