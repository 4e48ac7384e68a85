"""What a guard concludes, and why: every case is a decision with a reason, also when nothing is done."""

from datetime import timedelta

import pytest

from build import Film, a_film, a_group, a_guard, a_policy, a_rule, a_step, minutes, play, seen, slot
from rollback_guard.core import step as core
from rollback_guard.core.model import Blindness, BlindPolicy, Limits, Mode, Severity, Storm, Verdict
from rollback_guard.core.records import (
    Concluded,
    Decided,
    IncidentCleared,
    IncidentEnded,
    IncidentJoined,
    IncidentOpened,
    Intended,
    Outcome,
    Reason,
    Watched,
)
from rollback_guard.core.state import IncidentPhase
from rollback_guard.core.wording import NOTHING_LEFT

CRITICAL, WARNING = Severity.CRITICAL, Severity.WARNING


def test_a_firing_critical_rule_makes_the_guard_act_once():
    film = play(a_film(a_rule(hold=2)), "bbbbb")
    assert film.conclusions() == ["act/breach"]
    (opened,) = film.of(IncidentOpened)
    (intended,) = film.of(Intended)
    assert (opened.breached_at, opened.at, opened.rules) == (slot(0), slot(2), ("g/r",))
    assert (intended.key, intended.step, intended.action) == (f"{opened.incident}-1", 0, "flag-off")


def test_the_decision_names_the_value_against_the_threshold():
    film = play(a_film(), "b")
    (evidence,) = film.of(Decided)[0].evidence
    assert (evidence.rule, evidence.verdict, evidence.value, evidence.op, evidence.threshold) == (
        "g/r",
        Verdict.BREACH,
        2.0,
        ">",
        1.0,
    )


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("b", "u", ["act/breach"]),
        ("b", "p", ["act/breach"]),
        ("u", "p", []),
        ("p", "p", []),
    ],
    ids=["breach beats unknown", "breach beats pass", "unknown alone does nothing yet", "all is well"],
)
def test_precedence_over_several_rules(first, second, expected):
    film = a_film(a_rule("a"), a_rule("b"))
    film.show(slot(0), {"g/a": seen(first), "g/b": seen(second)})
    assert film.conclusions() == expected


@pytest.mark.promise(10)
@pytest.mark.parametrize("letter", list("uqaswn"))
def test_no_kind_of_not_knowing_makes_a_guard_act(letter):
    film = play(a_film(), letter * 120)
    assert film.of(Intended) == []
    assert film.conclusions() == ([] if letter == "n" else ["hold/blind"])


class TestBlindness:
    def film(self, do=BlindPolicy.NOTIFY, **changes):
        return a_film(guards=[a_guard(blind=Blindness(after=minutes(5), do=do), **changes)])

    def test_is_a_decision_once_it_has_lasted(self):
        film = play(self.film(), "puuuuu")
        assert film.conclusions() == []
        play(film, "u", first=6)
        assert film.conclusions() == ["hold/blind"]
        assert film.of(Decided)[0].at == slot(6)

    def test_is_not_called_healthy_before_and_is_over_with_the_first_pass(self):
        film = play(self.film(), "u" * 7 + "p" + "uu" + "p")
        assert film.conclusions() == ["hold/blind", "none/healthy"]
        assert film.of(Decided)[1].at == slot(7)

    def test_may_act_when_people_say_so(self):
        film = play(self.film(BlindPolicy.ACT), "p" + "u" * 6)
        assert film.conclusions() == ["act/blind"]
        assert film.incident().breached_at == slot(1)

    @pytest.mark.parametrize("do", list(BlindPolicy))
    def test_does_not_count_a_quiet_night(self, do):
        film = play(self.film(do), "n" * 600 + "u")
        assert film.conclusions() == []

    def test_does_not_count_a_quiet_night_of_a_pending_alert(self):
        film = a_film(a_rule(hold=600), guards=[a_guard(blind=Blindness(after=minutes(5), do=BlindPolicy.ACT))])
        play(film, "b" + "n" * 100 + "u")
        assert film.conclusions() == []

    def test_of_a_warning_calls_nobody(self):
        film = play(a_film(a_rule(severity=WARNING)), "u" * 60)
        assert film.conclusions() == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"severity": WARNING}, ["hold/not_critical", "none/healthy"]),
        ({"shadow": True}, ["hold/shadow", "none/healthy"]),
        ({"severity": Severity.NONE}, []),
    ],
)
def test_what_may_not_act_is_still_decided(changes, expected):
    film = play(a_film(a_rule(**changes)), "bbp")
    assert film.conclusions() == expected
    assert film.of(IncidentOpened) == []


def test_healthy_is_not_said_while_a_critical_rule_breaches():
    film = a_film(a_rule("a", severity=WARNING), a_rule("b", hold=5))
    for number, letters in enumerate(["bb", "pb", "pp"]):
        film.show(slot(number), {"g/a": seen(letters[0]), "g/b": seen(letters[1])})
    assert [(each.reason, each.at) for each in film.of(Decided)] == [
        (Reason.NOT_CRITICAL, slot(0)),
        (Reason.HEALTHY, slot(2)),
    ]


class TestBrakes:
    def test_warm_up_holds_and_then_lets_go(self):
        film = play(a_film(guards=[a_guard(warm_up=minutes(3))]), "bbbb")
        assert film.conclusions() == ["hold/warming_up", "act/breach"]
        assert film.of(Intended)[0].at == slot(2)

    def test_dry_run_says_what_would_have_happened(self):
        film = play(a_film(mode=Mode.DRY_RUN), "bbp")
        assert film.conclusions() == ["hold/dry_run", "recovered/by_itself"]
        assert film.of(Intended) == []

    def test_the_earlier_brake_is_the_one_that_is_named(self):
        film = play(a_film(mode=Mode.DRY_RUN, guards=[a_guard(warm_up=minutes(2))]), "bb")
        assert film.conclusions() == ["hold/warming_up", "hold/dry_run"]

    def test_cooldown_keeps_incidents_apart(self):
        film = a_film(guards=[a_guard(limits=Limits(max_actions=9, cooldown=minutes(10)))])
        play(film, "b")
        film.conclude(Outcome.SUCCEEDED, at=slot(0))
        play(film, "ppp", first=1)
        assert film.incident().closed_at == slot(2)
        play(film, "b" * 12, first=4)
        assert film.conclusions() == [
            "act/breach",
            "recovered/verified",
            "none/healthy",
            "hold/cooldown",
            "act/breach",
        ]
        assert film.of(Intended)[1].at == slot(12)

    @pytest.mark.promise(20)
    def test_the_limit_holds_over_incidents_and_moves_on_with_time(self):
        film = a_film(guards=[a_guard(limits=Limits(max_actions=1, per=minutes(30), cooldown=timedelta(0)))])
        play(film, "b")
        film.conclude(Outcome.SUCCEEDED, at=slot(0))
        play(film, "pp" + "b" * 40, first=1)
        assert film.conclusions() == ["act/breach", "recovered/verified", "hold/limit_reached", "act/breach"]
        assert film.of(Intended)[1].at == slot(30)

    @pytest.mark.promise(20)
    def test_leaving_a_guard_out_for_one_reload_does_not_refill_its_limits(self):
        guard = a_guard(limits=Limits(max_actions=1, cooldown=timedelta(0)))
        film = a_film(guards=[guard])
        play(film, "b")
        film.conclude(Outcome.SUCCEEDED, at=slot(0))
        play(film, "pp", first=1)
        whole = film.policy
        film.reload(a_policy([a_group(a_rule())]), at=slot(3))
        film.reload(whole, at=slot(3))
        play(film, "b", first=4)
        assert film.conclusions()[-1] == "hold/limit_reached"


class TestStorm:
    def film(self, guards, allowed=2):
        rules = [a_rule(f"r{number}") for number in range(guards)]
        each = [a_guard(f"guard{number}", [f"g/r{number}"]) for number in range(guards)]
        return Film(a_policy([a_group(*rules)], each, storm=Storm(guards=allowed, within=minutes(2))))

    def show(self, film, at, breaching):
        film.show(slot(at), {rule: seen("b" if int(rule[3:]) in breaching else "p") for rule in film.policy.rules})

    def test_holds_those_that_are_not_under_way_yet(self):
        film = self.film(5)
        self.show(film, 0, {0, 1, 2, 3, 4})
        assert len(film.of(Intended)) == 2
        assert [film.conclusions(f"guard{number}") for number in (2, 3, 4)] == [["hold/storm"]] * 3

    def test_is_not_over_because_time_has_passed(self):
        film = self.film(5)
        for at in range(60):
            self.show(film, at, {0, 1, 2, 3, 4})
        assert len(film.of(Intended)) == 2

    def test_is_not_over_because_the_first_ones_have_recovered(self):
        film = self.film(5)
        self.show(film, 0, {0, 1, 2, 3, 4})
        for at in range(1, 60):
            self.show(film, at, {3, 4})
        assert {each.guard for each in film.of(Intended)} == {"guard0", "guard1"}

    def test_is_none_when_guards_break_one_after_the_other(self):
        film = self.film(5)
        for number in range(5):
            self.show(film, number * 3, set(range(number + 1)))
        assert len(film.of(Intended)) == 5


class TestVerification:
    def film(self, script="b", actions=("flag-off", "rollback"), **changes):
        film = play(a_film(guards=[a_guard(actions=actions, within=5, stable_for=2, **changes)]), script)
        film.conclude(Outcome.SUCCEEDED, at=slot(0) + timedelta(seconds=10))
        return film

    def test_all_rules_passing_for_long_enough_is_recovery(self):
        film = play(self.film(), "bpppp", first=1)
        assert film.conclusions() == ["act/breach", "recovered/verified", "none/healthy"]
        assert film.of(IncidentEnded)[0].at == slot(4)

    def test_a_relapse_starts_the_stable_time_anew(self):
        film = play(self.film(), "ppbppp", first=1)
        assert film.of(IncidentEnded)[0].at == slot(6)

    def test_not_knowing_is_not_passing(self):
        film = play(self.film(), "ppuppp", first=1)
        assert film.of(IncidentEnded)[0].at == slot(6)

    def test_a_breach_at_the_end_is_the_next_step(self):
        film = play(self.film(), "bbbbbb", first=1)
        assert film.conclusions() == ["act/breach", "act/not_recovered"]
        assert [(each.action, each.at) for each in film.of(Intended)] == [("flag-off", slot(0)), ("rollback", slot(6))]

    def test_what_is_read_late_is_not_taken_for_what_follows_the_step(self):
        rule = a_rule()
        film = Film(a_policy([a_group(rule, query_offset=minutes(2))], [a_guard(within=5, stable_for=2)]))
        play(film, "b")
        film.conclude(Outcome.SUCCEEDED, at=slot(0) + timedelta(seconds=10))
        play(film, "pppppp", first=1)
        watched = [each for each in film.of(Watched) if each.passing_since is not None]
        assert watched[0].passing_since == slot(1), "the sample of the slot two minutes later"
        assert film.of(IncidentEnded)[0].at == slot(5)

    def test_what_passes_at_the_end_is_waited_for(self):
        film = play(self.film(), "bbbbppp", first=1)
        assert film.conclusions()[:2] == ["act/breach", "recovered/verified"]

    def test_the_last_step_without_recovery_is_handed_over(self):
        film = play(self.film(actions=("flag-off",)), "b" * 20, first=1)
        assert film.conclusions() == ["act/breach", "hand_over/playbook_exhausted"]
        assert film.incident().phase is IncidentPhase.HANDED_OVER

    @pytest.mark.parametrize("letter", ["u", "n"])
    def test_what_cannot_be_told_is_extended_once_and_then_handed_over(self, letter):
        film = play(self.film(), letter * 20, first=1)
        assert film.conclusions() == ["act/breach", "hand_over/cannot_tell"]
        assert film.of(IncidentEnded)[0].at == slot(6 + 5)

    def when_idle_passes(self, script):
        steps = tuple(a_step(action, within=5, stable_for=2, idle_passes=True) for action in ("flag-off", "rollback"))
        return play(self.film(playbook=steps), script, first=1)

    def test_having_nothing_left_to_judge_is_recovery_where_the_step_says_so(self):
        film = self.when_idle_passes("bnnnn")
        assert film.conclusions()[:2] == ["act/breach", "recovered/verified"]
        assert film.of(IncidentEnded)[0].at == slot(4)

    def test_having_nothing_left_to_judge_says_nothing_of_an_action_that_failed(self):
        steps = tuple(a_step(action, within=5, stable_for=2, idle_passes=True) for action in ("flag-off", "rollback"))
        film = play(a_film(guards=[a_guard(playbook=steps)]), "bnn")
        film.conclude(Outcome.FAILED, at=slot(2) + timedelta(seconds=10))
        play(film, "n" * 20, first=3)
        assert film.conclusions() == ["act/breach", "hand_over/cannot_tell"]

    def test_that_nothing_was_left_to_judge_is_said(self):
        film = self.when_idle_passes("nnnn")
        recovered = film.of(Decided)[1]
        assert (recovered.reason, recovered.detail) == (Reason.VERIFIED, NOTHING_LEFT)
        assert play(self.film(), "pppp", first=1).of(Decided)[1].detail == ""

    def test_blindness_is_no_recovery_even_where_nothing_to_judge_is_one(self):
        film = self.when_idle_passes("nun" + "u" * 10)
        assert film.conclusions() == ["act/breach", "hand_over/cannot_tell"]

    def test_what_breaches_again_once_there_is_something_to_judge_makes_the_guard_act_again(self):
        film = self.when_idle_passes("nnnnn" + "b")
        assert film.conclusions()[:2] == ["act/breach", "recovered/verified"]
        assert film.conclusions()[-1] == "act/breach"
        assert [each.action for each in film.of(Intended)] == ["flag-off", "flag-off"]

    def test_a_breach_after_the_extension_is_the_next_step(self):
        film = play(self.film(), "u" * 8 + "b" * 4, first=1)
        assert film.conclusions() == ["act/breach", "act/not_recovered"]
        assert film.of(Intended)[1].at == slot(11)

    def test_an_evaluation_from_before_the_action_ended_says_nothing(self):
        groups = [a_group(a_rule("a", group="g"), id="g"), a_group(a_rule("b", group="h"), id="h")]
        film = a_film(groups=groups, guards=[a_guard(rules=["g/a", "h/b"], stable_for=0)])
        film.show(slot(0), {"h/b": seen("b")}, group="h")
        film.show(slot(1), {"g/a": seen("b")})
        film.show(slot(1) + timedelta(seconds=5), {"g/a": seen("p")})
        film.conclude(Outcome.SUCCEEDED, at=slot(1) + timedelta(seconds=10))
        film.show(slot(1) + timedelta(seconds=30), {"h/b": seen("p")}, group="h")
        assert film.incident().phase is IncidentPhase.VERIFYING
        film.show(slot(2), {"g/a": seen("p")})
        assert film.conclusions()[-1] == "recovered/verified"

    def test_the_limit_ends_the_ladder_in_the_hands_of_people(self):
        film = play(self.film(limits=Limits(max_actions=1)), "b" * 6, first=1)
        assert film.conclusions() == ["act/breach", "hand_over/limit_reached"]

    def test_a_reload_does_not_change_what_was_promised(self):
        film = self.film()
        film.reload(
            a_policy([a_group(a_rule())], [a_guard(actions=("flag-off", "rollback"), within=50, stable_for=40)]),
            at=slot(0) + timedelta(seconds=20),
        )
        play(film, "ppp", first=1)
        assert film.conclusions()[1] == "recovered/verified"

    def test_a_kept_alert_that_passes_counts_as_passing(self):
        film = a_film(a_rule(keep=60), guards=[a_guard(stable_for=2)])
        play(film, "b")
        film.conclude(Outcome.SUCCEEDED, at=slot(0))
        play(film, "pppp", first=1)
        assert film.conclusions()[1] == "recovered/verified"


class TestOutcomes:
    def film(self, actions=("flag-off", "rollback")):
        return play(a_film(guards=[a_guard(actions=actions)]), "b")

    def test_failed_for_good_is_the_next_step_at_once(self):
        film = self.film()
        film.conclude(Outcome.FAILED, at=slot(0) + timedelta(seconds=5))
        assert film.conclusions() == ["act/breach", "act/action_failed"]
        assert film.of(Intended)[1].at == slot(0) + timedelta(seconds=5)

    def test_the_last_one_failed_is_handed_over(self):
        film = self.film(actions=("flag-off",))
        film.conclude(Outcome.FAILED, at=slot(0))
        assert film.conclusions() == ["act/breach", "hand_over/playbook_exhausted"]

    def test_unknown_is_handed_over_and_nothing_is_tried_again(self):
        film = self.film()
        film.conclude(Outcome.UNKNOWN, at=slot(0))
        play(film, "b" * 60, first=1)
        assert film.conclusions() == ["act/breach", "hand_over/outcome_unknown"]
        assert len(film.of(Intended)) == 1

    def test_failed_while_the_rules_pass_already_is_watched(self):
        film = self.film()
        play(film, "p", first=1)
        film.conclude(Outcome.FAILED, at=slot(1) + timedelta(seconds=5))
        play(film, "pp", first=2)
        assert film.conclusions() == ["act/breach", "recovered/by_itself"]

    @pytest.mark.parametrize(
        ("script", "expected"),
        [
            ("b", "act/action_failed"),
            ("pb", "act/action_failed"),
            ("ppp", "recovered/by_itself"),
            ("u" * 9, "hand_over/cannot_tell"),
        ],
    )
    def test_failed_without_present_knowledge_waits_for_the_next_slot(self, script, expected):
        """As after a restart: the last evaluation is old, and on old evidence no step begins."""
        film = self.film()
        film.conclude(Outcome.FAILED, at=slot(30))
        assert film.conclusions() == ["act/breach"]
        play(film, script, first=31)
        assert film.conclusions()[1] == expected

    def test_of_an_intent_that_is_not_open_says_nothing(self):
        film = self.film()
        film.conclude(Outcome.UNKNOWN, at=slot(0))
        (ended,) = film.of(Concluded)
        assert core.conclude(film.policy, film.state, ended) == ()


class TestOneIncident:
    def film(self):
        film = a_film(
            a_rule("a"), a_rule("b"), guards=[a_guard(rules=["g/a", "g/b"], actions=("flag-off", "rollback"))]
        )
        film.show(slot(0), {"g/a": seen("b"), "g/b": seen("p")})
        return film

    def test_is_joined_by_what_fires_later_and_starts_no_second_run(self):
        film = self.film()
        film.show(slot(1), {"g/a": seen("b"), "g/b": seen("b")})
        assert film.conclusions() == ["act/breach", "hold/in_progress"]
        assert film.of(IncidentJoined)[0].rules == ("g/b",)
        assert len(film.of(Intended)) == 1

    def test_is_over_only_when_what_joined_passes_too(self):
        film = self.film()
        film.conclude(Outcome.SUCCEEDED, at=slot(0))
        for number, letters in enumerate(["pb", "pb", "pp", "pp"], start=1):
            film.show(slot(number), {"g/a": seen(letters[0]), "g/b": seen(letters[1])})
        assert film.of(IncidentEnded)[0].at == slot(4)

    def test_after_a_hand_over_is_cleared_when_everything_passes(self):
        film = self.film()
        film.conclude(Outcome.UNKNOWN, at=slot(0))
        film.show(slot(1), {"g/a": seen("u"), "g/b": seen("p")})
        assert film.of(IncidentCleared) == []
        film.show(slot(2), {"g/a": seen("p"), "g/b": seen("p")})
        assert len(film.of(IncidentCleared)) == 1
        film.show(slot(3), {"g/a": seen("b"), "g/b": seen("p")})
        assert len(film.of(IncidentOpened)) == 2

    def test_has_an_id_of_its_own_even_within_one_slot(self):
        groups = [a_group(a_rule("a", group="g"), id="g"), a_group(a_rule("b", group="h"), id="h")]
        film = a_film(groups=groups, guards=[a_guard(rules=["g/a", "h/b"])], mode=Mode.DRY_RUN)
        film.show(slot(0), {"g/a": seen("b")})
        film.show(slot(0), {"h/b": seen("p")}, group="h")
        film.show(slot(1), {"g/a": seen("p")})
        film.show(slot(1), {"h/b": seen("b")}, group="h")
        ids = [each.incident for each in film.of(IncidentOpened)]
        assert len(set(ids)) == len(ids) == 2


class TestOldEvidence:
    """After a restart a group that has not caught up yet knows only what was; another group's tick must not act on it."""

    def film(self, **changes):
        groups = [a_group(a_rule("a", group="g"), id="g"), a_group(a_rule("b", group="h"), id="h")]
        return a_film(
            groups=groups, guards=[a_guard(rules=["g/a", "h/b"], actions=("flag-off", "rollback"), **changes)]
        )

    def test_opens_no_incident(self):
        film = self.film()
        film.show(slot(0), {"g/a": seen("b")}, present=False)
        film.show(slot(60), {"h/b": seen("p")}, group="h")
        assert film.records[-1].kind == "evaluated"
        film.show(slot(60), {"g/a": seen("b")})
        assert film.conclusions() == ["act/breach"]

    def test_does_not_let_go_of_a_brake(self):
        film = self.film(warm_up=minutes(10))
        film.show(slot(0), {"g/a": seen("b")})
        film.show(slot(60), {"h/b": seen("p")}, group="h")
        assert film.of(Intended) == []

    def test_begins_no_next_step(self):
        film = self.film()
        film.show(slot(0), {"g/a": seen("b")})
        film.conclude(Outcome.SUCCEEDED, at=slot(0))
        film.show(slot(1), {"g/a": seen("b")})
        film.show(slot(60), {"h/b": seen("p")}, group="h")
        assert len(film.of(Intended)) == 1
        film.show(slot(60), {"g/a": seen("b")})
        assert film.conclusions() == ["act/breach", "act/not_recovered"]

    def test_of_the_past_decides_nothing(self):
        film = self.film()
        for number in range(10):
            film.show(slot(number), {"g/a": seen("b")}, present=False)
        assert film.of(Decided) == []
        film.show(slot(10), {"g/a": seen("p")})
        assert film.of(Decided) == []

    def test_of_the_past_lets_a_verification_go_on(self):
        film = self.film()
        film.show(slot(0), {"g/a": seen("b")})
        film.conclude(Outcome.SUCCEEDED, at=slot(0))
        for number in (1, 2):
            film.show(slot(number), {"g/a": seen("p")}, present=False)
            film.show(slot(number), {"h/b": seen("p")}, group="h", present=False)
        film.show(slot(3), {"g/a": seen("p")})
        assert film.conclusions()[-1] == "recovered/verified"


class TestAReloadThatTakesAway:
    def test_a_guard_hands_its_incident_over(self):
        film = play(a_film(mode=Mode.DRY_RUN), "b")
        film.reload(a_policy([a_group(a_rule())]), at=slot(1))
        assert film.conclusions()[-1] == "hand_over/guard_removed"
        assert film.incident().phase is IncidentPhase.CLOSED

    def test_a_guard_waits_for_its_running_action(self):
        film = play(a_film(), "b")
        film.reload(a_policy([a_group(a_rule())]), at=slot(1))
        assert film.incident().phase is IncidentPhase.ACTING
        film.conclude(Outcome.FAILED, at=slot(2))
        assert film.conclusions()[-1] == "hand_over/guard_removed"
        assert film.incident().phase is IncidentPhase.CLOSED

    @pytest.mark.parametrize("outcome", [None, Outcome.SUCCEEDED, Outcome.UNKNOWN])
    def test_all_rules_of_an_incident_ends_it(self, outcome):
        film = play(a_film(mode=Mode.ENFORCE if outcome else Mode.DRY_RUN), "b")
        if outcome:
            film.conclude(outcome, at=slot(0))
        film.reload(a_policy([a_group(a_rule("other"))], [a_guard(rules=["g/other"])]), at=slot(1))
        film.show(slot(1), {"g/other": seen("p")})
        assert film.incident().phase is IncidentPhase.CLOSED
        assert film.of(IncidentEnded)[-1].reason is (
            Reason.OUTCOME_UNKNOWN if outcome is Outcome.UNKNOWN else Reason.RULES_REMOVED
        )

    def test_the_playbook_ends_it_in_the_hands_of_people(self):
        film = play(a_film(mode=Mode.DRY_RUN), "b")
        film.reload(a_policy([a_group(a_rule())], [a_guard(actions=(), limits=Limits(max_actions=1))]), at=slot(1))
        play(film, "b", first=1)
        assert film.conclusions()[-1] == "hand_over/playbook_exhausted"


def test_repetitions_are_not_recorded():
    film = play(a_film(guards=[a_guard(warm_up=minutes(100))]), "b" * 50)
    assert film.conclusions() == ["hold/warming_up"]
