"""Find thresholds in another unit than what they are compared with."""

from __future__ import annotations

from collections.abc import Iterator

from promql_parser import BinaryExpr, Call, Expr, VectorSelector

from rollback_guard.config.checks.lints.asked import Asked
from rollback_guard.config.problems import Problem
from rollback_guard.core import promql
from rollback_guard.core.condition import Operator
from rollback_guard.core.promql import names
from rollback_guard.core.promql.shape import Compared, metric_of, summarised
from rollback_guard.core.promql.share import division

REQUESTS = frozenset({"http", "grpc", "rpc", "request", "requests", "response", "responses", "latency", "api"})
"""Words of what takes seconds at most; a batch may well take hours."""

MANY_SECONDS = 100.0
"""A request that takes longer was given up long before: this is meant in milliseconds."""

ABOVE = frozenset({Operator.GREATER, Operator.GREATER_EQUAL})


def check(asked: Asked) -> Iterator[Problem]:
    """Yield ratios that are compared with percentages, and seconds that are compared with milliseconds."""
    for compared in asked.compared:
        if is_percentage_of_ratio(compared):
            message = f"a ratio lies between 0 and 1, and is compared with {compared.threshold:g}"
            hint = f"If {compared.threshold:g}% is meant, write {compared.threshold / 100:g}."
            yield asked.problem("threshold-unit", message, hint=hint, at=asked.places.threshold(compared))
        elif compared.operator in ABOVE and (unit := _unit(compared.measured)):
            yield from _latency(asked, compared, unit)


def is_percentage_of_ratio(compared: Compared) -> bool:
    """Say whether a ratio is compared with a number that only a percentage can reach."""
    if compared.threshold <= 1:
        return False
    core = summarised(compared.measured)
    if isinstance(core, VectorSelector):
        words = names.words_of(name := metric_of(core))
        return names.is_ratio(name) and names.tone(name) != 0 and not words & {"percent", "percentage"}
    found = division(core)
    return found is not None and found.scale == 1 and (found.is_share or found.tone < 0)


def _latency(asked: Asked, compared: Compared, unit: str) -> Iterator[Problem]:
    threshold = compared.threshold
    if unit == "seconds" and threshold >= MANY_SECONDS:
        message = f"the latency is in seconds, and is compared with {threshold:g}"
        hint = f"If {threshold:g} milliseconds are meant, write {threshold / 1000:g}."
    elif unit == "milliseconds" and 0 < threshold < 1:
        message = f"the latency is in milliseconds, and is compared with {threshold:g}"
        hint = f"If {threshold:g} seconds are meant, write {threshold * 1000:g}."
    else:
        return
    yield asked.problem("threshold-unit", message, hint=hint, at=asked.places.threshold(compared))


def _unit(tree: Expr) -> str:
    """Return the unit of a latency of requests: of a quantile, or of a mean."""
    tree = summarised(tree)
    if isinstance(tree, Call) and tree.func.name == "histogram_quantile":
        tree = tree.args[-1]
    elif not (isinstance(tree, BinaryExpr) and str(tree.op) == "/"):
        return ""
    selectors = [node for node in promql.walk(tree) if isinstance(node, VectorSelector)]
    name = metric_of(selectors[0]) if selectors else ""
    base, _, ending = name.rpartition("_")
    if ending not in ("bucket", "sum") or not names.words_of(name) & REQUESTS:
        return ""
    if base.endswith("_seconds"):
        return "seconds"
    return "milliseconds" if base.endswith(("_milliseconds", "_ms")) else ""
