"""An expression that is moved in time answers later what it answered before: asked of a real Prometheus."""

import math
import shutil
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from installed import PROMETHEUS
from rollback_guard.adapters.ephemeral import STALE, EphemeralPrometheus, Series
from rollback_guard.core.promql import PromqlError
from rollback_guard.core.promql.shift import alignment, shifted, with_default_step

WEEK = timedelta(weeks=1)


@pytest.mark.parametrize(
    ("expr", "moved"),
    [
        ("time()", "(time() - 604800)"),
        ("-time ( ) ^ 2", "-(time ( ) - 604800) ^ 2"),
        ("timestamp(x offset 1h)", "(timestamp(x offset 1h) - 604800)"),
        ("timestamp(timestamp(x))", "(timestamp((timestamp(x) - 604800)) - 604800)"),
        ("hour()", "hour(vector(time() - 604800))"),
        ("year( # of the present\n)", "year(vector(time() - 604800) # of the present\n)"),
        ("hour(x)", "hour(x)"),
        ("hour(timestamp(x))", "hour((timestamp(x) - 604800))"),
        ("x @ 5", "x @ 604805"),
        ("x @ -5.5", "x @ 604794.5"),
        ("x @ +5", "x @ 604805"),
        ("x@1e3[5m]", "x@605800[5m]"),
        ("x @ 0x10", "x @ 604816"),
        ("x @ 010 offset 5m", "x @ 604808 offset 5m"),
        ("x @ 09", "x @ 604809"),
        ("x @ start() - y @ end()", "x @ start() - y @ end()"),
        ("min_over_time((time() - x)[1h:1m] @ 3600)", "min_over_time(((time() - 604800) - x)[1h:1m] @ 608400)"),
        ("time()[5m:1m]", "(time() - 604800)[5m:1m]"),
        ("sum by (time, hour) (time)", "sum by (time, hour) (time)"),
        ("a * on (time) group_left (hour) (b)", "a * on (time) group_left (hour) (b)"),
        ("hour{time='time()'} + time:hour", "hour{time='time()'} + time:hour"),
        ('{"hour()", x="@ 5"} # time() @ 5', '{"hour()", x="@ 5"} # time() @ 5'),
        ("rate(x[5m]) > 0.5", "rate(x[5m]) > 0.5"),
    ],
)
def test_only_what_tells_the_absolute_time_is_changed(expr, moved):
    assert shifted(expr, WEEK) == moved


def test_an_expression_can_be_moved_by_less_than_a_second_and_back_in_time():
    assert shifted("time() + x @ 1", timedelta(seconds=-1, milliseconds=-500)) == "(time() + 1.5) + x @ -0.5"


@pytest.mark.parametrize("expr", ["time()", "not ( PromQL", "x[1h:13s]"])
def test_an_expression_that_is_not_moved_stays_as_it_is_whatever_it_is(expr):
    assert shifted(expr, timedelta(0)) == expr


@pytest.mark.parametrize(
    ("expr", "by", "says"),
    [
        ("x[1h:13s]", WEEK, "604800s is no multiple of 13s"),
        ("time()", timedelta(microseconds=1), "no whole number of milliseconds"),
        ("timestamp(x", WEEK, "parenthesis is never closed"),
        ("x @ 5foo", WEEK, "expected a time in seconds after @"),
        ("x[1h:5]", WEEK, 'duration "5" has no unit'),
    ],
)
def test_what_can_not_be_moved_is_refused(expr, by, says):
    with pytest.raises(ValueError, match=says.split(" is no")[-1]):
        shifted(expr, by)


def test_a_text_without_tokens_is_refused_with_its_place():
    with pytest.raises(PromqlError) as refusal:
        shifted("x @ 5foo", WEEK)
    assert refusal.value.offset == 4


def test_weeks_that_fit_all_subqueries_are_found():
    expressions = ["x[1h:13s]", "y[1h:]", "z[5m]", "v[1h:90s] + :rule:[10m:1m]", "w[1h:0s]"]
    assert alignment(expressions, WEEK) == 13 * WEEK
    assert shifted(expressions[0], 13 * WEEK) == expressions[0]


def test_a_subquery_without_a_step_gets_one():
    step = timedelta(seconds=15)
    assert with_default_step("rate(x[1h:]) + y[1h : ] + z[1h:5m] + v[5m]", step) == (
        "rate(x[1h:15s]) + y[1h : 15s] + z[1h:5m] + v[5m]"
    )


START = datetime(2024, 2, 28, 23, 50, tzinfo=UTC)
EXPRESSIONS = [
    "time()",
    "vector(time()) - time()",
    "timestamp(x)",
    "timestamp(x offset 3m)",
    "timestamp((x))",
    "timestamp(timestamp(x))",
    "time() - timestamp(x)",
    "x > bool (time() - 1709164800)",
    *(
        f"{name}()"
        for name in ("hour", "minute", "day_of_week", "day_of_month", "day_of_year", "days_in_month", "month")
    ),
    "year() * 100 + month()",
    "hour(timestamp(x))",
    "minute(vector(time() + 90))",
    "minute(x * 100)",
    "x and on () minute() >= 55",
    "sum by (time) (x) * on (time) group_left (hour) sum by (time, hour) (x)",
    "x @ 1709164800",
    "x @ 1709164830.5 offset 1m",
    "x @ start() - x @ end()",
    "rate(c[5m] @ 1709165100)",
    "rate(c[5m])",
    "increase(c[7m] offset 2m)",
    "delta(x[4m] offset -1m)",
    "deriv(x[5m])",
    "predict_linear(x[10m], 3600)",
    *(["holt_winters(x[10m], 0.5, 0.5)"] if PROMETHEUS < (3,) else []),
    "max_over_time((time() - timestamp(x))[5m:30s])",
    "sum_over_time(minute()[10m:1m])",
    "avg_over_time(rate(c[1m])[5m:20s] @ 1709165100)",
    "count_over_time(hour()[1h:7m] offset 5m)",
    "max_over_time(max_over_time((x * on () group_left () minute())[3m:30s])[10m:1m] offset 1m)",
    "absent(y) or absent_over_time(x[1m])",
    "x unless on (time) x offset 15m",
    "scalar(x{time='now'}) + time() % 3600",
    "topk(1, x) / on (time) timestamp(x)",
    'label_replace(x, "hour", "time()", "time", "(.*)") # hour()',
    "histogram_quantile(0.9, b)",
    "changes(x[10m]) + ignoring (time) resets(c[10m])",
]


def the_series(by):
    """Return gauges and counters with gaps, ends and resets, moved in time."""
    start = round((START + by).timestamp() * 1000)

    def at(name, values, **labels):
        samples = [(start + 15_000 * place, float(value)) for place, value in enumerate(values) if value is not None]
        return Series(labels=tuple(sorted({"__name__": name, **labels}.items())), samples=samples)

    yield at("x", [place * place % 17 for place in range(120)], time="now", hour="1")
    yield at("x", [*range(40), STALE, *([None] * 20), *range(30)], time="then", hour="2")
    yield at("c", [place * 3 % 100 for place in range(120)], hour="1")
    for bound, share in (("1", 0.5), ("5", 0.8), ("+Inf", 1)):
        yield at("b", [share * place for place in range(120)], le=bound)


SPANS = [-2800 * WEEK, WEEK, 52 * WEEK]


@pytest.fixture(scope="module")
def prometheus():
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed (Debian: prometheus)")
    with EphemeralPrometheus.start() as server:
        for by in sorted([*SPANS, timedelta(0)]):
            server.write(the_series(by))
        yield server


def answer(server, expr, at):
    """Return what an expression gives, so that equal answers are equal, NaN too."""
    said = server.query(expr, round(at.timestamp() * 1000))
    return sorted((labels, "NaN" if math.isnan(value) else value) for labels, value in said)


@pytest.mark.parametrize("by", SPANS, ids="{0.days} days".format)
@settings(max_examples=25, deadline=None)
@given(seconds=st.integers(0, 40 * 60))
def test_asked_so_much_later_it_gives_the_same(prometheus, by, seconds):
    at = START + timedelta(seconds=seconds)
    for expr in EXPRESSIONS:
        assert answer(prometheus, shifted(expr, by), at + by) == answer(prometheus, expr, at), expr


def test_each_of_these_expressions_says_something(prometheus):
    at = START + timedelta(minutes=8)
    silent = [expr for expr in EXPRESSIONS if not answer(prometheus, expr, at)]
    assert silent == []


@pytest.mark.parametrize("expr", ["time()", "timestamp(x)", "day_of_month()", "year()"])
def test_without_being_moved_it_would_say_something_else(prometheus, expr):
    at, by = START + timedelta(minutes=8), SPANS[0]
    assert answer(prometheus, expr, at + by) != answer(prometheus, expr, at)
