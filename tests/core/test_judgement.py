"""What an answer means for each series: pass, breach, or unknown with a reason that is blind or idle."""

import math

import pytest

from build import ABOVE_ONE, START, WHOLE, Film, a_group, a_policy, a_rule, answered, seen, series, slot
from rollback_guard.core.alert import Alert
from rollback_guard.core.condition import Comparison, Condition, Operator, Ratio
from rollback_guard.core.judgement import final_labels, judge, most_telling
from rollback_guard.core.model import NoData, Phase, Verdict
from rollback_guard.core.observation import Answer, Failure, Observation, Sample, Unknown
from rollback_guard.core.records import Evaluated

ERRORS = Condition(
    expr="errors / requests > 0.01",
    query="errors / requests",
    comparison=Comparison(op=Operator.GREATER, threshold=0.01),
    ratio=Ratio(denominator="requests"),
)
TRAFFIC = Condition(expr="requests > 1", query="requests", comparison=Comparison(op=Operator.GREATER, threshold=1.0))
NOTHING = Answer()
A, B = series(pod="a"), series(pod="b")


def active(*labels, rule="g/r"):
    return {
        each: Alert(
            rule=rule,
            series=each,
            labels=each,
            phase=Phase.FIRING,
            active_at=START,
            fingerprint="as written",
            value=2.0,
        )
        for each in labels
    }


def said(judgement):
    return {each.series: (each.verdict.value, each.reason and each.reason.value) for each in judgement.series}


@pytest.mark.parametrize(
    ("letter", "verdict", "reason"),
    [
        ("b", Verdict.BREACH, None),
        ("p", Verdict.PASS, None),
        ("n", Verdict.UNKNOWN, Unknown.NAN),
        ("a", Verdict.UNKNOWN, Unknown.ABSENT),
        ("s", Verdict.UNKNOWN, Unknown.STALE),
        ("u", Verdict.UNKNOWN, Unknown.CONNECT),
        ("q", Verdict.UNKNOWN, Unknown.QUERY_ERROR),
        ("w", Verdict.UNKNOWN, Unknown.PARTIAL),
    ],
)
@pytest.mark.promise(10)
def test_a_rule_with_one_series(letter, verdict, reason):
    judgement = judge(a_rule(), seen(letter), {})
    assert (judgement.verdict, judgement.reason) == (verdict, reason)


@pytest.mark.parametrize("value", [math.inf, 1.0000001])
def test_an_infinite_ratio_breaches_as_in_prometheus(value):
    assert judge(a_rule(), Observation(measured=Answer((Sample((), value),))), {}).verdict is Verdict.BREACH


@pytest.mark.parametrize(
    ("no_data", "absent"),
    [(NoData.HOLD, ("unknown", "absent")), (NoData.OK, ("pass", None)), (NoData.BREACH, ("breach", None))],
)
class TestNoDataSaysWhatAbsentMeans:
    def test_for_a_rule_without_any_series(self, no_data, absent):
        assert said(judge(a_rule(no_data=no_data), seen("a"), {})) == {(): absent}

    def test_for_an_active_series_that_vanished(self, no_data, absent):
        assert said(judge(a_rule(no_data=no_data), seen("a"), active(A))) == {A: absent}

    def test_for_one_of_several_series(self, no_data, absent):
        judgement = judge(a_rule(no_data=no_data), answered(b=0.0), active(A))
        assert said(judgement) == {A: absent, B: ("pass", None)}

    def test_never_for_an_answer_that_was_not_given(self, no_data, absent):
        judgement = judge(a_rule(no_data=no_data), seen("u"), active(A))
        assert said(judgement) == {A: ("unknown", "connect")}


def test_a_series_that_vanishes_while_it_fires_is_unknown_and_fires_on():
    film = Film(a_policy([a_group(a_rule())]))
    film.show(slot(0), {"g/r": answered(a=2.0, b=0.0)})
    film.show(slot(1), {"g/r": answered(b=0.0)})
    (alert,) = film.alerts().values()
    assert (alert.series, alert.phase, alert.unknown) == (A, Phase.FIRING, Unknown.ABSENT)


def test_the_stand_in_for_no_series_ends_as_soon_as_there_is_one():
    film = Film(a_policy([a_group(a_rule(no_data=NoData.BREACH))]))
    film.show(slot(0), {"g/r": seen("a")})
    assert list(film.alerts()) == [()]
    film.show(slot(1), {"g/r": answered(a=0.0)})
    assert film.alerts() == {}


def test_what_cannot_be_split_passes_when_it_is_empty():
    rule = a_rule(condition=WHOLE)
    assert judge(rule, seen("a"), {}).verdict is Verdict.PASS
    assert said(judge(rule, answered(b=0.0), active(A))) == {A: ("pass", None), B: ("breach", None)}


class TestAnAbsentRatioWhoseDenominatorIsThere:
    def judged(self, denominator, *, alerts=(), measured=NOTHING, **changes):
        observation = Observation(measured=measured, denominator=denominator)
        return judge(a_rule(condition=ERRORS, **changes), observation, active(*alerts))

    def test_is_nothing_divided_by_something(self):
        assert said(self.judged(Answer((Sample((), 10.0),)))) == {(): ("pass", None)}

    @pytest.mark.parametrize("value", [0.0, math.nan])
    def test_is_idle_when_the_denominator_is_nothing_too(self, value):
        assert said(self.judged(Answer((Sample((), value),)))) == {(): ("unknown", "nan")}

    def test_passes_even_where_no_data_is_a_breach(self):
        assert self.judged(Answer((Sample((), 10.0),)), no_data=NoData.BREACH).verdict is Verdict.PASS

    def test_is_absent_when_the_denominator_is_absent(self):
        assert said(self.judged(NOTHING)) == {(): ("unknown", "absent")}

    def test_is_unknown_when_the_denominator_could_not_be_asked(self):
        assert said(self.judged(Failure(Unknown.TIMEOUT))) == {(): ("unknown", "timeout")}
        assert said(self.judged(Failure(Unknown.TIMEOUT), alerts=[A])) == {A: ("unknown", "timeout")}

    def test_lets_an_active_series_recover(self):
        judgement = self.judged(
            Answer((Sample(A, 5.0), Sample(B, 5.0))), alerts=[A], measured=Answer((Sample(B, 0.0),))
        )
        assert said(judgement) == {A: ("pass", None), B: ("pass", None)}

    def test_is_matched_by_the_labels_that_the_ratio_keeps(self):
        kept = Condition(
            expr="…",
            query="…",
            comparison=ERRORS.comparison,
            ratio=Ratio(denominator="requests", kept=frozenset({"pod"})),
        )
        judgement = judge(
            a_rule(condition=kept),
            Observation(measured=NOTHING, denominator=Answer((Sample(series(pod="a", zone="x"), 5.0),))),
            active(A),
        )
        assert said(judgement) == {A: ("pass", None)}

    def test_may_breach_when_too_few_are_the_failure(self):
        too_few = Condition(
            expr="successes / requests < 0.9",
            query="successes / requests",
            comparison=Comparison(op=Operator.LESS, threshold=0.9),
            ratio=Ratio(denominator="requests"),
        )
        judgement = judge(
            a_rule(condition=too_few), Observation(measured=NOTHING, denominator=Answer((Sample((), 10.0),))), {}
        )
        assert judgement.verdict is Verdict.BREACH


class TestWhen:
    def judged(self, when, measured=None, alerts=()):
        measured = measured or Answer((Sample(A, 2.0), Sample(B, 0.0)))
        return judge(a_rule(when=TRAFFIC), Observation(measured=measured, when=when), active(*alerts))

    def test_that_holds_changes_nothing(self):
        assert said(self.judged(Answer((Sample((), 5.0),)))) == {A: ("breach", None), B: ("pass", None)}

    @pytest.mark.parametrize("value", [0.0, 1.0, math.nan])
    def test_that_does_not_hold_leaves_nothing_to_judge(self, value):
        judgement = self.judged(Answer((Sample((), value),)))
        assert said(judgement) == {A: ("unknown", "no_traffic"), B: ("unknown", "no_traffic")}
        assert judgement.reason is Unknown.NO_TRAFFIC

    def test_speaks_for_the_series_that_carry_its_labels(self):
        judgement = self.judged(Answer((Sample(A, 5.0), Sample(B, 0.0))))
        assert said(judgement) == {A: ("breach", None), B: ("unknown", "no_traffic")}

    def test_that_is_not_there_is_blindness(self):
        assert said(self.judged(NOTHING)) == {A: ("unknown", "absent"), B: ("unknown", "absent")}

    def test_that_could_not_be_asked_is_blindness(self):
        judgement = self.judged(Failure(Unknown.TIMEOUT, "5s"), alerts=[A])
        assert said(judgement) == {A: ("unknown", "timeout")}
        assert judgement.detail == "when: 5s"

    @pytest.mark.parametrize(
        ("traffic", "verdict", "reason"),
        [
            ((), "unknown", "absent"),
            ((Sample(A, 0.0),), "unknown", "no_traffic"),
            ((Sample((), 0.0),), "unknown", "no_traffic"),
            ((Sample(A, 0.0), Sample(B, 5.0)), "pass", None),
        ],
    )
    def test_decides_whether_an_empty_answer_of_what_cannot_be_split_is_health(self, traffic, verdict, reason):
        rule = a_rule(condition=WHOLE, when=TRAFFIC)
        judgement = judge(rule, Observation(measured=NOTHING, when=Answer(traffic)), {})
        assert (judgement.verdict, judgement.reason) == (verdict, reason)

    def test_that_cannot_be_split_and_is_empty_does_not_hold(self):
        judgement = judge(a_rule(when=WHOLE), Observation(measured=Answer((Sample(A, 2.0),)), when=NOTHING), {})
        assert judgement.reason is Unknown.NO_TRAFFIC

    def test_makes_no_difference_between_labels_in_any_order_of_samples(self):
        zone = series(pod="a", zone="x")
        when = Answer((Sample(series(zone="y"), 0.0), Sample(series(zone="x"), 5.0), Sample((), 0.0)))
        assert said(self.judged(when, measured=Answer((Sample(zone, 2.0),)))) == {zone: ("breach", None)}


def test_two_breaching_series_that_become_one_are_an_error_of_the_rule():
    rule = a_rule(labels=series(pod=""))
    judgement = judge(rule, answered(a=2.0, b=2.0), active(A))
    assert said(judgement) == {A: ("unknown", "duplicate")}
    assert judge(rule, answered(a=2.0, b=0.0), {}).verdict is Verdict.BREACH


@pytest.mark.parametrize("order", [(2.0, 0.0), (0.0, 2.0)])
def test_metrics_of_two_names_with_the_same_labels_breach_when_one_does(order):
    film = Film(a_policy([a_group(a_rule())]))
    film.show(slot(0), {"g/r": Observation(measured=Answer(tuple(Sample(A, value) for value in order)))})
    (alert,) = film.alerts().values()
    assert (alert.phase, alert.value) == (Phase.FIRING, 2.0)


def test_more_breaching_series_than_the_limit_leave_every_alert_as_it_was():
    film = Film(a_policy([a_group(a_rule(hold=5), limit=2)]))
    film.show(slot(0), {"g/r": answered(a=2.0)})
    film.show(slot(1), {"g/r": answered(a=2.0, b=2.0, c=2.0)})
    (alert,) = film.alerts().values()
    assert (alert.series, alert.phase, alert.unknown) == (A, Phase.PENDING, Unknown.TOO_LARGE)
    film.show(slot(2), {"g/r": answered(a=2.0, b=2.0)})
    assert {each.unknown for each in film.alerts().values()} == {None}
    assert len(film.alerts()) == 2


def test_an_idle_series_does_not_hide_the_others_and_does_not_excuse_blindness():
    healthy = judge(a_rule(), answered(a=math.nan, b=0.0), {})
    assert (healthy.verdict, healthy.reason) == (Verdict.PASS, None)
    breaching = judge(a_rule(), answered(a=math.nan, b=2.0), {})
    assert (breaching.verdict, breaching.reason) == (Verdict.BREACH, None)
    for alerts in (active(B), active(series(pod="0"))):
        assert judge(a_rule(), answered(a=math.nan), alerts).reason is Unknown.ABSENT


def test_an_active_series_of_which_nothing_is_known_makes_its_rule_unknown():
    judgement = judge(a_rule(), answered(b=0.0), active(A))
    assert (judgement.verdict, judgement.reason) == (Verdict.UNKNOWN, None)


def test_the_labels_of_the_rule_override_and_remove_those_of_the_sample():
    rule = a_rule(labels=series(pod="", zone="z", alertname="never", team="{{ $labels.pod }}"))
    assert final_labels(rule, series(pod="a", zone="y")) == series(zone="z", team="a", alertname="r")


def test_the_series_to_show_is_the_worst_and_of_these_the_one_with_the_smallest_margin():
    judgement = judge(a_rule(), answered(a=0.2, b=0.9, c=math.nan), active(series(pod="c")))
    assert most_telling(judgement, ABOVE_ONE.comparison).series == series(pod="c")
    judgement = judge(a_rule(), answered(a=0.2, b=0.9), {})
    assert most_telling(judgement, ABOVE_ONE.comparison).series == B


class TestSight:
    def sights(self, film):
        return [(each.reason, each.since) for record in film.of(Evaluated) for each in record.sights]

    def film(self, script):
        film = Film(a_policy([a_group(a_rule())]))
        for number, letter in enumerate(script):
            film.show(slot(number), {"g/r": seen(letter)})
        return film

    def test_is_told_when_it_goes_and_when_it_comes_back(self):
        film = self.film("puup")
        assert self.sights(film) == [(Unknown.CONNECT, slot(1)), (None, None)]
        assert film.state.groups["g"].sights == {}

    def test_that_is_gone_for_another_reason_is_gone_since_the_same_slot(self):
        assert self.sights(self.film("ua")) == [(Unknown.CONNECT, slot(0)), (Unknown.ABSENT, slot(0))]

    def test_begins_anew_between_nothing_to_judge_and_nothing_to_see(self):
        """A quiet night before an outage does not make the outage long."""
        film = self.film("n" * 100 + "u")
        assert self.sights(film) == [(Unknown.NAN, slot(0)), (Unknown.CONNECT, slot(100))]

    def test_of_a_rule_that_was_not_observed_is_missed(self):
        film = Film(a_policy([a_group(a_rule())]))
        film.show(slot(0), {})
        assert self.sights(film) == [(Unknown.MISSED, slot(0))]

    def test_of_a_rule_that_a_reload_took_away_is_forgotten(self):
        film = self.film("u")
        film.reload(a_policy([a_group(a_rule("other"))]), at=slot(1))
        film.show(slot(1), {"g/other": seen("p")})
        assert film.state.groups["g"].sights == {}
