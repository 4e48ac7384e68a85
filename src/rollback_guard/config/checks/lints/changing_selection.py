"""Find conditions whose series come and go by themselves."""

from __future__ import annotations

from collections.abc import Iterator

from promql_parser import AggregateExpr, Call

from rollback_guard.config.checks.lints.asked import Asked
from rollback_guard.config.problems import Problem

CUTS = frozenset({"topk", "bottomk", "limitk", "limit_ratio", "count_values"})

HINT = "Compare all of them, `rate(errors_total[5m]) > 5`, or one number, `max(rate(errors_total[5m])) > 5`."


def check(asked: Asked) -> Iterator[Problem]:
    """Yield the selections of the largest or smallest that no aggregation makes one number of."""
    for node, around in asked.nodes:
        if not isinstance(node, AggregateExpr) or str(node.op) not in CUTS:
            continue
        if not any(isinstance(outer, AggregateExpr | Call) for outer in around):
            message = f"`{node.op}` returns other series each time: an alert ends when its series is overtaken"
            yield asked.problem("changing-selection", message, hint=HINT, at=asked.places.of(node))
