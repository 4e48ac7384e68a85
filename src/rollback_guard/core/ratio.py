"""Recognise a ratio whose numerator may have no series because nothing has gone wrong yet."""

from __future__ import annotations

from promql_parser import (
    AggregateExpr,
    BinaryExpr,
    BinModifier,
    Call,
    Expr,
    SubqueryExpr,
    UnaryExpr,
    VectorMatchCardinality,
    VectorSelector,
)

from rollback_guard.core import promql
from rollback_guard.core.condition import Ratio
from rollback_guard.core.promql import constant
from rollback_guard.core.promql.source import Source


def find_ratio(measured: Source) -> Ratio | None:
    """Return what a measured side is worth without its numerator, if it is a ratio of something that is counted.

    Constants around the ratio are evaluated: ``100 * a / b`` is 0 without errors, ``1 - a / b`` is 1. Where a numerator
    may be absent for another reason, such as one of two summands, there is no ratio: a false 0 would hide errors.
    """
    value, core = _peel(measured)
    if core is None:
        return None
    halves = core.halves()
    tree = core.tree
    if halves is None or not isinstance(tree, BinaryExpr) or not _vanishes(tree.lhs):
        return None
    value += 0.0  # so that nobody reads "-0"
    modifier: BinModifier | None = tree.modifier
    if modifier is None:
        return Ratio(denominator=halves.right.without_parentheses().text, value=value)
    filled = modifier.fill_values.lhs is not None or modifier.fill_values.rhs is not None
    if str(modifier.card) != str(VectorMatchCardinality.OneToOne) or filled:
        return None
    labels = frozenset(modifier.matching.labels) if modifier.matching else frozenset()
    keeps = modifier.matching is not None and str(modifier.matching.type) == "LabelModifierType.Include"
    return Ratio(
        denominator=halves.right.without_parentheses().text,
        value=value,
        kept=labels if keeps else None,
        dropped=frozenset() if keeps else labels,
    )


def _peel(source: Source) -> tuple[float, Source | None]:
    """Return the division of two vectors inside of constant arithmetic, and what that makes of 0."""
    source = source.without_parentheses()
    tree = source.tree
    if isinstance(tree, UnaryExpr):
        value, core = _peel(source.without_minus())
        return -value, core
    if not isinstance(tree, BinaryExpr) or str(tree.op) not in constant.ARITHMETIC:
        return 0.0, None
    apply = constant.ARITHMETIC[str(tree.op)]
    left, right = constant.evaluate(tree.lhs), constant.evaluate(tree.rhs)
    if left is None and right is None:
        vectors = promql.value_type(tree.lhs) == promql.value_type(tree.rhs) == "vector"
        return 0.0, source if str(tree.op) == "/" and vectors else None
    halves = source.halves()
    if halves is None:
        return 0.0, None
    value, core = _peel(halves.left if left is None else halves.right)
    return (apply(value, right) if right is not None else apply(left or 0.0, value)), core


_COUNTED = frozenset({"rate", "irate", "increase", "count_over_time"})
"""Functions whose result is 0, or nothing, while the thing they count does not happen."""

_RECORDED = ("rate", "irate", "increase")

_KEEP_ZERO = frozenset(
    {
        "abs", "ceil", "floor", "round", "sgn", "sqrt", "sort", "sort_desc", "label_replace", "label_join",
        "avg_over_time", "last_over_time", "max_over_time", "min_over_time", "sum_over_time",
    }
)  # fmt: skip
"""Functions that make nothing else of 0."""

_SUMMARISE = frozenset({"sum", "avg", "min", "max", "quantile"})
"""Aggregations that make 0 of zeros."""


def _vanishes(tree: Expr) -> bool:
    """Say whether an absent answer of this numerator can only mean 0."""
    match promql.without_parentheses(tree):
        case VectorSelector(name=str() as name):
            return ":" in name and name.rpartition(":")[2].startswith(_RECORDED)
        case Call(func=func, args=[*args]) if func.name in _COUNTED:
            return bool(args)
        case Call(func=func, args=[first, *_]) if func.name in _KEEP_ZERO:
            return _vanishes(first)
        case AggregateExpr(op=op, expr=inner) if str(op) in _SUMMARISE:
            return _vanishes(inner)
        case AggregateExpr(op=op, expr=inner) if str(op) == "count":
            return not _joins(inner)
        case SubqueryExpr(expr=inner) | UnaryExpr(expr=inner):
            return _vanishes(inner)
        case BinaryExpr() as binary:
            return _vanishes_in(binary)
    return False


def _vanishes_in(tree: BinaryExpr) -> bool:
    """Say the same of an operator: constants must leave 0 what it is, and of two vectors neither may be missing."""
    op = str(tree.op)
    if op == "or":
        return _vanishes(tree.lhs) and (_vanishes(tree.rhs) or _is_zero_vector(tree.rhs))
    if op not in constant.ARITHMETIC:
        return False
    left, right = constant.evaluate(tree.lhs), constant.evaluate(tree.rhs)
    if right is not None:
        return constant.ARITHMETIC[op](0.0, right) == 0 and _vanishes(tree.lhs)
    return left is not None and constant.ARITHMETIC[op](left, 0.0) == 0 and _vanishes(tree.rhs)


def _joins(tree: Expr) -> bool:
    """Say whether vectors are matched somewhere inside, so that absence may be that of a partner."""
    tree = promql.without_parentheses(tree)
    match tree:
        case BinaryExpr(op=op, lhs=left, rhs=right):
            scalar = "scalar" in {promql.value_type(left), promql.value_type(right)}
            return not (scalar or str(op) == "or") or _joins(left) or _joins(right)
        case Call(args=[*args]):
            return any(_joins(argument) for argument in args)
        case AggregateExpr(expr=inner) | SubqueryExpr(expr=inner) | UnaryExpr(expr=inner):
            return _joins(inner)
    return False


def _is_zero_vector(tree: Expr) -> bool:
    match promql.without_parentheses(tree):
        case Call(func=func, args=[only]) if func.name == "vector":
            return constant.evaluate(only) == 0
    return False
