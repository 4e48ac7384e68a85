"""Find rates of sums, where sums of rates were meant."""

from __future__ import annotations

from collections.abc import Iterator

from promql_parser import AggregateExpr, Call, Expr, MatrixSelector, SubqueryExpr

from rollback_guard.config.checks.lints.asked import Asked
from rollback_guard.config.problems import Problem
from rollback_guard.core import promql
from rollback_guard.core.promql.shape import metric_of

HINT = "Turn it around: `sum(rate(requests_total[5m]))`, so that each counter's restart is seen for what it is."


def check(asked: Asked) -> Iterator[Problem]:
    """Yield the rates over what is already aggregated."""
    for node, _ in asked.nodes:
        if not isinstance(node, Call) or node.func.name not in promql.OF_COUNTERS:
            continue
        for argument in node.args:
            name = _aggregated(promql.without_parentheses(argument))
            if name:
                message = f"`{node.func.name}` of a `{name}`: the restart of one counter looks like a huge increase"
                yield asked.problem("rate-of-sum", message, hint=HINT, at=asked.places.of(node))


def _aggregated(tree: Expr) -> str:
    """Return how a range was aggregated: in a subquery, or by the rule that recorded it."""
    if isinstance(tree, MatrixSelector):
        return "sum" if metric_of(tree.vector_selector).endswith(":sum") else ""
    inner = promql.without_parentheses(tree.expr) if isinstance(tree, SubqueryExpr) else None
    return str(inner.op) if isinstance(inner, AggregateExpr) else ""
