"""Look at the shape of an expression: what it selects, what it compares, what stands inside of what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from promql_parser import AggregateExpr, BinaryExpr, Call, Expr, MatrixSelector, UnaryExpr, VectorSelector

from rollback_guard.core.condition import MIRRORED, Operator
from rollback_guard.core.promql import CUTS, children, constant, is_comparison, value_type, without_parentheses

_MATCH_OPERATORS = {
    "MatchOp.Equal": "=",
    "MatchOp.NotEqual": "!=",
    "MatchOp.Re": "=~",
    "MatchOp.NotRe": "!~",
}


_OF_ALL = frozenset({("!=", ""), ("!~", ""), ("=~", ".*"), ("=~", ".+")})


class Match(NamedTuple):
    """One label matcher of a selector."""

    label: str
    operator: str
    value: str

    @property
    def text(self) -> str:
        """The matcher as PromQL writes it."""
        escaped = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.label}{self.operator}"{escaped}"'

    @property
    def is_of_all(self) -> bool:
        """Whether it leaves nothing out that has the label."""
        return (self.operator, self.value) in _OF_ALL


def matches_of(selector: VectorSelector) -> tuple[Match, ...]:
    """Return the label matchers of a selector, without that of its name."""
    return tuple(match for match in all_matches_of(selector) if match.label != "__name__")


def metric_of(selector: VectorSelector) -> str:
    """Return the name of the metric that a selector reads; nothing where it reads several."""
    named = (match.value for match in all_matches_of(selector) if match.label == "__name__" and match.operator == "=")
    return selector.name or next(named, "")


def all_matches_of(selector: VectorSelector) -> Iterator[Match]:
    """Yield the label matchers of a selector, with that of its name."""
    for matcher in selector.matchers.matchers:
        yield Match(matcher.name, _MATCH_OPERATORS[str(matcher.op)], matcher.value)
    for group in selector.matchers.or_matchers:
        for matcher in group:
            yield Match(matcher.name, _MATCH_OPERATORS[str(matcher.op)], matcher.value)


class Nested(NamedTuple):
    """A node with what is around it, the outermost first."""

    node: Expr
    around: tuple[Expr, ...]

    @property
    def parent(self) -> Expr | None:
        """What it is directly in."""
        return self.around[-1] if self.around else None


def nested(tree: Expr) -> tuple[Nested, ...]:
    """Return every node but parentheses, from left to right, outer ones first."""
    found: list[Nested] = []
    pending: list[tuple[Expr, tuple[Expr, ...]]] = [(tree, ())]
    while pending:
        node, around = pending.pop()
        node = without_parentheses(node)
        found.append(Nested(node, around))
        inner = (*around, node)
        pending.extend((child, inner) for child in reversed(children(node)))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Compared:
    """A vector that is compared with a constant.

    Attributes:
        node: The comparison.
        alone: It is the whole condition, and no part of one.
    """

    node: BinaryExpr
    measured: Expr
    operator: Operator
    threshold: float
    alone: bool


def comparisons(tree: Expr) -> Iterator[Compared]:
    """Yield the comparisons with a constant that the condition is made of, on both sides of `and` and `or`.

    Behind `unless` stands what must not be, and is left out.
    """
    pending = [(tree, True)]
    while pending:
        node, alone = pending.pop()
        node = without_parentheses(node)
        if not isinstance(node, BinaryExpr):
            continue
        if is_comparison(node):
            yield from _compared(node, alone=alone)
        elif str(node.op) in ("and", "or"):
            pending += [(node.rhs, False), (node.lhs, False)]
        elif str(node.op) == "unless":
            pending.append((node.lhs, False))


def _compared(node: BinaryExpr, *, alone: bool) -> Iterator[Compared]:
    operator = Operator(str(node.op))
    for side, other, seen in ((node.lhs, node.rhs, operator), (node.rhs, node.lhs, MIRRORED[operator])):
        threshold = constant.evaluate(other)
        if threshold is not None and value_type(side) == "vector":
            yield Compared(node, without_parentheses(side), seen, threshold, alone)
            return


def peel(tree: Expr) -> tuple[int, Expr]:
    """Return what stands inside of arithmetic with constants, and whether it rises (1) or falls (-1) with it."""
    sign = 1
    tree = without_parentheses(tree)
    while True:
        if isinstance(tree, UnaryExpr):
            sign, tree = -sign, without_parentheses(tree.expr)
            continue
        if not isinstance(tree, BinaryExpr) or str(tree.op) not in ("+", "-", "*", "/"):
            return sign, tree
        operator, left, right = str(tree.op), constant.evaluate(tree.lhs), constant.evaluate(tree.rhs)
        if right is not None:
            sign *= -1 if operator in "*/" and right < 0 else 1
            tree = without_parentheses(tree.lhs)
        elif left is not None and operator != "/":
            sign *= -1 if operator == "-" or (operator == "*" and left < 0) else 1
            tree = without_parentheses(tree.rhs)
        else:
            return sign, tree


_SAME_SERIES = frozenset(
    {"avg_over_time", "min_over_time", "max_over_time", "last_over_time", "clamp_min", "clamp_max", "round", "abs"}
)
_SAME_UNIT = frozenset({"avg", "min", "max", "topk", "bottomk"})


def summarised(tree: Expr) -> Expr:
    """Return what stands inside of averages, extremes and other things that keep a value's unit and direction."""
    while True:
        tree = without_parentheses(tree)
        if isinstance(tree, AggregateExpr) and str(tree.op) in _SAME_UNIT:
            tree = tree.expr
        elif isinstance(tree, Call) and tree.func.name in _SAME_SERIES:
            tree = tree.args[0]
        elif isinstance(tree, MatrixSelector):
            tree = tree.vector_selector
        else:
            return tree


def told_apart_by(tree: Expr) -> AggregateExpr | None:
    """Return the aggregation whose `by` says which labels results have; ``None`` where none does.

    A quantile of buckets drops their `le`, which the aggregation keeps.
    """
    tree = without_parentheses(tree)
    match tree:
        case AggregateExpr(modifier=modifier) if str(tree.op) not in CUTS:
            return tree if modifier is not None and str(modifier.type) == "AggModifierType.By" else None
        case AggregateExpr(expr=inner) | UnaryExpr(expr=inner):
            return told_apart_by(inner)
        case Call(func=func, args=[*args]) if func.name == "histogram_quantile":
            return told_apart_by(args[-1])
        case Call(func=func, args=[first, *_]) if func.name in ("abs", "clamp_min", "clamp_max", "round", "sort"):
            return told_apart_by(first)
        case BinaryExpr():
            return _told_apart_by_side(tree)
    return None


def _told_apart_by_side(tree: BinaryExpr) -> AggregateExpr | None:
    if value_type(tree.rhs) == "scalar":
        return told_apart_by(tree.lhs)
    if value_type(tree.lhs) == "scalar":
        return told_apart_by(tree.rhs)
    modifier = tree.modifier
    if str(tree.op) in ("and", "unless") or modifier is None:
        return told_apart_by(tree.lhs)
    if str(modifier.card) != "VectorMatchCardinality.OneToOne" or str(tree.op) == "or":
        return None
    return told_apart_by(tree.lhs)
