"""Find comparisons that no value can fulfil."""

from __future__ import annotations

from collections.abc import Iterator

from promql_parser import AggregateExpr, Call, Expr

from rollback_guard.config.checks.lints.asked import Asked
from rollback_guard.config.checks.lints.threshold_unit import is_percentage_of_ratio
from rollback_guard.config.problems import Problem
from rollback_guard.core.promql.bounds import bounds

OF_NOTHING = frozenset({"count", "sum", "group", "count_over_time", "absent", "absent_over_time"})
"""What has no answer when there is nothing, where people expect 0."""


def check(asked: Asked) -> Iterator[Problem]:
    """Yield the comparisons that lie outside of what the measured side can be."""
    for compared in asked.compared:
        if is_percentage_of_ratio(compared):
            continue
        found = bounds(compared.measured)
        if found.never(compared.operator, compared.threshold):
            message = f"this is never `{compared.operator} {compared.threshold:g}`: it {found}"
            at = asked.places.of(compared.node)
            yield asked.problem("never-fires", message, hint=_hint(compared.measured), at=at)


def _hint(tree: Expr) -> str:
    name = str(tree.op) if isinstance(tree, AggregateExpr) else tree.func.name if isinstance(tree, Call) else ""
    if name.startswith("absent"):
        return "`absent()` is 1 or has no answer; write it without a comparison."
    if name in OF_NOTHING:
        return f"The `{name}` of nothing has no answer, not 0: write `({name}(…) or vector(0))`, or use `absent()`."
    return "Look at the operator and at the threshold."
