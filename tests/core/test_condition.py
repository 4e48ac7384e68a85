import json
import math
import subprocess
import sys
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollback_guard.core.condition import Comparison, Operator, Ratio
from rollback_guard.core.promql import PromqlError, constant, parse
from rollback_guard.core.split import split

RATIO = "sum(rate(errors_total[5m])) / sum(rate(requests_total[5m]))"


@pytest.mark.parametrize(
    ("expr", "query", "op", "threshold"),
    [
        ("a > 1", "a", ">", 1),
        ("a >= 1", "a", ">=", 1),
        ("a < 1", "a", "<", 1),
        ("a <= 1", "a", "<=", 1),
        ("a == 1", "a", "==", 1),
        ("a != 1", "a", "!=", 1),
        ("0.01 < a", "a", ">", 0.01),
        ("0.01 >= a", "a", "<=", 0.01),
        ("1 == a", "a", "==", 1),
        ("((a) > (1))", "a", ">", 1),
        ("+(a) > +1", "a", ">", 1),
        ("a > 5 * 60", "a", ">", 300),
        ("a > -1 ^ 2", "a", ">", -1),
        ("a > 0x1F", "a", ">", 31),
        ("a > Inf", "a", ">", math.inf),
        ("a + 1 > 2", "a + 1", ">", 2),
        ("a - b - c > 1", "a - b - c", ">", 1),
        ("a - on (x) -b > -1", "a - on (x) -b", ">", -1),
        ("-a < -5", "-a", "<", -5),
        ("(a or vector(0)) > 1", "a or vector(0)", ">", 1),
        ("(a > bool 1) == 1", "a > bool 1", "==", 1),
        ("a\n  # why\n  > 1  # end", "a", ">", 1),
        ("sum by (x) (a)  >  1", "sum by (x) (a)", ">", 1),
        ("a offset 5m > 1", "a offset 5m", ">", 1),
        ("a @ -5 > 1", "a @ -5", ">", 1),
        ("a @ end() offset -1m > 1", "a @ end() offset -1m", ">", 1),
        ("max_over_time(a[1h:1m]) > 1", "max_over_time(a[1h:1m])", ">", 1),
        ("rate(a[1500ms]) > 1", "rate(a[1500ms])", ">", 1),
        (r"""a{x=~`\d"`, y='it"s', z="\"\\ü"} > 1""", r"""a{x=~`\d"`, y='it"s', z="\"\\ü"}""", ">", 1),
        ('{"a.b"} > 1', '{"a.b"}', ">", 1),
        ('a{x="> 1 # no comment"} > 1', 'a{x="> 1 # no comment"}', ">", 1),
        ("a / on (x) group_left (y) b > 1", "a / on (x) group_left (y) b", ">", 1),
        ("vector(1) > 0", "vector(1)", ">", 0),
    ],
)
def test_a_comparison_with_a_constant_is_split(expr, query, op, threshold):
    condition = split(expr)
    assert condition.query == query
    assert condition.comparison == Comparison(op=Operator(op), threshold=threshold)
    assert condition.expr == expr


@pytest.mark.parametrize(
    "expr",
    [
        "a > b", "a > on (x) b", "a > time()", "a > scalar(b)", "a > 1 and b > 1", "a > 1 or b > 1", "a unless b",
        "absent(a)", "absent(a) > 0", "absent_over_time(a[5m]) == 1", "topk(3, a) > 1", "bottomk(3, a) > 1",
        "count(up == 0) > 2", "a > 1 > 2", "a == 1 == 2", "(a and b) > 1", "(a unless b) > 1", "a > bool 1",
        "a / (b > 0) > 1", "limitk(1, a) > 1", "a * scalar(b > 1) > 2", "a",
    ],
)  # fmt: skip
def test_what_may_be_empty_for_another_reason_is_left_whole(expr):
    condition = split(expr)
    assert (condition.query, condition.comparison, condition.ratio) == (expr, None, None)


def test_the_rest_of_the_condition_describes_the_measured_side():
    condition = split("max_over_time(rate(a{x='1'}[5m])[1h:1m]) / b offset 1h > 3")
    assert condition.selectors == ('a{x="1"}',)
    assert condition.longest_range.total_seconds() == 65 * 60


def test_what_is_no_promql_is_refused():
    with pytest.raises(PromqlError):
        split("a >")


LARGE = {
    "constants around a ratio": "rate(a[1m]) / b" + " * 1" * 290 + " > 1",
    "constants in a numerator": "rate(a[1m])" + " * 1" * 290 + " / b > 1",
    "a long constant": "a > " + "1 + " * 290 + "1",
    "signs": "-" * 290 + "a > 1",
    "parentheses": "(" * 99 + "a" + ")" * 99 + " > 1",
    "differences": "a" + " - b" * 290 + " > 1",
    "powers": "2 ^ " * 250 + "(rate(a[1m]) / b) > 1",
    "nested ratios": "1 - (" * 90 + "rate(a[1m]) / b" + ")" * 90 + " > 1",
}


@pytest.mark.parametrize("expr", LARGE.values(), ids=LARGE.keys())
def test_a_large_expression_is_split_in_no_time(expr):
    started = time.perf_counter()
    assert split(expr).comparison is not None
    assert time.perf_counter() - started < 1


def test_an_expression_that_is_too_deep_for_the_stack_is_refused():
    def deep(frames):
        return deep(frames - 1) if frames else split(LARGE["constants in a numerator"])

    with pytest.raises(PromqlError) as caught:
        deep(sys.getrecursionlimit() - 450)
    assert caught.value.too_complex


@pytest.mark.parametrize(
    ("expr", "denominator", "value"),
    [
        (f"{RATIO} > 0.01", "sum(rate(requests_total[5m]))", 0),
        (f"100 * {RATIO} > 1", "sum(rate(requests_total[5m]))", 0),
        (f"{RATIO} * 100 > 1", "sum(rate(requests_total[5m]))", 0),
        (f"({RATIO}) * 100 > 1", "sum(rate(requests_total[5m]))", 0),
        ("1 - (rate(a[1m]) / rate(b[1m] offset -5m)) - -1 < 3", "rate(b[1m] offset -5m)", 2),
        ("sum(rate(a[1m])) by (x) / b - +(1) > 0", "b", -1),
        (f"1 - {RATIO} < 0.99", "sum(rate(requests_total[5m]))", 1),
        (f"100 * (1 - ({RATIO})) < 99", "sum(rate(requests_total[5m]))", 100),
        (f"-({RATIO}) < -0.01", "sum(rate(requests_total[5m]))", 0),
        (f"2 ^ ({RATIO}) > 1", "sum(rate(requests_total[5m]))", 1),
        (f"1 / ({RATIO}) < 5", "sum(rate(requests_total[5m]))", math.inf),
        ("increase(a[1h]) / (increase(b[1h])) > 1", "increase(b[1h])", 0),
        ("irate(a[1h]) / b > 1", "b", 0),
        ("count(a) / count(b) > .5", "count(b)", 0),
        ("count_over_time(a[5m]) / 5 / b > .5", "b", 0),
        ("job:errors:rate5m / job:requests:rate5m > 0.1", "job:requests:rate5m", 0),
        ("sum(errors:increase1h) / sum(b) > 0.1", "sum(b)", 0),
        ("(rate(a[1m]) or vector(0)) / rate(b[1m]) > 1", "rate(b[1m])", 0),
        ("max_over_time(rate(a[1m])[5m:]) / b > 1", "b", 0),
        ("round(rate(a[1m])) / b > 1", "b", 0),
    ],
)  # fmt: skip
def test_a_ratio_of_counters_is_worth_something_without_errors(expr, denominator, value):
    assert split(expr).ratio == Ratio(denominator=denominator, value=value)


@pytest.mark.parametrize(
    ("matching", "kept", "dropped"),
    [
        ("", None, frozenset()),
        ("on (x, y)", frozenset({"x", "y"}), frozenset()),
        ("on ()", frozenset(), frozenset()),
        ("ignoring (code)", None, frozenset({"code"})),
    ],
)
def test_a_ratio_knows_which_labels_its_matching_keeps(matching, kept, dropped):
    condition = split(f"rate(a[1m]) / {matching} rate(b[1m]) > 1")
    assert condition.ratio == Ratio(denominator="rate(b[1m])", kept=kept, dropped=dropped)


@pytest.mark.parametrize(
    "expr",
    [
        "a / b > 1",  # a gauge that is absent is not zero
        "rate(a[1m]) / 5 > 1",
        "5 / rate(a[1m]) > 1",
        "rate(a[1m]) / scalar(b) > 1",
        "rate(a[1m]) * rate(b[1m]) > 1",
        "rate(a[1m]) / on (x) group_left rate(b[1m]) > 1",
        "rate(a[1m]) / on (x) group_right (y) rate(b[1m]) > 1",
        "rate(a[1m]) / fill(0) rate(b[1m]) > 1",
        "(rate(a[1m]) + rate(b[1m])) / rate(c[1m]) > 1",  # one of two summands may be there
        "(rate(a[1m]) - rate(b[1m])) / rate(a[1m]) < 0.9",
        "(rate(a[1m]) * on (x) info) / rate(c[1m]) > 1",
        "count(a * on (x) b) / count(c) > 1",
        "(1 + rate(a[1m])) / rate(b[1m]) > 1",  # it would be 1 / b
        "exp(rate(a[1m])) / rate(b[1m]) > 1",
        "histogram_quantile(0.9, rate(a[1m])) / b > 1",
        "avg_over_time((rate(a[1m]) / rate(b[1m]))[5m:]) > 1",
        "sum(rate(a[1m]) / rate(b[1m])) > 1",
        "rate(a[1m]) / rate(b[1m]) / rate(c[1m]) > 1",
        "a:errors:sum / a:requests:sum > 1",
        "rate(a[1m]) / rate(b[1m]) > 1 and c > 1",
        "(rate(a[1m]) or b) / rate(c[1m]) > 1",
    ],
)
def test_where_absence_may_mean_something_else_there_is_no_ratio(expr):
    assert split(expr).ratio is None


@pytest.mark.parametrize(
    ("expr", "value"),
    [
        ("1 / 0", math.inf), ("-1 / 0", -math.inf), ("1 / -0", -math.inf), ("5 % 3", 2), ("-5 % 3", -2), ("5 % Inf", 5),
        ("2 ^ 3 ^ 2", 512), ("-2 ^ 2", -4), ("(-2) ^ 2", 4), ("10 ^ 400", math.inf), ("(-10) ^ 401", -math.inf),
        ("0 ^ -1", math.inf), ("1e308 * 10", math.inf), ("1 - 2 - 3", -4), ("99.9 / 100", 99.9 / 100), ("Inf ^ 2", math.inf),
        ("(0 * -1) ^ -3", -math.inf), ("1 + 2 * 3", 7), ("- -1", 1), ("1 atan2 1", math.pi / 4),
    ],
)  # fmt: skip
def test_a_constant_is_evaluated_as_promql_does(expr, value):
    assert constant.evaluate(parse(expr)) == value


@pytest.mark.parametrize("expr", ["0 / 0", "Inf - Inf", "1 % 0", "Inf % 2", "(-1) ^ 0.5", "NaN ^ 1", "NaN / 0"])
def test_a_constant_may_be_no_number(expr):
    assert math.isnan(constant.evaluate(parse(expr)))


@pytest.mark.parametrize("expr", ["time()", "a", "1 + scalar(a)", "pi()", "1 > bool 0"])
def test_what_depends_on_anything_is_no_constant(expr):
    assert constant.evaluate(parse(expr)) is None


NUMBERS = st.floats(allow_nan=True, allow_infinity=True, width=32)


@settings(deadline=None)
@given(NUMBERS, NUMBERS, st.sampled_from(["+", "-", "*", "/", "%", "^", "atan2"]))
def test_no_arithmetic_raises(left, right, op):
    assert isinstance(constant.ARITHMETIC[op](left, right), float)


# Generated expressions ------------------------------------------------------------------------------------------------

MATCHERS = st.sampled_from(
    ["", "{}", '{x="1"}', r'{x="a\"b\\c"}', '{x="ü"}', "{x='q\"'}", '{x=~"1|2",y!="3"}', r"{x=~`\d+`}", '{x!~"a.*"}',
     '{x="}# > 1"}', '{ x = "1" , y = "2", }', r'{x="\u00fc\x41\n"}']
)  # fmt: skip
NAMES = st.sampled_from(["a", "b_total", "job:c:rate5m", "by", "sum_x"])
TIMES = st.sampled_from(
    ["", "", " offset 5m", " offset -1h30m", " @ 100", " @ 12.5 offset 2m", " @ start()", " @ end()"]
)
RANGES = st.sampled_from(["[5m]", "[1h30m]", "[90s]", "[ 1m ]", "[1500ms]"])
LABELS = st.sampled_from(["()", "(x)", "( x , y )", "(x,)"])
SPACE = st.sampled_from([" ", "  ", "\n", " # why > 1\n", "\t"])


def selector_texts():
    return st.builds("{}{}{}".format, NAMES, MATCHERS, TIMES)


def vectors(inner):
    matching = st.one_of(
        st.just(""), st.builds(" on{}".format, LABELS), st.builds(" ignoring {}".format, LABELS),
        st.builds(" on{} group_left{}".format, st.just("(z)"), LABELS), st.just(" on (z) group_right ()"),
    )  # fmt: skip
    comparison_matching = matching.map(lambda text: " bool" + text)
    ranged = st.builds("{}{}{}{}".format, NAMES, MATCHERS, RANGES, TIMES)
    subquery = st.builds("{}[1h:{}]{}".format, inner.map("({})".format), st.sampled_from(["", "5m"]), TIMES)
    return st.one_of(
        st.builds("{}({})".format, st.sampled_from(["rate", "increase", "count_over_time"]), ranged),
        st.builds("max_over_time({})".format, subquery),
        st.builds("sum by {} ({})".format, LABELS, inner),
        st.builds("avg({}) without{}".format, inner, LABELS),
        st.builds("quantile(0.9, {})".format, inner),
        st.builds("histogram_quantile(0.9, {})".format, inner),
        st.builds("({})".format, inner),
        st.builds("-{}".format, inner),
        st.builds("+{}".format, inner),
        st.builds("{}{}*{}{}".format, inner, SPACE, SPACE, st.sampled_from(["100", "-1", "2 ^ 2", "(1 + 1)"])),
        st.builds("{}{}-{}{}".format, st.sampled_from(["1", "100"]), SPACE, SPACE, inner),
        st.builds("{} {}{}{}".format, inner, st.sampled_from(["+", "-", "*", "/", "%"]), SPACE, inner),
        st.builds("{} {}{}{}({})".format, inner, st.sampled_from(["+", "-", "*", "/", "%"]), matching, SPACE, inner),
        st.builds("{} {}{} {}".format, inner, st.sampled_from([">", "=="]), comparison_matching, inner),
        st.builds("{} or {}".format, inner, inner),
        st.builds("label_replace({}, 'x', '$1', \"y\", `(.*)\\d`)".format, inner),
    )


VECTORS = st.recursive(selector_texts(), vectors, max_leaves=6)
CONSTANTS = st.sampled_from(["1", "0.01", "-5", "5 * 60", "(1 - 0.999) * 14.4", "1e-3", "+Inf", "-(2 ^ 3)", "0x10"])
COMPARISONS = st.sampled_from([">", ">=", "<", "<=", "==", "!="])
ALERTS = st.builds("({}){}{}{}{}".format, VECTORS, SPACE, COMPARISONS, SPACE, CONSTANTS)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(ALERTS, VECTORS, COMPARISONS, CONSTANTS)
def test_the_parts_mean_what_they_meant_in_the_whole(alert, vector, op, number):
    for expr in (alert, f"{number} {op} ({vector})", f"((({vector})) {op} {number})"):
        condition = split(expr)
        assert condition.comparison is not None
        again = split(f"({condition.query}) {condition.comparison.op} {condition.comparison.threshold!r}")
        assert (again.query, again.comparison, again.ratio) == (condition.query, condition.comparison, condition.ratio)
        side = parse(expr)
        while not hasattr(side, "lhs"):
            side = side.expr
        sides = {unwrapped(side.lhs), unwrapped(side.rhs)}
        assert unwrapped(parse(condition.query)) in sides
        assert "#" not in condition.query.replace("}# > 1", "")


def unwrapped(tree):
    while type(tree).__name__ == "ParenExpr":
        tree = tree.expr
    return tree.prettify()


def test_promtool_accepts_every_text_that_is_made(tmp_path):
    texts: set[str] = set()

    @settings(deadline=None, max_examples=250, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(ALERTS)
    def collect(alert):
        condition = split(alert)
        texts.add(condition.query)
        texts.add(f'label_replace({condition.query}, "__rule__", "0", "", "")')
        texts.update(f"max(timestamp({selector}))" for selector in condition.selectors)
        texts.update([condition.ratio.denominator] if condition.ratio else [])

    collect()
    assert len(texts) > 300
    assert any("offset" in text for text in texts)
    rules = [{"record": f"r{number}", "expr": text} for number, text in enumerate(sorted(texts))]
    path = tmp_path / "rules.yaml"
    path.write_text(json.dumps({"groups": [{"name": "g", "rules": rules}]}))
    done = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


SERIES = [
    {"series": 'errors_total{path="/a"}', "values": "0+3x20"},
    {"series": 'errors_total{path="/b"}', "values": "0+60x20"},
    {"series": 'requests_total{path="/a"}', "values": "0+60x20"},
    {"series": 'requests_total{path="/b"}', "values": "0+60x20"},
    {"series": 'requests_total{path="/c"}', "values": "0+60x20"},
    {"series": 'gauge{x="1"}', "values": "1x20"},
    {"series": 'gauge{x="2"}', "values": "-2x20"},
    {"series": 'gauge{x="3"}', "values": "0x20"},
]


def test_prometheus_gives_the_same_answer_to_the_parts_as_to_the_whole(tmp_path):
    by_path = "sum by (path) (rate({}[5m]))"
    ratio = f"{by_path.format('errors_total')} / {by_path.format('requests_total')}"
    measured = [ratio, f"100 * ({ratio})", f"1 - {ratio}", f"-{ratio}", "gauge", "-gauge ^ 2", "gauge - 1 - 2", "+gauge",
                "(gauge * 2 or errors_total)", "(gauge > bool 0) - 1", "gauge @ 60 offset -1m", "sum(gauge) + 1"]  # fmt: skip
    constants = ["0.5", "-1", "2 - 1", "-1 ^ 2", "5 % 3 - 1", "1 / 0", "0 / 0", "-(1 / 0)"]
    exprs = [f"{one} {op} {number}" for one in measured for op in (">", "<=", "!=", "==") for number in constants]
    exprs += [f"{number} {op} {one}" for one in measured for op in (">", "<=", "!=", "==") for number in constants[:3]]
    tests = []
    for expr in exprs:
        condition = split(expr)
        promql = {math.inf: "Inf", -math.inf: "-Inf"}.get(
            condition.comparison.threshold, condition.comparison.threshold
        )
        promql = "NaN" if math.isnan(condition.comparison.threshold) else promql
        parts = f"(({condition.query}) {condition.comparison.op} {promql})"
        tests += [f"({expr}) unless {parts}", f"{parts} unless ({expr})"]
    path = tmp_path / "test.yaml"
    document = {
        "rule_files": [],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": SERIES,
                "promql_expr_test": [{"expr": expr, "eval_time": "10m", "exp_samples": []} for expr in tests],
            }
        ],
    }
    path.write_text(json.dumps(document))
    done = subprocess.run(["promtool", "test", "rules", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("expr", "selectors"),
    [
        ("absent(up)", ()),
        ("absent_over_time(up[5m]) and on () foo > 1", ("foo",)),
        ("time() - timestamp(backup_done) > 90", ()),
        ("up == 0", ("up",)),
    ],
)
def test_what_asks_for_absence_or_age_is_never_called_stale(expr, selectors):
    assert split(expr).selectors == selectors
