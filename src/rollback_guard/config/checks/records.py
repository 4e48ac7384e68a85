"""Say what is left to Prometheus, and when nothing remains."""

from __future__ import annotations

from collections.abc import Iterator

from rollback_guard.config.inventory import Inventory
from rollback_guard.config.problems import Level, Problem


def check(inventory: Inventory) -> Iterator[Problem]:
    """Yield a notice for each group with recording rules, and a warning where there is nothing to watch."""
    for found in inventory.groups:
        if found.records:
            rules = "a recording rule is" if found.records == 1 else f"{found.records} recording rules are"
            at = ("rules", found.first_record)
            hint = "Load this file into Prometheus too if what it records is needed."
            yield found.spot.problem(
                "recording-rules", f"{rules} left to Prometheus", *at, hint=hint, level=Level.NOTICE
            )
    if inventory.complete and inventory.files and not inventory.rules and not inventory.signals:
        document = inventory.files[0].document
        hint = "Add an alerting rule or a probe."
        message = "there is no alerting rule and no probe in these files"
        yield document.problem("no-rules", message, document.key_mark(()), hint=hint, level=Level.WARNING)
