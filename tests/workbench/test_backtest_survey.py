"""What is seen of a stretch at a glance is what is seen slot by slot: nothing is plain that judging would contradict."""

import math
from array import array
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from build import MINUTE, START, a_group, a_rule, series
from rollback_guard.adapters.prometheus import crowd
from rollback_guard.adapters.prometheus.answers import with_series_said
from rollback_guard.adapters.prometheus.grid import Grid, to_ms
from rollback_guard.adapters.prometheus.heartbeat import Heartbeat
from rollback_guard.adapters.prometheus.presence import Presence
from rollback_guard.adapters.prometheus.strands import Packed, Strand, Strands, is_at, places_of, strand_of
from rollback_guard.adapters.prometheus.survey import Survey
from rollback_guard.core.alert import Alert
from rollback_guard.core.condition import Comparison, Condition, Operator, Ratio
from rollback_guard.core.evaluation import evaluate
from rollback_guard.core.judgement import final_labels, judge
from rollback_guard.core.model import NoData, Phase, Verdict
from rollback_guard.core.observation import Failure, Reading, Unknown
from rollback_guard.core.slots import slots_between
from rollback_guard.core.state import GroupState

COUNT = 6
GRID = Grid(start_ms=to_ms(START), step_ms=60_000, count=COUNT)
SLOTS = slots_between(START - timedelta(microseconds=1), START + (COUNT - 1) * MINUTE, MINUTE, timedelta(0))
LABELS = [series(), series(pod="a"), series(pod="b"), series(pod="a", zone="x"), series(zone="x")]
MAX_AGE = timedelta(minutes=2)
SELECTORS = ("n", "d")

values = st.sampled_from([math.nan, 0.0, 0.5, 1.0, 2.0, math.inf])


def strand(labels, row):
    """Return a series from a value, or nothing, for each instant."""
    places = [place for place, value in enumerate(row) if value is not None]
    is_run = places == list(range(places[0], places[-1] + 1))
    known = array("d", [value for value in row if value is not None])
    return Strand(labels, range(places[0], places[-1] + 1) if is_run else array("q", places), known)


rows = st.lists(st.none() | values, min_size=COUNT, max_size=COUNT).filter(lambda row: any(v is not None for v in row))
whole_rows = st.lists(values, min_size=COUNT, max_size=COUNT)
answers = st.lists(st.tuples(st.sampled_from(LABELS), rows | whole_rows), max_size=4).map(
    lambda parts: Strands(GRID, [strand(labels, row) for labels, row in parts])
)
results = answers | st.just(Failure(Unknown.QUERY_ERROR, "many-to-many"))
comparisons = st.builds(Comparison, op=st.sampled_from(Operator), threshold=st.sampled_from([0.0, 0.5, 1.0]))
masks = st.lists(st.sampled_from([0, 1]), min_size=COUNT, max_size=COUNT).map(
    lambda flags: int.from_bytes(bytes(flags), "little")
)
presences = st.builds(lambda old, none: Presence(old=old, none=none & old), masks, masks) | st.just(Presence())


@st.composite
def surveys(draw):
    """Return a survey of one rule of any kind."""
    comparison = draw(st.none() | comparisons)
    ratio = draw(st.none() | st.builds(Ratio, denominator=st.just("below"), value=st.sampled_from([0.0, 1.0])))
    condition = Condition(
        expr="m",
        query="m",
        comparison=comparison,
        ratio=ratio if comparison else None,
        selectors=SELECTORS,
    )
    when = draw(st.none() | st.builds(Condition, expr=st.just("w"), query=st.just("w"), comparison=comparisons))
    when = draw(st.just(when) | st.just(when and replace(when, comparison=None)))
    rule = a_rule(
        condition=condition,
        when=when,
        no_data=draw(st.sampled_from(NoData)),
        max_age=draw(st.sampled_from([None, MAX_AGE])),
    )
    group = a_group(rule, limit=draw(st.sampled_from([0, 1])))
    said = {"m": draw(results)}
    if when is not None:
        said["w"] = draw(results)
    if ratio is not None:
        said["below"] = draw(results)
    seen = {(selector, 120_000): draw(presences) for selector in SELECTORS}
    return Survey(
        group=group,
        slots=SLOTS,
        grid=GRID,
        said=said,
        expected=with_series_said(group, said, {}),
        seen=seen,
        heartbeat=Heartbeat(""),
    )


def judged(survey, place):
    (rule,) = survey.group.rules
    return judge(rule, survey.observe(place)[rule.id], {}, limit=survey.group.limit)


@given(survey=surveys())
@settings(max_examples=200, deadline=None)
def test_what_plainly_passes_is_judged_to_pass(survey):
    for place, is_plain in enumerate(survey.undisturbed()):
        if is_plain:
            said = judged(survey, place)
            assert (said.verdict, said.reason) == (Verdict.PASS, None)
            assert all(each.verdict is not Verdict.BREACH for each in said.series)


@given(survey=surveys(), reason=st.sampled_from([Unknown.NAN, Unknown.NO_TRAFFIC]))
@settings(max_examples=200, deadline=None)
def test_what_plainly_has_nothing_to_judge_is_judged_to_be_idle(survey, reason):
    for place, is_plain in enumerate(survey.undisturbed(frozenset({("g/r", reason)}))):
        if is_plain:
            said = judged(survey, place)
            assert (said.verdict, said.reason) == (Verdict.UNKNOWN, reason)
            assert all(each.verdict is Verdict.UNKNOWN for each in said.series)


@given(survey=surveys(), active=st.sets(st.sampled_from(LABELS)), phase=st.sampled_from([Phase.PENDING, Phase.FIRING]))
@settings(max_examples=200, deadline=None)
def test_what_is_left_out_moves_no_alert(survey, active, phase):
    (rule,) = survey.group.rules
    alerts = {labels: an_alert(rule, labels, phase) for labels in active}
    state = GroupState(slot=START - MINUTE, alerts={rule.id: alerts} if alerts else {})
    few, crowd.FEW = crowd.FEW, 0
    try:
        for place, slot in enumerate(SLOTS):
            observed = [survey.observe(place), survey.gist(place, {rule.id: frozenset(active)})]
            now = replace(state, slot=slot - MINUTE)
            (full, by_all), (thin, by_few) = [
                evaluate(survey.group, now, Reading(group="g", slot=slot, observations=each)) for each in observed
            ]
            assert in_any_order(thin) == in_any_order(full)
            assert [(each.verdict, each.reason) for each in by_few.values()] == [
                (each.verdict, each.reason) for each in by_all.values()
            ]
    finally:
        crowd.FEW = few


def an_alert(rule, labels, phase):
    began = START - 3 * MINUTE
    fired = began if phase is Phase.FIRING else None
    return Alert(
        rule=rule.id,
        series=labels,
        labels=final_labels(rule, labels),
        phase=phase,
        active_at=began,
        fired_at=fired,
        value=2.0,
        fingerprint=rule.fingerprint,
    )


def in_any_order(record):
    """Return a record with its alerts in the order of their labels; NaN is alike."""
    return (
        sorted(map(repr, record.alerts)),
        sorted(map(repr, record.transitions)),
        sorted(map(repr, record.sights)),
    )


def a_survey(rule, **said):
    group = a_group(rule)
    return Survey(
        group=group,
        slots=SLOTS,
        grid=GRID,
        said=said,
        expected=with_series_said(group, said, {}),
        seen={},
        heartbeat=Heartbeat(""),
    )


def strands(**rows):
    return Strands(GRID, [strand(series(pod=pod) if pod != "all" else (), row) for pod, row in rows.items()])


def test_nearly_all_of_an_ordinary_stretch_is_plain():
    found = a_survey(a_rule(), m=strands(a=[0.0] * COUNT, b=[0.0, math.nan, 0.0, 2.0, None, 0.0]))
    assert list(found.undisturbed()) == [1, 1, 1, 0, 1, 1]


def test_the_errors_that_never_happened_are_plain():
    rule = a_rule(condition=replace(a_rule().condition, ratio=Ratio(denominator="below")))
    found = a_survey(rule, m=strands(), below=strands(all=[5.0, 0.0, 5.0, None, 5.0, 5.0]))
    assert list(found.undisturbed()) == [1, 0, 1, 0, 1, 1]
    assert list(found.undisturbed(frozenset({("g/r", Unknown.NAN)}))) == [0, 1, 0, 0, 0, 0]


def test_a_quiet_night_is_plain():
    floor = Condition(expr="w > 1", query="w", comparison=Comparison(op=Operator.GREATER, threshold=1.0))
    idle = frozenset({("g/r", Unknown.NO_TRAFFIC)})
    of_all = a_survey(a_rule(when=floor), m=strands(a=[0.0] * COUNT), w=strands(all=[2.0, 0.0, 0.0, None, 2.0, 2.0]))
    assert list(of_all.undisturbed()) == [1, 0, 0, 0, 1, 1]
    assert list(of_all.undisturbed(idle)) == [0, 1, 1, 0, 0, 0]
    measured = strands(a=[0.0] * COUNT, b=[0.0] * COUNT)
    of_each = a_survey(a_rule(when=floor), m=measured, w=strands(a=[0.0, 2.0] * 3, b=[0.0] * 3 + [2.0] * 3))
    assert list(of_each.undisturbed()) == [0, 1, 0, 1, 1, 1]
    assert list(of_each.undisturbed(idle)) == [1, 0, 1, 0, 0, 0]


def test_a_floor_that_is_no_number_lets_nothing_be_judged():
    floor = Condition(expr="w", query="w", comparison=None)
    idle = frozenset({("g/r", Unknown.NO_TRAFFIC)})
    unsplit = replace(a_rule().condition, comparison=None)
    nan_once = strands(all=[1.0, math.nan, 1.0, 1.0, 1.0, 1.0])
    for rule, measured in (
        (a_rule(when=floor), strands(a=[0.0] * COUNT)),
        (a_rule(condition=unsplit, when=floor), strands()),
    ):
        found = a_survey(rule, m=measured, w=nan_once)
        assert list(found.undisturbed()) == [1, 0, 1, 1, 1, 1]
        assert list(found.undisturbed(idle)) == [0, 1, 0, 0, 0, 0]
        assert judged(found, 1).reason is Unknown.NO_TRAFFIC


def test_a_thousand_series_are_thinned_to_those_that_matter():
    rows = {f"p{number}": [0.0] * COUNT for number in range(1000)}
    rows["p7"] = [0.0, 2.0, 0.0, 0.0, 0.0, 0.0]
    found = a_survey(a_rule(), m=strands(**rows))
    said = found.gist(1, {"g/r": frozenset({series(pod="p3")})})["g/r"].measured.samples
    assert {sample.labels: sample.value for sample in said} == {
        series(pod="p7"): 2.0,
        series(pod="p3"): 0.0,
        series(pod="p0"): 0.0,
    }


@given(row=rows)
def test_a_strand_tells_what_was_in_its_row(row):
    found = strand((), row)
    assert [is_at(found.there, place) for place in range(COUNT)] == [value is not None for value in row]
    known = [place for place, value in enumerate(row) if value is not None and not math.isnan(value)]
    assert list(places_of(found.known)) == known
    for place, value in enumerate(row):
        sample = found.at(place)
        assert repr(sample.value if sample else None) == repr(value)


@given(row=rows, comparison=comparisons)
def test_a_strand_knows_where_a_comparison_holds(row, comparison):
    expected = [
        place
        for place, value in enumerate(row)
        if value is not None and not math.isnan(value) and comparison.holds(value)
    ]
    assert list(places_of(strand((), row).holds(comparison))) == expected


@given(row=rows)
def test_samples_are_found_by_their_times(row):
    times = array("d", [(GRID.start_ms + 60_000 * place) / 1000 for place, v in enumerate(row) if v is not None])
    found = strand_of((), Packed(times, array("d", [v for v in row if v is not None])), GRID)
    assert list(found.places) == list(strand((), row).places)


@pytest.mark.parametrize("seconds", [[30.0], [0.0, 60.0, 90.0], [-60.0], [COUNT * 60.0], [60.0, 0.0, 120.0]])
def test_samples_of_other_times_are_refused(seconds):
    times = array("d", [GRID.start_ms / 1000 + each for each in seconds])
    with pytest.raises(ValueError, match="other times"):
        strand_of((), Packed(times, array("d", seconds)), GRID)
