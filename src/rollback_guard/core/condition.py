"""Say what a rule asks, and what it makes of the answer: a measured side, and the constant it is compared with."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Operator(StrEnum):
    """A comparison as PromQL writes it."""

    GREATER = ">"
    GREATER_EQUAL = ">="
    LESS = "<"
    LESS_EQUAL = "<="
    EQUAL = "=="
    NOT_EQUAL = "!="


HOLDS: Mapping[Operator, Callable[[float, float], bool]] = {
    Operator.GREATER: operator.gt,
    Operator.GREATER_EQUAL: operator.ge,
    Operator.LESS: operator.lt,
    Operator.LESS_EQUAL: operator.le,
    Operator.EQUAL: operator.eq,
    Operator.NOT_EQUAL: operator.ne,
}

MIRRORED: Mapping[Operator, Operator] = {
    Operator.GREATER: Operator.LESS,
    Operator.GREATER_EQUAL: Operator.LESS_EQUAL,
    Operator.LESS: Operator.GREATER,
    Operator.LESS_EQUAL: Operator.GREATER_EQUAL,
    Operator.EQUAL: Operator.EQUAL,
    Operator.NOT_EQUAL: Operator.NOT_EQUAL,
}
"""`0.01 < x` says the same as `x > 0.01`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Compare a measured value with a constant."""

    op: Operator
    threshold: float

    def holds(self, value: float) -> bool:
        """Say whether the value is on the breaching side."""
        return HOLDS[self.op](value, self.threshold)

    @property
    def is_ordered(self) -> bool:
        """Whether of several values the lowest or the highest is the worst."""
        return self.op not in (Operator.EQUAL, Operator.NOT_EQUAL)

    def margin(self, value: float) -> float:
        """Return how far the value is from the threshold: positive on the healthy side, in the value's own unit."""
        match self.op:
            case Operator.GREATER | Operator.GREATER_EQUAL:
                return self.threshold - value
            case Operator.LESS | Operator.LESS_EQUAL:
                return value - self.threshold
            case Operator.EQUAL:
                return abs(value - self.threshold)
            case Operator.NOT_EQUAL:
                return -abs(value - self.threshold)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """Know what a ratio is worth while its numerator has not happened yet.

    A counter of errors has no series before the first error, so `errors / requests` is absent although requests are
    there. Where the denominator has a series, the ratio is `value` (0, or what its surrounding constants make of 0).

    Attributes:
        denominator: The query to ask when the ratio is absent.
        value: The measured value where the numerator is nothing.
        kept: Labels that the matching keeps (`on`), or ``None`` for all but `dropped`.
        dropped: Labels that the matching drops (`ignoring`).
    """

    denominator: str
    value: float = 0.0
    kept: frozenset[str] | None = None
    dropped: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What to ask, and what to make of the answer.

    Attributes:
        expr: As the person wrote it.
        query: What is asked: the measured side, or all of `expr` where it cannot be split.
        comparison: ``None`` where it cannot be split: every sample of the answer is then a breach.
        ratio: Set where an absent answer may be a ratio of nothing.
        selectors: Vector selectors whose newest sample tells how fresh the answer is; those with an offset or a fixed
            time are left out, for they are old on purpose.
        longest_range: How long old samples keep on counting: the longest range or subquery.
    """

    expr: str
    query: str
    comparison: Comparison | None = None
    ratio: Ratio | None = None
    selectors: tuple[str, ...] = ()
    longest_range: timedelta = timedelta(0)
