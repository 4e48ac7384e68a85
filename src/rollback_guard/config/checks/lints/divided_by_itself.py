"""Find ratios whose parts are matched with themselves, and not with the whole."""

from __future__ import annotations

from collections.abc import Iterator

from promql_parser import AggregateExpr, Expr

from rollback_guard.config.checks.lints.asked import Asked
from rollback_guard.config.problems import Problem, quoted
from rollback_guard.core.promql.matching import divided_by_itself
from rollback_guard.core.promql.written import aggregated, grouping, written


def check(asked: Asked) -> Iterator[Problem]:
    """Yield the divisions in which each series of the numerator finds itself in the denominator."""
    for node, _ in asked.nodes:
        found = divided_by_itself(node)
        if found is None:
            continue
        labels = " and ".join(map(quoted, found.labels))
        message = (
            f"both sides keep {labels}, by which the numerator is chosen: each series is divided by itself, "
            "and the ratio is always 1"
        )
        part, whole = (_summed(side, found.labels) for side in (found.part, found.whole))
        hint = f"Sum up over {labels} before you divide: `{part} / {whole}`."
        yield asked.problem("divided-by-itself", message, hint=hint, at=asked.places.of(node))


def _summed(side: Expr, labels: tuple[str, ...]) -> str:
    """Return one side without the labels."""
    if isinstance(side, AggregateExpr):
        return aggregated(grouping(side, drop=labels), written(side.expr))
    return aggregated("sum", written(side))
