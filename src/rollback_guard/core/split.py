"""Split a PromQL expression into what is measured and what it is compared with.

Only then is the value known when all is well, and *healthy* is not mistaken for *absent*: Prometheus answers both with
an empty vector. What cannot be split safely is asked as it is, and empty then means pass.
"""

from __future__ import annotations

from rollback_guard.core import promql
from rollback_guard.core.condition import MIRRORED, Comparison, Condition, Operator
from rollback_guard.core.promql import constant
from rollback_guard.core.promql.source import Source
from rollback_guard.core.promql.tokens import PromqlError
from rollback_guard.core.ratio import find_ratio


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
