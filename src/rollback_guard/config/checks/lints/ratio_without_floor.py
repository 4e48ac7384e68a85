"""Find ratios that act, however few requests they are made of."""

from __future__ import annotations

from collections.abc import Iterator

from promql_parser import BinaryExpr, Call

from rollback_guard.config.checks.lints.asked import Asked
from rollback_guard.config.problems import LONGEST_QUOTE, Problem
from rollback_guard.core import promql
from rollback_guard.core.promql.shape import peel
from rollback_guard.core.promql.written import ELLIPSIS


def check(asked: Asked) -> Iterator[Problem]:
    """Yield the ratio of a rule that acts, where nothing says how much traffic it takes to judge."""
    ratio = asked.found.condition.ratio
    if not asked.guards or asked.rule.when is not None or ratio is None:
        return
    if any(isinstance(node, Call) and node.func.name == "clamp_min" for node, _ in asked.nodes):
        return  # a denominator that cannot fall below something is a floor, too
    message = "at a quiet hour this ratio is made of next to nothing, and the guard acts on it"
    hint = f"Say how much of what it is divided by is enough to judge: `when: {_shown(ratio.denominator)} > 1`."
    yield asked.problem("ratio-without-floor", message, hint=hint, at=_division(asked))


def _division(asked: Asked) -> int | None:
    """Return where the line of the ratio stands: of what is compared, rather than of what is divided within it."""
    parts = [peel(compared.measured)[1] for compared in asked.compared] + [node for node, _ in asked.nodes]
    lines = (node for node in parts if isinstance(node, BinaryExpr) and str(node.op) == "/")
    divisions = (node for node in lines if promql.value_type(node.lhs) == promql.value_type(node.rhs) == "vector")
    found = next(divisions, None)
    return None if found is None else asked.places.of(found)


def _shown(denominator: str) -> str:
    return denominator if len(denominator) <= LONGEST_QUOTE * 2 else ELLIPSIS
