"""No peak of a rule's values is lost, however long history is and however it is cut into stretches."""

from array import array
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from build import MINUTE, START, a_group, a_rule
from rollback_guard.adapters.prometheus.grid import Grid, to_ms
from rollback_guard.adapters.prometheus.heartbeat import Heartbeat
from rollback_guard.adapters.prometheus.strands import Strand, Strands
from rollback_guard.adapters.prometheus.survey import Survey
from rollback_guard.core.condition import Comparison, Condition, Operator
from rollback_guard.core.slots import slots_between
from rollback_guard.workbench.backtest import results as results_module
from rollback_guard.workbench.backtest.cursor import Cursor
from rollback_guard.workbench.backtest.line import pieces_of, take_values
from rollback_guard.workbench.backtest.results import BUCKETS, Results, RuleResult, SlotValues

rows = st.lists(st.none() | st.floats(-5, 5, width=16), min_size=2, max_size=80)
operators = st.sampled_from(Operator)


def taken(row, *, op=Operator.GREATER, cuts=(), buckets_per_slot=25):
    """Return what is kept of values, one for each minute, read in stretches that begin at some of them."""
    comparison = Comparison(op=op, threshold=1.0)
    rule = a_rule(condition=Condition(expr="m", query="m", comparison=comparison))
    results = Results(start=START, end=START + BUCKETS * MINUTE / buckets_per_slot, rules={rule.id: RuleResult()})
    begins = sorted({0, *(cut for cut in cuts if cut < len(row))})
    for first, behind in zip(begins, [*begins[1:], len(row)], strict=True):
        cursor = stretch(rule, row[first:behind], START + first * MINUTE)
        take_values(results.rules[rule.id], cursor, list(pieces_of(results, cursor)), rule, comparison)
    return results.rules[rule.id], results, comparison


def stretch(rule, row, start):
    grid = Grid(start_ms=to_ms(start), step_ms=60_000, count=len(row))
    places = [place for place, value in enumerate(row) if value is not None]
    strands = [Strand((), array("q", places), array("d", [row[place] for place in places]))] if places else []
    slots = slots_between(start - timedelta(microseconds=1), start + (len(row) - 1) * MINUTE, MINUTE, timedelta(0))
    group = a_group(rule)
    said = {"m": Strands(grid, strands)}
    survey = Survey(group=group, slots=slots, grid=grid, said=said, expected={}, seen={}, heartbeat=Heartbeat(""))
    return Cursor(group=group, survey=survey)


def buckets_of(results, row):
    found = {}
    for number, value in enumerate(row):
        found.setdefault(results.bucket_of(START + number * MINUTE), []).append((number, value))
    return found


@given(row=rows, cuts=st.sets(st.integers(1, 79), max_size=4), op=operators, slots_per_bucket=st.integers(1, 20))
@settings(max_examples=150, deadline=None)
def test_the_lowest_and_the_highest_value_of_each_bucket_are_kept(row, cuts, op, slots_per_bucket):
    of_rule, results, comparison = taken(row, op=op, cuts=cuts, buckets_per_slot=1 / slots_per_bucket)
    for bucket, slots in buckets_of(results, row).items():
        known = [value for _, value in slots if value is not None]
        assert of_rule.low[bucket] == min(known, default=None)
        assert of_rule.high[bucket] == max(known, default=None)
    everything = [value for value in row if value is not None]
    nearest = of_rule.nearest and of_rule.nearest.value
    assert nearest == min(everything, key=comparison.margin, default=None)


@given(row=rows, cuts=st.sets(st.integers(1, 79), max_size=4), op=operators, slots_per_bucket=st.integers(1, 20))
@settings(max_examples=150, deadline=None)
def test_where_a_rule_breaches_the_value_of_each_slot_is_kept(row, cuts, op, slots_per_bucket):
    of_rule, _, comparison = taken(row, op=op, cuts=cuts, buckets_per_slot=1 / slots_per_bucket)
    kept = {}
    for each in of_rule.slot_values:
        first = (each.began_at - START) // MINUTE
        assert each.breaches == sum(value is not None and comparison.holds(value) for value in each.values)
        kept |= {first + place: value for place, value in enumerate(each.values)}
    assert sum(len(each.values) for each in of_rule.slot_values) == len(kept)  # none of them twice
    assert all(row[number] == value for number, value in kept.items())
    assert kept.keys() >= {number for number, value in enumerate(row) if value is not None and comparison.holds(value)}


def test_the_buckets_beside_a_breach_are_kept_too_and_no_others():
    row = [0.0] * 40
    row[22] = 2.0
    of_rule, _, _ = taken(row, buckets_per_slot=1 / 5)
    assert [(each.bucket, len(each.values)) for each in of_rule.slot_values] == [(3, 5), (4, 5), (5, 5)]


@pytest.mark.parametrize("most", [0, 9, 10, 25])
def test_of_too_many_values_those_stay_where_it_breached_longest(monkeypatch, most):
    monkeypatch.setattr(results_module, "MOST_SLOT_VALUES", most)
    values = [
        SlotValues(bucket=bucket, began_at=START + 10 * bucket * MINUTE, values=[1.0] * 10, breaches=breaches)
        for bucket, breaches in enumerate([3, 0, 9, 4])
    ]
    of_rule = RuleResult()
    of_rule.take_slots(values[:2])
    of_rule.take_slots(values[2:])
    assert [each.bucket for each in of_rule.slot_values] == {0: [], 9: [], 10: [2], 25: [2, 3]}[most]


def test_a_rule_that_breaches_all_the_time_keeps_no_more_than_another(monkeypatch):
    monkeypatch.setattr(results_module, "MOST_SLOT_VALUES", 12)
    of_rule, _, _ = taken([2.0] * 80, cuts={17, 40}, buckets_per_slot=1 / 5)
    assert sum(len(each.values) for each in of_rule.slot_values) <= 12
    assert replace(of_rule).high[0] == 2.0
