import subprocess
import sys
import time
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollback_guard.core.promql import (
    ProblemId,
    PromqlError,
    filters,
    find_problems,
    has_condition,
    longest_range,
    parse,
    selectors,
    uses_bool_at_top,
    value_type,
)

HOSTILE = {
    "10,000 nested parentheses": "(" * 10_000 + "a" + ")" * 10_000,
    "101 nested parentheses": "(" * 101 + "a" + ")" * 101,
    "101 nested calls": "abs(" * 101 + "a" + ")" * 101,
    "a sum of 5,000 operands": "+".join(["a"] * 5_000),
    "a sum of 302 operands": "+".join(["a"] * 302),
    "302 sets": " or ".join(["a"] * 302),
    "8 KiB of unary minus": "-" * 8_191 + "a",
    "50 MB": "a" * 50_000_000,
    "many bytes in few characters": 'a{b="' + "ü" * 4_096 + '"}',
    "a pattern of repetitions of repetitions": 'a{b=~"(x{1000}){1000}"}',
    "many patterns that compile slowly": " + ".join([r'a{b=~"\\w{30}"}'] * 200),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_is_refused_at_once(text):
    started = time.perf_counter()
    with pytest.raises(PromqlError) as caught:
        parse(text)
    assert caught.value.too_complex
    assert time.perf_counter() - started < 1
    assert [problem.id for problem in find_problems(text)] == [ProblemId.TOO_COMPLEX]


BROKEN_AND_LONG = {
    "names without operators": "a " * 4_000,
    "open brackets": "[" * 99,
    "closing braces": "}" * 8_000,
    "a trailing error": "+".join(["a"] * 300) + " )",
    "an error after slow patterns": " + ".join([r'a{b=~"\\w{30}"}'] * 30) + " b",
    "quotes": "'" * 8_001,
    "commas": "sum(" + "," * 8_000 + ")",
    "colons": "a[" + ":" * 8_000 + "]",
    "a digit": "1" * 8_000 + "x y",
    "backslashes": 'a{b="' + "\\" * 8_001 + '"}',
}


@pytest.mark.parametrize("text", BROKEN_AND_LONG.values(), ids=BROKEN_AND_LONG.keys())
def test_looking_for_the_place_of_an_error_takes_no_time_either(text):
    started = time.perf_counter()
    with pytest.raises(PromqlError):
        parse(text)
    assert time.perf_counter() - started < 2


def test_what_is_just_within_the_limits_is_parsed():
    for text in ("(" * 100 + "a" + ")" * 100, "+".join(["a"] * 301), "-" * 300 + "a", "a{b=~`(x|y){50}`}"):
        tree = parse(text)
        assert value_type(tree) == "vector"
        assert not has_condition(tree)
        assert selectors(tree)


def test_no_text_of_the_limits_ends_a_fresh_interpreter():
    code = (
        "from rollback_guard.core.promql import find_problems\n"
        "for unit, close in (('(', ')'), ('abs(', ')'), ('-', ''), ('a+', ''), ('sum(', ')'), ('a or ', ''), "
        "('max_over_time((', ')[5m:])'), ('a^', ''), ('(a+', ')')):\n"
        "    for times in (90, 100, 101, 299, 300, 301, 1000, 10000):\n"
        "        find_problems(unit * times + 'a' + close * times + ' > 1')\n"
        "print('alive')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr


@settings(deadline=None, max_examples=300)
@given(
    st.one_of(
        st.text(max_size=60),
        st.lists(
            st.sampled_from(
                ["a", "b", " ", "(", ")", "[5m]", "[5m:1m]", "{", "}", 'x="y"', "=~", "sum", " by ", "rate(", "1", "-", "/",
                 " > ", "==", " and ", " offset ", " @ ", "5m", "bool ", "on(x)", '"', "'", "`", "\\", "#", "\n", ",", "absent(",
                 "topk(3,", "\x00", "ü", "group_left ", "-5", "1e999", "0x", ":"]
            ),
            max_size=25,
        ).map("".join),
    )
)  # fmt: skip
def test_any_text_is_either_parsed_or_refused_with_a_place_inside_of_it(text):
    for problem in find_problems(text):
        assert problem.message
        assert problem.hint
        assert problem.offset is None or 0 <= problem.offset <= len(text)


@pytest.mark.parametrize(
    ("text", "at", "message"),
    [
        ("a >", 3, "ends too early"),
        ("> a", 0, 'unexpected ">"'),
        ("a b", 2, 'unexpected "b"'),
        ("a > 5 && b < 3", 6, 'unexpected character "&"'),
        ("a = 1", 2, "written =="),
        ("a => 1", 2, "written =="),
        ("sum by a", 7, 'unexpected "a"'),
        ("sum(rate(a[5m]) / b", 3, "never closed"),
        ("rate(a[5m) > 1", 9, 'closed by ")"'),
        ("a) > 1", 1, "never opened"),
        ("a{x=y}", 4, "expected string"),
        ('a{x="y}', 4, "never closed"),
        ("a[5x]", 2, "bad number or duration"),
        ('a{x=~"("}', 5, "illegal regex"),
        ("foo(a) > 1", 0, "unknown function"),
        ("rate(a) > 1", 0, "expected type matrix"),
        ("a > 1 for 5m", 6, 'unexpected "for"'),
        ("sum(a) by (x) > 5 5", 18, 'unexpected "5"'),
        ("a\n  > > 1", 6, 'unexpected ">"'),
        ("1 > 2", None, "two scalars are compared"),
        ("", None, "empty"),
        ("# only a comment", None, "empty"),
        ('a{x="\ud800"} > 1', 5, "U+D800"),
        ("rate(a[300y]) > 1", None, "292 years"),
    ],
)
def test_a_syntax_error_has_its_place(text, at, message):
    with pytest.raises(PromqlError) as caught:
        parse(text)
    assert message in caught.value.message
    assert caught.value.offset == at
    assert not caught.value.too_complex


def test_raw_text_in_backticks_keeps_its_backslashes():
    assert selectors(parse(r"a{x=~`b\d+\.`}")) == (r'a{x=~"b\\d+\\."}',)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", "scalar"), ("-1 ^ 2", "scalar"), ("time()", "scalar"), ("scalar(a)", "scalar"), ("(1 > bool 2)", "scalar"),
        ("pi() * 2", "scalar"), ('"x"', "string"), ("(a[5m])", "matrix"), ("a[5m:1m]", "matrix"), ("a", "vector"),
        ("-a", "vector"), ("1 + a", "vector"), ("vector(1)", "vector"), ("sum(a)", "vector"), ("a > bool 1", "vector"),
        ("rate(a[5m])", "vector"), ("minute()", "vector"),
    ],
)  # fmt: skip
def test_every_expression_has_a_type(text, expected):
    assert value_type(parse(text)) == expected


@pytest.mark.parametrize(
    "text",
    ["a > 1", "1 < a", "a == b", "a and b", "a or b", "a unless b", "absent(a)", "sum(absent_over_time(a[5m]))",
     "count(up == 0)", "sum_over_time((a > 1)[5m:1m])", "-(a > 1)", "topk(3, a != 0)", "(a > bool 1) * (b < 1)"],
)  # fmt: skip
def test_a_filter_anywhere_is_a_condition(text):
    assert has_condition(parse(text))


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "vector(1)",
        "a / b",
        "a > bool 1",
        "topk(3, a)",
        "a * scalar(b > 1)",
        "a * scalar(absent(b))",
        "rate(a[5m])",
    ],
)
def test_without_a_filter_there_is_no_condition(text):
    assert not has_condition(parse(text))


@pytest.mark.parametrize("text", ["topk(3, a)", "bottomk(1, a)", "limitk(1, a)", "a and b", "a unless b", "absent(a)",
                                  "absent_over_time(a[1m])", "count(a == 0)", "a * scalar(b > 1)"])  # fmt: skip
def test_what_leaves_series_out_filters(text):
    assert filters(parse(text))


@pytest.mark.parametrize("text", ["a", "a or b", "a > bool 1", "sum(a) / sum(b)", "quantile(0.9, a)"])
def test_what_keeps_every_series_does_not_filter(text):
    assert not filters(parse(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a > bool 1", True), ("((a == bool b))", True), ("a > 1", False), ("sum(a > bool 1) > 1", False),
     ("(a > bool 1) or b", True), ("a and (b > bool 1)", False), ("a", False)],
)  # fmt: skip
def test_bool_is_seen_at_the_top_only(text, expected):
    assert uses_bool_at_top(parse(text)) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", ("a",)),
        ("a{} + a", ("a",)),
        ('rate(a{x="1"}[5m]) / b{y!~"2"} > c', ('a{x="1"}', 'b{y!~"2"}', "c")),
        ("a offset 5m + b", ("b",)),
        ("a @ 100 + a @ start() + a @ -5", ()),
        ("a offset -5m", ()),
        ("rate(a[5m] offset 1d)", ()),
        ("max_over_time(rate(a[1m])[1h:] offset 1d) + rate(b[1m])", ("b",)),
        ('{__name__=~"a.+", job="x"}', ()),  # timestamp() of it may be two series with the same labels
        ('{__name__="a", job="x"} or {job="x"}', ('{__name__="a",job="x"}',)),
        ("a == 0 or absent(a)", ()),
        ('a{x="1"} == 0 or absent(a) or absent_over_time(b[5m])', ('a{x="1"}',)),
        ('{"a.b", x="ü"}', ('{__name__="a.b",x="ü"}',)),
        ("vector(1)", ()),
        ("label_replace(a, 'x', '$1', 'y', '(.*)') * scalar(b)", ("a", "b")),
        ("topk(scalar(k), a)", ("k", "a")),
    ],
)
def test_selectors_that_read_the_present_are_listed_once(text, expected):
    assert selectors(parse(text)) == expected


def test_a_long_selector_stays_on_one_line():
    matchers = ",".join(f'label_{number}="a  b {number}"' for number in range(10, 40))
    assert selectors(parse(f"a{{{matchers}}}")) == (f"a{{{matchers}}}",)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("a", 0), ("rate(a[5m])", 5), ("rate(a[5m]) / rate(b[1h])", 60), ("max_over_time(rate(a[5m])[1h:1m])", 65),
     ("max_over_time(avg_over_time(rate(a[1m])[2m:])[3m:]) + rate(b[5m])", 6), ("a offset 1h", 0)],
)  # fmt: skip
def test_nested_ranges_add_up(text, minutes):
    assert longest_range(parse(text)) == timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("a > 1", []),
        ("a and b", []),
        ("absent(a)", []),
        ("vector(1) > 0", []),
        ("a >", ["promql-syntax"]),
        ("5", ["promql-type"]),
        ('"abc"', ["promql-type"]),
        ("a[5m]", ["promql-type"]),
        ("a > bool 1", ["promql-bool"]),
        ("1 > bool 2", ["promql-type", "promql-bool"]),
        ("a", ["promql-no-condition"]),
        ("vector(0)", ["promql-no-condition"]),
        ("(" * 101 + "a" + ")" * 101, ["promql-too-complex"]),
    ],
)
def test_every_problem_of_an_alerting_expression_is_found(text, ids):
    assert [problem.id for problem in find_problems(text)] == ids


def test_promtool_accepts_what_is_refused_only_for_acting(tmp_path):
    refused = ["5", '"abc"', "a[5m]", "a > bool 1", "a", "vector(0)"]
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "groups: [{name: g, rules: ["
        + ", ".join(f"{{alert: A{n}, expr: {e!r}}}" for n, e in enumerate(refused))
        + "]}]"
    )
    done = subprocess.run(["promtool", "check", "rules", rules], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(find_problems(text) for text in refused)
