"""Lay out what there is to ask about: rules by data source, each with its expressions and their places in the files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from rollback_guard.config.found import Spot, Watched
from rollback_guard.config.inventory import Inventory
from rollback_guard.config.problems import Level, Problem, printable
from rollback_guard.core.condition import Condition
from rollback_guard.core.model import Group, Policy, Rule
from rollback_guard.secret import redact
from rollback_guard.workbench.online.anatomy import Selector, Use, uses_of


@dataclass(frozen=True, kw_only=True)
class Expression:
    """One expression of a rule.

    Attributes:
        key: Where it stands in the rule: `expr` or `when`.
        text: As it was written.
        condition: What the daemon asks and makes of it.
    """

    spot: Spot
    key: str
    text: str
    condition: Condition
    uses: tuple[Use, ...]

    @cached_property
    def denominators(self) -> frozenset[Selector]:
        """What the ratio divides by; empty where there is no ratio."""
        ratio = self.condition.ratio
        return frozenset(use.selector for use in uses_of(ratio.denominator)) if ratio else frozenset()

    def may_not_have_happened(self, use: Use) -> bool:
        """Say whether it counts, above a ratio's line, what a healthy service has none of."""
        return bool(self.denominators) and use.selector not in self.denominators

    def problem(self, id_: str, message: str, *, hint: str = "", level: Level, place: int | None = None) -> Problem:
        """Return a finding at the expression, or at one character of it; whatever a server said is made harmless."""
        path = (*self.spot.path, self.key)
        document = self.spot.document
        mark = document.value_mark(path) if place is None else document.mark_within(path, self.text, place)
        return document.problem(id_, redact(message), mark, hint=printable(redact(hint)), level=level)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One rule, with the group that it is evaluated in."""

    rule: Rule
    group: Group
    expressions: tuple[Expression, ...]

    @property
    def expr(self) -> Expression:
        """Its condition; the other one is `when`."""
        return self.expressions[0]


def subjects_of(inventory: Inventory, policy: Policy) -> Mapping[str, Sequence[Subject]]:
    """Return the rules by the data source that they ask; probes and signals ask none."""
    found: dict[str, list[Subject]] = {}
    places = {watched.id: watched for each in inventory.groups for watched in each.rules}
    for group in policy.groups.values():
        for rule in group.rules:
            if rule.id in places:
                subject = Subject(rule=rule, group=group, expressions=_expressions(places[rule.id], rule))
                found.setdefault(group.source, []).append(subject)
    return found


def _expressions(watched: Watched, rule: Rule) -> tuple[Expression, ...]:
    conditions = {"expr": rule.condition} | ({"when": rule.when} if rule.when else {})
    return tuple(
        Expression(spot=watched.spot, key=key, text=condition.expr, condition=condition, uses=uses_of(condition.expr))
        for key, condition in conditions.items()
    )
