"""Read the alerts that other systems sent as a source."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from rollback_guard.core.model import Group, Labels
from rollback_guard.core.observation import Observation
from rollback_guard.core.orders import Signal
from rollback_guard.core.signals import observe


class SignalSource:
    """Tell for each of a guard's signals which alerts of that name fire.

    Args:
        signals: Returns what was heard last of every alert; asked anew at every read.
    """

    def __init__(self, signals: Callable[[], tuple[Signal, ...]]) -> None:
        self._signals = signals

    async def read(
        self, group: Group, slot: datetime, expected: Mapping[str, frozenset[Labels]]
    ) -> Mapping[str, Observation]:
        """Observe what fires now."""
        return observe(group, self._signals())

    async def read_range(
        self, group: Group, slots: Sequence[datetime], expected: Mapping[str, frozenset[Labels]]
    ) -> Mapping[datetime, Mapping[str, Observation]]:
        """Observe in every past slot what fires now, as far as it had begun: nobody remembers what ended since."""
        signals = self._signals()
        return {slot: observe(group, signals, begun_by=slot) for slot in slots}

    async def close(self) -> None:
        """Return at once: there is nothing to release."""
