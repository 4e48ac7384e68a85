"""Read the five fields of cron as cron means them.

APScheduler's `CronTrigger`, which opens the windows, counts the days of the week from Monday where cron counts from
Sunday, and takes both day fields together where cron takes either. So numbers become names here, and a pair of day
fields is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice, pairwise

DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
FIELDS = 5
EVERY = "*"

_PART = re.compile(r"(?P<first>\*|[0-7]|[a-z]{3})(-(?P<last>[0-7]|[a-z]{3}))?(/(?P<step>[1-9][0-9]?))?")

FROM = datetime(2024, 1, 1, tzinfo=UTC)
"""Openings are looked at from the beginning of a leap year: nothing here may depend on today."""

OPENINGS = 1500
"""Openings that are looked at for a gap: a day of minutes and some more."""


class BothDaysError(ValueError):
    """Say that the fields name a day of the month and a day of the week."""


def spelled_out(cron: str) -> str:
    """Return five fields with the days of the week as names.

    Raises:
        BothDaysError: Both day fields are given.
        ValueError: They are not five, or a day of the week is none.
    """
    fields = cron.split()
    if len(fields) != FIELDS:
        raise ValueError(f"{len(fields)} fields in place of {FIELDS}")
    if fields[2] != EVERY and fields[4] != EVERY:
        raise BothDaysError("a day of the month and a day of the week exclude each other")
    return " ".join([*fields[:4], _days_of_week(fields[4])])


def openings(cron: str, timezone: tzinfo) -> Iterator[datetime]:
    """Yield the times at which spelled-out fields hold, in UTC.

    Raises:
        ValueError: A field is none that can hold.
    """
    from apscheduler.triggers.cron import CronTrigger  # only a file with windows pays for it

    trigger = CronTrigger.from_crontab(cron, timezone=timezone)
    after = FROM
    while at := trigger.get_next_fire_time(None, after):
        yield at.astimezone(UTC)
        after = at.astimezone(UTC) + timedelta(seconds=1)


def never_closes(cron: str, timezone: tzinfo, lasting: timedelta) -> bool:
    """Say whether a window opens again before it has closed, every time."""
    times = islice(openings(cron, timezone), OPENINGS)
    return all(later - earlier <= lasting for earlier, later in pairwise(times))


def _days_of_week(field: str) -> str:
    days = [day for part in field.lower().split(",") for day in _days(part)]
    return EVERY if set(days) == set(DAYS) else ",".join(dict.fromkeys(days))


def _days(part: str) -> list[str]:
    match = _PART.fullmatch(part)
    if match is None:
        raise ValueError(f"`{part}` is no day of the week")
    step = int(match["step"] or 1)
    if match["first"] == EVERY:
        if match["last"]:
            raise ValueError(f"`{part}` is no day of the week")
        return list(DAYS[::step])
    first = _number(match["first"])
    last = _number(match["last"]) if match["last"] else len(DAYS) - 1 if match["step"] else first
    if last < first:
        last += len(DAYS)
    return [DAYS[number % len(DAYS)] for number in range(first, last + 1, step)]


def _number(word: str) -> int:
    if word.isdigit():
        return int(word)
    if word not in DAYS:
        raise ValueError(f"`{word}` is no day of the week")
    return DAYS.index(word)
