"""Say which maintenance windows are open, by the calendar of their time zone.

A window lasts as long as it says, whatever the clocks of its time zone do meanwhile. A time that summer time skips
comes an hour later by the clock, as if it had not been skipped; one that comes twice opens the window twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING

from rollback_guard.core.records import Window
from rollback_guard.specs import MaintenanceSpec

if TYPE_CHECKING:
    from apscheduler.triggers.cron import CronTrigger

LARGEST_SHIFT = timedelta(hours=3)
"""No time zone sets its clocks by more for the summer."""

MOMENT = timedelta(seconds=1)
"""Cron knows no seconds: this long after one opening the next has not come yet."""

TRIGGERS = 256
"""As many windows are understood once and not once a second."""


def open_windows(specs: Sequence[MaintenanceSpec], now: datetime) -> tuple[Window, ...]:
    """Return the windows that are open at a time, in the order of their specs.

    One that opens again while it is open stays open until the later end.

    Args:
        specs: Of cron's fields they hold days of the week by name, and one of the two day fields at most.
        now: Aware.
    """
    found: list[Window] = []
    for spec in specs:
        opened_at = _last_opening(spec, now.astimezone(UTC))
        if opened_at is not None:
            found.append(Window(name=spec.name, until=opened_at + spec.lasting, guards=spec.guards))
    return tuple(found)


def _last_opening(spec: MaintenanceSpec, now: datetime) -> datetime | None:
    """Return the last opening that still counts."""
    trigger, zone = _trigger(spec.cron, spec.timezone)
    earliest = now - spec.lasting
    # APScheduler goes by the clock on the wall. From behind a skipped hour it does not see what would have been in it.
    is_shifted = (earliest - LARGEST_SHIFT).astimezone(zone).utcoffset() != now.astimezone(zone).utcoffset()
    after = earliest - LARGEST_SHIFT if is_shifted else earliest
    return max((at for at in _openings(trigger, after, now) if at > earliest), default=None)


def _openings(trigger: CronTrigger, after: datetime, until: datetime) -> Iterator[datetime]:
    while (fires_at := trigger.get_next_fire_time(None, after)) is not None:
        at = fires_at.astimezone(UTC)
        if at > until:
            return
        yield at
        after = max(at, after) + MOMENT


@lru_cache(maxsize=TRIGGERS)
def _trigger(cron: str, timezone: str) -> tuple[CronTrigger, tzinfo]:
    from zoneinfo import ZoneInfo  # only a configuration with windows pays for both

    from apscheduler.triggers.cron import CronTrigger

    zone = UTC if timezone == "UTC" else ZoneInfo(timezone)
    return CronTrigger.from_crontab(cron, timezone=zone), zone
