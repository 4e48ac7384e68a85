"""Find comparisons that every value fulfils."""

from __future__ import annotations

from collections.abc import Iterator

from promql_parser import AggregateExpr, Call

from rollback_guard.config.checks.lints.asked import Asked
from rollback_guard.config.checks.lints.threshold_unit import is_of_another_unit
from rollback_guard.config.problems import Problem
from rollback_guard.core import promql
from rollback_guard.core.promql.bounds import bounds
from rollback_guard.core.promql.shape import Nested

EXISTENCE = frozenset({"count", "group", "count_values"})
EXISTENCE_FUNCTIONS = frozenset({"absent", "absent_over_time", "count_over_time", "present_over_time", "vector"})
"""What people compare with 0 to ask whether there is anything."""


def check(asked: Asked) -> Iterator[Problem]:
    """Yield the condition that holds whatever its value is."""
    for compared in asked.compared:
        if not compared.alone or is_of_another_unit(compared) or promql.filters(compared.measured):
            continue
        found = bounds(compared.measured)
        if found.is_infinite:
            continue  # a quantile that is none
        if found.always(compared.operator, compared.threshold) and not any(map(_asks_existence, asked.nodes)):
            message = f"this is always `{compared.operator} {compared.threshold:g}`: it {found}"
            hint = "The rule breaches whenever there is an answer. Look at the operator and at the threshold."
            yield asked.problem("always-fires", message, hint=hint, at=asked.places.of(compared.node))


def _asks_existence(nested: Nested) -> bool:
    node = nested.node
    if isinstance(node, AggregateExpr):
        return str(node.op) in EXISTENCE
    return isinstance(node, Call) and node.func.name in EXISTENCE_FUNCTIONS
