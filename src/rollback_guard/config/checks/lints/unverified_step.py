"""Find steps of playbooks of which nothing can show whether they helped."""

from __future__ import annotations

from collections.abc import Iterator

from rollback_guard.config.found import FoundGuard, Watched
from rollback_guard.config.guards import PlaybookStep
from rollback_guard.config.inventory import Inventory
from rollback_guard.config.problems import Level, Problem
from rollback_guard.core.units import format_duration


def check(inventory: Inventory) -> Iterator[Problem]:
    """Yield the steps that signals alone, or a single evaluation, would call a success."""
    for found in inventory.guards:
        for number, step in enumerate(found.guard.playbook):
            judges = inventory.judges(found, step)
            if step.action and judges:
                yield from _judged(found, number, step, judges)


def _judged(found: FoundGuard, number: int, step: PlaybookStep, judges: tuple[Watched, ...]) -> Iterator[Problem]:
    path: tuple[str | int, ...] = ("playbook", number)
    written = (*path, "verify", "stable_for")
    if all(rule.rule is None for rule in judges):
        message = (
            "nothing is measured that would show whether this helped: the guard waits to be told by another system"
        )
        hint = "Name a rule or a probe that shows it in `verify: {rules: […]}`."
    elif step.verify.stable_for < (interval := max(rule.interval for rule in judges)):
        stable = format_duration(step.verify.stable_for)
        message = f"one good evaluation would be called a recovery: `stable_for` is {stable}"
        path = written if found.spot.has(*written) else path
        better = format_duration(3 * interval)
        hint = f"Its rules are evaluated every {format_duration(interval)}: write `verify: {{stable_for: {better}}}`."
    else:
        return
    yield found.spot.problem("unverified-step", message, *path, hint=hint, level=Level.WARNING, value=True)
