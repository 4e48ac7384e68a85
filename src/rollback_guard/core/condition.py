"""Split a PromQL expression into what is measured and what it is compared with.

Only then is the value known when all is well, and *healthy* is not mistaken for *absent*: Prometheus answers both with
an empty vector. What cannot be split safely is asked as it is, and empty then means pass.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from rollback_guard.core import promql
from rollback_guard.core.promql import constant
from rollback_guard.core.promql.source import Source
from rollback_guard.core.promql.tokens import PromqlError
from rollback_guard.core.ratio import Ratio, find_ratio

__all__ = ["HOLDS", "MIRRORED", "Comparison", "Condition", "Operator", "Ratio", "split"]


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


def split(expr: str) -> Condition:
    """Split an expression into what is measured and the constant it is compared with.

    It is left whole where the measured side leaves series out by itself: an empty answer would then not mean absent.

    Raises:
        PromqlError: It is not PromQL, or beyond the limits of what is parsed.

    Source: docs/adr/0003.
    """
    try:
        return _split(expr)
    except RecursionError as error:
        raise PromqlError("the expression is nested too deeply", too_complex=True) from error


def _split(expr: str) -> Condition:
    whole = Source.of(expr)
    measured, comparison = _measured(whole) or (whole, None)
    return Condition(
        expr=expr,
        query=measured.text,
        comparison=comparison,
        ratio=find_ratio(measured) if comparison else None,
        selectors=promql.selectors(measured.tree),
        longest_range=promql.longest_range(measured.tree),
    )


def _measured(whole: Source) -> tuple[Source, Comparison] | None:
    """Return the measured side and what it is compared with, if a top-level comparison can be split off."""
    top = whole.without_parentheses()
    if not promql.is_comparison(top.tree):
        return None
    sides = top.halves()
    if sides is None:
        return None
    op = Operator(sides.operator)
    for side, other, seen_from_side in ((sides.left, sides.right, op), (sides.right, sides.left, MIRRORED[op])):
        threshold = constant.evaluate(other.tree)
        if threshold is not None and promql.value_type(side.tree) == "vector" and not promql.filters(side.tree):
            return side.without_parentheses(), Comparison(op=seen_from_side, threshold=threshold)
    return None
