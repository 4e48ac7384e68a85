"""Find functions for counters that are given a gauge."""

from __future__ import annotations

from collections.abc import Iterator

from promql_parser import Call, MatrixSelector

from rollback_guard.config.checks.lints.asked import Asked
from rollback_guard.config.problems import Problem, quoted
from rollback_guard.core import promql
from rollback_guard.core.promql import names
from rollback_guard.core.promql.shape import metric_of


def check(asked: Asked) -> Iterator[Problem]:
    """Yield the calls whose metric has the name of a gauge."""
    for node, _ in asked.nodes:
        if not isinstance(node, Call) or node.func.name not in promql.OF_COUNTERS:
            continue
        for argument in node.args:
            inner = promql.without_parentheses(argument)
            if isinstance(inner, MatrixSelector) and names.is_gauge(metric := metric_of(inner.vector_selector)):
                message = f"`{node.func.name}` takes each fall of the gauge {quoted(metric)} for a restart"
                hint = "For a gauge use `delta`, `deriv` or `avg_over_time`."
                yield asked.problem("rate-of-gauge", message, hint=hint, at=metric)
