"""Find counters that are compared as they are."""

from __future__ import annotations

from collections.abc import Iterator

from promql_parser import AggregateExpr, Call, Expr, VectorSelector

from rollback_guard.config.checks.lints.asked import Asked
from rollback_guard.config.problems import Problem, quoted
from rollback_guard.core.promql import names
from rollback_guard.core.promql.shape import metric_of, peel, summarised

TRENDS = frozenset({"delta", "idelta", "deriv", "predict_linear"})
"""Functions for gauges: at a restart a counter falls, and they take that for what was counted."""

HINT = "Write `increase({metric}[5m])` for how often, `rate({metric}[5m])` for how often a second."


def check(asked: Asked) -> Iterator[Problem]:
    """Yield counters that are compared with a constant, or are given to a function for gauges."""
    for compared in asked.compared:
        selector = _inside(compared.measured)
        if selector is not None and names.is_counter(metric := metric_of(selector)):
            message = f"the counter {quoted(metric)} only rises: once beyond the threshold it stays there"
            yield asked.problem("raw-counter", message, hint=HINT.format(metric=metric), at=metric)
    for node, _ in asked.nodes:
        if isinstance(node, Call) and node.func.name in TRENDS:
            selector = _inside(node.args[0])
            if selector is not None and names.is_counter(metric := metric_of(selector)):
                message = f"`{node.func.name}` is for gauges: each restart of the counter {quoted(metric)} is a fall"
                yield asked.problem("raw-counter", message, hint=HINT.format(metric=metric), at=metric)


def _inside(tree: Expr) -> VectorSelector | None:
    tree = summarised(peel(tree)[1])
    while isinstance(tree, AggregateExpr) and str(tree.op) == "sum":
        tree = summarised(tree.expr)
    return tree if isinstance(tree, VectorSelector) else None
