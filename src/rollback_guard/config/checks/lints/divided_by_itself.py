"""Find ratios whose parts are matched with themselves, and not with the whole."""

from __future__ import annotations

from collections.abc import Iterator

from promql_parser import AggregateExpr, BinaryExpr, Expr, VectorSelector

from rollback_guard.config.checks.lints.asked import Asked
from rollback_guard.config.problems import Problem, quoted
from rollback_guard.core import promql
from rollback_guard.core.promql.matching import OfItself, divided_by_itself
from rollback_guard.core.promql.shape import matches_of, metric_of
from rollback_guard.core.promql.written import ELLIPSIS, aggregated, grouping, written

BUCKETS = "le"
"""The label of buckets, of which each holds all smaller ones: their sum is no number of anything."""


def check(asked: Asked) -> Iterator[Problem]:
    """Yield the divisions in which each series of the numerator finds itself in the denominator."""
    for node, _ in asked.nodes:
        found = divided_by_itself(node)
        if found is None or not isinstance(node, BinaryExpr):
            continue
        labels = " and ".join(map(quoted, found.labels))
        message = (
            f"both sides keep {labels}, by which the numerator is chosen: each series is divided by itself, "
            "and the ratio says nothing"
        )
        yield asked.problem("divided-by-itself", message, hint=_hint(node, found), at=asked.places.of(node))


def _hint(node: BinaryExpr, found: OfItself) -> str:
    part, whole = (_summed(side, found.labels) for side in (found.part, found.whole))
    labels = " and ".join(map(quoted, found.labels))
    advice = f"Sum up over {labels} before you divide"
    if BUCKETS in found.labels:
        whole = _counted(found.whole, whole)
        advice = "A bucket holds all smaller ones: divide by how many there were, which `…_count` tells"
    numerator = _in_place(node.lhs, found.part, part)
    denominator = _in_place(node.rhs, found.whole, whole, is_divisor=True)
    return f"{advice}: `{numerator} / {denominator}`."


def _summed(side: Expr, labels: tuple[str, ...]) -> str:
    """Return one side without the labels; averages and extremes of a part and of all do not make a share."""
    if isinstance(side, AggregateExpr):
        return aggregated(grouping(side, name="sum", drop=labels), written(side.expr))
    return aggregated(f"sum without ({', '.join(labels)})", written(side))


def _counted(whole: Expr, text: str) -> str:
    """Return the sum of buckets with the number of observations in their place."""
    selector = next(node for node in promql.walk(whole) if isinstance(node, VectorSelector))
    name = metric_of(selector)
    is_asked = any(match.label == BUCKETS for match in matches_of(selector))
    if not name.endswith("_bucket") or text.count(name) != 1 or is_asked:
        return "sum(rate(…_count[…]))"
    return text.replace(name, f"{name.removesuffix('_bucket')}_count")


def _in_place(side: Expr, of: Expr, text: str, *, is_divisor: bool = False) -> str:
    """Return a side with something else in place of what it is of: a factor, `clamp_min` and the like stay."""
    side = promql.without_parentheses(side)
    if side is of:
        return text
    whole, before = written(side), written(of)
    if whole == ELLIPSIS or whole.count(before) != 1:
        return ELLIPSIS
    needs_parentheses = isinstance(side, BinaryExpr) and (is_divisor or str(side.op) != "*")
    replaced = whole.replace(before, text)
    return f"({replaced})" if needs_parentheses else replaced
