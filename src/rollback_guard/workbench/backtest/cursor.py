"""One group in one stretch of history: its slots, and which of them are to be looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from rollback_guard.adapters.prometheus.answers import Expected
from rollback_guard.adapters.prometheus.survey import Idle, Survey
from rollback_guard.core.model import Group
from rollback_guard.core.observation import Observation


@dataclass(kw_only=True)
class Cursor:
    """The way of one group through one stretch.

    Attributes:
        done: How many slots were shown or passed over.
        next: The next slot that is to be shown; ``None`` where there is none. Kept by whoever plays.
    """

    group: Group
    survey: Survey
    done: int = 0
    next: datetime | None = None
    _undisturbed: dict[Idle, bytes] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many slots there are."""
        return len(self.survey.slots)

    def slot(self, number: int) -> datetime:
        """Return a slot."""
        return self.survey.slots[number]

    def before(self, at: datetime) -> int:
        """Return how many slots there are before an instant."""
        first, interval = self.survey.slots[0], self.group.interval
        return min(self.count, max(0, -((first - at) // interval)))

    def find(self, idle: Idle | None) -> datetime | None:
        """Return the next slot that is to be shown.

        Args:
            idle: The rules that are known to have nothing to judge, while nothing else is known than that the others
                pass: as long as that stays so, nothing is to be seen. ``None`` where every slot is.
        """
        if self.done >= self.count:
            return None
        if idle is None:
            return self.slot(self.done)
        flags = self._undisturbed.get(idle)
        if flags is None:
            flags = self._undisturbed[idle] = self.survey.undisturbed(idle)
        place = flags.find(0, self.done)
        return self.slot(place) if place >= 0 else None

    def observe(self, number: int, active: Expected | None) -> Mapping[str, Observation]:
        """Return what was observed in a slot; with alerts that are active only what may move one."""
        return self.survey.observe(number) if active is None else self.survey.gist(number, active)
