"""Describe the maintenance windows in guard.toml."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, Field

from rollback_guard.config import crontab
from rollback_guard.config.fields import Flaw, Name, PositiveDuration, Section, refuse
from rollback_guard.config.guards import Names
from rollback_guard.config.problems import did_you_mean, quoted

CRON_HINT = "Write minute, hour, day of month, month and day of week: `0 3 * * sun` is Sundays at three."

BOTH_HINT = "cron would open the window on either of them; write a window for each."


LONGEST_CRON = 200
"""Characters; five fields that name every minute they mean are shorter."""

MOST_WINDOWS = 100
"""Each is looked at for years ahead, which takes its time."""


def _cron(value: str) -> str:
    if len(value) > LONGEST_CRON:
        raise refuse(Flaw("bad-cron", f"more than {LONGEST_CRON} characters of cron", CRON_HINT))
    try:
        first = next(crontab.openings(crontab.spelled_out(value), UTC), None)
    except crontab.BothDaysError as error:
        raise refuse(Flaw("bad-cron", str(error), BOTH_HINT)) from None
    except ValueError as error:
        raise refuse(Flaw("bad-cron", f"this is not cron: {_told(error)}", CRON_HINT)) from None
    if first is None:
        raise refuse(Flaw("bad-cron", "this day never comes", CRON_HINT))
    return value


def _told(error: ValueError) -> str:
    said = str(error)
    return f"{said[:1].lower()}{said[1:]}"


def _timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):  # not there, no path, or a directory
        hint = did_you_mean(value, available_timezones()) or "Write for example `Europe/Berlin`."
        raise refuse(Flaw("bad-value", f"there is no time zone {quoted(value)}", hint)) from None
    return value


class MaintenanceWindow(Section):
    """A time by the calendar in which guards only watch."""

    name: Name = Field(description="Shown where a guard holds because of it.")
    cron: Annotated[Name, AfterValidator(_cron)] = Field(
        description="When it opens, as five fields of cron: minute, hour, day of month, month, day of week."
    )
    for_: PositiveDuration = Field(alias="for", description="How long it stays open.")
    timezone: Annotated[Name, AfterValidator(_timezone)] = Field(
        default="UTC", description="Time zone of `cron`, such as `Europe/Berlin`."
    )
    guards: Names = Field(default=[], description="Guards that it holds for. Default: all of them.")


def _bounded(windows: object) -> object:
    if isinstance(windows, list) and len(windows) > MOST_WINDOWS:  # before any of them is looked at
        message = f"{len(windows)} maintenance windows, more than {MOST_WINDOWS}"
        raise refuse(Flaw("bad-value", message, "One window can hold for several guards, and for several days."))
    return windows


MaintenanceWindows = Annotated[list[MaintenanceWindow], BeforeValidator(_bounded)]
