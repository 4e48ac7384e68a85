"""Firings are held against what people know, choices against each other, rules against other rules."""

import re
from datetime import timedelta

import pytest

from build import START, minutes, series
from rollback_guard.core.condition import Comparison, Condition, Operator
from rollback_guard.workbench.backtest.compare import compare
from rollback_guard.workbench.backtest.events import (
    CsvFile,
    Deploy,
    InputError,
    KnownIncident,
    deploys_in,
    incidents_in,
    time_of,
)
from rollback_guard.workbench.backtest.results import (
    BegunAction,
    GuardIncident,
    GuardResult,
    Period,
    Results,
    RuleResult,
)
from rollback_guard.workbench.backtest.score import Kind, Past, score
from rollback_guard.workbench.backtest.sweep import SweepError, axes_of, tried, variants_of

WEEK = timedelta(weeks=1)


def at(minute):
    return START + minutes(minute)


def fired(first, last=None, *, active=None, labels=()):
    return Period(
        began_at=at(first),
        ended_at=None if last is None else at(last),
        active_at=at(first if active is None else active),
        series=labels,
    )


def incident(first, last, **more):
    return KnownIncident(start=at(first), end=at(last), **more)


def past(*incidents, deploys=(), weeks=1, window=60):
    return Past(
        start=START,
        end=START + weeks * WEEK,
        incidents=incidents,
        deploys=deploys,
        deploy_window=minutes(window),
        is_told=True,
    )


@pytest.mark.parametrize(
    ("firing", "kind"),
    [
        (fired(12, 15), Kind.INCIDENT),
        (fired(5, 11), Kind.INCIDENT),
        (fired(5), Kind.INCIDENT),
        (fired(5, 10), Kind.FALSE_ALARM),
        (fired(20, 21), Kind.FALSE_ALARM),
        (fired(105, 110), Kind.DEPLOY),
        (fired(165, 170, active=155), Kind.DEPLOY),
        (fired(165, 170, active=161), Kind.FALSE_ALARM),
        (fired(99, 130), Kind.FALSE_ALARM),
    ],
)
def test_a_firing_is_of_an_incident_of_a_deploy_or_a_false_alarm(firing, kind):
    known = past(incident(10, 20), deploys=[Deploy(at=at(100))])
    assert score([firing], known).kinds == (kind,)


def test_an_incident_is_detected_by_its_first_firing():
    known = past(incident(10, 20), incident(30, 40, name="missed"), weeks=2)
    judged = score([fired(14, 15), fired(12, 13), fired(50, 51), fired(60, 61), fired(70, 71)], known)
    assert judged.detected == 1
    assert judged.delays == (minutes(2),)
    assert [each.name for each in judged.missed] == ["missed"]
    assert judged.false_alarms_per_week == 1.5


def test_what_fires_already_when_an_incident_begins_has_no_delay():
    assert score([fired(5)], past(incident(10, 20))).delays == (timedelta(0),)


def test_only_what_concerns_a_guard_counts_for_it():
    known = past(incident(10, 20, guard="a"), incident(30, 40), deploys=[Deploy(at=at(1), guard="b")])
    assert len(known.of(["a"]).incidents) == 2
    assert len(known.of(["b"]).incidents) == 1
    assert not known.of(["a"]).deploys


def test_csv_files_are_read(tmp_path):
    deploys = tmp_path / "deploys.csv"
    deploys.write_text("time, guard, version\n2024-05-02T00:00:00Z, shop, v2\n1714521600,,\n")
    assert deploys_in(CsvFile.read(deploys), ["shop"]) == [
        Deploy(at=START - timedelta(hours=12)),
        Deploy(at=START + timedelta(hours=12), guard="shop", version="v2"),
    ]
    incidents = tmp_path / "incidents.csv"
    incidents.write_text("start,end,name\n2024-05-01T14:00:00+02:00,2024-05-01T12:10:00Z,INC-1\n")
    assert incidents_in(CsvFile.read(incidents), []) == [
        KnownIncident(start=START, end=START + minutes(10), name="INC-1")
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("when\n2024-05-01T12:00:00Z\n", "1: unknown column `when`"),
        ("guard\nshop\n", "1: the column `time` is missing"),
        ("time,gard\n", "Did you mean `guard`?"),
        ("time\nyesterday\n", "2: time: `yesterday` is no time"),
        ("time,guard\n2024-05-01,shopp\n", "2: there is no guard `shopp`. Did you mean `shop`?"),
        ("time\n2024-05-01,x\n", "2: more values than columns"),
        ("time\n\xff", "no CSV file"),
    ],
)
def test_a_wrong_csv_file_says_where_and_what(tmp_path, text, words):
    path = tmp_path / "deploys.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError) as caught:
        deploys_in(CsvFile.read(path), ["shop"])
    assert words in str(caught.value)


def test_an_incident_must_end_after_it_began(tmp_path):
    path = tmp_path / "incidents.csv"
    path.write_text("start,end\n2024-05-01T12:00:00Z,2024-05-01T11:00:00Z\n")
    with pytest.raises(InputError, match="2: this incident ends before it begins"):
        incidents_in(CsvFile.read(path), [])


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(InputError, match="cannot be read: No such file"):
        CsvFile.read(tmp_path / "nothing.csv")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", START),
        ("30d", START - timedelta(days=30)),
        ("2024-05-01T10:00:00Z", START - timedelta(hours=2)),
        ("2024-05-01T10:00:00", START - timedelta(hours=2)),
        ("1714564800", START),
    ],
)
def test_times_are_written_as_people_do(text, expected):
    assert time_of(text, START) == expected


def test_what_is_no_time_says_what_is():
    with pytest.raises(InputError, match="write `now`, `30d`"):
        time_of("last tuesday", START)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("threshold=1%..4%:4", {"threshold": [0.01, 0.016, 0.025, 0.04]}),
        ("threshold=10..20:3", {"threshold": [10.0, 15.0, 20.0]}),
        ("threshold=-1..1:3", {"threshold": [-1.0, 0.0, 1.0]}),
        ("threshold=0.5%,2%", {"threshold": [0.005, 0.02]}),
        ("for=1m..3m:3", {"for": [minutes(1), minutes(2), minutes(3)]}),
        ("for=2m..15m", {"for": [minutes(each) for each in (2, 3, 4.5, 7, 10, 15)]}),
        ("for=30s..1h:4", {"for": [timedelta(seconds=30), minutes(2.5), minutes(10), minutes(60)]}),
        ("for=30s,5m", {"for": [timedelta(seconds=30), minutes(5)]}),
    ],
)
def test_a_sweep_says_what_is_tried(text, expected):
    assert axes_of([text]) == expected


@pytest.mark.parametrize(
    "text",
    [
        "threshold",
        "limit=1..2",
        "threshold=2..1",
        "threshold=a..b",
        "for=1..2",
        "for=5m..1m",
        "threshold=1..2:1",
        "for=",
    ],
)
def test_a_sweep_that_says_nothing_is_refused(text):
    with pytest.raises(SweepError):
        axes_of([text])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "threshold=500ms",
            "`500ms` is no threshold: write a number or a percentage; where the rule measures seconds, 0.5",
        ),
        (
            "threshold=1,two",
            "--sweep `threshold=1,two`: `two` is no threshold: write a number or a percentage, such as",
        ),
        ("threshold=5%..inf", "`inf` is no threshold"),
        ("threshold=2..1", "--sweep `threshold=2..1`: the first end must be the lower one"),
        ("for=5x", '--sweep `for=5x`: "5x" is not a duration'),
    ],
)
def test_what_cannot_be_swept_is_named_with_its_place_and_what_to_write(text, words):
    with pytest.raises(SweepError, match=re.escape(words)):
        axes_of([text])


def test_a_sweep_of_too_many_combinations_is_refused():
    with pytest.raises(SweepError, match="more than 400"):
        axes_of(["threshold=1..2:50", "for=1m..60m:50"])


def test_an_axis_is_swept_once():
    with pytest.raises(SweepError, match="swept twice"):
        axes_of(["for=1m", "for=2m"])


def test_the_rule_that_is_swept_is_named(tmp_path):
    from build import a_group, a_policy, a_rule

    policy = a_policy([a_group(a_rule("one"), a_rule("two"))])
    with pytest.raises(SweepError, match="--rule: one, two"):
        variants_of(policy, None, {})
    with pytest.raises(SweepError, match="Did you mean `one`"):
        variants_of(policy, "onee", {})
    variants = variants_of(policy, "one", axes_of(["threshold=1,2", "for=1m,2m"]))
    assert [(each.threshold, each.hold) for each in variants] == [
        (1.0, timedelta(0)),
        (1.0, minutes(1)),
        (1.0, minutes(2)),
        (2.0, minutes(1)),
        (2.0, minutes(2)),
    ]


def test_the_pareto_front_is_what_nothing_else_beats():
    from build import a_group, a_policy, a_rule

    policy = a_policy([a_group(a_rule("one"))])
    variants = variants_of(policy, None, axes_of(["for=1m,2m,3m"]))
    firings = [[fired(11, 12), fired(50, 51)], [fired(11, 12), fired(50, 51)], [fired(13, 14)], [fired(15, 16)]]
    results = Results(start=START, end=START + WEEK)
    for variant, firing in zip(variants, firings, strict=True):
        results.rules[variant.rule.id] = RuleResult(firing=firing, firings=len(firing))
    known = past(incident(10, 20))
    found = tried(variants, results, known)
    assert [each.is_best for each in found] == [True, True, True, False]
    assert [each.is_current for each in found] == [True, False, False, False]
    assert not any(each.is_best for each in tried(variants, results, past()))


def swept(op, texts, firings, *incidents):
    """Return what a sweep of `m OP 1` says, whose variants fired as listed, the rule as it is first."""
    from build import a_group, a_policy, a_rule

    condition = Condition(expr=f"m {op} 1", query="m", comparison=Comparison(op=op, threshold=1.0))
    variants = variants_of(a_policy([a_group(a_rule("one", condition=condition))]), None, axes_of(texts))
    results = Results(start=START, end=START + WEEK)
    for variant, firing in zip(variants, firings, strict=True):
        results.rules[variant.rule.id] = RuleResult(firing=firing, firings=len(firing))
    return tried(variants, results, past(*incidents))


SAME, WORSE = [fired(12, 13)], [fired(14, 15)]


@pytest.mark.parametrize(
    ("op", "firings", "starred"),
    [
        (Operator.GREATER, [SAME, SAME, SAME, SAME], (1.0, minutes(0))),  # the rule as it is
        (Operator.GREATER, [WORSE, SAME, SAME, SAME], (4.0, minutes(1))),  # else the one that fires last
        (Operator.LESS, [WORSE, SAME, SAME, SAME], (2.0, minutes(1))),
        (Operator.GREATER, [WORSE, SAME, WORSE, WORSE], (2.0, minutes(1))),
    ],
)
def test_of_choices_that_come_to_the_same_one_is_marked_and_the_others_name_it(op, firings, starred):
    found = swept(op, ["threshold=2,3,4", "for=1m"], firings, incident(10, 20))
    equal = [each for each, firing in zip(found, firings, strict=True) if firing is SAME]
    assert [each.is_best for each in found] == [firing is SAME for firing in firings]
    assert [(each.threshold, each.hold) for each in equal if each.same_as is None] == [starred]
    assert {each.same_as for each in equal} <= {None, starred}
    assert all(each.same_as is None for each in found if not each.is_best)


def test_of_equal_thresholds_the_longest_for_is_marked():
    found = swept(Operator.GREATER, ["for=1m,2m,3m"], [WORSE, SAME, SAME, SAME], incident(10, 20))
    assert [each.same_as for each in found] == [None, (1.0, minutes(3)), (1.0, minutes(3)), None]


def test_choices_on_the_front_that_differ_are_all_marked():
    slow_and_quiet, quick_and_loud = [fired(15, 16)], [fired(11, 12), fired(50, 51)]
    found = swept(Operator.GREATER, ["for=1m"], [slow_and_quiet, quick_and_loud], incident(10, 20))
    assert [(each.is_best, each.same_as) for each in found] == [(True, None), (True, None)]


def test_a_comparison_pairs_what_overlaps():
    pod = series(pod="a")
    before = Results(start=START, end=START + WEEK)
    after = Results(start=START, end=START + WEEK)
    before.rules["r"] = RuleResult(firing=[fired(10, 20, active=5), fired(30, 40), fired(60, 70, labels=pod)])
    after.rules["r"] = RuleResult(firing=[fired(8, 20, active=5), fired(30, 40), fired(60, 70)])
    before.guards["g"] = GuardResult(incidents=[a_guard_incident(10), a_guard_incident(40)])
    after.guards["g"] = GuardResult(incidents=[a_guard_incident(8)])
    found = compare((None, before), (None, after), until=START + WEEK)
    (rule,) = found.rules
    assert [each.earlier_by for each in rule.moved] == [minutes(2), timedelta(0)]
    assert [each.series for each in rule.only_before] == [pod]
    assert [each.series for each in rule.only_after] == [()]
    assert not rule.is_nothing
    (guard,) = found.guards
    assert guard.only_before == ((at(10), "flag-off"), (at(40), "flag-off"))
    assert guard.only_after == ((at(8), "flag-off"),)
    assert guard.moved == (((at(10), "flag-off"), (at(8), "flag-off")),)


def test_rules_that_only_one_side_has_are_told():
    before, after = Results(start=START, end=START + WEEK), Results(start=START, end=START + WEEK)
    before.rules["old"] = RuleResult(firing=[fired(1, 2)])
    after.rules["new"] = RuleResult(firing=[fired(1, 2)])
    found = {each.name: each for each in compare((None, before), (None, after), until=START + WEEK).rules}
    assert found["old"].only_before
    assert found["new"].only_after


def a_guard_incident(minute):
    begun = BegunAction(at=at(minute), action="flag-off", reason="breach")
    return GuardIncident(
        id=f"g-{minute}",
        opened_at=at(minute),
        breached_at=at(5 if minute < 20 else minute),
        rules=("r",),
        actions=[begun],
        closed_at=at(minute + 5),
    )
