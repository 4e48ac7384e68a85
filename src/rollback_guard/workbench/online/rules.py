"""Lay out what there is to ask about: rules by data source, each with its expressions and their places in the files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from promql_parser import Expr

from rollback_guard.config.found import Watched
from rollback_guard.config.inventory import Inventory
from rollback_guard.config.problems import Level, printable
from rollback_guard.core import promql
from rollback_guard.core.condition import Condition
from rollback_guard.core.model import Group, Policy, Rule
from rollback_guard.core.promql.places import Places
from rollback_guard.core.promql.shape import Match, Nested, nested
from rollback_guard.secret import redact
from rollback_guard.workbench.online.findings import Finding, Settled
from rollback_guard.workbench.online.selectors import Selector, Use, uses_in


@dataclass(frozen=True, kw_only=True)
class Expression:
    """One expression of a rule.

    Attributes:
        watched: The rule, with its place.
        key: Where the expression stands in it: `expr` or `when`.
        condition: What the daemon asks and makes of it.
    """

    watched: Watched
    key: str
    condition: Condition

    @property
    def text(self) -> str:
        """As it was written."""
        return self.condition.expr

    @cached_property
    def tree(self) -> Expr:
        """What it means."""
        return promql.parse(self.text)

    @cached_property
    def nodes(self) -> tuple[Nested, ...]:
        """All parts of it, outer ones first."""
        return nested(self.tree)

    @cached_property
    def places(self) -> Places:
        """Where they stand."""
        return Places(self.text, self.tree)

    @cached_property
    def uses(self) -> tuple[Use, ...]:
        """What it reads."""
        return uses_in(self.tree, self.places)

    @cached_property
    def denominators(self) -> frozenset[Selector]:
        """What the ratio divides by; empty where there is no ratio."""
        ratio = self.condition.ratio
        return frozenset(use.selector for use in uses_in(promql.parse(ratio.denominator))) if ratio else frozenset()

    def may_not_have_happened(self, use: Use) -> bool:
        """Say whether it counts, above a ratio's line, what a healthy service has none of."""
        return bool(self.denominators) and use.selector not in self.denominators

    def finding(
        self,
        id_: str,
        message: str,
        *,
        hint: str = "",
        level: Level,
        at: int | None = None,
        is_unknown: bool = False,
    ) -> Finding:
        """Return a finding at the expression, or at one character of it; whatever a server said is made harmless."""
        problem = self.watched.spot.problem_within(
            id_, redact(message), (self.key, self.text), at, hint=printable(redact(hint)), level=level
        )
        return Finding(problem=problem, rule=self.watched.id, name=self.watched.name, is_unknown=is_unknown)

    def matcher_place(self, use: Use, matcher: Match) -> int | None:
        """Return where the value of a matcher stands."""
        return self.places.matcher(use.node, matcher) if use.node is not None else use.place

    def settled(self, lint: str, at: int | None) -> Settled:
        """Return that a lint need not guess at one character of it any more."""
        spot = self.watched.spot.problem_within(lint, "", (self.key, self.text), at, level=Level.WARNING)
        return Settled(lint, spot.path, spot.line, spot.column)


@dataclass(frozen=True, kw_only=True)
class CheckedRule:
    """One rule, with the group that it is evaluated in."""

    rule: Rule
    group: Group
    expressions: tuple[Expression, ...]

    @property
    def expr(self) -> Expression:
        """Its condition; the other one is `when`."""
        return self.expressions[0]


def rules_by_source(inventory: Inventory, policy: Policy) -> Mapping[str, Sequence[CheckedRule]]:
    """Return the rules by the data source that they ask; probes and signals ask none."""
    found: dict[str, list[CheckedRule]] = {}
    places = {watched.id: watched for each in inventory.groups for watched in each.rules}
    for group in policy.groups.values():
        for rule in group.rules:
            if rule.id in places:
                checked = CheckedRule(rule=rule, group=group, expressions=_expressions(places[rule.id], rule))
                found.setdefault(group.source, []).append(checked)
    return found


def _expressions(watched: Watched, rule: Rule) -> tuple[Expression, ...]:
    conditions = {"expr": rule.condition} | ({"when": rule.when} if rule.when else {})
    return tuple(Expression(watched=watched, key=key, condition=condition) for key, condition in conditions.items())
