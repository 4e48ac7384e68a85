"""Windows open when cron would open them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from rollback_guard.config.crontab import BothDaysError, never_closes, openings, spelled_out

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("days", "names"),
    [
        ("*", "*"),
        ("0", "sun"),
        ("7", "sun"),
        ("1-5", "mon,tue,wed,thu,fri"),
        ("5-7", "fri,sat,sun"),
        ("sun-thu", "sun,mon,tue,wed,thu"),
        ("fri-mon", "fri,sat,sun,mon"),
        ("*/2", "sun,tue,thu,sat"),
        ("1-6/2", "mon,wed,fri"),
        ("MON,3,5-6", "mon,wed,fri,sat"),
        ("0-7", "*"),
        ("1,1", "mon"),
    ],
)
def test_days_of_the_week_count_from_sunday_as_in_cron(days, names):
    assert spelled_out(f"0 3 * * {days}") == f"0 3 * * {names}"


@pytest.mark.parametrize("cron", ["", "0 3 * *", "@daily", "0 3 * * 8", "0 3 * * mon-", "0 3 * * *-5", "0 3 * * 1/0"])
def test_what_is_not_cron_is_refused(cron):
    with pytest.raises(ValueError, match=r"field|day of the week"):
        spelled_out(cron)


def test_two_kinds_of_days_are_refused():
    with pytest.raises(BothDaysError):
        spelled_out("0 3 1 * mon")


def test_sunday_at_three_is_a_sunday_at_three():
    times = list(islice(openings(spelled_out("0 3 * * 0"), UTC), 3))
    assert times == [datetime(2024, 1, day, 3, tzinfo=UTC) for day in (7, 14, 21)]


def test_openings_keep_to_the_clocks_of_their_time_zone():
    hours = {at.hour for at in islice(openings("0 3 * * *", BERLIN), 365)}
    assert hours == {1, 2}


@pytest.mark.parametrize(
    ("cron", "hours", "expected"),
    [
        ("0 3 * * *", 24, True),
        ("0 3 * * *", 23, False),
        ("0 3 * * 1-5", 24, False),
        ("* * * * *", 1, True),
        ("* 1-5 * * *", 1, False),
        ("0 3 29 2 *", 24, False),
    ],
)
def test_a_window_that_never_closes_is_told_from_one_that_does(cron, hours, expected):
    assert never_closes(spelled_out(cron), UTC, timedelta(hours=hours)) is expected
