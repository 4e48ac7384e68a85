from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollback_guard.core.units import format_duration, parse_duration

LONGEST_MS = (2**63 - 1) // 10**6


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", timedelta(0)),
        ("0s", timedelta(0)),
        ("90s", timedelta(seconds=90)),
        ("1h30m", timedelta(minutes=90)),
        ("1y2w3d4h5m6s7ms", timedelta(days=365 + 14 + 3, hours=4, minutes=5, seconds=6, milliseconds=7)),
        ("500ms", timedelta(milliseconds=500)),
        ("1m1ms", timedelta(minutes=1, milliseconds=1)),
        ("007m", timedelta(minutes=7)),
    ],
)
def test_a_duration_is_read_as_prometheus_reads_it(text, expected):
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("", "empty duration"),
        (" ", "empty duration"),
        ("5", "write 5s, 5m or 5h"),
        ("30m1h", "write 1h30m"),
        ("1h 30m", "write 1h30m"),
        ("5m5m", "names a unit twice"),
        ("-5m", "without the minus sign"),
        ("1.5h", "whole numbers"),
        ("5min", "units y w d h m s ms"),
        ("10 minutes", "units y w d h m s ms"),
        ("1H", "units y w d h m s ms"),
        ("\u0665m", "units y w d h m s ms"),
        ("5m\n", "units y w d h m s ms"),
        ("300y", "the longest is 292y"),
        ("9" * 5_000 + "s", "the longest is 292y"),
        ("x" * 100_000, "units y w d h m s ms"),
        ("9" * 1_000_000 + "q", "units y w d h m s ms"),
        ("9" * 1_000_000, "has no unit"),
    ],
)
def test_what_is_no_duration_is_refused_with_what_to_write(text, advice):
    with pytest.raises(ValueError, match=advice) as caught:
        parse_duration(text)
    assert len(str(caught.value)) < 250


@settings(deadline=None)
@given(st.integers(min_value=0, max_value=LONGEST_MS))
def test_a_written_duration_reads_back_as_the_same(milliseconds):
    duration = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(0), "0s"),
        (timedelta(microseconds=999), "0s"),
        (timedelta(days=90), "90d"),
        (timedelta(days=14), "2w"),
        (timedelta(days=365), "1y"),
        (timedelta(days=366), "366d"),
        (timedelta(seconds=90), "1m30s"),
        (timedelta(days=2, minutes=5), "2d5m"),
        (-timedelta(minutes=5), "-5m"),
    ],
)
def test_a_duration_is_written_as_prometheus_writes_it(duration, text):
    assert format_duration(duration) == text
