"""What an expression looks like: its bounds, its shares, its comparisons, its labels, its names."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_guard.core import promql
from rollback_guard.core.condition import HOLDS, Operator
from rollback_guard.core.promql import names
from rollback_guard.core.promql.bounds import Bounds, bounds
from rollback_guard.core.promql.shape import (
    comparisons,
    matches_of,
    metric_of,
    nested,
    peel,
    summarised,
    told_apart_by,
)
from rollback_guard.core.promql.share import division, side

INF = math.inf


@pytest.mark.parametrize(
    ("expr", "low", "high"),
    [
        ("x", -INF, INF),
        ("5", 5, 5),
        ("up", 0, 1),
        ("1 - up", 0, 1),
        ("-up", -1, 0),
        ("sum(up)", 0, INF),
        ("avg(up)", 0, 1),
        ("100 * avg(up)", 0, 100),
        ("up / 2", 0, 0.5),
        ("up / -2", -0.5, 0),
        ("up / 0", -INF, INF),
        ("up * 0", -INF, INF),
        ("up + up", 0, 2),
        ("up - up", -1, 1),
        ("up * up", 0, INF),
        ("x_total", 0, INF),
        ("x:y_total", -INF, INF),
        ("x_used_bytes", 0, INF),
        ("jvm_memory_max_bytes", -INF, INF),
        ("rate(x[5m])", 0, INF),
        ("rate(x[5m]) / rate(y[5m])", 0, INF),
        ("rate(x[5m]) / y", -INF, INF),
        ('rate(x{a="b"}[5m]) / rate(x[5m])', 0, 1),
        ('100 * rate(x{a="b"}[5m]) / rate(x[5m])', 0, 100),
        ('rate(x{a="b"}[5m]) / rate(x[1m])', 0, INF),
        ('rate(x{a="b"}[5m]) / rate(x{a="c"}[5m])', 0, INF),
        ('x{a="b"} / x', -INF, INF),
        ("count(x)", 1, INF),
        ("count by (a) (x) - 1", 0, INF),
        ("group(x)", 1, 1),
        ("absent(x)", 1, 1),
        ("count_over_time(x[5m])", 1, INF),
        ("sum_over_time(up[5m])", 0, INF),
        ("sum(-up)", -INF, 0),
        ("max_over_time(up[5m:1m])", 0, 1),
        ("up == 1", 1, 1),
        ("sum(up == 1)", 1, INF),
        ("x > 3", 3, INF),
        ("3 < x", -INF, INF),
        ("up > bool 3", 0, 1),
        ("up or vector(7)", 0, 7),
        ("up and x", 0, 1),
        ("up unless x", 0, 1),
        ("up % 2", -INF, INF),
        ("hour()", 0, 23),
        ("vector(3)", 3, 3),
        ("0/0 * up", -INF, INF),
        ("up * Inf", -INF, INF),
        ("(up)", 0, 1),
        ("quantile(0.9, up)", 0, 1),
        ("quantile(90, up)", INF, INF),
        ("histogram_quantile(0.9, x)", -INF, INF),
        ("histogram_quantile(95, x)", INF, INF),
        ("quantile_over_time(-1, x[5m])", -INF, -INF),
        ("quantile_over_time(scalar(y), x[5m])", -INF, INF),
        ('(rate(x{a="b"}[5m]) or vector(0)) / rate(x[5m])', 0, 1),
        ('rate(x{a="b"}[5m]) / clamp_min(rate(x[5m]), 1)', 0, 1),
        ('(rate(x{a="b"}[5m]) or vector(7)) / rate(x[5m])', 0, INF),
    ],
)
def test_bounds_are_those_of_functions_and_names(expr, low, high):
    assert bounds(promql.parse(expr)) == Bounds(low, high)


finite = st.floats(-1e6, 1e6)


@given(st.tuples(finite, finite).map(sorted), finite, st.sampled_from(list(Operator)), st.floats(0, 1))
def test_never_and_always_agree_with_every_value_within(ends, threshold, operator, where):
    low, high = ends
    within = Bounds(low, high)
    value = min(max(low + (high - low) * where, low), high)
    holds = HOLDS[operator](value, threshold)
    assert not (within.never(operator, threshold) and holds)
    assert not (within.always(operator, threshold) and not holds)


@pytest.mark.parametrize(
    ("expr", "share", "tone", "scale"),
    [
        ('sum(rate(x{code=~"5.."}[5m])) / sum(rate(x[5m]))', True, -1, 1),
        ('sum(rate(x{code!~"5.."}[5m])) / sum(rate(x[5m]))', True, 1, 1),
        ('sum(rate(x{code=~"2.."}[5m])) / sum(rate(x[5m]))', True, 1, 1),
        ('sum(rate(x{status="error"}[5m])) / sum(rate(x[5m]))', True, -1, 1),
        ('sum(rate(x{status!="success"}[5m])) / sum(rate(x[5m]))', True, -1, 1),
        ('sum(rate(x{path="/a"}[5m])) / sum(rate(x[5m]))', True, 0, 1),
        ('rate(x{code=~"5..", a="b"}[5m]) * 100 / rate(x{a="b"}[5m])', True, -1, 100),
        ("rate(errors_total[5m]) / rate(requests_total[5m])", False, -1, 1),
        ("rate(errors_total[5m]) / rate(failures_total[5m])", False, 0, 1),
        ('rate(x{code=~"5.."}[5m]) / rate(x{code=~"2.."}[5m])', False, 0, 1),
        ('x_total{a="b"} / x_total', True, 0, 1),
        ('x{a="b"} / x', False, 0, 1),
    ],
)
def test_a_division_is_known_for_what_it_is(expr, share, tone, scale):
    found = division(promql.parse(expr))
    assert (found.is_share, found.tone, found.scale) == (share, tone, scale)


@pytest.mark.parametrize(
    "expr",
    [
        "x",
        "a * b",
        "rate(a[5m]) / rate(b[1m])",
        "sum by (x) (a) / sum(b)",
        "a / (b + c)",
        "sum without (x) (a) / sum without (x) (b)",
        "a / b offset 5m",
        "-1 * a / b",
        "a / 5",
        "a @ 5 / b @ 5",
    ],
)
def test_what_is_not_treated_alike_is_no_division_of_two_metrics(expr):
    assert division(promql.parse(expr)) is None


def test_a_side_knows_its_metric_its_matchers_and_what_it_keeps():
    found = side(promql.parse('sum by (job) (rate(x{a="b"}[5m]))'))
    assert (found.metric, {match.value for match in found.matches}, found.kept) == ("x", {"b"}, {"job"})


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("x > 5", [("x", ">", 5, True)]),
        ("5 < x", [("x", ">", 5, True)]),
        ("(x) >= (2 * 3)", [("x", ">=", 6, True)]),
        ("x > 1 and y < 2", [("x", ">", 1, False), ("y", "<", 2, False)]),
        ("x > 1 or (y < 2 and z == 3)", [("x", ">", 1, False), ("y", "<", 2, False), ("z", "==", 3, False)]),
        ("x > 1 unless y < 2", [("x", ">", 1, False)]),
        ("x > y", []),
        ("x > bool 1", []),
        ("absent(x)", []),
    ],
)
def test_the_comparisons_of_a_condition(expr, expected):
    found = [(metric_of(it.measured), it.operator, it.threshold, it.alone) for it in comparisons(promql.parse(expr))]
    assert found == expected


@pytest.mark.parametrize(
    ("expr", "sign", "metric"),
    [
        ("x", 1, "x"),
        ("1 - x", -1, "x"),
        ("100 * (1 - x)", -1, "x"),
        ("-x", -1, "x"),
        ("-(1 - x)", 1, "x"),
        ("x * -2", -1, "x"),
        ("x - 1", 1, "x"),
        ("x / -4", -1, "x"),
    ],
)
def test_arithmetic_with_constants_is_peeled_off(expr, sign, metric):
    found, core = peel(promql.parse(expr))
    assert (found, metric_of(core)) == (sign, metric)


def test_what_divides_a_constant_is_left():
    sign, core = peel(promql.parse("1 / x"))
    assert (sign, type(core).__name__) == (1, "BinaryExpr")


def test_averages_and_extremes_are_looked_through():
    tree = promql.parse("max by (a) (avg_over_time(clamp_min(x, 1)[5m:1m]))")
    assert type(summarised(tree)).__name__ == "SubqueryExpr"
    assert metric_of(summarised(promql.parse("max by (a) (avg_over_time(x[5m]))"))) == "x"


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("x", None),
        ("sum(x)", None),
        ("sum by (a, b) (x)", {"a", "b"}),
        ("sum without (a) (x)", None),
        ("100 * sum by (a) (x) > 5", {"a"}),
        ("5 < sum by (a) (x)", {"a"}),
        ("sum by (a) (x) / sum by (a) (y)", {"a"}),
        ("sum by (a) (x) / on (a) group_left (b) y", None),
        ("sum by (a) (x) > 1 and y", {"a"}),
        ("sum by (a) (x) or y", None),
        ("histogram_quantile(0.9, sum by (le, a) (x))", {"le", "a"}),
        ("topk(3, sum by (a) (x))", {"a"}),
        ("abs(-sum by (a) (x))", {"a"}),
        ("rate(x[5m])", None),
    ],
)
def test_the_labels_of_a_result_are_known_where_an_aggregation_says_them(expr, expected):
    aggregation = told_apart_by(promql.parse(expr))
    assert (aggregation and set(aggregation.modifier.labels)) == expected


def test_a_selector_tells_its_name_and_its_matchers():
    selector = promql.parse('{__name__="x", a!="b", c=~"d"}')
    assert metric_of(selector) == "x"
    assert [tuple(match) for match in matches_of(selector)] == [("a", "!=", "b"), ("c", "=~", "d")]
    assert metric_of(promql.parse('{__name__=~"x.*"}')) == ""


def test_each_node_knows_what_is_around_it():
    found = [(type(it.node).__name__, len(it.around)) for it in nested(promql.parse("sum((rate(x[5m]))) > 1"))]
    assert found == [
        ("BinaryExpr", 0),
        ("AggregateExpr", 1),
        ("Call", 2),
        ("MatrixSelector", 3),
        ("VectorSelector", 4),
        ("NumberLiteral", 1),
    ]


@pytest.mark.parametrize(
    ("name", "counter", "gauge", "ratio", "tone"),
    [
        ("http_requests_total", True, False, False, 0),
        ("http_errors_total", True, False, False, -1),
        ("node_memory_total", False, False, False, 0),
        ("job:errors_total", False, False, False, -1),
        ("process_resident_memory_bytes", False, True, False, 0),
        ("up", False, True, False, 0),
        ("app_queue_length", False, True, False, 0),
        ("job:error_ratio:rate5m", False, False, True, -1),
        ("job:availability:ratio", False, False, True, 1),
        ("deployment_replicas_unavailable", False, False, False, 0),
        ("errors_of_successes_total", True, False, False, 0),
        ("minio_cluster_disk_offline_total", False, False, False, 0),
        ("slo:error_budget_remaining:ratio", False, False, True, 0),
    ],
)
def test_names_promise_what_they_promise(name, counter, gauge, ratio, tone):
    found = (names.is_counter(name), names.is_gauge(name), names.is_ratio(name), names.tone(name))
    assert found == (counter, gauge, ratio, tone)


def test_a_range_of_an_offset_is_no_present_one():
    assert side(promql.parse("rate(x[5m] offset 1d)")).done[-1] == ("range", timedelta(minutes=5), timedelta(days=1))
