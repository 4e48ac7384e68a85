"""Find rules that fire only when the rollout that they watch is over."""

from __future__ import annotations

from collections.abc import Iterator

from rollback_guard.config.inventory import Inventory
from rollback_guard.config.problems import Level, Problem, quoted
from rollback_guard.core.model import Armed
from rollback_guard.core.units import format_duration


def check(inventory: Inventory) -> Iterator[Problem]:
    """Yield what a guard would act on during a rollout, and whose `for` is as long as its window."""
    for found in inventory.guards:
        window = found.guard.window
        if found.guard.armed != Armed.ROLLOUT:
            continue
        for rule in found.causes:
            if rule.rule and rule.rule.for_ >= window:
                message = (
                    f"it fires after {format_duration(rule.rule.for_)} at the earliest, when the rollout that the "
                    f"guard {quoted(found.guard.guard)} watches for {format_duration(window)} is over"
                )
                hint = "Shorten `for`, or give the guard a longer `window`."
                yield rule.spot.problem("for-exceeds-window", message, "for", hint=hint, level=Level.WARNING)
