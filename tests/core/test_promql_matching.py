"""What is divided by itself, what is a quantity of what, and how parts are written out again."""

from __future__ import annotations

import json
import subprocess
from datetime import timedelta

import pytest

from rollback_guard.core.promql import names, parse, walk
from rollback_guard.core.promql.matching import divided_by_itself
from rollback_guard.core.promql.quantity import Ratio, cores, is_many_bytes, ratio
from rollback_guard.core.promql.written import ELLIPSIS, grouping, with_range, written


@pytest.mark.parametrize(
    ("expr", "labels"),
    [
        ('x{a="1"} / x', ("a",)),
        ('x{a="1", b="2"} / x', ("a", "b")),
        ('x{a="1", b="2"} / x{b="2"}', ("a",)),
        ('sum by (a) (x{a="1"}) / sum by (a) (x)', ("a",)),
        ('sum by (b) (x{a="1"}) / sum by (b) (x)', None),
        ('sum by (a) (x{a="1", b="2"}) / sum by (a) (x)', None),
        ('sum(x{a="1"}) / sum(x)', None),
        ('sum without (b) (x{a="1"}) / sum without (b) (x)', ("a",)),
        ('sum without (a) (x{a="1"}) / sum without (a) (x)', None),
        ('sum by (a) (max by (a, b) (x{a="1"})) / sum by (a) (max by (a, b) (x))', ("a",)),
        ('sum by (a) (max by (b) (x{a="1"})) / sum by (a) (max by (b) (x))', None),
        ('x{a="1"} / on (a) x', ("a",)),
        ('x{a="1"} / on (b) x', None),
        ('x{a="1"} / ignoring (a) x', None),
        ('x{a="1"} / ignoring (b) x', ("a",)),
        ('x{a="1"} / x{a!=""}', ("a",)),
        ('x{a="1"} / x{a="2"}', None),
        ('x{a="1"} / x{b="2"}', None),
        ('x{a="1"} / y', None),
        ('x{a="1"} / x offset 1d', None),
        ('rate(x{a="1"}[1m]) / rate(x[5m])', None),
        ('rate(x{a="1"}[1m]) / increase(x[1m])', None),
        ('x{a="1"} / x @ 5', None),
        ('x{a="1"} - x', None),
        ('{a="1"} / {b="1"}', None),
        ("x / x", None),
    ],
)
def test_what_is_divided_by_itself_is_recognised(expr, labels):
    found = divided_by_itself(parse(expr))
    assert (found and found.labels) == labels


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("job:error_ratio:rate5m", Ratio(scale=1, tone=-1)),
        ("100 * job:error_ratio:rate5m", Ratio(scale=100, tone=-1)),
        ("1 - job:availability:ratio", Ratio(scale=1, tone=-1)),
        ("job:error_percent:rate5m", Ratio(scale=100, tone=-1)),
        ("used_bytes / size_bytes", Ratio(scale=1, tone=0, is_filling=True)),
        ("x_used_bytes * 100 / x_size_bytes", Ratio(scale=100, tone=0, is_filling=True)),
        ("(x_free_bytes / x_total_bytes) * 100", Ratio(scale=100, tone=0, is_filling=True)),
        ("sum(x_used_bytes) / max(x_limit_bytes)", None),
        ("x_used_bytes / x_limit_seconds", None),
        ("x_used_bytes / y", None),
        ("x_bytes / x_limit_bytes", None),
        ("x * y", None),
        ("5 - x_used_bytes / x_limit_bytes", None),
        ("x", None),
    ],
)
def test_ratios_are_known_with_their_scale(expr, expected):
    assert ratio(parse(expr)) == expected


def test_bytes_of_memory_and_seconds_of_cores_are_known():
    assert is_many_bytes(parse("max(sum by (pod) (container_memory_working_set_bytes))"))
    assert not is_many_bytes(parse("request_size_bytes"))
    assert not is_many_bytes(parse("rate(process_resident_memory_bytes[5m])"))
    found = cores(parse("avg(rate(node_cpu_seconds_total[5m]))"))
    assert found is not None
    assert found.is_one
    assert cores(parse("sum(rate(process_cpu_seconds_total[5m]))")) is None
    assert cores(parse("increase(process_cpu_seconds_total[5m])")) is None


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [
        ("node_memory_MemAvailable_bytes", "node_memory_MemTotal_bytes", True),
        ("kubelet_volume_stats_available_bytes", "kubelet_volume_stats_capacity_bytes", True),
        ("node_filesystem_files_free", "node_filesystem_files", True),
        ("requests_used_total", "requests_limit_total", False),
        ("node_memory_Committed_AS_bytes", "node_memory_CommitLimit_bytes", False),
        ("memory_used_bytes", "memory_free_bytes", False),
        ("memory_used_bytes", "max_connections", False),
    ],
)
def test_a_part_is_one_only_of_a_whole_in_its_unit(part, whole, expected):
    assert names.is_part_of(part, whole) is expected


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ('sum  by(le)( rate(x{a="b",c=~"d"}[5m]) )', 'sum by (le) (rate(x{a="b", c=~"d"}[5m]))'),
        ("(x)", "x"),
        ("sum(rate(x[5m])) / on (b) group_left (c) y", "sum(rate(x[5m])) / on (b) group_left (c) y"),
        (
            f"sum(rate({'x' * 60}[5m])) / sum(rate({'y' * 60}[5m]))",
            f"sum(rate({'x' * 60}[5m])) / sum(rate({'y' * 60}[5m]))",
        ),
        ("x" * 200, ELLIPSIS),
    ],
)
def test_a_part_is_written_on_one_line(expr, expected):
    assert written(parse(expr)) == expected


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("x", "x[5m]"),
        ('x{a="}"} offset 1h', 'x{a="}"}[5m] offset 1h'),
        ('{__name__="x", a="b"}', '{__name__="x", a="b"}[5m]'),
        ("x" * 200, "…[5m]"),
    ],
)
def test_a_selector_gets_its_range_where_it_belongs(expr, expected):
    assert with_range(parse(expr), timedelta(minutes=5)) == expected
    assert with_range(parse(expr), None) == expected
    if ELLIPSIS not in expected:
        assert next(walk(parse(f"rate({expected})"))) is not None


@pytest.mark.parametrize(
    ("expr", "more", "expected"),
    [
        ("sum(x)", {"add": ("le",)}, "sum by (le)"),
        ("sum by (a, b) (x)", {"drop": ("a",)}, "sum by (b)"),
        ("sum by (a) (x)", {"drop": ("a",)}, "sum"),
        ("sum without (le) (x)", {"add": ("le",)}, "sum without ()"),
        ("sum without (a) (x)", {"drop": ("b",)}, "sum without (a, b)"),
        ("max by (a) (x)", {}, "max by (a)"),
    ],
)
def test_labels_are_added_and_dropped_whichever_way_they_are_named(expr, more, expected):
    assert grouping(parse(expr), **more) == expected


def test_prometheus_itself_divides_such_series_by_themselves(tmp_path):
    expected = {'x{a="1"} / x': 1, 'sum by (a) (x{a="1"}) / sum by (a) (x)': 1, 'sum(x{a="1"}) / sum(x)': 0.25}
    samples = {
        text: [{"labels": '{a="1"}' if value == 1 else "{}", "value": value}] for text, value in expected.items()
    }
    test = {
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": 'x{a="1"}', "values": "1"}, {"series": 'x{a="2"}', "values": "3"}],
                "promql_expr_test": [
                    {"expr": text, "eval_time": "0m", "exp_samples": each} for text, each in samples.items()
                ],
            }
        ]
    }
    (tmp_path / "test.yaml").write_text(json.dumps(test))
    done = subprocess.run(["promtool", "test", "rules", tmp_path / "test.yaml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [divided_by_itself(parse(text)) is not None for text in expected] == [True, True, False]
