"""Count slots: the instants a group is evaluated for, multiples of its interval since the Unix epoch plus an offset.

All of it is whole-number arithmetic on microseconds, so that a slot is the same instant in every process, after every
restart and however far from the epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import overload

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def slot_at_or_before(now: datetime, interval: timedelta, offset: timedelta) -> datetime:
    """Return the latest slot that is not in the future."""
    return _slot(_number(now, interval, offset), interval, offset)


def next_slot(now: datetime, interval: timedelta, offset: timedelta) -> datetime:
    """Return the first slot after `now`; of a slot itself, the one that follows."""
    return _slot(_number(now, interval, offset) + 1, interval, offset)


def slots_between(after: datetime, until: datetime, interval: timedelta, offset: timedelta) -> Slots:
    """Return the slots that are later than `after` and not later than `until`, oldest first.

    Ten years of slots cost as little as two: they are counted and cut without being made.
    """
    first = _number(after, interval, offset) + 1
    last = _number(until, interval, offset)
    return Slots(range(first, last + 1), interval, offset)


@dataclass(frozen=True, slots=True)
class Slots(Sequence[datetime]):
    """A run of slots that are made only when they are looked at.

    Attributes:
        numbers: Which slots, counted from the epoch.
    """

    numbers: range
    interval: timedelta
    offset: timedelta

    @overload
    def __getitem__(self, index: int) -> datetime: ...
    @overload
    def __getitem__(self, index: slice) -> Slots: ...
    def __getitem__(self, index: int | slice) -> datetime | Slots:
        if isinstance(index, slice):
            return Slots(self.numbers[index], self.interval, self.offset)
        return _slot(self.numbers[index], self.interval, self.offset)

    def __len__(self) -> int:
        return len(self.numbers)


def _number(instant: datetime, interval: timedelta, offset: timedelta) -> int:
    return (instant - EPOCH - offset) // interval


def _slot(number: int, interval: timedelta, offset: timedelta) -> datetime:
    return EPOCH + offset + number * interval
