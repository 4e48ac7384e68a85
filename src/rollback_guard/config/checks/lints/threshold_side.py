"""Find conditions that breach when all is well."""

from __future__ import annotations

from collections.abc import Iterator

from promql_parser import Expr, VectorSelector

from rollback_guard.config.checks.lints.asked import Asked
from rollback_guard.config.problems import Problem
from rollback_guard.core.condition import Operator
from rollback_guard.core.promql import names
from rollback_guard.core.promql.bounds import bounds
from rollback_guard.core.promql.shape import Compared, metric_of, peel, summarised
from rollback_guard.core.promql.share import division

ABOVE = frozenset({Operator.GREATER, Operator.GREATER_EQUAL})
BELOW = frozenset({Operator.LESS, Operator.LESS_EQUAL})

REACHABLE = frozenset({"up", "probe_success"})
"""Metrics that are 1 when all is well."""


def check(asked: Asked) -> Iterator[Problem]:
    """Yield the comparison of something good with `>`, or of something bad with `<`."""
    for compared in asked.compared:
        if not compared.alone or bounds(compared.measured).never(compared.operator, compared.threshold):
            continue
        good = goodness(compared.measured)
        operator = compared.operator
        full = operator is Operator.EQUAL and compared.threshold == 1
        if (good > 0 and (operator in ABOVE or full)) or (good < 0 and operator in BELOW):
            what = "what goes well" if good > 0 else "what goes wrong"
            message = f"this measures {what}, and breaches {_when(compared)}: that is when all is well"
            turned = "<" if good > 0 else ">"
            hint = f"Turn the comparison around, `{turned}`; a condition says what is wrong."
            yield asked.problem("threshold-side", message, hint=hint, at=asked.places.of(compared.node))


def _when(compared: Compared) -> str:
    return f"at `{compared.operator} {compared.threshold:g}`"


def goodness(tree: Expr) -> int:
    """Return 1 where more is better, -1 where more is worse, 0 where that is not known."""
    sign, core = peel(tree)
    inner_sign, core = peel(summarised(core))
    core, sign = summarised(core), sign * inner_sign
    if isinstance(core, VectorSelector):
        name = metric_of(core)
        if name in REACHABLE:
            return sign
        return sign * names.tone(name) if names.is_ratio(name) else 0
    found = division(core)
    return sign * found.tone if found else 0
