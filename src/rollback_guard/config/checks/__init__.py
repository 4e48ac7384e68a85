"""Cross-checks over all files together, one subject per module.

A check takes the `Inventory` and yields problems; what one value alone can tell is the schema's to refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rollback_guard.config.checks import (
    addresses,
    anchors,
    channels,
    credentials,
    datasources,
    duplicates,
    files,
    maintenance,
    playbooks,
    probes,
    records,
    rollouts,
    selectors,
    server,
    severities,
    signals,
    steps,
    undos,
    unselected,
    verification,
)
from rollback_guard.config.inventory import Inventory
from rollback_guard.config.problems import Problem

CHECKS: tuple[Callable[[Inventory], Iterable[Problem]], ...] = (
    duplicates.check,
    selectors.check,
    unselected.check,
    signals.check,
    severities.check,
    playbooks.check,
    steps.check,
    verification.check,
    undos.check,
    rollouts.check,
    channels.check,
    addresses.check,
    datasources.check,
    probes.check,
    anchors.check,
    maintenance.check,
    server.check,
    credentials.check,
    files.check,
    records.check,
)
