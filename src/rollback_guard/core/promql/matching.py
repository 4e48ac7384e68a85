"""Recognise divisions whose two sides are matched on the very label that tells them apart.

In ``rate(x{code=~"5.."}[5m]) / rate(x[5m])`` the series with the code 500 stands on both sides: it is divided by
itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from promql_parser import AggregateExpr, BinaryExpr, Call, Expr, MatrixSelector, VectorSelector

from rollback_guard.core.promql import constant, is_comparison, without_parentheses
from rollback_guard.core.promql.shape import matches_of, metric_of
from rollback_guard.core.promql.share import at_least, or_zero, scaled

_AGGREGATIONS = frozenset({"sum", "avg", "min", "max", "count"})


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels that a result has: some by name, or all but some."""

    named: frozenset[str]
    all_but: bool

    def __contains__(self, label: object) -> bool:
        """Say whether a label is there, if the series have it."""
        return (label in self.named) != self.all_but


EVERY = Labels(frozenset(), all_but=True)


@dataclass(frozen=True, slots=True)
class Lineage:
    """One metric, what is done to it, and the labels that are left after each step."""

    selector: VectorSelector
    done: tuple[Any, ...]
    keeps: tuple[Labels, ...]

    def keeps_label(self, label: str) -> bool:
        """Say whether a label of the metric is one of the result, too."""
        return all(label in each for each in self.keeps)


@dataclass(frozen=True, slots=True)
class OfItself:
    """A division of series by themselves.

    Attributes:
        part: What is divided.
        whole: What it is divided by.
        labels: Those that the part is chosen by and that both sides are matched on.
    """

    part: Expr
    whole: Expr
    labels: tuple[str, ...]


def divided_by_itself(node: Expr) -> OfItself | None:
    """Return the sides of a division in which every series that has a counterpart is its own counterpart."""
    if not isinstance(node, BinaryExpr) or str(node.op) != "/":
        return None
    part, whole = _valued(or_zero(scaled(node.lhs)[1])), _valued(at_least(node.rhs))
    one, other = _lineage(part), _lineage(whole)
    if one is None or other is None or one.done != other.done:
        return None
    if metric_of(one.selector) != metric_of(other.selector) or not metric_of(one.selector):
        return None
    mine, theirs = frozenset(matches_of(one.selector)), frozenset(matches_of(other.selector))
    chosen, more = mine - theirs, theirs - mine
    on = _matched_on(node)
    is_apart = any(not (one.keeps_label(it.label) and it.label in on) for it in chosen | more)
    if not chosen or is_apart or not all(it.is_of_all for it in more):
        return None
    return OfItself(part, whole, tuple(sorted({it.label for it in chosen})))


def _matched_on(node: BinaryExpr) -> Labels:
    matching = node.modifier.matching if node.modifier is not None else None
    if matching is None:
        return EVERY
    return Labels(frozenset(matching.labels), all_but=not str(matching.type).endswith(".Include"))


def _valued(tree: Expr) -> Expr:
    """Return what a filter such as `> 0` leaves as it is."""
    tree = without_parentheses(tree)
    while isinstance(tree, BinaryExpr) and is_comparison(tree) and constant.evaluate(tree.rhs) is not None:
        tree = without_parentheses(tree.lhs)
    return tree


def _lineage(tree: Expr) -> Lineage | None:
    done: list[Any] = []
    keeps: list[Labels] = []
    while True:
        tree = without_parentheses(tree)
        match tree:
            case AggregateExpr(op=op, expr=inner, modifier=modifier) if str(op) in _AGGREGATIONS:
                is_by = modifier is None or str(modifier.type) == "AggModifierType.By"
                left = Labels(frozenset(modifier.labels if modifier else ()), all_but=not is_by)
                done.append((str(op), left))
                keeps.append(left)
                tree = inner
            case Call(func=func, args=[only]):
                done.append(func.name)
                tree = only
            case MatrixSelector(vector_selector=selector, range=span):
                return _end(selector, (*done, span), tuple(keeps))
            case VectorSelector():
                return _end(tree, tuple(done), tuple(keeps))
            case _:
                return None


def _end(selector: VectorSelector, done: tuple[Any, ...], keeps: tuple[Labels, ...]) -> Lineage | None:
    if selector.at is not None:
        return None
    return Lineage(selector, (*done, selector.offset), keeps)
