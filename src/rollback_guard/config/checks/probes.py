"""Find probes that cannot do what they say."""

from __future__ import annotations

from collections.abc import Iterator

from rollback_guard.config.inventory import Inventory
from rollback_guard.config.problems import Problem
from rollback_guard.config.rulefile import Probe
from rollback_guard.core.units import format_duration


def check(inventory: Inventory) -> Iterator[Problem]:
    """Yield what is wrong with probes."""
    for found in inventory.probes:
        probe = found.rule
        if not isinstance(probe, Probe):
            continue
        if probe.timeout is not None and probe.timeout > probe.interval:
            message = f"the time-out is longer than the interval of {format_duration(probe.interval)}"
            hint = "Shorten `timeout` or lengthen `interval`: two checks of one probe never overlap."
            yield found.spot.problem("probe-timeout", message, "timeout", hint=hint)
        if probe.expect.tls_valid_for is not None and not probe.url.startswith("https://"):
            message = "`tls_valid_for` needs an https URL"
            hint = "Ask the https address, or remove `tls_valid_for`."
            yield found.spot.problem("probe-tls", message, "expect", "tls_valid_for", hint=hint)
