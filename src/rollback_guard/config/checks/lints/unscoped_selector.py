"""Find rules that act on what everybody does."""

from __future__ import annotations

from collections.abc import Iterator

from promql_parser import AggregateExpr, VectorSelector

from rollback_guard.config.checks.lints.asked import Asked
from rollback_guard.config.problems import Problem, quoted
from rollback_guard.core.promql import names
from rollback_guard.core.promql.shape import matches_of, metric_of

NOT_SCOPING = names.STATUS | {"le", "quantile", "method", "http_method", "grpc_code", "grpc_type", "phase", "reason"}
"""Labels that tell outcomes and kinds of requests apart, and not whose they are."""


def check(asked: Asked) -> Iterator[Problem]:
    """Yield the first selector of a common metric, where nothing in the expression says whose it is."""
    if not asked.guards:
        return
    selectors = [node for node, _ in asked.nodes if isinstance(node, VectorSelector)]
    if any(match.label not in NOT_SCOPING for selector in selectors for match in matches_of(selector)):
        return
    if any(isinstance(node, AggregateExpr) and _names_owner(node) for node, _ in asked.nodes):
        return
    shared = next((it for it in selectors if metric_of(it) in names.SHARED), None)
    if shared is not None:
        guard = asked.guards[0].guard.guard
        message = f"this is {quoted(metric_of(shared))} of everybody, and the guard {quoted(guard)} acts on it"
        hint = 'Say whose it is: `{job="checkout"}`, or another label that only this service has.'
        yield asked.problem("unscoped-selector", message, hint=hint, at=asked.places.of(shared))


def _names_owner(node: AggregateExpr) -> bool:
    return node.modifier is not None and not names.OWNERS.isdisjoint(node.modifier.labels)
