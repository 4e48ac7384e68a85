"""Find guards that an alert of any service would make act."""

from __future__ import annotations

from collections.abc import Iterator

from rollback_guard.config.found import signal_labels
from rollback_guard.config.inventory import Inventory
from rollback_guard.config.problems import Problem


def check(inventory: Inventory) -> Iterator[Problem]:
    """Yield the guards with signals whose selector has no label that an alert from elsewhere could carry."""
    for found in inventory.guards:
        if found.guard.signals and found.guard.select and not signal_labels(found.guard):
            message = "an alert of any service would make this guard act"
            hint = "An alert from elsewhere must carry the labels of `select`; name one such as `service` there."
            yield found.spot.problem("signal-selector", message, "select", hint=hint, value=False)
