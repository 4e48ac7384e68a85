"""Say what an expression is a quantity of, as far as its shape and its names tell: a ratio, bytes, cores."""

from __future__ import annotations

from dataclasses import dataclass, replace

from promql_parser import AggregateExpr, BinaryExpr, Call, Expr, MatrixSelector, VectorSelector

from rollback_guard.core.promql import constant, names, without_parentheses
from rollback_guard.core.promql.shape import metric_of, summarised
from rollback_guard.core.promql.share import division, scaled

_OF_ONE = frozenset({"pod", "pod_name", "container", "container_name", "instance", "process"})
"""Labels of which each value is one thing that runs, and not a whole service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """A part of a whole.

    Attributes:
        scale: What it is where the part is all of it: 1, or 100 for a percentage.
        tone: 1 where more is better, -1 where more is worse, 0 where that is not known.
        is_filling: It is of what is free or used, such as memory, and not of what happened.
        is_share: The part is surely some of the whole; of two metrics the one may count more than the other.
    """

    scale: float
    tone: int
    is_filling: bool = False
    is_share: bool = True


def ratio(tree: Expr) -> Ratio | None:
    """Return what kind of ratio an expression is; ``None`` where it may be none."""
    factor, core = 1.0, summarised(tree)
    turned = 1
    while isinstance(core, BinaryExpr) and str(core.op) in ("*", "-"):
        if str(core.op) == "*":
            scale, inner = scaled(core)
            if inner is core:
                return None
            factor, core = factor * scale, summarised(inner)
        elif constant.evaluate(core.lhs) not in (1.0, 100.0):
            return None
        else:
            turned, core = -turned, summarised(core.rhs)
    found = _named(core) if isinstance(core, VectorSelector) else _divided(core)
    return None if found is None else replace(found, scale=factor * found.scale, tone=turned * found.tone)


def _named(selector: VectorSelector) -> Ratio | None:
    name = metric_of(selector)
    if not names.is_ratio(name) or not names.tone(name):
        return None
    is_percent = not names.words_of(name).isdisjoint({"percent", "percentage"})
    return Ratio(scale=100.0 if is_percent else 1.0, tone=names.tone(name))


def _divided(tree: Expr) -> Ratio | None:
    found = division(tree)
    if found is not None and (found.is_share or found.tone < 0):
        return Ratio(scale=found.scale, tone=found.tone, is_share=found.is_share)
    tree = without_parentheses(tree)
    if not isinstance(tree, BinaryExpr) or str(tree.op) != "/":
        return None
    scale, numerator = scaled(tree.lhs)
    part, whole = _gauge(numerator), _gauge(tree.rhs)
    if part is None or whole is None or part[1] != whole[1]:
        return None
    is_part = names.is_part_of(metric_of(part[0]), metric_of(whole[0]))
    return Ratio(scale=scale, tone=0, is_filling=True) if is_part else None


def _gauge(tree: Expr) -> tuple[VectorSelector, bool] | None:
    """Return the selector that averages, extremes and sums are of, and whether there is a sum among them."""
    is_sum = False
    core = summarised(tree)
    while isinstance(core, AggregateExpr) and str(core.op) == "sum":
        is_sum, core = True, summarised(core.expr)
    return (core, is_sum) if isinstance(core, VectorSelector) else None


def is_many_bytes(tree: Expr) -> bool:
    """Say whether it is memory or disk space in bytes."""
    found = _gauge(tree)
    return found is not None and names.is_large(metric_of(found[0]))


@dataclass(frozen=True, slots=True)
class Cores:
    """How many cores are busy.

    Attributes:
        is_one: Each series is of a single core.
    """

    is_one: bool


def cores(tree: Expr) -> Cores | None:
    """Return of how many cores it tells how busy they are; ``None`` where it is anything else, or of many machines."""
    core, is_sum = summarised(tree), False
    while isinstance(core, AggregateExpr) and str(core.op) == "sum":
        modifier = core.modifier
        if modifier is None or str(modifier.type) != "AggModifierType.By" or _OF_ONE.isdisjoint(modifier.labels):
            return None
        is_sum, core = True, summarised(core.expr)
    if not isinstance(core, Call) or core.func.name not in ("rate", "irate"):
        return None
    inner = without_parentheses(core.args[0])
    name = metric_of(inner.vector_selector) if isinstance(inner, MatrixSelector) else ""
    if name == "node_cpu_seconds_total":
        return None if is_sum else Cores(is_one=True)
    is_cpu = (
        name.endswith("_seconds_total") and "cpu" in names.words_of(name) and "throttled" not in names.words_of(name)
    )
    return Cores(is_one=False) if is_cpu else None
