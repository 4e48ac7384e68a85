"""Recognise a share: a part of something divided by all of it, which lies between 0 and 1."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from promql_parser import AggregateExpr, BinaryExpr, Call, Expr, MatrixSelector, VectorSelector

from rollback_guard.core.promql import OF_COUNTERS, constant, names, without_parentheses
from rollback_guard.core.promql.shape import Match, matches_of, metric_of


@dataclass(frozen=True, slots=True)
class Side:
    """One metric with all that is done to it, from the outside in.

    Attributes:
        done: Functions and aggregations with their labels and ranges; equal for equal treatment.
        kept: The labels that an aggregation keeps by name.
    """

    selector: VectorSelector
    done: tuple[Any, ...]
    kept: frozenset[str]

    @property
    def metric(self) -> str:
        """The metric's name."""
        return metric_of(self.selector)

    @property
    def matches(self) -> frozenset[Match]:
        """The metric's label matchers."""
        return frozenset(matches_of(self.selector))

    @property
    def counts(self) -> bool:
        """Whether it is how often something happened, which is never below 0."""
        return any(step[0] in OF_COUNTERS for step in self.done) or names.is_counter(self.metric)


@dataclass(frozen=True, slots=True)
class Division:
    """Two metrics, one divided by the other, that are otherwise treated alike.

    Attributes:
        scale: What the quotient is multiplied with: 100 for a percentage.
    """

    part: Side
    whole: Side
    scale: float = 1.0

    @property
    def is_share(self) -> bool:
        """Whether the one surely counts some of what the other counts."""
        same = self.part.metric == self.whole.metric and self.part.metric != ""
        return same and self.part.counts and self.part.matches > self.whole.matches

    @property
    def chosen(self) -> frozenset[Match]:
        """How the part is chosen from the whole."""
        return self.part.matches - self.whole.matches

    @property
    def tone(self) -> int:
        """Return 1 where the part is what went well, -1 where it is what went wrong, 0 where that is not known."""
        if self.part.metric == self.whole.metric:
            tones = {names.tone_of_value(*match) for match in self.chosen} - {0}
            return tones.pop() if len(tones) == 1 and self.is_share else 0
        return names.tone(self.part.metric) if names.tone(self.whole.metric) == 0 and self.part.counts else 0


def division(tree: Expr) -> Division | None:
    """Return the division of two metrics that an expression is; both must be treated alike.

    A part that is 0 where there is none, and a whole that is held above something, are still that part and that whole.
    """
    tree = without_parentheses(tree)
    if not isinstance(tree, BinaryExpr) or str(tree.op) != "/":
        return None
    scale, numerator = scaled(tree.lhs)
    part, whole = side(or_zero(numerator)), side(at_least(tree.rhs))
    if part is None or whole is None or part.done != whole.done or scale <= 0:
        return None
    return Division(part, whole, scale)


def or_zero(tree: Expr) -> Expr:
    """Return what stands before `or vector(0)`, if that is there."""
    tree = without_parentheses(tree)
    if isinstance(tree, BinaryExpr) and str(tree.op) == "or":
        other = without_parentheses(tree.rhs)
        if isinstance(other, Call) and other.func.name == "vector" and constant.evaluate(other.args[0]) == 0:
            return tree.lhs
    return tree


def at_least(tree: Expr) -> Expr:
    """Return what `clamp_min` holds above something, if it does."""
    tree = without_parentheses(tree)
    return tree.args[0] if isinstance(tree, Call) and tree.func.name == "clamp_min" else tree


def scaled(tree: Expr) -> tuple[float, Expr]:
    """Return the constant that an expression is multiplied with, and what it is: `100 * a / b` is `(100 * a) / b`."""
    tree = without_parentheses(tree)
    if isinstance(tree, BinaryExpr) and str(tree.op) == "*":
        for factor, other in ((tree.lhs, tree.rhs), (tree.rhs, tree.lhs)):
            value = constant.evaluate(factor)
            if value is not None:
                return value, other
    return 1.0, tree


def side(tree: Expr) -> Side | None:
    """Return the one metric that an expression is made of, with what is done to it; ``None`` for anything else."""
    done: list[Any] = []
    kept: frozenset[str] = frozenset()
    while True:
        tree = without_parentheses(tree)
        match tree:
            case AggregateExpr(op=op, expr=inner, modifier=modifier) if str(op) == "sum":
                labels = tuple(sorted(modifier.labels)) if modifier else ()
                by = modifier is None or str(modifier.type) == "AggModifierType.By"
                done.append(("sum", by, labels))
                if not by:
                    return None  # which labels are left is not known
                kept = frozenset(labels)
                tree = inner
            case Call(func=func, args=[only]) if func.name in OF_COUNTERS:
                done.append((func.name,))
                tree = only
            case MatrixSelector(vector_selector=inner, range=span):
                done.append(("range", span, inner.offset or timedelta(0)))
                return Side(inner, tuple(done), kept) if inner.at is None else None
            case VectorSelector(offset=offset):
                done.append(("now", offset or timedelta(0)))
                return Side(tree, tuple(done), kept) if tree.at is None else None
            case _:
                return None
