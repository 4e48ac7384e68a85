"""Hand on the recording rules of the files: the guard leaves them to Prometheus, and its tests play Prometheus."""

from __future__ import annotations

from dataclasses import dataclass

from rollback_guard.config.inventory import Inventory
from rollback_guard.config.rulefile import RecordRule
from rollback_guard.core.model import Labels, labels_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A recording rule, and the name of its group."""

    group: str
    name: str
    expr: str
    labels: Labels


def recordings_of(inventory: Inventory) -> tuple[Recording, ...]:
    """Return all recording rules, in the order of the files."""
    return tuple(
        Recording(
            group=group.name, name=rule.record, expr=rule.expr, labels=labels_of({**group.labels, **rule.labels})
        )
        for file in inventory.files
        for group in file.model.groups
        for rule in group.rules
        if isinstance(rule, RecordRule)
    )
