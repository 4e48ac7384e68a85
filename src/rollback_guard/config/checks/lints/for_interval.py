"""Find spans of `for` that evaluation cannot keep."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from rollback_guard.config.inventory import Inventory
from rollback_guard.config.problems import Level, Problem
from rollback_guard.core.units import format_duration


def check(inventory: Inventory) -> Iterator[Problem]:
    """Yield the rules and probes that fire later than they say."""
    for found in inventory.rules:
        hold = found.rule.for_ if found.rule else timedelta(0)
        interval = found.interval
        if not hold % interval:
            continue
        fires = -(-hold // interval) * interval
        every = f"it is evaluated every {format_duration(interval)}"
        if hold < interval:
            level, how = Level.WARNING, "is shorter than the interval"
            hint = f"Write `for: {format_duration(fires)}`, `for: 0s`, or evaluate more often."
        else:
            level, how = Level.NOTICE, "is no multiple of the interval"
            hint = f"Write `for: {format_duration(fires)}`, which is what it comes to."
        message = f"`for: {format_duration(hold)}` {how}: it fires after {format_duration(fires)}, for {every}"
        yield found.spot.problem("for-interval", message, "for", hint=hint, level=level)
