"""Find functions for counters that are given a gauge."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from promql_parser import Call, MatrixSelector, VectorSelector

from rollback_guard.config.checks.lints.asked import Asked
from rollback_guard.config.problems import Problem, quoted
from rollback_guard.core import promql
from rollback_guard.core.promql import names
from rollback_guard.core.promql.shape import Nested, metric_of


def check(asked: Asked) -> Iterator[Problem]:
    """Yield the calls whose metric has the name of a gauge."""
    for function, selector in calls(asked.nodes, promql.OF_COUNTERS):
        if names.is_gauge(metric := metric_of(selector)):
            message = f"`{function}` takes each fall of the gauge {quoted(metric)} for a restart"
            hint = "For a gauge use `delta`, `deriv` or `avg_over_time`."
            yield asked.problem("rate-of-gauge", message, hint=hint, at=asked.places.of(selector))


def calls(nodes: Iterable[Nested], functions: frozenset[str]) -> Iterator[tuple[str, VectorSelector]]:
    """Yield the calls of some functions that take the range of a selector, each with that selector."""
    for node, _ in nodes:
        if isinstance(node, Call) and node.func.name in functions:
            ranges = map(promql.without_parentheses, node.args)
            yield from ((node.func.name, it.vector_selector) for it in ranges if isinstance(it, MatrixSelector))
