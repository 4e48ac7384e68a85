"""Hold one expression of a rule with all that lints want to know about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from promql_parser import Expr

from rollback_guard.config.found import FoundGuard, Watched
from rollback_guard.config.guards import PlaybookStep
from rollback_guard.config.inventory import DEFAULT_SOURCE, Inventory
from rollback_guard.config.problems import Level, Problem
from rollback_guard.config.rulefile import AlertRule
from rollback_guard.core import promql
from rollback_guard.core.promql.places import Places
from rollback_guard.core.promql.shape import Compared, Nested, comparisons, nested

SCRAPE_INTERVAL = timedelta(seconds=15)
"""How often targets are scraped where nobody says so: what most people write into prometheus.yml."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One expression.

    Attributes:
        key: `expr` or `when`.
        nodes: All of it, outer ones first.
        compared: The comparisons with constants that it is made of.
        scrape: How often the targets are scraped, as far as that is known.
        guards: Those that act when this rule fires.
    """

    found: Watched
    rule: AlertRule
    key: str
    text: str
    tree: Expr
    nodes: tuple[Nested, ...]
    compared: tuple[Compared, ...]
    scrape: timedelta
    guards: tuple[FoundGuard, ...]
    inventory: Inventory

    def within(self, found: FoundGuard, step: PlaybookStep) -> timedelta:
        """Return how long a step of a guard is watched."""
        return self.inventory.within(found, step)

    @property
    def places(self) -> Places:
        """Where its parts stand; only those that find something want to know."""
        return Places(self.text, self.tree)

    def problem(self, id_: str, message: str, *, hint: str, at: int | None, level: Level = Level.WARNING) -> Problem:
        """Return a problem of the expression: at one character of it, or at its beginning where that is not known."""
        return self.found.spot.problem_within(id_, message, (self.key, self.text), at, hint=hint, level=level)


def asked(inventory: Inventory) -> Iterator[Asked]:
    """Yield every expression of every rule; one at a time, for a syntax tree is large."""
    acting: dict[str, list[FoundGuard]] = {}
    for guard in inventory.guards:
        for rule in guard.causes:
            acting.setdefault(rule.id, []).append(guard)
    for group in inventory.groups:
        source = inventory.datasources.get(group.group.datasource or DEFAULT_SOURCE)
        # Nobody evaluates more often than samples come, so a short interval tells of a shorter one.
        scrape = (source.scrape_interval if source else None) or min(SCRAPE_INTERVAL, group.group.interval)
        for found in group.rules:
            if isinstance(found.rule, AlertRule):
                yield from _of_rule(inventory, found, found.rule, scrape, tuple(acting.get(found.id, ())))


def _of_rule(
    inventory: Inventory, found: Watched, rule: AlertRule, scrape: timedelta, guards: tuple[FoundGuard, ...]
) -> Iterator[Asked]:
    for key, text in (("expr", rule.expr), ("when", rule.when)):
        if text is None:
            continue
        tree = promql.parse(text)
        yield Asked(
            found=found,
            rule=rule,
            key=key,
            text=text,
            tree=tree,
            nodes=nested(tree),
            compared=tuple(comparisons(tree)),
            scrape=scrape,
            guards=guards,
            inventory=inventory,
        )
