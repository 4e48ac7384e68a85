"""Find conditions whose series come and go by themselves."""

from __future__ import annotations

from collections.abc import Iterator

from promql_parser import AggregateExpr, BinaryExpr, Call

from rollback_guard.config.checks.lints.asked import Asked
from rollback_guard.config.problems import Problem
from rollback_guard.core import promql
from rollback_guard.core.promql.written import aggregated, written

SELECTIONS = promql.CUTS | {"count_values"}
"""Aggregations that return other series when values change."""


def check(asked: Asked) -> Iterator[Problem]:
    """Yield the selections of the largest or smallest that no aggregation makes one number of."""
    for node, around in asked.nodes:
        if not isinstance(node, AggregateExpr) or str(node.op) not in SELECTIONS:
            continue
        if not any(isinstance(outer, AggregateExpr | Call) for outer in around):
            message = f"`{node.op}` returns other series each time: an alert ends when its series is overtaken"
            yield asked.problem("changing-selection", message, hint=_hint(node), at=asked.places.of(node))


def _hint(node: AggregateExpr) -> str:
    if str(node.op) == "count_values":
        return "Compare the values themselves, or how many series there are: `count(…)`."
    inner = promql.without_parentheses(node.expr)
    end = "min" if str(node.op) == "bottomk" else "max"
    if isinstance(inner, BinaryExpr) and promql.is_comparison(inner):
        one = aggregated(end, written(inner.lhs))
        return f"Leave `{node.op}` out: `{written(inner)}`; or compare one number, such as `{one}`."
    return f"Compare all of them, `{written(inner)}`, or one number, `{aggregated(end, written(inner))}`."
