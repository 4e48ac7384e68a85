"""Find quantiles of histograms whose buckets were thrown together."""

from __future__ import annotations

from collections.abc import Iterator

from promql_parser import AggregateExpr, Call, Expr, VectorSelector

from rollback_guard.config.checks.lints.asked import Asked
from rollback_guard.config.problems import Problem
from rollback_guard.core import promql
from rollback_guard.core.promql.shape import metric_of
from rollback_guard.core.promql.written import aggregated, grouping, written


def check(asked: Asked) -> Iterator[Problem]:
    """Yield the quantiles over an aggregation that drops `le`; native histograms have none to drop."""
    for node, _ in asked.nodes:
        if not isinstance(node, Call) or node.func.name != "histogram_quantile":
            continue
        inner = promql.without_parentheses(node.args[-1])
        if isinstance(inner, AggregateExpr) and _drops_le(inner) and _is_of_buckets(inner):
            message = f"`{inner.op}` drops the label `le` that tells the buckets apart: there is never an answer"
            yield asked.problem("quantile-without-le", message, hint=_hint(inner), at=asked.places.of(inner))


def _hint(inner: AggregateExpr) -> str:
    return f"Keep the label: `{aggregated(grouping(inner, add=('le',)), written(inner.expr))}`."


def _drops_le(node: AggregateExpr) -> bool:
    if node.modifier is None:
        return str(node.op) not in promql.CUTS
    keeps = str(node.modifier.type) == "AggModifierType.By"
    return ("le" in node.modifier.labels) != keeps and str(node.op) not in promql.CUTS


def _is_of_buckets(tree: Expr) -> bool:
    return any(isinstance(it, VectorSelector) and metric_of(it).endswith("_bucket") for it in promql.walk(tree))
