"""Hand on the recording rules of the files: the guard leaves them to Prometheus, and its tests play Prometheus."""

from __future__ import annotations

from dataclasses import dataclass

from rollback_guard.config.inventory import Inventory
from rollback_guard.config.rulefile import RecordRule
from rollback_guard.core.model import Labels, labels_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A recording rule.

    Attributes:
        group: The name of its group.
        group_id: The id of its group; no other group has it.
        groups_before: How many groups with alerting rules stand before its group, in the order of the files.
        rules_before: How many alerting rules stand before it in its group.
    """

    group: str
    name: str
    expr: str
    labels: Labels
    group_id: str = ""
    groups_before: int = 0
    rules_before: int = 0


def recordings_of(inventory: Inventory) -> tuple[Recording, ...]:
    """Return all recording rules, in the order of the files."""
    return tuple(
        Recording(
            group=found.group.name,
            name=rule.record,
            expr=rule.expr,
            labels=labels_of({**found.group.labels, **rule.labels}),
            group_id=found.id,
            groups_before=sum(bool(each.rules) for each in inventory.groups[:place]),
            rules_before=sum(not isinstance(each, RecordRule) for each in found.group.rules[:number]),
        )
        for place, found in enumerate(inventory.groups)
        for number, rule in enumerate(found.group.rules)
        if isinstance(rule, RecordRule)
    )
