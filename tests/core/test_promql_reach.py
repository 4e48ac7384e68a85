"""How far an expression looks and what it may read, judged from its text alone and on the safe side."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rollback_guard.core.promql.reach import LOOKBACK, looks_ahead, may_read, reach

ALERTS = frozenset({"ALERTS"})


@pytest.mark.parametrize(
    ("expr", "beyond"),
    [
        ("x > 300", timedelta(0)),
        ("rate(x[1h]) > 0x10", timedelta(hours=1)),
        ("x offset 1d", timedelta(days=1)),
        ("x offset -1d", timedelta(days=1)),
        ("max_over_time(rate(x[5m])[1h:1m] offset 2h)", timedelta(hours=3, minutes=5)),
        ('x{a="[1d]"} # [1d]', timedelta(0)),
        ("rate(x[86400])", timedelta(days=1)),
        ("rate(x[0x10])", timedelta(seconds=16)),
        ("x offset - 1.5e3", timedelta(minutes=25)),
        ("max_over_time(x[3600:60]) > 1e9", timedelta(hours=1)),
    ],
)
def test_it_looks_as_far_as_all_its_durations_together(expr, beyond):
    assert reach(expr) == LOOKBACK + beyond


def test_what_is_longer_than_can_be_counted_overflows():
    with pytest.raises(OverflowError):
        reach("rate(x[1e300])")


@pytest.mark.parametrize(
    ("expr", "may"),
    [
        ("ALERTS > 0", True),
        ('ALERTS{alertname="a"}', True),
        ('{__name__="ALERTS"}', True),
        ('{"ALERTS", a="b"}', True),
        ('{alertstate="firing"}', True),
        ('{__name__=~"AL.*"}', True),
        ("sum by (x) ({a=~'b'})", True),
        ("x > 1 and {a='b'}", True),
        ('{__name__="x", a="b"}', False),
        ('{"x", a="b"}', False),
        ('x{a="b"} and y', False),
        ("ALERTS_FOR_STATE", False),
    ],
)
def test_it_may_read_what_it_names_and_where_it_names_nothing(expr, may):
    assert may_read(expr, ALERTS) is may
    assert may_read(expr, frozenset()) is False


@pytest.mark.parametrize(
    ("expr", "ahead"),
    [
        ("x @ 5", True),
        ("rate(x[5m] @ end())", True),
        ("x offset -5m", True),
        ("x OFFSET -5m", True),
        ("x offset 5m", False),
        ("x offset 300", False),
        ('x{a="@"}', False),
    ],
)
def test_it_may_look_ahead_where_it_names_a_time_or_a_negative_offset(expr, ahead):
    assert looks_ahead(expr) is ahead
