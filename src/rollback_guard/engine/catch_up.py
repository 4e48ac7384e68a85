"""Work out which slots of a group are due, and read those of the past back.

A restarted guard, or one whose road to its source was cut, decides what an unbroken one would have: every slot since
the last one goes through the same function, as far as the source can still tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from rollback_guard.core.model import Group, Labels
from rollback_guard.core.observation import Reading
from rollback_guard.core.slots import slot_at_or_before, slots_between
from rollback_guard.core.state import GroupState
from rollback_guard.ports import Source

MOST_OBSERVATIONS = 200_000
"""Rules times slots that are held at once while reading back: some hundred megabytes in the worst case."""


def due_slots(group: Group, state: GroupState | None, now: datetime, *, catch_up: timedelta) -> tuple[datetime, ...]:
    """Return the slots to evaluate, oldest first; the newest is the present. Empty if there is none.

    They begin after the group's last slot, or after the last one before the road to its source was cut. Slots from
    before ``now - catch_up``, and more of them than fit into memory, are left out: they are missed. A group that was
    never evaluated has only its present slot.
    """
    present = slot_at_or_before(now, group.interval, group.offset)
    if state is None:
        return (present,)
    if present <= state.slot:
        return ()
    last = (state.before_outage or state).slot
    most = max(1, MOST_OBSERVATIONS // max(1, len(group.rules)))
    after = max(last, present - catch_up, present - most * group.interval)
    return tuple(slots_between(after, present, group.interval, group.offset))


async def read_back(
    source: Source, group: Group, slots: Sequence[datetime], expected: Mapping[str, frozenset[Labels]]
) -> tuple[Reading, ...]:
    """Return readings for those past slots that the source can still tell of."""
    found = await source.read_range(group, slots, expected)
    return tuple(Reading(group=group.id, slot=slot, observations=found[slot]) for slot in slots if found.get(slot))
