"""Say what a metric is: its name, its type, its labels with the values they can have, and what it is good for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What Prometheus calls the type of a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


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
