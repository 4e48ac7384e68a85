"""Find thresholds in another unit than what they are compared with, and quantiles in percent."""

from __future__ import annotations

import math
from collections.abc import Iterator

from promql_parser import AggregateExpr, BinaryExpr, Call, Expr, VectorSelector

from rollback_guard.config.checks.lints.asked import Asked
from rollback_guard.config.problems import Problem
from rollback_guard.core import promql
from rollback_guard.core.condition import Operator
from rollback_guard.core.promql import constant, names
from rollback_guard.core.promql.quantity import cores, is_many_bytes, ratio
from rollback_guard.core.promql.shape import Compared, metric_of, summarised

REQUESTS = frozenset({"http", "grpc", "rpc", "request", "requests", "response", "responses", "latency", "api"})
"""Words of what takes seconds at most; a batch may well take hours."""

MANY_SECONDS = 100.0
"""A request that takes longer was given up long before: this is meant in milliseconds."""

PERCENT = 100.0

LEAST_PERCENT = 0.01
"""Of errors, in percent: who asks for less has a service that fails for 4 minutes a month at most."""

TWICE = 2.0
"""So many times a limit nobody uses."""

SEVERAL = 5.0
"""So often nothing fails that was tried once; where two metrics count different things it may fail a few times."""

FEW_BYTES = 10_000.0
"""No process and no disk is that small: this is meant in megabytes."""

MANY_CORES = 64.0
"""Hardly one process keeps so many busy, on the largest machines: this is meant in percent of one."""

ABOVE = frozenset({Operator.GREATER, Operator.GREATER_EQUAL})
BELOW = frozenset({Operator.LESS, Operator.LESS_EQUAL})


def check(asked: Asked) -> Iterator[Problem]:
    """Yield thresholds that are meant in another unit than what they are compared with, and quantiles of percents."""
    for node, _ in asked.nodes:
        share = _quantile(node)
        if share is not None and not 0 <= share <= 1:
            message = f"a quantile lies between 0 and 1, and this is {share:g}"
            likely = f"{share / 100:g}" if 1 < share <= PERCENT else "0.95"
            hint = f"Write the share of observations that are below it: `{likely}`."
            yield asked.problem("threshold-unit", message, hint=hint, at=asked.places.argument(node))
    for compared in asked.compared:
        if found := _said(compared):
            message, hint = found
            yield asked.problem("threshold-unit", message, hint=hint, at=asked.places.threshold(compared))


def is_of_another_unit(compared: Compared) -> bool:
    """Say whether a threshold is in another unit than what is compared with it."""
    return _said(compared) is not None


def _quantile(node: Expr) -> float | None:
    """Return which quantile is asked for; NaN is left to whoever writes it."""
    share = None
    if isinstance(node, Call) and node.func.name in ("histogram_quantile", "quantile_over_time"):
        share = constant.evaluate(node.args[0])
    elif isinstance(node, AggregateExpr) and str(node.op) == "quantile" and isinstance(node.param, Expr):
        share = constant.evaluate(node.param)
    return None if share is None or math.isnan(share) else share


def _said(compared: Compared) -> tuple[str, str] | None:
    """Return what is wrong with a threshold, and what to write."""
    if compared.operator not in ABOVE | BELOW:
        return _of_ratio(compared) if is_percentage_of_ratio(compared) else None
    return _of_ratio(compared) or _of_bytes(compared) or _of_cores(compared) or _of_latency(compared)


def _of_ratio(compared: Compared) -> tuple[str, str] | None:
    threshold = compared.threshold
    if is_percentage_of_ratio(compared):
        message = f"a ratio lies between 0 and 1, and is compared with {threshold:g}"
        return message, f"If {threshold:g}% is meant, write {threshold / 100:g}."
    if _is_ratio_of_percentage(compared):
        message = f"a percentage lies between 0 and 100, and is compared with {threshold:g}"
        return message, f"If {threshold * 100:g}% is meant, write {threshold * 100:g}."
    return None


def is_percentage_of_ratio(compared: Compared) -> bool:
    """Say whether a ratio is compared with a number that only a percentage can reach."""
    found = ratio(compared.measured) if compared.threshold > 1 else None
    if found is None or found.scale != 1:
        return False
    if found.is_filling:  # limits can be exceeded, if not by much
        return TWICE <= compared.threshold <= PERCENT
    return found.is_share or compared.threshold >= SEVERAL


def _is_ratio_of_percentage(compared: Compared) -> bool:
    """Say whether a percentage is compared with a share of it, or with next to nothing."""
    found = ratio(compared.measured) if 0 < compared.threshold < 1 else None
    if found is None or found.scale != PERCENT:
        return False
    if found.is_filling:
        return True
    if found.tone < 0:
        return compared.operator in ABOVE and compared.threshold < LEAST_PERCENT
    return found.tone > 0 and compared.operator in BELOW


def _of_bytes(compared: Compared) -> tuple[str, str] | None:
    threshold = compared.threshold
    if not 1 < threshold < FEW_BYTES or not is_many_bytes(compared.measured):
        return None
    hint = f"If {threshold:g} MB are meant, write `{threshold:g} * 1024 * 1024`."
    return f"this is in bytes, and is compared with {threshold:g}", hint


def _of_cores(compared: Compared) -> tuple[str, str] | None:
    threshold = compared.threshold
    found = cores(compared.measured) if 1 < threshold <= PERCENT else None
    if found is None or not (found.is_one or threshold >= MANY_CORES):
        return None
    what = "one core is busy for 1 second a second at most" if found.is_one else "this is how many cores are busy"
    return (
        f"{what}, and is compared with {threshold:g}",
        f"If {threshold:g}% of a core is meant, write {threshold / 100:g}.",
    )


def _of_latency(compared: Compared) -> tuple[str, str] | None:
    threshold, unit = compared.threshold, _unit(compared.measured) if compared.operator in ABOVE else ""
    if unit == "seconds" and threshold >= MANY_SECONDS:
        message = f"the latency is in seconds, and is compared with {threshold:g}"
        return message, f"If {threshold:g} milliseconds are meant, write {threshold / 1000:g}."
    if unit == "milliseconds" and 0 < threshold < 1:
        message = f"the latency is in milliseconds, and is compared with {threshold:g}"
        return message, f"If {threshold:g} seconds are meant, write {threshold * 1000:g}."
    return None


def _unit(tree: Expr) -> str:
    """Return the unit of a latency of requests: of a quantile, or of a mean."""
    tree = summarised(tree)
    if isinstance(tree, Call) and tree.func.name == "histogram_quantile":
        base = _base(tree.args[-1], "_bucket")
    elif isinstance(tree, BinaryExpr) and str(tree.op) == "/":
        base = _base(tree.lhs, "_sum")
        if base != _base(tree.rhs, "_count"):
            return ""  # all seconds by those that went by are how many requests were served at a time
    else:
        return ""
    if not names.words_of(base) & REQUESTS:
        return ""
    if base.endswith("_seconds"):
        return "seconds"
    return "milliseconds" if base.endswith(("_milliseconds", "_ms")) else ""


def _base(tree: Expr, ending: str) -> str:
    """Return the name of the histogram that the first metric of an expression is of, by the ending of that metric."""
    name = next((metric_of(node) for node in promql.walk(tree) if isinstance(node, VectorSelector)), "")
    return name.removesuffix(ending) if name.endswith(ending) else ""
