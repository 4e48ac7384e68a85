"""The life of an alert, slot by slot: inactive (-), pending (P), firing (F). One letter is one minute."""

from datetime import timedelta

import pytest

from build import MINUTE, Film, a_group, a_guard, a_policy, a_rule, answered, minutes, phases, seen, series, slot
from rollback_guard.core.alert import Because
from rollback_guard.core.model import Phase
from rollback_guard.core.observation import Unknown
from rollback_guard.core.records import Evaluated, Intended, Outcome


def transitions(film):
    return [each for record in film.of(Evaluated) for each in record.transitions]


@pytest.mark.parametrize(
    ("hold", "script", "expected"),
    [
        (0, "b", "F"),
        (0, "pbp", "-F-"),
        (1, "bb", "PF"),
        (2, "bbbb", "PPFF"),
        (1.5, "bbb", "PPF"),
        (2, "bpbbb", "P-PPF"),
        (2, "bbpbb", "PP-PP"),
        (0, "bpb", "F-F"),
    ],
    ids=[
        "for of zero fires at once and is never pending",
        "it ends with the first pass",
        "a for of one interval fires one slot later",
        "for is inclusive",
        "a for between two slots ends at the later one",
        "one pass takes back all that was pending",
        "almost is not enough",
        "what returns is a new alert",
    ],
)
def test_a_known_series_moves_as_in_prometheus(hold, script, expected):
    assert phases(script, a_rule(hold=hold)) == expected


@pytest.mark.parametrize(
    ("hold", "keep", "script", "expected"),
    [
        (0, 2, "bppp", "FFF-"),
        (0, 1.5, "bppp", "FFF-"),
        (0, 2, "bpbppp", "FFFFF-"),
        (2, 5, "bp", "P-"),
        (0, 2, "bpupp", "FFFF-"),
        (0, 2, "bp.pp", "FF.F-"),
    ],
    ids=[
        "kept from the first pass on, and gone when the time is over",
        "a time between two slots ends at the later one",
        "a breach within it starts the time anew",
        "what is pending is not kept",
        "an unknown slot makes its clock stand still",
        "so does a missed one",
    ],
)
def test_keep_firing_for_outlives_the_breach(hold, keep, script, expected):
    assert phases(script, a_rule(hold=hold, keep=keep)) == expected


def test_a_breach_during_keep_firing_for_is_the_same_alert():
    film = Film(a_policy([a_group(a_rule(keep=5))]))
    for number, letter in enumerate("bpb"):
        film.show(slot(number), {"g/r": seen(letter)})
    (alert,) = film.alerts().values()
    assert (alert.active_at, alert.fired_at, alert.passing_since) == (slot(0), slot(0), None)
    assert len(transitions(film)) == 1


@pytest.mark.parametrize("letter", list("unqsw"))
@pytest.mark.parametrize(
    ("hold", "script", "expected"),
    [
        (0, "???", "---"),
        (2, "b?bb", "PPPF"),
        (2, "bb?b", "PPPF"),
        (2, "b???bb", "PPPPPF"),
        (0, "b????p", "FFFFF-"),
        (2, "b?p", "PP-"),
    ],
    ids=[
        "never starts an alert",
        "makes the clock of for stand still",
        "does so in the slot in which it would have fired",
        "does so for as long as it lasts",
        "never ends a firing alert",
        "does not protect a pending one from the pass after it",
    ],
)
@pytest.mark.promise(10)
def test_not_knowing(letter, hold, script, expected):
    assert phases(script.replace("?", letter), a_rule(hold=hold)) == expected


def test_a_firing_alert_outlives_any_blindness():
    assert phases("b" + "u" * 600, a_rule()) == "F" * 601


@pytest.mark.parametrize(
    ("hold", "expected"),
    [(2, "P" + 6 * "P" + "-"), (5, "P" + 6 * "P" + "-"), (8, "P" + 9 * "P" + "-")],
    ids=["at least five minutes", "five minutes", "as long as for"],
)
def test_evidence_expires_after_more_than_for_and_five_minutes_at_least(hold, expected):
    assert phases("b" + "u" * (len(expected) - 1), a_rule(hold=hold)) == expected


def test_a_slot_that_is_known_gives_evidence_a_new_life():
    assert phases("b" + "u" * 6 + "b" + "u" * 6 + "b", a_rule(hold=3)) == "P" * 15


def test_expired_evidence_says_so():
    film = Film(a_policy([a_group(a_rule(hold=2))]))
    for number, letter in enumerate("b" + "u" * 7):
        film.show(slot(number), {"g/r": seen(letter)})
    assert transitions(film)[-1].because is Because.EVIDENCE_EXPIRED
    assert transitions(film)[-1].after is Phase.INACTIVE


@pytest.mark.parametrize(
    ("hold", "script", "expected"),
    [
        (2, "b..bb", "P..PF"),
        (0, "b....b", "F....F"),
        (0, "b....p", "F....-"),
        (2, "b......bb", "P......PF"),
        (2, "b.......bbb", "P.......PPF"),
        (9, "b......b", "P......P"),
    ],
    ids=[
        "the clock of for stands still",
        "a firing alert is still firing",
        "and ends with a pass",
        "six minutes are not more than five after the first",
        "with longer blindness the evidence is gone and the breach is a new one",
        "a longer for lets evidence live longer",
    ],
)
def test_missed_slots_are_unknown_ones(hold, script, expected):
    assert phases(script, a_rule(hold=hold)) == expected


def test_missed_slots_are_counted():
    film = Film(a_policy([a_group(a_rule())]))
    film.show(slot(0), {"g/r": seen("p")})
    (record,) = [each for each in film.show(slot(4), {"g/r": seen("p")}) if isinstance(each, Evaluated)]
    assert record.missed == 3
    assert film.state.groups["g"].missed == 3


def test_an_expired_and_begun_alert_has_its_own_beginning():
    film = Film(a_policy([a_group(a_rule(hold=2))]))
    film.show(slot(0), {"g/r": seen("b")})
    film.show(slot(8), {"g/r": seen("b")})
    (alert,) = film.alerts().values()
    assert alert.active_at == slot(8)
    assert [each.because for each in transitions(film)] == [
        Because.BREACHED,
        Because.EVIDENCE_EXPIRED,
        Because.BREACHED,
    ]


@pytest.mark.parametrize(
    ("holds", "script", "expected"),
    [
        ([2, 2, 2, 5, 5, 5], "bbbbbb", "PPFPPF"),
        ([5, 5, 1, 1], "bbbb", "PPFF"),
        ([2, 2, 2, 5, 5], "bbbub", "PPFFP"),
        ([2, 2, 2, 5], "bbbp", "PPF-"),
    ],
    ids=[
        "raised above what has passed it is pending again, and keeps its beginning",
        "lowered it fires at the next breach",
        "an unknown slot does not take it back",
        "a pass ends it as ever",
    ],
)
@pytest.mark.promise(18)
def test_a_reload_that_changes_for_only_moves_the_line(holds, script, expected):
    rules = [a_rule(hold=hold) for hold in holds]
    assert phases(script, rules) == expected


@pytest.mark.promise(18)
def test_a_rule_that_measures_something_else_starts_anew():
    before, after = a_rule(hold=2), a_rule(hold=2, fingerprint="another")
    assert phases("bbbbbb", [before] * 3 + [after] * 3) == "PPFPPF"


def test_a_slot_that_is_not_later_than_the_last_one_is_not_evaluated_again():
    film = Film(a_policy([a_group(a_rule(hold=1))]))
    film.show(slot(5), {"g/r": seen("b")})
    before = film.state
    assert film.show(slot(5), {"g/r": seen("b")}) == ()
    assert film.show(slot(4), {"g/r": seen("p")}) == ()
    assert film.state is before


def test_two_series_have_clocks_of_their_own():
    film = Film(a_policy([a_group(a_rule(hold=2))]))
    shown = {"a": "", "b": ""}
    for number, (a, b) in enumerate([(2, 0), (2, 2), (2, 2), (0, 2), (2, 2)]):
        film.show(slot(number), {"g/r": answered(a=a, b=b)})
        alerts = film.alerts()
        for pod in shown:
            alert = alerts.get(series(pod=pod))
            shown[pod] += "-" if alert is None else alert.phase[0].upper()
    assert shown == {"a": "PPF-P", "b": "-PPFF"}


def test_the_last_known_value_stays_over_slots_without_one():
    film = Film(a_policy([a_group(a_rule(hold=5))]))
    for number, letter in enumerate("bnu"):
        film.show(slot(number), {"g/r": seen(letter)})
        (alert,) = film.alerts().values()
        assert alert.value == 2.0


def test_a_slot_credits_the_time_since_the_last_one_even_off_the_grid():
    """After the clock was set the next slot is nearer or farther than an interval; unknown ones withhold as much."""
    film = Film(a_policy([a_group(a_rule(hold=2))]))
    for number, letter in enumerate("bbb"):
        film.show(slot(number), {"g/r": seen(letter)})
    film.show(slot(2) + timedelta(seconds=20), {"g/r": seen("u")})
    film.show(slot(3), {"g/r": seen("b")})
    (alert,) = film.alerts().values()
    assert alert.phase is Phase.FIRING
    assert alert.stalled == timedelta(seconds=20)


def test_idle_slots_are_no_blindness():
    film = Film(a_policy([a_group(a_rule(hold=60))]))
    for number, letter in enumerate("bnnnnuu"):
        film.show(slot(number), {"g/r": seen(letter)})
    (alert,) = film.alerts().values()
    assert (alert.unknown_since, alert.blind_since) == (slot(1), slot(5))
    assert alert.unknown is Unknown.CONNECT
    film.show(slot(7), {"g/r": seen("b")})
    (alert,) = film.alerts().values()
    assert (alert.unknown, alert.unknown_since, alert.blind_since) == (None, None, None)
    assert alert.stalled == minutes(6)
    assert film.state.groups["g"].slot - alert.active_at == 7 * MINUTE


class TestASeriesThatIsGone:
    """The pod of a release that was rolled back."""

    def film(self, **later):
        film = Film(a_policy([a_group(a_rule())], [a_guard()]))
        film.show(slot(0), {"g/r": answered(old=2.0, new=0.0)})
        film.conclude(Outcome.SUCCEEDED, at=slot(0) + timedelta(seconds=10))
        for number in range(1, 70):
            film.show(slot(number), {"g/r": answered(**later)})
        return film

    def test_is_forgotten_after_an_hour_beside_others_and_its_incident_closed(self):
        film = self.film(new=0.0)
        ended = [each for record in film.of(Evaluated) for each in record.transitions]
        assert [(each.series, each.because) for each in ended if each.after == "inactive"] == [
            (series(pod="old"), Because.SERIES_GONE)
        ]
        assert film.incident().phase == "closed"
        film.show(slot(100), {"g/r": answered(new=9.0)})
        assert len(film.of(Intended)) == 2, "the guard acts again"

    def test_is_never_forgotten_while_nothing_of_its_rule_is_there(self):
        film = self.film()
        assert film.alerts()[series(pod="old")].phase is Phase.FIRING
        assert film.incident().phase == "handed_over"
