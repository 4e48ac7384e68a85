"""Maintenance windows open by the calendar of their time zone, and close after as long as they say."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollback_guard.adapters.calendar import open_windows
from rollback_guard.core.records import Window
from rollback_guard.specs import MaintenanceSpec

HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
BERLIN = "Europe/Berlin"


def spec(
    cron: str, lasting: timedelta, timezone: str = "UTC", *, name: str = "w", guards: tuple[str, ...] = ()
) -> MaintenanceSpec:
    return MaintenanceSpec(name=name, cron=cron, lasting=lasting, timezone=timezone, guards=guards)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def until(each: MaintenanceSpec, now: datetime) -> datetime | None:
    windows = open_windows([each], now)
    return windows[0].until if windows else None


def open_spans(each: MaintenanceSpec, start: datetime, end: datetime, *, step: timedelta = MINUTE):
    """Return from when to when it is open, seen by looking every minute."""
    spans: list[list[datetime]] = []
    now, was_open = start, False
    while now < end:
        closes_at = until(each, now)
        if closes_at is None:
            was_open = False
        elif was_open:
            spans[-1][1] = closes_at
        else:
            spans.append([now, closes_at])
            was_open = True
        now += step
    return [tuple(span) for span in spans]


def test_a_window_is_open_from_its_time_until_it_has_lasted():
    night = spec("0 3 * * sun", 2 * HOUR)
    assert until(night, at("2026-06-07T02:59:59")) is None
    assert until(night, at("2026-06-07T03:00:00")) == at("2026-06-07T05:00:00")
    assert until(night, at("2026-06-07T04:59:59.999999")) == at("2026-06-07T05:00:00")
    assert until(night, at("2026-06-07T05:00:00")) is None
    assert until(night, at("2026-06-08T03:30:00")) is None


def test_what_is_open_carries_its_name_its_guards_and_an_end_in_utc():
    specs = [
        spec("0 3 * * *", HOUR, name="backup", guards=("shop", "cart")),
        spec("0 12 * * *", HOUR, name="lunch"),
        spec("30 2 * * *", HOUR, name="batch"),
    ]
    assert open_windows(specs, at("2026-06-07T03:10:00")) == (
        Window(name="backup", until=at("2026-06-07T04:00:00"), guards=("shop", "cart")),
        Window(name="batch", until=at("2026-06-07T03:30:00")),
    )
    assert open_windows([], at("2026-06-07T03:10:00")) == ()


def test_the_time_may_be_given_in_any_zone():
    tokyo = at("2026-06-07T03:10:00").astimezone(ZoneInfo("Asia/Tokyo"))
    assert until(spec("0 3 * * *", HOUR), tokyo) == at("2026-06-07T04:00:00")


def test_a_window_that_opens_again_while_it_is_open_stays_open_until_the_later_end():
    often = spec("0,20,40 3 * * *", 30 * MINUTE)
    assert until(often, at("2026-06-07T03:19:00")) == at("2026-06-07T03:30:00")
    assert until(often, at("2026-06-07T03:20:00")) == at("2026-06-07T03:50:00")
    assert open_spans(often, at("2026-06-07T00:00:00"), at("2026-06-08T00:00:00")) == [
        (at("2026-06-07T03:00:00"), at("2026-06-07T04:10:00"))
    ]


def test_a_window_may_last_for_days():
    weekend = spec("0 18 * * fri", timedelta(days=2, hours=12), BERLIN)
    assert until(weekend, at("2026-06-05T15:59:59")) is None
    assert until(weekend, at("2026-06-07T10:00:00")) == at("2026-06-08T04:00:00")


@pytest.mark.parametrize(
    ("cron", "opens"),
    [
        # On 29 March 2026 the clocks of Berlin go from 02:00 (01:00 UTC) to 03:00.
        ("30 1 * * *", "00:30"),
        ("30 2 * * *", "01:30"),  # there is no half past two: it is half past three then
        ("30 3 * * *", "01:30"),
        ("0 4 * * *", "02:00"),
    ],
)
@pytest.mark.parametrize("lasting", [20 * MINUTE, HOUR, 3 * HOUR])
def test_when_the_clocks_go_forward_a_window_opens_once_and_lasts_as_long_as_it_says(cron, opens, lasting):
    begin = at(f"2026-03-29T{opens}:00")
    spans = open_spans(spec(cron, lasting, BERLIN), at("2026-03-28T12:00:00"), at("2026-03-29T12:00:00"))
    assert spans == [(begin, begin + lasting)]


@pytest.mark.parametrize(
    ("cron", "opens"),
    [
        # On 25 October 2026 the clocks of Berlin go from 03:00 (01:00 UTC) back to 02:00.
        ("30 1 * * *", ["23:30"]),
        ("30 2 * * *", ["00:30", "01:30"]),  # half past two comes twice
        ("30 3 * * *", ["02:30"]),
    ],
)
@pytest.mark.parametrize("lasting", [20 * MINUTE, 30 * MINUTE])
def test_when_the_clocks_go_back_a_time_that_comes_twice_opens_the_window_twice(cron, opens, lasting):
    day = {"23:30": "2026-10-24"}
    begins = [at(f"{day.get(each, '2026-10-25')}T{each}:00") for each in opens]
    spans = open_spans(spec(cron, lasting, BERLIN), at("2026-10-24T12:00:00"), at("2026-10-25T12:00:00"))
    assert spans == [(begin, begin + lasting) for begin in begins]


def test_in_the_night_of_the_change_the_clock_on_the_wall_counts():
    """Two in the morning in summer is midnight in UTC, in winter it is one."""
    each = spec("0 2 * * *", HOUR, BERLIN)
    assert until(each, at("2026-07-01T00:30:00")) == at("2026-07-01T01:00:00")
    assert until(each, at("2026-12-01T00:30:00")) is None
    assert until(each, at("2026-12-01T01:30:00")) == at("2026-12-01T02:00:00")


@given(
    seconds=st.integers(0, 3 * 366 * 86_400),
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
    lasting_min=st.integers(1, 2000),
    zone=st.sampled_from(["UTC", BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]),
)
@settings(max_examples=200, deadline=None)
def test_a_daily_window_is_open_just_where_the_last_time_on_the_wall_says(seconds, hour, minute, lasting_min, zone):
    now = at("2025-01-01T00:00:00") + seconds * SECOND
    lasting = lasting_min * MINUTE
    day = now.astimezone(ZoneInfo(zone)).date()
    times = {
        datetime(each.year, each.month, each.day, hour, minute, tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)
        for each in (day + timedelta(days=back) for back in range(-3, 2))
        for fold in (0, 1)
    }
    skipped = {
        time
        for time in times
        if (time.astimezone(ZoneInfo(zone)).hour, time.astimezone(ZoneInfo(zone)).minute) != (hour, minute)
    }
    opened = [time for time in times if time <= now < time + lasting]
    found = until(spec(f"{minute} {hour} * * *", lasting, zone), now)
    if not any(time in skipped for time in opened):
        assert found == max((time + lasting for time in opened), default=None)
    else:
        assert found in {time + lasting for time in opened}  # of a skipped time one of its two readings


def test_without_windows_nothing_is_loaded():
    code = (
        "import sys; from datetime import *; from rollback_guard.adapters.calendar import open_windows;"
        "open_windows([], datetime.now(timezone.utc)); sys.exit('apscheduler' in sys.modules or 'zoneinfo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
