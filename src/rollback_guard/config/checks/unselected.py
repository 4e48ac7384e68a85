"""Find rules that would cause something, and are heard by no guard."""

from __future__ import annotations

from collections.abc import Iterator

from rollback_guard.config.found import FoundGuard, Watched
from rollback_guard.config.inventory import Inventory
from rollback_guard.config.problems import Level, Problem, did_you_mean, quoted

MOST_COMPARED = 100
"""Rules for which the nearest guard is looked for; a hostile file has thousands of both."""

HINT = "Give it labels that a guard selects, or add a guard that selects it."


def check(inventory: Inventory) -> Iterator[Problem]:
    """Yield the critical rules and probes that no guard selects; files without any guard mean to watch only."""
    if not inventory.complete or not all(found.listens or found.signals for found in inventory.guards):
        return  # a guard that selects nothing is refused by itself, and may have meant any of these
    if not inventory.guards:
        return
    heard = {rule.id for found in inventory.guards for rule in found.listens}
    unheard = [rule for rule in inventory.rules if rule.may_act and rule.id not in heard]
    for place, rule in enumerate(unheard):
        message = f"{rule.name} is critical and no guard selects it: nothing happens when it fires"
        at = ("labels",) if rule.spot.has("labels") else ()
        hint = _hint(rule, inventory.guards) if place < MOST_COMPARED else HINT
        yield rule.spot.problem("critical-unselected", message, *at, hint=hint, level=Level.WARNING, value=False)


def _hint(rule: Watched, guards: tuple[FoundGuard, ...]) -> str:
    """Return what the guard asks for that comes nearest."""
    nearest = max(guards, key=lambda found: _shared(rule, found))
    wanted = {name: value for name, value in nearest.guard.select.items() if rule.static.get(name) != value}
    for name, value in wanted.items():
        if "{{" in rule.labels.get(name, ""):
            return f"It sets {quoted(name)} by a template, and that cannot be selected; write the label's value."
        if (own := rule.static.get(name)) and did_you_mean(own, (value,)):
            return f"The guard {quoted(nearest.guard.guard)} selects {name}={quoted(value)}; this has {quoted(own)}."
    asked = ", ".join(f"{name}={quoted(value)}" for name, value in wanted.items())
    return f"{HINT} The nearest, {quoted(nearest.guard.guard)}, selects {asked}."


def _shared(rule: Watched, found: FoundGuard) -> float:
    asked = found.guard.select
    return sum(rule.static.get(name) == value for name, value in asked.items()) / len(asked) if asked else 0.0
