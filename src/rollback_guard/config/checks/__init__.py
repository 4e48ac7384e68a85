"""Cross-checks over all files together, one subject per module.

A check takes the `Inventory` and yields problems; what one value alone can tell is the schema's to refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rollback_guard.config.checks import (
    credentials,
    datasources,
    duplicates,
    playbooks,
    probes,
    records,
    selectors,
    severities,
    verification,
)
from rollback_guard.config.inventory import Inventory
from rollback_guard.config.problems import Problem

CHECKS: tuple[Callable[[Inventory], Iterable[Problem]], ...] = (
    duplicates.check,
    selectors.check,
    severities.check,
    playbooks.check,
    verification.check,
    datasources.check,
    probes.check,
    credentials.check,
    records.check,
)
