"""Find counters that are compared as they are."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from promql_parser import AggregateExpr, BinaryExpr, Call, Expr, MatrixSelector, UnaryExpr, VectorSelector

from rollback_guard.config.checks.lints.asked import Asked
from rollback_guard.config.checks.lints.rate_of_gauge import ranges
from rollback_guard.config.problems import Problem, quoted
from rollback_guard.core import promql
from rollback_guard.core.promql import names
from rollback_guard.core.promql.shape import metric_of
from rollback_guard.core.promql.written import with_range

TRENDS = frozenset({"delta", "idelta", "deriv", "predict_linear"})
"""Functions for gauges: at a restart a counter falls, and they take that for what was counted."""

EQUALITIES = frozenset({"==", "!="})

SAME_VALUE = frozenset(
    {"abs", "ceil", "floor", "round", "clamp", "clamp_min", "clamp_max", "sort", "sort_desc", "label_replace"}
    | {"label_join", "avg_over_time", "min_over_time", "max_over_time", "last_over_time", "quantile_over_time"}
)
"""Functions whose result still counts from the start of the process when their argument does."""

SUMMARISE = frozenset({"sum", "avg", "min", "max", "topk", "bottomk", "quantile"})

HINT = "Write `increase({range})` for how often, `rate({range})` for how often a second."


def check(asked: Asked) -> Iterator[Problem]:
    """Yield counters whose value is compared, or that are given to a function for gauges."""
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


def compared_values(tree: Expr) -> Iterator[VectorSelector]:
    """Yield the selectors whose value itself, or a sum of it, is held against a threshold."""
    tree = promql.without_parentheses(tree)
    if not isinstance(tree, BinaryExpr):
        return
    operator = str(tree.op)
    if operator in promql.SET_OPERATORS:
        yield from compared_values(tree.lhs)
        if operator != "unless":  # behind it stands what must not be
            yield from compared_values(tree.rhs)
    elif operator in promql.COMPARISONS - EQUALITIES:
        yield from _values(tree.lhs)
        yield from _values(tree.rhs)


def _values(tree: Expr) -> Iterator[VectorSelector]:
    tree = promql.without_parentheses(tree)
    match tree:
        case VectorSelector():
            yield tree
        case MatrixSelector(vector_selector=inner):
            yield inner
        case UnaryExpr(expr=inner):
            yield from _values(inner)
        case AggregateExpr(op=op, expr=inner) if str(op) in SUMMARISE:
            yield from _values(inner)
        case Call(func=func, args=[*args]) if func.name in SAME_VALUE:
            for arg in args:
                yield from _values(arg)
        case BinaryExpr(lhs=left, rhs=right) if not _is_difference(tree):
            yield from _values(left)
            yield from _values(right)


def _is_difference(tree: BinaryExpr) -> bool:
    """Say whether two vectors are subtracted: of a counter and its past that is an increase."""
    vectors = promql.value_type(tree.lhs) == promql.value_type(tree.rhs) == "vector"
    return vectors and str(tree.op) not in {"+", "/", "*"}


def _problem(asked: Asked, selector: VectorSelector, message: str, span: timedelta | None = None) -> Problem:
    hint = HINT.format(range=with_range(selector, span))
    return asked.problem("raw-counter", message, hint=hint, at=asked.places.of(selector))
