"""Find aggregations of ratios, which one idle series makes unknown."""

from __future__ import annotations

from collections.abc import Iterator

from promql_parser import AggregateExpr, BinaryExpr, Call, Expr

from rollback_guard.config.checks.lints.asked import Asked
from rollback_guard.config.problems import Problem
from rollback_guard.core import promql
from rollback_guard.core.promql.shape import peel
from rollback_guard.core.promql.written import aggregated, grouping, written

SPOILED = frozenset({"sum", "avg", "stddev", "stdvar", "quantile"})
"""Aggregations that are NaN as soon as one of their values is."""


def check(asked: Asked) -> Iterator[Problem]:
    """Yield the aggregations over a division by something that may be 0."""
    for node, _ in asked.nodes:
        if not isinstance(node, AggregateExpr) or str(node.op) not in SPOILED:
            continue
        _, inner = peel(node.expr)
        if isinstance(inner, BinaryExpr) and str(inner.op) == "/" and _may_be_zero(inner.rhs):
            message = f"`{node.op}` of ratios: one series without traffic is 0/0, and makes all of it NaN"
            yield asked.problem("nan-in-aggregation", message, hint=_hint(node, inner), at=asked.places.of(node))


def _hint(aggregation: AggregateExpr, ratio: BinaryExpr) -> str:
    head = "sum" + grouping(aggregation).removeprefix(str(aggregation.op))
    part, whole = (aggregated(head, written(side)) for side in (ratio.lhs, ratio.rhs))
    return f"Divide the sums: `{part} / {whole}`."


def _may_be_zero(tree: Expr) -> bool:
    # A rate is 0 while nothing happens.
    return promql.value_type(tree) == "vector" and any(
        isinstance(node, Call) and node.func.name in promql.OF_COUNTERS for node in promql.walk(tree)
    )
