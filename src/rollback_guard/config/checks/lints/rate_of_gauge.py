"""Find functions for counters that are given a gauge."""

from __future__ import annotations

from collections.abc import Iterator

from rollback_guard.config.checks.lints.asked import Asked
from rollback_guard.config.problems import Problem, quoted
from rollback_guard.core import promql
from rollback_guard.core.promql import names
from rollback_guard.core.promql.shape import metric_of
from rollback_guard.core.promql.treatment import ranges
from rollback_guard.core.promql.written import with_range


def check(asked: Asked) -> Iterator[Problem]:
    """Yield the calls whose metric has the name of a gauge."""
    for function, matrix in ranges(asked.nodes, promql.OF_COUNTERS):
        selector = matrix.vector_selector
        if names.is_gauge(metric := metric_of(selector)):
            message = f"`{function}` takes each fall of the gauge {quoted(metric)} for a restart"
            range_ = with_range(selector, matrix.range)
            hint = f"For a gauge use `deriv({range_})`, or `delta` or `avg_over_time` in its place."
            yield asked.problem("rate-of-gauge", message, hint=hint, at=asked.places.of(selector))
