"""Find ranges that hold too few samples for their function."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from promql_parser import Call, MatrixSelector, SubqueryExpr

from rollback_guard.config.checks.lints.asked import Asked
from rollback_guard.config.problems import Problem
from rollback_guard.core import promql
from rollback_guard.core.promql.treatment import BETTER, LEAST, samples_needed
from rollback_guard.core.units import format_duration


def check(asked: Asked) -> Iterator[Problem]:
    """Yield the ranges that are shorter than two scrapes, or than one where one sample is enough."""
    for node, _ in asked.nodes:
        if not isinstance(node, Call):
            continue
        name, ranges = node.func.name, [promql.without_parentheses(argument) for argument in node.args]
        least = samples_needed(name)
        for inner in ranges:
            span = inner.range if isinstance(inner, MatrixSelector | SubqueryExpr) else None
            step = inner.step if isinstance(inner, SubqueryExpr) else asked.scrape
            if span and step and span < least * step:
                few = "fewer than two samples" if least == LEAST else "no sample at times"
                how = "evaluated" if isinstance(inner, SubqueryExpr) else "scraped"
                message = (
                    f"`{name}` over {format_duration(span)} sees {few} of what is {how} every {format_duration(step)}"
                )
                yield asked.problem("short-range", message, hint=_hint(how, step), at=asked.places.of(inner))


def _hint(how: str, step: timedelta) -> str:
    hint = f"Write `[{format_duration(BETTER * step)}]` or longer, so that one may fail."
    if how == "evaluated":
        return hint
    return f"{hint} If the targets are scraped more often, say so: `scrape_interval` in `[prometheus]` of guard.toml."
