"""Find results that are told apart by a label without bounds."""

from __future__ import annotations

from collections.abc import Iterator

from promql_parser import AggregateExpr

from rollback_guard.config.checks.lints.asked import Asked
from rollback_guard.config.problems import Problem, quoted
from rollback_guard.core.promql import names


def check(asked: Asked) -> Iterator[Problem]:
    """Yield the outermost aggregations that keep a label with a new value for every request or customer."""
    for node, around in asked.nodes:
        if not isinstance(node, AggregateExpr) or node.modifier is None:
            continue
        if str(node.modifier.type) != "AggModifierType.By" or any(isinstance(it, AggregateExpr) for it in around):
            continue
        for label in node.modifier.labels:
            if label in names.UNBOUNDED:
                message = f"there is one result for each {quoted(label)}, without a bound"
                hint = f"Leave {quoted(label)} out of `by`; how many there are says `count(count by ({label}) (…))`."
                yield asked.problem("unbounded-label", message, hint=hint, at=asked.places.label(node, label))
