"""Find rules that act and whose series a rollback ends."""

from __future__ import annotations

from collections.abc import Iterator

from rollback_guard.config.checks.lints.asked import Asked
from rollback_guard.config.problems import Problem, quoted
from rollback_guard.core.model import NoData
from rollback_guard.core.promql import names
from rollback_guard.core.promql.shape import told_apart_by


def check(asked: Asked) -> Iterator[Problem]:
    """Yield the label of a result that is gone after a rollback, where an absent series is not known to be well."""
    if not asked.guards or asked.rule.no_data != NoData.HOLD:
        return
    aggregation = told_apart_by(asked.tree)
    if aggregation is None or aggregation.modifier is None:
        return
    for label in sorted(names.REPLACED.intersection(aggregation.modifier.labels)):
        message = f"after a rollback the old {quoted(label)} is gone: nobody can tell that its series recovered"
        hint = f"Leave {quoted(label)} out of `by`; or write `no_data: ok`, if an absent series is a healthy one."
        yield asked.problem("vanishing-label", message, hint=hint, at=asked.places.label(aggregation, label))
