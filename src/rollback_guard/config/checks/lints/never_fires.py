"""Find comparisons that no value can fulfil."""

from __future__ import annotations

from collections.abc import Iterator

from promql_parser import AggregateExpr, Call, VectorSelector

from rollback_guard.config.checks.lints.asked import Asked
from rollback_guard.config.checks.lints.threshold_unit import is_of_another_unit
from rollback_guard.config.problems import Problem, quoted
from rollback_guard.core import promql
from rollback_guard.core.condition import Operator
from rollback_guard.core.promql import names
from rollback_guard.core.promql.bounds import bounds
from rollback_guard.core.promql.shape import Compared, metric_of, nested
from rollback_guard.core.promql.treatment import calls
from rollback_guard.core.promql.written import written

OF_NOTHING = frozenset({"count", "sum", "group", "count_over_time", "absent", "absent_over_time"})
"""What has no answer when there is nothing, where people expect 0."""

FALLING = frozenset({Operator.LESS, Operator.LESS_EQUAL})


def check(asked: Asked) -> Iterator[Problem]:
    """Yield the comparisons that lie outside of what the measured side can be."""
    for compared in asked.compared:
        found = bounds(compared.measured)
        if is_of_another_unit(compared) or found.is_infinite:
            continue
        rated = list(calls(nested(compared.measured), promql.OF_COUNTERS))
        if any(names.is_gauge(metric_of(selector)) for _, selector in rated):
            continue  # the mistake is another one, and told by its own name
        if found.never(compared.operator, compared.threshold):
            message = f"this is never `{compared.operator} {compared.threshold:g}`: it {found}"
            at = asked.places.of(compared.node)
            yield asked.problem("never-fires", message, hint=_hint(compared, rated), at=at)


def _hint(compared: Compared, rated: list[tuple[str, VectorSelector]]) -> str:
    tree = compared.measured
    name = str(tree.op) if isinstance(tree, AggregateExpr) else tree.func.name if isinstance(tree, Call) else ""
    if name.startswith("absent"):
        return "`absent()` is 1 or has no answer; write it without a comparison."
    if name in OF_NOTHING and not rated:
        return f"The `{name}` of nothing has no answer, not 0: write `({name}(…) or vector(0))`, or use `absent()`."
    unsure = [(function, selector) for function, selector in rated if not names.is_counter(metric_of(selector))]
    if unsure and compared.threshold <= 0 and compared.operator in FALLING:
        function, selector = unsure[0]
        metric = quoted(metric_of(selector) or written(selector))
        return f"`{function}` is never below 0. If {metric} is a gauge, use `deriv` or `delta`, which follow its fall."
    return "Look at the operator and at the threshold."
