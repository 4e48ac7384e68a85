"""promtool's notation of series: read as promtool reads it, asked of promtool itself, and what we add to it."""

import json
import math
import shutil
import struct
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollback_guard.core.notation import (
    MAX_VALUES,
    STALE,
    NotationError,
    cured,
    expand,
    is_stale,
    parse_series,
    parse_values,
)

PROMTOOL = shutil.which("promtool")
with_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian: prometheus)")
STEP_M = 10
"""Longer than the lookback of five minutes, so that each sample is seen at its own step only."""


def shown(values):
    """Write values so that equal ones are equal, NaN and the stale marker too."""
    return ["stale" if value is not None and is_stale(value) else str(value) for value in values]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", []),
        ("  \n", []),
        ("1", [1]),
        ("+1 -1 .5 5. 1e3 1E-1", [1, -1, 0.5, 5, 1000, 0.1]),
        ("NaN nan Inf +inf -INF", [math.nan, math.nan, math.inf, math.inf, -math.inf]),
        ("0+5x3", [0, 5, 10, 15]),
        ("1-2x2", [1, -1, -3]),
        ("-1-.5x1", [-1, -1.5]),
        ("7x2 8x0", [7, 7, 7, 8]),
        ("_ 1 _x3 2 _x0", [None, 1, None, None, None, 2]),
        ("1 stale\t2", [1, STALE, 2]),
        ("0+1x2   10-5x1\n3", [0, 1, 2, 10, 5, 3]),
        ("010 09 0x2", [8, 9, 0, 0, 0]),
        ("Inf-5x1", [math.inf, math.inf]),
        ("stale+0x1", [STALE, math.nan]),
    ],
)
def test_the_shorthand_is_written_out(text, values):
    assert shown(expand(text)) == shown([None if value is None else float(value) for value in values])


def test_the_stale_marker_has_prometheus_bits():
    assert struct.pack(">d", STALE).hex() == "7ff0000000000002"
    assert is_stale(STALE)
    assert not is_stale(math.nan)
    assert not is_stale(1.0)


def test_a_sum_has_the_rounding_errors_of_promtool():
    assert expand("0+0.1x3")[-1] == 0.1 + 0.1 + 0.1 != 0.3


@pytest.mark.parametrize(
    ("text", "offset", "says"),
    [
        ("1 foo", 2, "expected a number, axN, a+bxN, a-bxN, _, _xN or stale"),
        ("x3", 0, "expected a number"),
        ("-stale", 0, "expected a number"),
        ("1+2", 3, "expected x and how often the step is made, as in 0+5x20"),
        ("1x", 2, "expected a whole number after x"),
        ("0 1x2.5", 4, "expected a whole number after x"),
        ("1x-3", 2, "expected a whole number after x"),
        ("1 x3", 2, "expected a number"),
        ("1--2x3", 1, "expected a blank"),
        ("1_", 1, "expected a blank"),
        ("_+1x3", 0, "missing samples have no value to add to: write _xN"),
        ("Infx3", 0, "Inf can not be followed by x: write Inf+0xN"),
        ("-NaNx3", 0, "NaN can not be followed by x: write -NaN+0xN"),
        ("stalex3", 0, "stale can not be followed by x: write stale once for each sample"),
        ("1e999", 0, "the number is too large"),
        ("9" * 500, 0, "the number is too large"),
        ("{{schema:0 sum:5 count:4 buckets:[1 2 1]}}", 0, "native histograms, promtool 3's {{...}}, are not played"),
        ("0+1x3 last", 6, "last is known only in cured"),
        ("1 1x1000000", 2, "one series may have 1,000,000 values"),
        ("_x99999999999999999999999", 0, "one series may have 1,000,000 values"),
    ],
)
def test_what_is_no_notation_is_refused_with_its_place(text, offset, says):
    with pytest.raises(NotationError) as refusal:
        expand(text)
    assert says in refusal.value.message
    assert refusal.value.offset == offset


def test_a_series_may_have_a_million_values_and_not_one_more():
    assert sum(item.count for item in parse_values("0x999998 1")) == MAX_VALUES
    with pytest.raises(NotationError):
        parse_values("0x999998 1 2")


@pytest.mark.parametrize(
    ("text", "last", "count", "values"),
    [
        ("last+0x1", 100, 5, [100] * 5),
        ("last", 100, 3, [100] * 3),
        ("last-5x1", 100, 4, [100, 95, 90, 85]),
        ("lastx1 0", 7, 5, [7, 7, 0, 0, 0]),
        ("1 2 3", 7, 2, [1, 2]),
        ("0+1x1", 7, 4, [0, 1, 2, 3]),
        ("5 _", 7, 4, [5, None, None, None]),
        ("5 stale", 7, 4, [5, STALE, None, None]),
        ("stale", 7, 1, [STALE]),
        ("_x0", 7, 2, [None, None]),
        ("0 last", 7, 0, []),
    ],
)
def test_a_cured_series_goes_on_from_its_last_value_for_as_long_as_is_asked(text, last, count, values):
    assert shown(cured(text, last, count)) == shown([None if value is None else float(value) for value in values])


@pytest.mark.parametrize(
    ("text", "last", "offset", "says"),
    [
        ("", 1.0, 0, "expected a value, such as last+0x1"),
        ("0 last", None, 2, "last stands for nothing"),
        ("last+1", 1.0, 6, "expected x and how often"),
        ("latest", 1.0, 0, "or stale, with last for a"),
        ("-last", 1.0, 0, "expected a number"),
        ("lastx", 1.0, 5, "expected a whole number after x"),
    ],
)
def test_what_can_not_go_on_is_refused_with_its_place(text, last, offset, says):
    with pytest.raises(NotationError) as refusal:
        cured(text, last, 3)
    assert says in refusal.value.message
    assert refusal.value.offset == offset


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("up", {"__name__": "up"}),
        (":job:up:sum5m", {"__name__": ":job:up:sum5m"}),
        ("up{}", {"__name__": "up"}),
        ('up{job="api", code="500",}', {"__name__": "up", "job": "api", "code": "500"}),
        ("sum{by='a'}", {"__name__": "sum", "by": "a"}),
        ('{__name__="up"}', {"__name__": "up"}),
        ('{job="api"}', {"job": "api"}),
        ('up{job=""}', {"__name__": "up"}),
        ('up{path="a\\"b\\\\c\\n\\x41\\101\\u00e4"}', {"__name__": "up", "path": 'a"b\\c\nAAä'}),
        ("up{path=`a\\n`, q='\\''}", {"__name__": "up", "path": "a\\n", "q": "'"}),
        ('up{a="}, x=\\"1"} # and a comment', {"__name__": "up", "a": '}, x="1'}),
        ('{"http.requests", "service.name"="api"}', {"__name__": "http.requests", "service.name": "api"}),
    ],
)
def test_a_series_is_its_labels(text, labels):
    assert parse_series(text) == tuple(sorted(labels.items()))


@pytest.mark.parametrize(
    ("text", "offset", "says"),
    [
        ("", 0, "neither a name nor a label"),
        ("{}", 0, "neither a name nor a label"),
        ("5", 0, 'expected a series such as up{job="api"}'),
        ("up offset 5m", 3, "expected a series"),
        ("up{} 1", 5, "expected the end"),
        ("up{", 2, "brace is never closed"),
        ('up{a="b}', 5, "quoted text is never closed"),
        ('up{a=~"b"}', 4, "expected =: a series has its labels exactly"),
        ("up{a}", 4, "expected = and the label's value in quotes"),
        ("up{a=}", 5, "expected the label's value in quotes"),
        ("up{a=5}", 5, "expected the label's value in quotes"),
        ('up{a:b="c"}', 3, "expected the name of a label"),
        ('up{,a="b"}', 3, "expected the name of a label"),
        ('up{a="b" c="d"}', 9, "expected a comma"),
        ('up{a="1",a="2"}', 9, 'the label "a" is given twice'),
        ('up{__name__="down"}', 3, "the series is named twice"),
        ('up{a="\\xff"}', 5, "UTF-8"),
        ('up{a="\\q"}', 6, "unknown escape \\q"),
        ('up{a="\\\'"}', 6, "unknown escape \\'"),
        ('up{a="\\ud800"}', 6, "unknown escape \\ud800"),
    ],
)
def test_what_is_no_series_is_refused_with_its_place(text, offset, says):
    with pytest.raises(NotationError) as refusal:
        parse_series(text)
    assert says in refusal.value.message
    assert refusal.value.offset == offset


def a_test(series, values, expected):
    """Return a test file that asks for every sample of a series, by three queries that tell all values apart."""
    checks = []
    for place in range(len(expected) + 1):
        value = expected[place] if place < len(expected) else None
        there = value is not None and not is_stale(value)
        number = [value] if there and not math.isnan(value) else []
        for expr, found in (("sum(x == x)", number), ("count(x)", [1.0] * there)):
            samples = [{"labels": "{}", "value": each} for each in found]
            checks.append({"expr": expr, "eval_time": f"{place * STEP_M}m", "exp_samples": samples})
    case = {"interval": f"{STEP_M}m", "input_series": [{"series": series, "values": values}]}
    return {"evaluation_interval": f"{STEP_M}m", "tests": [{**case, "promql_expr_test": checks}]}


def promtool(tmp_path, document):
    file = tmp_path / "test.yaml"
    file.write_text(json.dumps(document).replace("Infinity", ".inf"))  # the flow style of YAML is JSON but for this
    return subprocess.run([PROMTOOL, "test", "rules", file], capture_output=True, text=True, timeout=60)


NUMBERS = st.one_of(
    st.sampled_from(["0", "1", "010", "09", "5.", ".5", "1e3", "2E-3", "1e300", "0.1", "1e+2", "9007199254740993"]),
    st.floats(min_value=0, allow_nan=False, allow_infinity=False).map(repr),
)
WORDS = st.sampled_from(["NaN", "nan", "Inf", "INF"])
SIGNS = st.sampled_from(["+", "-"])
STARTS = st.builds(lambda sign, number: sign + number, st.sampled_from(["", "+", "-"]), st.one_of(NUMBERS, WORDS))
TIMES = st.integers(0, 4).map(str)
PIECES = st.one_of(
    st.just("_"),
    st.just("stale"),
    TIMES.map(lambda times: f"_x{times}"),
    STARTS,
    st.builds(lambda number, times: f"{number}x{times}", NUMBERS, TIMES),
    st.builds(
        lambda start, sign, step, times: f"{start}{sign}{step}x{times}",
        st.one_of(STARTS, st.just("stale")),
        SIGNS,
        NUMBERS,
        TIMES,
    ),
)
TEXTS = st.lists(PIECES, min_size=1, max_size=8).map(" ".join)
ONLY_FEW = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@with_promtool
@ONLY_FEW
@given(text=TEXTS)
def test_promtool_sees_the_same_samples_at_every_step(tmp_path, text):
    done = promtool(tmp_path, a_test("x", text, expand(text)))
    assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"


@with_promtool
@pytest.mark.parametrize(
    ("text", "wrong"),
    [("1", [2.0]), ("1", [None]), ("_", [1.0]), ("NaN", [1.0]), ("stale", [math.nan]), ("1x1", [1.0])],
)
def test_that_comparison_notices_a_difference(tmp_path, text, wrong):
    assert promtool(tmp_path, a_test("x", text, wrong)).returncode == 1


SCRAPS = st.lists(st.sampled_from([*"1x_+-. ", "stale", "Inf", "e", "0", "2"]), min_size=1, max_size=6).map("".join)


@with_promtool
@ONLY_FEW
@given(text=SCRAPS)
def test_promtool_refuses_what_is_refused_here_and_nothing_else(tmp_path, text):
    document = a_test("x", text, [])
    document["tests"][0]["promql_expr_test"] = []
    try:
        expand(text)
        fine = True
    except NotationError:
        fine = False
    done = promtool(tmp_path, document)
    assert (done.returncode == 0) == fine, f"{text!r}: {done.stdout}{done.stderr}"


@with_promtool
@pytest.mark.parametrize(
    "text", ["a:b", 'a{b="c",}', '{__name__="a", b="\\u00e4\\x41\\"\\n"}', "a{b='`'}", "a{b=`'\\n`}", 'sum{by="x"}']
)
def test_promtool_sees_the_same_series(tmp_path, text):
    labels = dict(parse_series(text))
    name = labels.pop("__name__")
    shown_labels = ",".join(f"{label}={json.dumps(value, ensure_ascii=False)}" for label, value in labels.items())
    document = a_test(text, "1", [])
    document["tests"][0]["promql_expr_test"] = [
        {
            "expr": '{__name__=~".+"}',
            "eval_time": "0m",
            "exp_samples": [{"labels": f'{{__name__="{name}",{shown_labels}}}', "value": 1}],
        }
    ]
    done = promtool(tmp_path, document)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
