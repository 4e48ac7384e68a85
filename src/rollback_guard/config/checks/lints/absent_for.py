"""Find rules about absence that one missed sample fires."""

from __future__ import annotations

from collections.abc import Iterator

from promql_parser import BinaryExpr, Call, Expr

from rollback_guard.config.checks.lints.asked import Asked
from rollback_guard.config.problems import Level, Problem
from rollback_guard.core import promql
from rollback_guard.core.units import format_duration

INTERVALS = 2


def check(asked: Asked) -> Iterator[Problem]:
    """Yield the rules that are about absence, whose `for` is shorter than two intervals."""
    hold, interval = asked.rule.for_, asked.found.interval
    if hold >= INTERVALS * interval:
        return
    found = next((call for call in _absences(asked.tree) if promql.longest_range(call) < INTERVALS * interval), None)
    if found is not None:
        needed = format_duration(INTERVALS * interval)
        message = f"`{found.func.name}` fires at the first gap: a restart of Prometheus, or of its target, is enough"
        hint = f"Write `for: {needed}` or longer."
        if asked.found.spot.has("for"):
            yield asked.found.spot.problem("absent-for", message, "for", hint=hint, level=Level.WARNING)
        else:
            yield asked.problem("absent-for", message, hint=hint, at=asked.places.of(found))


def _absences(tree: Expr) -> Iterator[Call]:
    """Yield the questions for absence that alone can fulfil the condition."""
    pending = [tree]
    while pending:
        node = promql.without_parentheses(pending.pop())
        if isinstance(node, BinaryExpr) and str(node.op) == "or":
            pending += [node.rhs, node.lhs]
        elif isinstance(node, BinaryExpr) and promql.is_comparison(node):
            pending.append(node.lhs)
        elif isinstance(node, Call) and node.func.name in promql.ABSENCE:
            yield node
