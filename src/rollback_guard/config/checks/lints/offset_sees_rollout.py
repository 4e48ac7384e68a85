"""Find comparisons with a past that the incident itself soon is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from promql_parser import SubqueryExpr, VectorSelector

from rollback_guard.config.checks.lints.asked import Asked
from rollback_guard.config.problems import Problem, quoted
from rollback_guard.core import promql
from rollback_guard.core.promql.shape import metric_of
from rollback_guard.core.units import format_duration


def check(asked: Asked) -> Iterator[Problem]:
    """Yield the rule whose past is not far enough away for its `for`, or for its guard's playbook."""
    found = _past(asked)
    if found is None:
        return
    offset, selector = found
    seen = offset + promql.longest_range(asked.tree)
    hold = asked.rule.for_
    if hold >= seen:
        message = (
            f"a change that lasts is seen for {format_duration(seen)}, and then compared with itself: "
            f"it never breaches for {format_duration(hold)}"
        )
        yield _problem(asked, selector, message, hold)
        return
    for guard in asked.guards:
        needed = hold + sum((asked.within(guard, step) for step in guard.guard.playbook), timedelta(0))
        if needed > seen:
            message = (
                f"after {format_duration(seen)} the past is the incident itself and the rule passes, while the guard "
                f"{quoted(guard.guard.guard)} watches for up to {format_duration(needed)} whether it helped"
            )
            yield _problem(asked, selector, message, needed)
            return


def _past(asked: Asked) -> tuple[timedelta, VectorSelector] | None:
    """Return the shortest way back to a metric that is also read as it is now, and the selector that goes it."""
    present: set[str] = set()
    past: list[tuple[timedelta, VectorSelector]] = []
    for node, around in asked.nodes:
        if not isinstance(node, VectorSelector) or not (metric := metric_of(node)):
            continue
        outer = (it.offset for it in around if isinstance(it, SubqueryExpr) and it.offset)
        offset = sum(outer, node.offset or timedelta(0))
        if offset > timedelta(0):
            past.append((offset, node))
        elif not offset and node.at is None:
            present.add(metric)
    both = ((offset, node) for offset, node in past if metric_of(node) in present)
    return min(both, key=lambda it: it[0], default=None)


def _problem(asked: Asked, selector: VectorSelector, message: str, needed: timedelta) -> Problem:
    hint = (
        f"Look further back than {format_duration(needed)}: `offset 1d`, or `offset 1w` for the same day of the week."
    )
    return asked.problem("offset-sees-rollout", message, hint=hint, at=asked.places.offset(selector))
