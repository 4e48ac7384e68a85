"""Find rates of sums, where sums of rates were meant."""

from __future__ import annotations

from collections.abc import Iterator

from promql_parser import AggregateExpr, Call, Expr, MatrixSelector, SubqueryExpr, VectorSelector

from rollback_guard.config.checks.lints.asked import Asked
from rollback_guard.config.problems import Problem
from rollback_guard.core import promql
from rollback_guard.core.promql.shape import metric_of
from rollback_guard.core.promql.written import ELLIPSIS, aggregated, grouping, with_range

OF_RECORDED = "Record the sum of rates, `sum(rate(…))`, and compare that."


def check(asked: Asked) -> Iterator[Problem]:
    """Yield the rates over what is already aggregated."""
    for node, _ in asked.nodes:
        if not isinstance(node, Call) or node.func.name not in promql.OF_COUNTERS:
            continue
        for argument in node.args:
            name = _aggregated(promql.without_parentheses(argument))
            if name:
                message = f"`{node.func.name}` of a `{name}`: the restart of one counter looks like a huge increase"
                yield asked.problem("rate-of-sum", message, hint=_hint(node, argument), at=asked.places.of(node))


def _hint(node: Call, argument: Expr) -> str:
    subquery = promql.without_parentheses(argument)
    inner = promql.without_parentheses(subquery.expr) if isinstance(subquery, SubqueryExpr) else None
    if not isinstance(subquery, SubqueryExpr) or not isinstance(inner, AggregateExpr):
        return OF_RECORDED
    # The parameter of `topk` and its like stands before what it chooses from.
    head = "sum" if inner.param is not None else grouping(inner)
    turned = aggregated(head, f"{node.func.name}({_range(subquery, inner)})")
    return f"Turn it around: `{turned}`, so that each counter's restart is seen for what it is."


def _range(subquery: SubqueryExpr, inner: AggregateExpr) -> str:
    """Return the range of what was aggregated; dots where the subquery looks elsewhere in time."""
    of = promql.without_parentheses(inner.expr)
    if not isinstance(of, VectorSelector) or subquery.offset is not None or subquery.at is not None:
        return ELLIPSIS
    return with_range(of, subquery.range)


def _aggregated(tree: Expr) -> str:
    """Return how a range was aggregated: in a subquery, or by the rule that recorded it."""
    if isinstance(tree, MatrixSelector):
        return "sum" if metric_of(tree.vector_selector).endswith(":sum") else ""
    inner = promql.without_parentheses(tree.expr) if isinstance(tree, SubqueryExpr) else None
    return str(inner.op) if isinstance(inner, AggregateExpr) else ""
