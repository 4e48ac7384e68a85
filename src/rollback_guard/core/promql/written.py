"""Write parts of an expression out again, for people to copy: on one line, as they would write it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from promql_parser import AggregateExpr, Expr, VectorSelector

from rollback_guard.core.promql import without_parentheses
from rollback_guard.core.promql.tokens import Kind, PromqlError, scan
from rollback_guard.core.units import format_duration

ELLIPSIS = "…"
"""Stands for a part that is too long to be read in a hint."""

LONGEST = 160
"""Characters of one part."""


def written(tree: Expr) -> str:
    """Return a part as text, without parentheses around it; dots where it is too long."""
    try:
        tokens = scan(without_parentheses(tree).prettify())
    except PromqlError:  # its own printer writes more characters than were read
        return ELLIPSIS
    text, before = "", None
    for token in tokens:
        is_apart = before is not None and (token.spaced or before.text == ",")
        inside = (before is not None and before.kind is Kind.OPEN) or token.kind is Kind.CLOSE
        text += f"{' ' if is_apart and not inside else ''}{token.text}"
        before = token
    return text if len(text) <= LONGEST else ELLIPSIS


def with_range(selector: VectorSelector, span: timedelta | None) -> str:
    """Return a selector with a range, `x{job="a"}[5m] offset 1h`; 5 minutes where none is known."""
    text = written(selector)
    if text == ELLIPSIS:
        return f"{ELLIPSIS}[5m]"
    end = max(text.rfind("}") + 1, len(selector.name or ""))
    return f"{text[:end]}[{format_duration(span) if span else '5m'}]{text[end:]}"


def grouping(
    aggregation: AggregateExpr, *, name: str = "", add: Collection[str] = (), drop: Collection[str] = ()
) -> str:
    """Return an aggregation's name, or another one, and labels, with labels more or less that its result has."""
    name, modifier = name or str(aggregation.op), aggregation.modifier
    is_by = modifier is None or str(modifier.type) == "AggModifierType.By"
    labels = list(modifier.labels) if modifier is not None else []
    more, less = (add, drop) if is_by else (drop, add)
    labels = [it for it in labels if it not in less] + [it for it in more if it not in labels]
    if not labels:
        return name if is_by else f"{name} without ()"
    return f"{name} {'by' if is_by else 'without'} ({', '.join(labels)})"


def aggregated(head: str, inner: str) -> str:
    """Return the call of an aggregation whose name and labels are given."""
    return f"{head} ({inner})" if head.endswith(")") else f"{head}({inner})"
