"""How far an expression looks and what it may read is never said to be less than it is."""

from datetime import timedelta

import pytest

from rollback_guard.core.promql.reach import LOOKBACK, looks_ahead, may_read, reach
from rollback_guard.core.promql.tokens import PromqlError


@pytest.mark.parametrize(
    ("expr", "beyond"),
    [
        ("m", "0s"),
        ("m + 5", "0s"),
        ("rate(m[5m])", "5m"),
        ("rate(m[5m] offset 1w)", "7d5m"),
        ("max_over_time(rate(m[1m])[1h:30s])", "1h1m"),
        ("m offset -5m", "5m"),
        ('m{a="[1h]"} # [2h]', "0s"),
    ],
)
def test_all_ranges_and_offsets_count(expr, beyond):
    spans = {"0s": 0, "5m": 300, "7d5m": 7 * 86400 + 300, "1h1m": 3660}
    assert reach(expr) - LOOKBACK == timedelta(seconds=spans[beyond])


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("rec", True),
        ("sum by (rec) (other)", True),  # a label; it errs on the safe side
        ("other", False),
        ("recorded", False),
        ('{__name__="rec"}', True),
        ('{__name__="other"}', False),
        ('{__name__="other", job="x"}', False),
        ('{job="x", __name__="other"}', False),
        ('{__name__=~"o.*"}', True),
        ('{__name__!="other"}', True),
        ('{job="x"}', True),
        ("{job='x'} > 1", True),
        ('{"other"}', False),
        ('{"other", job="x"}', False),
        ('{"rec", job="x"}', True),
        ('{"job"="x"}', True),
        ('other{job="x"}', False),
        ('other and {job="x"}', True),
        ('other * on(job) group_left {job="x"}', True),
        ('other{job="rec"}', True),  # a value; it errs on the safe side
        ("vector(1)", False),
    ],
)
def test_what_names_no_metric_may_read_any(expr, expected):
    assert may_read(expr, frozenset({"rec"})) is expected
    assert may_read(expr, frozenset()) is False


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("m", False),
        ("m offset 5m", False),
        ("m OFFSET 5m", False),
        ("m offset -5m", True),
        ("m offset (-5m)", True),
        ("m @ 100", True),
        ("m @ end()", True),
        ('m{a="@ 100", b="offset -5m"}', False),
        ("rate(m[5m] offset -1m)", True),
    ],
)
def test_what_may_lie_ahead(expr, expected):
    assert looks_ahead(expr) is expected


@pytest.mark.parametrize("ask", [reach, looks_ahead, lambda expr: may_read(expr, frozenset({"m"}))])
def test_what_cannot_be_cut_is_refused(ask):
    with pytest.raises(PromqlError):
        ask("sum(")
