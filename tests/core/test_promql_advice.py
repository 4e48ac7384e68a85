"""What is said about expressions that are not PromQL: what to write, made of what was written."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_guard.core.promql import find_problems
from rollback_guard.core.promql.advice import AGGREGATIONS, FUNCTIONS, OTHERWISE


@pytest.mark.parametrize(
    ("marked", "hint"),
    [
        ("sum by ^job (rate(x[5m])) > 1", "labels stand in parentheses: `by (job)`"),
        ("sum(rate(x[5m])) without ^pod > 1", "labels stand in parentheses: `without (pod)`"),
        ("sum(x) by ^> 1", "labels stand in parentheses: `by (…)`"),
        ("a / on ^and b", "labels stand in parentheses: `on (…)`"),
        ('^rate("x") > 1', "give `rate` the range of a metric, `…[5m]`, there"),
        ("a / on ^job b > 1", "labels stand in parentheses: `on (job)`"),
        ("sum by (job) ^rate(x[5m]) > 1", "what is aggregated stands in parentheses: `sum by (job) (…)`"),
        ("rate ^x[5m] > 1", "what it is of stands in parentheses: `rate(…)`"),
        ("^rate(x) > 1", "`rate` looks at a span of time: write `rate(x[5m])`"),
        (
            'sum(^increase(x{job="a", code=~"5.."})) > 1',
            '`increase` looks at a span of time: write `increase(x{job="a", code=~"5.."}[5m])`',
        ),
        ("^rate(sum(x)) > 1", "`rate` looks at a span of time, which stands behind a metric: `rate(…[5m])`"),
        ("^histogram_quantil(0.9, x) > 1", "did you mean `histogram_quantile`?"),
        ("^rates(x[5m]) > 1", "did you mean `rate`?"),
        ("^Sum_over_tme(x[5m]) > 1", "did you mean `sum_over_time`?"),
        ("^zzzzzz(x) > 1", "Prometheus has no function of that name"),
        ("^histogram_quantile(x, 0.9) > 1", "the number comes first: `histogram_quantile(0.95, …)`"),
        ("x ^= 1", "write `==`"),
        ("x ^=> 1", "write `>=`"),
        ("x <^> 1", "write `!=`"),
        ("a ^&& b", "write `and`"),
        ("a ^|| b", "write `or`"),
        ('x{a^~="b"} > 1', "a pattern is matched by `=~`, and left out by `!~`"),
        ("x > 5%^", "`%` is the remainder of a division: of a ratio, 5% is written `0.05`"),
        ("x{job=^checkout} > 1", 'write it in quotes: `"checkout"`'),
        ("sum^(x > 1", "close it by a `)`"),
        ("x{a=^'b} > 1", "close the quotes on the same line"),
    ],
)
def test_a_usual_mistake_is_told_how_it_is_written(marked, hint):
    before, _, behind = marked.partition("^")
    (found,) = find_problems(before + behind)
    assert (found.offset, found.hint) == (len(before), hint)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("rate(sum(x)[5m]) > 1", "`sum(rate(…[5m]))`"),
        ("topk(x) > 1", "`topk(3, …)`"),
        ("quantile(x, 0.9) > 1", "the number comes first: `quantile(0.95, …)`"),
        ("topk by (job) (sum by (job) (x), 3) > 1", "the number comes first: `topk(3, …)`"),
        ('count_values(x, "a") > 1', 'the label comes first: `count_values("version", …)`'),
        ("topk(3, x) > sum(5)", OTHERWISE),
        ("sum(x, y) > 1", "`sum by (job) (…)`"),
        ('x > "5"', "a number has no quotes"),
        ("x[5m] > 1", "`rate(…[5m])`"),
        ("abs() > 1", "that many"),
        ("x[5min] > 1", "`5m`"),
        ("x >", "missing at its end"),
        ("", "such as `up == 0`"),
        ('x{a="b"}[1h]', '`rate(x{a="b"}[1h])`'),
        ("rate(x[5m])[1h:1m]", "`max_over_time(rate(x[5m])[1h:1m])`"),
    ],
)
def test_what_has_no_place_has_advice_all_the_same(text, part):
    assert part in find_problems(text)[0].hint


def test_what_nobody_expected_is_left_to_prometheus():
    assert [it.hint for it in find_problems("x > > 1")] == [OTHERWISE]


@given(st.text(alphabet="ab(){}[],=~!<>&|%'\" 5mby.", max_size=30))
def test_no_text_keeps_advice_from_being_given(text):
    assert all(problem.hint for problem in find_problems(text))


@pytest.mark.parametrize("name", sorted(AGGREGATIONS - {"limitk", "limit_ratio"}))
def test_every_aggregation_is_known_to_prometheus(name, tmp_path):
    first = "3, " if name in {"topk", "bottomk", "quantile"} else '"a", ' if name == "count_values" else ""
    rules = tmp_path / "rules.yaml"
    rules.write_text(f"groups: [{{name: g, rules: [{{alert: A, expr: '{name}({first}x) > 1'}}]}}]")
    done = subprocess.run(["promtool", "check", "rules", rules], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not find_problems(f"{name}({first}x) > 1")


def test_every_function_that_is_proposed_is_one_for_the_parser():
    newer = {"info", "limitk", "limit_ratio", "double_exponential_smoothing", "holt_winters"}
    unknown = {
        name
        for name in FUNCTIONS
        if any("unknown function" in problem.message for problem in find_problems(f"{name}() > 1"))
    }
    assert unknown <= newer
