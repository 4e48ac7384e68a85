"""Find probes whose silence cannot be told from a lost network of the guard's own."""

from __future__ import annotations

from collections.abc import Iterator

from rollback_guard.config.inventory import Inventory
from rollback_guard.config.problems import Level, Problem
from rollback_guard.config.rulefile import Probe
from rollback_guard.core.host import is_own, place_of

HINT = (
    'Name one in `[network] anchors`, such as the resolver `"10.0.0.10:53"`: an address that answers as long as the '
    "network is there, and is not on this machine."
)


def check(inventory: Inventory) -> Iterator[Problem]:
    """Yield the first probe of another machine, where neither a setting nor a data source is an anchor."""
    if inventory.settings is None or not inventory.complete or inventory.settings.model.network.anchors:
        return
    if not all(is_own(place_of(source.url)[0]) for source in inventory.datasources.values()):
        return
    for found in inventory.probes:
        if isinstance(found.rule, Probe) and not is_own(place_of(found.rule.url)[0]):
            message = "without an anchor a lost network of the guard's own looks as if this were down"
            yield found.spot.problem("no-anchor", message, "url", hint=HINT, level=Level.WARNING)
            return
