"""Each part of an expression is found at its own place in the text, or at none."""

from __future__ import annotations

import pytest
from promql_parser import AggregateExpr, BinaryExpr, Call, MatrixSelector, SubqueryExpr, VectorSelector

from rollback_guard.core import promql
from rollback_guard.core.promql.places import Places
from rollback_guard.core.promql.shape import comparisons, matches_of, nested

HARD = [
    'sum(rate(x{a="b",c=~"d"}[5m])) / sum by (rate) (rate(x[5m] offset 5m)) > 5 and SUM(y) BY (rate) == -2',
    '{__name__="x"} > 1 or {job="a"} offset 1h < 2',
    "max_over_time(rate(a[1m])[10m:] offset 5m) > on(a) group_left(b) c",
    "a @ 5 offset 1h > 5 # a > 5 rate(a[5m])",
    "rate (x [5m]) > Inf",
    "topk by (x) (3, x) > 1",
    "x offset -5m * y > 3",
    "1 + (sum(up) or vector(0)) > hour()",
    "max_over_time(max_over_time(rate(x[5m])[1h:1m])[2h:]) > max_over_time(x[3h])",
    'count_values("x", x) ^ 2 ^ 3 > x',
    "sum (x) without (sum) > ignoring (x) x",
    "x unless on (x) y or y unless ignoring (y) x",
    'label_replace(up, "up", "$1", "up", "(up)") == 1',
    "sum > 1 and sum(sum) > 2",
    'histogram_quantile(.9, sum by(le)(rate({__name__=~"x.*", le!="[5m]"}[5m]))) > 1',
    "a\n  > 1\nand\n  b{c='d'} > 1",
]


def own_word(node):
    match node:
        case VectorSelector():
            return node.name or "{"
        case Call():
            return node.func.name
        case AggregateExpr() | BinaryExpr():
            return str(node.op)
        case MatrixSelector() | SubqueryExpr():
            return "["
    return None


@pytest.mark.parametrize("text", HARD)
def test_every_part_is_found_at_its_own_word_and_no_two_at_one(text):
    tree = promql.parse(text)
    places = Places(text, tree)
    found = {}
    for node in promql.walk(tree):
        if (word := own_word(node)) is not None:
            at = places.of(node)
            assert at is not None, (word, text)
            assert text[at:].lower().startswith(word), (word, text[at:])
            assert found.setdefault(at, node) is node
    assert found


def test_a_part_that_cannot_be_told_from_another_is_found_nowhere():
    text = "x offset -5m - y - y > 3"
    tree = promql.parse(text)
    minus = next(node for node, _ in nested(tree) if isinstance(node, BinaryExpr) and str(node.op) == "-")
    assert Places(text, tree).of(minus) is None
    assert Places(text, tree).of(tree) == text.index(">")


def first(text, kind):
    tree = promql.parse(text)
    return Places(text, tree), next(node for node, _ in nested(tree) if isinstance(node, kind))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('x{a="b", c=~"d"} > 1', '"d"} > 1'),
        ('x{c!~"d", c=~"d"} > 1', '"d"} > 1'),
        ('{a="c", c=~"d"} > 1', '"d"} > 1'),
        (r'x{c=~"\\d"} > 1', r'"\\d"} > 1'),
        ('y{c=~"d"} > 1 and x{a="b", c=~`d`} > 1', "`d`} > 1"),
    ],
)
def test_a_matcher_is_found_at_its_value(text, expected):
    tree = promql.parse(text)
    selector = [node for node, _ in nested(tree) if isinstance(node, VectorSelector)][-1]
    at = Places(text, tree).matcher(selector, matches_of(selector)[-1])
    assert text[at:] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x > 2 * x offset 5m", "offset 5m"),
        ('x > x{offset="offset"} offset 5m', "offset 5m"),
        ("x > x @ 5 offset 5m", "offset 5m"),
        ("x > rate(x[5m] offset 5m)", "offset 5m)"),
        ("x > x", "x"),
        ("x > max_over_time(x[5m:1m] offset 1h)", "offset 1h)"),
    ],
)
def test_an_offset_is_found_behind_its_selector(text, expected):
    tree = promql.parse(text)
    selector = [node for node, _ in nested(tree) if isinstance(node, VectorSelector)][-1]
    assert text[Places(text, tree).offset(selector) :] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sum by (job, pod) (pod) > 1", "pod) (pod) > 1"),
        ("sum(pod) by (pod) > 1", "pod) > 1"),
        ("sum(pod) without (pod) > 1", "pod) > 1"),
        ("sum(pod) > 1", "sum(pod) > 1"),
    ],
)
def test_a_label_is_found_where_results_are_told_apart_by_it(text, expected):
    places, aggregation = first(text, AggregateExpr)
    assert text[places.label(aggregation, "pod") :] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("x > 5", "5"), ("5 < x", "5 < x"), ("x > -5", "-5"), ("x > (5)", "(5)"), ("(2 * 3) < x", "< x")],
)
def test_a_threshold_is_found_on_its_side_of_the_comparison(text, expected):
    tree = promql.parse(text)
    (compared,) = comparisons(tree)
    assert text[Places(text, tree).threshold(compared) :] == expected
