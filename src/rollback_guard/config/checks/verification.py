"""Hold the time for verifying a step against how long its rules remember.

A range like `[5m]` holds the old errors for five minutes after the cure: a step judged before that would be taken for
failed, and the next one would run without need.
"""

from __future__ import annotations

from collections.abc import Iterator

from rollback_guard.config.inventory import FoundGuard, Inventory
from rollback_guard.config.problems import Problem
from rollback_guard.core.units import format_duration


def check(inventory: Inventory) -> Iterator[Problem]:
    """Yield the steps whose `within` is too short."""
    if inventory.complete:
        for found in inventory.guards:
            yield from _steps(found)


def _steps(found: FoundGuard) -> Iterator[Problem]:
    for number, step in enumerate(found.guard.playbook):
        within, needed = step.verify.within, found.slowest + step.verify.stable_for
        if within is None or within >= needed or not found.judged:
            continue
        slow = max(found.judged, key=lambda rule: rule.memory)
        interval = max(rule.interval for rule in found.judged)
        message = f"within {format_duration(within)} the step's success cannot show; it needs {format_duration(needed)}"
        hint = (
            f"{slow.name} sees old errors for {format_duration(slow.memory)}, its range and query_offset, then "
            f"stable_for {format_duration(step.verify.stable_for)} and two intervals of {format_duration(interval)} "
            f"follow: write `within: {format_duration(needed)}` or leave it out."
        )
        path = ("playbook", number, "verify", "within")
        yield found.spot.problem("within-too-short", message, *path, hint=hint)
