"""Say what an expression does with the series that it selects: which functions take them, what is compared as it is.

What is held against their names offline, and against their types online, is held against the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from promql_parser import AggregateExpr, BinaryExpr, Call, Expr, MatrixSelector, UnaryExpr, VectorSelector

from rollback_guard.core.promql import COMPARISONS, NEEDS_TWO, SET_OPERATORS, value_type, without_parentheses
from rollback_guard.core.promql.shape import Match, Nested, matches_of, metric_of

LEAST, BETTER = 2, 4
"""Scrapes in a range: with fewer than the first there is no answer; with the second one may fail."""

TRENDS = frozenset({"delta", "idelta", "deriv", "predict_linear"})
"""Functions for gauges: at a restart a counter falls, and they take that for what was counted."""

EQUALITIES = frozenset({"==", "!="})

SAME_VALUE = frozenset(
    {"abs", "ceil", "floor", "round", "clamp", "clamp_min", "clamp_max", "sort", "sort_desc", "label_replace"}
    | {"label_join", "avg_over_time", "min_over_time", "max_over_time", "last_over_time", "quantile_over_time"}
)
"""Functions whose result still counts from the start of the process when their argument does."""

SUMMARISE = frozenset({"sum", "avg", "min", "max", "topk", "bottomk", "quantile"})


def samples_needed(function: str) -> int:
    """Return how many samples of its range a function needs to tell anything; 0 where it takes none."""
    if function in NEEDS_TWO:
        return LEAST
    return 1 if function.endswith("_over_time") else 0


def calls(nodes: Iterable[Nested], functions: frozenset[str]) -> Iterator[tuple[str, VectorSelector]]:
    """Yield the calls of some functions that take the range of a selector, each with that selector."""
    yield from ((function, matrix.vector_selector) for function, matrix in ranges(nodes, functions))


def ranges(nodes: Iterable[Nested], functions: frozenset[str]) -> Iterator[tuple[str, MatrixSelector]]:
    """Yield the same calls, each with the range."""
    for node, _ in nodes:
        if isinstance(node, Call) and node.func.name in functions:
            arguments = map(without_parentheses, node.args)
            yield from ((node.func.name, it) for it in arguments if isinstance(it, MatrixSelector))


def compared_values(tree: Expr) -> Iterator[VectorSelector]:
    """Yield the selectors whose value itself, or a sum of it, is held against a threshold."""
    tree = without_parentheses(tree)
    if not isinstance(tree, BinaryExpr):
        return
    operator = str(tree.op)
    if operator in SET_OPERATORS:
        yield from compared_values(tree.lhs)
        if operator != "unless":  # behind it stands what must not be
            yield from compared_values(tree.rhs)
    elif operator in COMPARISONS - EQUALITIES:
        left, right = tuple(_values(tree.lhs)), tuple(_values(tree.rhs))
        if not left or set(map(_series, left)) != set(map(_series, right)):  # with its own past it may well be
            yield from (*left, *right)


def _series(selector: VectorSelector) -> tuple[str, frozenset[Match]]:
    return metric_of(selector), frozenset(matches_of(selector))


def _values(tree: Expr) -> Iterator[VectorSelector]:
    tree = without_parentheses(tree)
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
    vectors = value_type(tree.lhs) == value_type(tree.rhs) == "vector"
    return vectors and str(tree.op) not in {"+", "/", "*"}
