"""Find counters that are compared as they are."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from promql_parser import VectorSelector

from rollback_guard.config.checks.lints.asked import Asked
from rollback_guard.config.problems import Problem, quoted
from rollback_guard.core.promql import names
from rollback_guard.core.promql.shape import metric_of
from rollback_guard.core.promql.treatment import TRENDS, compared_values, ranges
from rollback_guard.core.promql.written import with_range

HINT = "Write `increase({range})` for how often, `rate({range})` for how often a second."


def check(asked: Asked) -> Iterator[Problem]:
    """Yield the first counter whose value is compared, or that is given to a function for gauges."""
    found = next(_findings(asked), None)
    if found is not None:  # one is enough: what to do about the others is the same
        yield found


def _findings(asked: Asked) -> Iterator[Problem]:
    for selector in compared_values(asked.tree):
        if names.is_counter(metric := metric_of(selector)):
            meaning = "its value counts from the start of the process"
            message = f"the counter {quoted(metric)} is compared as it is: {meaning}"
            yield _problem(asked, selector, message)
    for function, matrix in ranges(asked.nodes, TRENDS):
        selector = matrix.vector_selector
        if names.is_counter(metric := metric_of(selector)):
            message = f"`{function}` is for gauges: each restart of the counter {quoted(metric)} is a fall"
            yield _problem(asked, selector, message, matrix.range)


def _problem(asked: Asked, selector: VectorSelector, message: str, span: timedelta | None = None) -> Problem:
    hint = HINT.format(range=with_range(selector, span))
    return asked.problem("raw-counter", message, hint=hint, at=asked.places.of(selector))
