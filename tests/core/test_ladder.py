"""The ladder: which step comes next, for whom it waits, on what it is begun, and what tells whether it helped."""

from dataclasses import replace
from datetime import timedelta

import pytest

from build import a_film, a_group, a_guard, a_policy, a_rule, a_step, minutes, play, seen, series, slot
from rollback_guard.core.model import (
    Approval,
    Blindness,
    BlindPolicy,
    Fleet,
    Limits,
    Otherwise,
    Severity,
    Storm,
)
from rollback_guard.core.operations import Approve, Extend, Pause, Resume, Trigger, Veto
from rollback_guard.core.records import (
    Awaited,
    Concluded,
    Decided,
    IncidentEnded,
    IncidentOpened,
    MaintenanceChanged,
    Outcome,
    Wait,
    Window,
)
from rollback_guard.core.state import IncidentPhase

ONE, TWO = a_step("flag-off"), a_step("rollback")
LIMITS = Limits(max_actions=9, cooldown=timedelta(0))
SECOND = timedelta(seconds=1)


def asks(otherwise=Otherwise.HAND_OVER, *, within=10, action="rollback", **changes):
    return a_step(action, approve=Approval(within=minutes(within), otherwise=otherwise), **changes)


def tells(*channels, **changes):
    return a_step("", notify=channels, **changes)


def a_ladder(*steps, rules=(), **changes):
    """Return a film of one guard with these steps; its rule breaches if nothing else is said."""
    rules = rules or (a_rule(),)
    known = {"playbook": steps, "limits": LIMITS}
    return a_film(*rules, guards=[a_guard(rules=[rule.id for rule in rules], **known | changes)])


def show(film, at, **letters):
    film.show(slot(at), {f"g/{name}": seen(letter) for name, letter in letters.items()})


class TestAStepWithLabels:
    RULES = (a_rule("db", labels=series(tier="db", team="x")), a_rule("web", labels=series(tier="web")))

    def film(self, *steps):
        return a_ladder(*steps, rules=self.RULES)

    @pytest.mark.parametrize(
        ("firing", "expected"), [("db", ["fail-over"]), ("web", ["rollback"]), ("both", ["fail-over"])]
    )
    def test_is_run_only_where_a_rule_of_the_incident_has_them(self, firing, expected):
        film = self.film(a_step("fail-over", select=series(tier="db")), TWO)
        show(film, 0, db="b" if firing in {"db", "both"} else "p", web="b" if firing in {"web", "both"} else "p")
        assert [action for action, _ in film.intents()] == expected

    def test_must_find_all_of_them_on_one_rule(self):
        film = self.film(a_step("fail-over", select=series(tier="web", team="x")), TWO)
        show(film, 0, db="b", web="b")
        assert [action for action, _ in film.intents()] == ["rollback"]

    def test_is_skipped_in_the_middle_too(self):
        film = self.film(ONE, a_step("fail-over", select=series(tier="db")), TWO)
        show(film, 0, db="p", web="b")
        film.conclude(Outcome.FAILED, at=slot(0))
        assert [action for action, _ in film.intents()] == ["flag-off", "rollback"]

    def test_may_become_the_right_one_through_a_rule_that_joined(self):
        film = self.film(ONE, a_step("fail-over", select=series(tier="db")))
        show(film, 0, db="p", web="b")
        show(film, 1, db="b", web="b")
        film.conclude(Outcome.FAILED, at=slot(1))
        assert [action for action, _ in film.intents()] == ["flag-off", "fail-over"]

    def test_that_no_rule_has_leaves_the_incident_to_people(self):
        film = self.film(a_step("fail-over", select=series(tier="queue")))
        show(film, 0, db="b", web="b")
        assert film.conclusions() == ["hand_over/playbook_exhausted"]


class TestAStepThatOnlyTellsPeople:
    def test_is_over_in_the_breath_in_which_it_begins_and_the_next_follows_when_it_did_not_help(self):
        film = play(a_ladder(tells("dba"), TWO), "bbbb")
        first, second = film.incident().intents
        assert (first.action, first.notify, first.goal, first.outcome) == (
            "notify dba",
            ("dba",),
            "dba knows",
            Outcome.SUCCEEDED,
        )
        assert second.action == "rollback"
        assert film.conclusions() == ["act/breach", "act/not_recovered"]

    def test_counts_in_no_limit(self):
        film = play(a_ladder(tells("dba"), TWO, limits=Limits(max_actions=1, cooldown=timedelta(0))), "bbbb")
        assert film.intents()[-1] == ("rollback", slot(3))
        assert film.state.guards["checkout"].acted_at == (slot(3),)

    def test_begins_no_cooldown(self):
        film = play(a_ladder(tells("dba"), limits=Limits(max_actions=9)), "bppb")
        assert len(film.of(IncidentOpened)) == 2
        assert film.conclusions()[-1] == "act/breach"

    def test_did_not_help_when_things_got_well(self):
        film = play(a_ladder(tells("dba"), TWO), "bpp")
        assert film.conclusions() == ["act/breach", "recovered/by_itself"]

    def test_is_not_the_first_action_of_its_incident(self):
        """What holds before the first action still does; it is waited for, for nothing is half done."""
        film = play(a_ladder(tells("dba"), TWO), "b")
        film.policy = a_policy(
            film.policy.groups.values(), [replace(film.policy.guards["checkout"], warm_up=minutes(9))]
        )
        film.restart(at=slot(1))
        play(film, "b" * 12, first=1)
        assert film.conclusions() == ["act/breach", "hold/warming_up", "act/not_recovered"]
        assert film.intents()[-1] == ("rollback", slot(10))

    def test_waits_for_nobodys_veto(self):
        film = play(a_ladder(tells("dba"), TWO, veto=minutes(5)), "b")
        assert film.conclusions() == ["act/breach"]

    def test_may_be_asked_for(self):
        film = play(a_ladder(asks(action="", notify=("dba",))), "b")
        assert film.incident().phase is IncidentPhase.WAITING
        film.operate(Approve(by="ann", guard="checkout"), at=slot(0) + SECOND)
        assert [each.outcome for each in film.of(Concluded)] == [Outcome.SUCCEEDED]


class TestTheVetoCountdown:
    def film(self, *steps, veto=2, **changes):
        return a_ladder(*(steps or (ONE, TWO)), veto=minutes(veto), **changes)

    def test_comes_before_the_action_and_runs_it_at_its_end(self):
        film = play(self.film(), "b")
        (awaited,) = film.of(Awaited)
        assert (awaited.what, awaited.until, awaited.otherwise) == (Wait.VETO, slot(2), Otherwise.RUN)
        assert film.conclusions() == ["hold/awaiting_veto"]
        play(film, "b", first=1)
        assert film.attend(at=slot(2) - SECOND) == ()
        film.attend(at=slot(2))
        assert film.intents() == [("flag-off", slot(2))]
        assert film.conclusions() == ["hold/awaiting_veto", "act/breach"]

    def test_comes_before_every_action(self):
        film = play(self.film(), "bbb")
        film.conclude(Outcome.FAILED, at=slot(2))
        play(film, "bb", first=3)
        assert film.intents() == [("flag-off", slot(2)), ("rollback", slot(4))]
        assert film.conclusions() == [
            "hold/awaiting_veto",
            "act/breach",
            "hold/awaiting_veto",
            "act/action_failed",
        ]

    def test_ends_with_the_incident_when_all_is_quiet_again(self):
        film = play(self.film(), "bp")
        assert film.conclusions() == ["hold/awaiting_veto", "recovered/by_itself"]
        film.attend(at=slot(5))
        assert film.intents() == []

    @pytest.mark.parametrize(
        ("letter", "reason"), [("u", "hold/blind"), ("n", "hold/blind")], ids=["blind", "nothing to judge"]
    )
    def test_begins_nothing_on_what_is_not_known_at_its_end(self, letter, reason):
        film = play(self.film(), "b" + letter * 9)
        assert film.intents() == []
        assert film.conclusions() == ["hold/awaiting_veto", reason]
        play(film, "b", first=10)
        assert film.intents() == [("flag-off", slot(10))]

    def test_begins_nothing_on_what_passes_and_is_only_kept_firing(self):
        film = play(self.film(rules=[a_rule(keep=60)]), "bpppp")
        assert film.intents() == []
        play(film, "b", first=5)
        assert film.intents() == [("flag-off", slot(5))]

    def test_begins_nothing_on_what_was_before_a_restart(self):
        film = play(self.film(), "b")
        film.restart(at=slot(30))
        film.attend(at=slot(30))
        assert film.intents() == []
        play(film, "bb", first=30)
        assert film.intents() == [("flag-off", slot(31))]

    def test_leaves_people_a_minute_after_a_restart_for_nobody_could_say_anything_before(self):
        film = play(self.film(), "b")
        film.restart(at=slot(30))
        play(film, "b", first=30)
        assert film.incident().waiting.until == slot(31)
        film.operate(Veto(by="ann", why="known", guard="checkout"), at=slot(30) + SECOND)
        play(film, "bbb", first=31)
        assert film.intents() == []

    def test_may_be_for_an_action_in_blindness(self):
        film = play(self.film(blind=Blindness(after=minutes(3), do=BlindPolicy.ACT)), "p" + "u" * 7)
        assert film.conclusions() == ["hold/awaiting_veto", "act/blind"]

    def test_can_be_extended_and_again(self):
        film = play(self.film(), "b")
        film.operate(Extend(by="ann", guard="checkout", lasting=minutes(3)), at=slot(1))
        assert film.incident().waiting.until == slot(5)
        film.operate(Extend(by="ann", guard="checkout", lasting=minutes(1)), at=slot(1))
        play(film, "bbbbbb", first=1)
        assert film.intents() == [("flag-off", slot(6))]

    def test_is_cut_short_by_an_approval(self):
        film = play(self.film(), "b")
        film.operate(Approve(by="ann", guard="checkout", why="yes"), at=slot(0) + SECOND)
        assert film.intents() == [("flag-off", slot(0) + SECOND)]
        assert film.conclusions()[-1] == "act/approved"
        assert film.incident().intents[0].by == "ann"

    def test_ends_in_peoples_hands_by_a_veto(self):
        film = play(self.film(), "b")
        film.operate(Veto(by="ann", why="known", guard="checkout"), at=slot(1))
        play(film, "b" * 30, first=1)
        assert film.conclusions() == ["hold/awaiting_veto", "hand_over/vetoed"]
        assert film.intents() == []

    @pytest.mark.parametrize(("moment", "acts_at"), [(0, 2), (1, 3), (2, 2)])
    def test_survives_a_restart(self, moment, acts_at):
        film = play(self.film(), "b" * (moment + 1))
        film.restart(at=slot(moment) + SECOND)
        play(film, "b" * 4, first=moment + 1)
        assert film.intents() == [("flag-off", slot(acts_at))]

    @pytest.mark.parametrize("seconds", [-3000, 3000])
    def test_lasts_as_long_as_it_was_to_when_the_clock_is_set(self, seconds):
        by = timedelta(seconds=seconds)
        film = play(self.film(), "b")
        film.set_clock(by, at=slot(1) + by)
        film.show(slot(1) + by, {"g/r": seen("b")})
        film.attend(at=slot(2) + by - SECOND)
        assert film.intents() == []
        film.attend(at=slot(2) + by)
        assert film.intents() == [("flag-off", slot(2) + by)]


class TestAWaitThatABrakeOutlasts:
    """Who keeps the guard's hands off need not watch its clock: what is let go counts down anew, and is told anew."""

    RUNS = (a_step("flag-off"),)

    def film(self, *steps, **changes):
        return play(a_ladder(*(steps or self.RUNS), **{"veto": minutes(10)} | changes), "bb")

    def pause(self, film, at, **words):
        film.operate(Pause(by="ann", why="looking into it", guard="checkout", **words), at=slot(at))

    def resume(self, film, at):
        film.operate(Resume(by="ann", guard="checkout"), at=slot(at))
        film.attend(at=slot(at) + SECOND)

    def test_of_people_begins_anew_when_they_let_go(self):
        film = self.film()
        self.pause(film, 2)
        play(film, "b" * 60, first=2)
        self.resume(film, 62)
        assert film.intents() == []
        assert film.incident().waiting.until == slot(72) + SECOND
        assert film.conclusions() == ["hold/awaiting_veto", "hold/paused", "hold/awaiting_veto"]
        play(film, "b" * 11, first=62)
        film.attend(at=slot(72) + SECOND)
        assert film.intents() == [("flag-off", slot(72) + SECOND)]
        assert len(film.of(Awaited)) == 2

    def test_of_the_calendar_begins_anew_when_its_window_closes(self):
        film = self.film()
        film.take((MaintenanceChanged(at=slot(2), windows=(Window(name="night", until=slot(30)),)),))
        play(film, "b" * 28, first=2)
        film.attend(at=slot(30) + SECOND)
        assert film.intents() == []
        assert film.incident().waiting.until == slot(40) + SECOND

    def test_that_asks_and_is_run_if_nobody_answers_begins_anew(self):
        film = self.film(asks(Otherwise.RUN))
        self.pause(film, 2)
        play(film, "b" * 60, first=2)
        self.resume(film, 62)
        assert film.intents() == []
        assert [each.what for each in film.of(Awaited)] == [Wait.APPROVAL] * 2

    def test_begins_anew_also_where_nothing_was_seen_meanwhile(self):
        film = self.film()
        self.pause(film, 2)
        play(film, "b" * 5 + "u" * 60, first=2)
        self.resume(film, 67)
        play(film, "b", first=67)
        assert film.intents() == []
        assert len(film.of(Awaited)) == 2

    def test_goes_on_where_the_pause_ends_before_it(self):
        film = self.film()
        self.pause(film, 2)
        play(film, "bbb", first=2)
        self.resume(film, 5)
        play(film, "bbbbb", first=5)
        film.attend(at=slot(10))
        assert film.intents() == [("flag-off", slot(10))]

    def test_is_over_at_once_where_somebody_approved_it(self):
        film = self.film()
        self.pause(film, 2)
        play(film, "b" * 60, first=2)
        film.operate(Approve(by="bob", guard="checkout"), at=slot(61))
        self.resume(film, 62)
        assert film.intents() == [("flag-off", slot(62) + SECOND)]

    def test_lasts_only_as_long_as_people_say_who_give_more_time_meanwhile(self):
        film = self.film()
        self.pause(film, 2)
        play(film, "b" * 30, first=2)
        film.operate(Extend(by="bob", guard="checkout", lasting=minutes(10)), at=slot(32))
        self.resume(film, 33)
        play(film, "b" * 9, first=33)
        film.attend(at=slot(42))
        assert film.intents() == [("flag-off", slot(42))]

    def test_is_not_waited_for_twice_where_a_reload_has_taken_the_countdown_away(self):
        film = self.film()
        self.pause(film, 2)
        play(film, "b" * 30, first=2)
        guard = replace(film.policy.guards["checkout"], veto=timedelta(0))
        film.reload(replace(film.policy, guards={"checkout": guard}), at=slot(31))
        self.resume(film, 32)
        assert film.intents() == [("flag-off", slot(32) + SECOND)]

    def test_survives_a_restart_in_the_middle_of_the_pause(self):
        film = self.film()
        self.pause(film, 2)
        play(film, "b" * 3, first=2)
        film.restart(at=slot(30))
        play(film, "b" * 30, first=30)
        self.resume(film, 60)
        assert film.intents() == []
        assert len(film.of(Awaited)) == 2


class TestAStepThatPeopleHeldBackUntilItsTimeWasUp:
    """It was not tried to its end, so that the ladder stands where it stood."""

    def film(self, *steps, **changes):
        film = play(a_ladder(*(steps or (ONE, TWO)), **changes), "b")
        film.operate(Pause(by="ann", why="wait", guard="checkout"), at=slot(0))
        film.conclude(Outcome.FAILED, at=slot(5), held=True)
        return film

    def test_comes_once_more_under_another_key_when_they_let_go(self):
        film = play(self.film(), "bbb", first=6)
        assert film.conclusions() == ["act/breach", "hold/paused"]
        film.operate(Resume(by="ann", guard="checkout"), at=slot(9))
        play(film, "b", first=9)
        assert [action for action, _ in film.intents()] == ["flag-off", "flag-off"]
        assert len({each.key for each in film.incident().intents}) == 2
        assert film.conclusions()[-1] == "act/breach"

    def test_comes_at_once_where_they_let_go_in_that_moment(self):
        film = play(a_ladder(ONE, TWO), "b")
        film.conclude(Outcome.FAILED, at=slot(0), held=True)
        assert [action for action, _ in film.intents()] == ["flag-off", "flag-off"]

    def test_is_followed_by_the_next_one_when_it_fails_then(self):
        film = self.film()
        film.operate(Resume(by="ann", guard="checkout"), at=slot(6))
        play(film, "b", first=6)
        film.conclude(Outcome.FAILED, at=slot(6))
        assert [action for action, _ in film.intents()] == ["flag-off", "flag-off", "rollback"]

    def test_is_not_needed_where_all_is_quiet_meanwhile(self):
        film = play(self.film(), "ppp", first=6)
        film.operate(Resume(by="ann", guard="checkout"), at=slot(9))
        play(film, "p", first=9)
        assert film.conclusions() == ["act/breach", "recovered/by_itself", "none/healthy"]
        assert len(film.intents()) == 1

    def test_asks_anew_where_it_asks(self):
        film = play(a_ladder(asks()), "b")
        film.operate(Approve(by="ann", guard="checkout"), at=slot(0))
        film.conclude(Outcome.FAILED, at=slot(1), held=True)
        assert film.conclusions()[-1] == "hold/awaiting_approval"
        assert len(film.intents()) == 1

    def test_of_which_nobody_knows_what_it_did_is_left_to_people(self):
        film = play(a_ladder(ONE, TWO), "b")
        film.conclude(Outcome.UNKNOWN, at=slot(0), held=True)
        assert film.conclusions()[-1] == "hand_over/outcome_unknown"

    def test_is_run_once_more_as_ordered_where_a_person_ordered_it(self):
        film = play(a_ladder(ONE, TWO), "p")
        film.operate(Trigger(by="ann", why="a leak", guard="checkout"), at=slot(0))
        film.operate(Pause(by="bob", why="wait", guard="checkout"), at=slot(0))
        film.conclude(Outcome.FAILED, at=slot(5), held=True)
        film.restart(at=slot(5))
        film.operate(Resume(by="bob", guard="checkout"), at=slot(6))
        play(film, "p", first=6)
        film.conclude(Outcome.SUCCEEDED, at=slot(6))
        assert [action for action, _ in film.intents()] == ["flag-off", "flag-off", "rollback"]
        assert {(each.by, each.why) for each in film.incident().intents} == {("ann", "a leak")}

    def test_is_not_run_again_once_a_person_vetoed_it(self):
        film = play(a_ladder(ONE, TWO), "p")
        film.operate(Trigger(by="ann", why="a leak", guard="checkout"), at=slot(0))
        film.operate(Veto(by="bob", why="no", guard="checkout"), at=slot(0))
        film.conclude(Outcome.FAILED, at=slot(5), held=True)
        assert film.conclusions()[-1] == "hand_over/vetoed"
        play(film, "bbb", first=6)
        assert len(film.intents()) == 1


class TestAStepThatAsksFirst:
    def test_waits_for_an_answer_and_for_no_veto_beside_it(self):
        film = play(a_ladder(asks(), veto=minutes(2)), "bbbbb")
        assert film.conclusions() == ["hold/awaiting_approval"]
        assert [each.what for each in film.of(Awaited)] == [Wait.APPROVAL]
        film.operate(Approve(by="ann", guard="checkout"), at=slot(5))
        assert film.conclusions()[-1] == "act/approved"

    @pytest.mark.parametrize(
        ("otherwise", "expected", "actions"),
        [
            (Otherwise.RUN, "act/breach", ["rollback"]),
            (Otherwise.SKIP, "act/not_approved", ["page-dba"]),
            (Otherwise.HAND_OVER, "hand_over/not_approved", []),
        ],
    )
    def test_does_what_was_declared_when_nobody_answers(self, otherwise, expected, actions):
        film = play(a_ladder(asks(otherwise), a_step("page-dba")), "b" * 10)
        film.attend(at=slot(10) - SECOND)
        assert film.conclusions() == ["hold/awaiting_approval"]
        film.attend(at=slot(10))
        assert film.conclusions() == ["hold/awaiting_approval", expected]
        assert [action for action, _ in film.intents()] == actions

    def test_is_the_last_one_to_be_skipped(self):
        film = play(a_ladder(asks(Otherwise.SKIP)), "b" * 11)
        assert film.conclusions() == ["hold/awaiting_approval", "hand_over/playbook_exhausted"]

    @pytest.mark.parametrize("otherwise", [Otherwise.RUN, Otherwise.SKIP])
    @pytest.mark.parametrize("letter", ["u", "n"])
    def test_leads_to_nothing_on_what_is_not_known(self, otherwise, letter):
        film = play(a_ladder(asks(otherwise), TWO), "b" + letter * 15)
        film.attend(at=slot(16))
        assert film.intents() == []
        assert film.conclusions() == ["hold/awaiting_approval", "hold/blind"]
        play(film, "b", first=17)
        assert len(film.intents()) == 1

    @pytest.mark.parametrize("letter", ["u", "b"])
    def test_is_run_on_the_word_of_a_person_who_answers_for_it(self, letter):
        film = play(a_ladder(asks()), "b" + letter)
        film.operate(Approve(by="ann", guard="checkout"), at=slot(1))
        assert len(film.intents()) == 1

    def test_is_not_run_once_all_is_quiet_although_it_was_approved(self):
        film = play(a_ladder(asks()), "b")
        film.operate(Pause(by="ann", why="wait", guard="checkout"), at=slot(0))
        film.operate(Approve(by="ann", guard="checkout"), at=slot(0))
        play(film, "p", first=1)
        film.operate(Resume(by="ann", guard="checkout"), at=slot(1))
        film.attend(at=slot(1))
        assert film.intents() == []
        assert film.conclusions()[-1] == "recovered/by_itself"

    def test_that_was_approved_during_a_pause_is_run_after_it(self):
        film = play(a_ladder(asks()), "b")
        film.operate(Pause(by="ann", why="wait", guard="checkout", lasting=minutes(3)), at=slot(0))
        film.operate(Approve(by="bob", guard="checkout"), at=slot(0))
        assert film.conclusions()[-1] == "hold/paused"
        play(film, "bb", first=1)
        film.attend(at=slot(3) - SECOND)
        assert film.intents() == []
        film.attend(at=slot(3))
        assert film.intents() == [("rollback", slot(3))]
        assert film.incident().intents[0].by == "bob"


class TestABrakeAtTheEndOfAWait:
    """Two guards wait side by side; all guards together may run one action."""

    def film(self, *steps):
        rules = [a_rule("a"), a_rule("b")]
        guards = [a_guard(name, [f"g/{name}"], playbook=steps, limits=LIMITS, veto=minutes(2)) for name in "ab"]
        return a_film(*rules, guards=guards, fleet=Fleet(max_actions=1), storm=Storm(guards=9))

    @pytest.mark.promise(20)
    def test_counts_what_another_guard_began_in_the_same_instant(self):
        film = self.film(ONE)
        show(film, 0, a="b", b="b")
        show(film, 1, a="b", b="b")
        film.attend(at=slot(2))
        assert len(film.intents()) == 1
        assert film.conclusions("b") == ["hold/awaiting_veto", "hold/limit_reached"]

    def test_begins_no_countdown_anew_for_as_long_as_it_holds(self):
        film = self.film(ONE)
        for at in range(12):
            show(film, at, a="b", b="b")
            film.attend(at=slot(at) + SECOND)
        assert film.conclusions("b") == ["hold/awaiting_veto", "hold/limit_reached"]
        assert len(film.of(Awaited)) == 2
        film.attend(at=slot(63))  # a new window of the fleet's budget
        assert film.conclusions("b")[-1] == "hold/awaiting_veto"
        assert len(film.of(Awaited)) == 3

    def test_hands_a_ladder_over_that_is_half_climbed(self):
        film = self.film(ONE, TWO)
        film.policy = replace(film.policy, fleet=Fleet(max_actions=2))
        show(film, 0, a="b", b="p")
        show(film, 2, a="b", b="p")
        film.conclude(Outcome.FAILED, at=slot(2), guard="a")
        show(film, 2.5, a="b", b="b")
        show(film, 3.9, a="b", b="b")
        film.operate(Approve(by="ann", guard="b"), at=slot(3.9))
        film.attend(at=slot(4))
        assert [action for action, _ in film.intents()] == ["flag-off", "flag-off"]
        assert film.conclusions("a")[-1] == "hand_over/limit_reached"

    def test_of_people_is_waited_for_in_the_middle_too(self):
        film = play(a_ladder(ONE, TWO), "b")
        film.operate(Pause(by="ann", why="wait", guard="checkout"), at=slot(0))
        film.conclude(Outcome.FAILED, at=slot(0))
        play(film, "b" * 30, first=1)
        assert film.conclusions() == ["act/breach", "hold/paused"]
        film.operate(Resume(by="ann", guard="checkout"), at=slot(31))
        play(film, "b", first=31)
        assert film.conclusions() == ["act/breach", "hold/paused", "act/action_failed"]


class TestAReloadWhileAStepWaits:
    def reloaded(self, *steps, letter="b"):
        film = play(a_ladder(asks(within=3), TWO), "b")
        guard = replace(film.policy.guards["checkout"], playbook=steps)
        film.reload(a_policy(film.policy.groups.values(), [guard]), at=slot(1))
        return play(film, letter, first=1)

    def test_that_changes_nothing_changes_nothing(self):
        film = self.reloaded(asks(within=3), TWO)
        film.operate(Approve(by="ann", guard="checkout"), at=slot(1))
        assert [action for action, _ in film.intents()] == ["rollback"]

    def test_and_makes_another_of_it_asks_anew(self):
        film = self.reloaded(asks(action="drop-tables", within=5))
        film.operate(Approve(by="ann", guard="checkout"), at=slot(1))
        assert film.intents() == []
        assert [each.action for each in film.of(Awaited)] == ["rollback", "drop-tables"]
        assert film.incident().waiting.until == slot(6)

    def test_and_takes_it_away_goes_on_where_it_stood(self):
        film = self.reloaded()
        film.operate(Approve(by="ann", guard="checkout"), at=slot(1))
        assert film.conclusions()[-1] == "hand_over/playbook_exhausted"

    def test_keeps_the_time_that_people_were_promised(self):
        film = self.reloaded(asks(Otherwise.RUN, within=99))
        play(film, "bb", first=2)
        assert film.conclusions()[-1] == "hand_over/not_approved"


class TestRulesOfItsOwn:
    """A step may be verified by other rules than those that fired, because these look back too far."""

    RULES = (a_rule("slow"), a_rule("ready", severity=Severity.NONE))

    def film(self, *steps, **changes):
        steps = steps or (a_step(rules=("g/ready",), within=3, stable_for=1), TWO)
        film = a_ladder(*steps, rules=self.RULES, **changes)
        show(film, 0, slow="b", ready="b")
        return film

    def test_tell_that_it_helped_while_the_others_still_breach(self):
        film = self.film()
        film.conclude(Outcome.SUCCEEDED, at=slot(0))
        for at in (1, 2):
            show(film, at, slow="b", ready="p")
        assert film.conclusions() == ["act/breach", "recovered/verified"]
        assert film.of(IncidentEnded)[0].excused == (("g/slow", ()),)

    def test_do_not_excuse_what_has_nothing_to_judge_any_more(self):
        """The cure took the traffic away; when it is back and as bad as before, that is another incident."""
        film = self.film()
        film.conclude(Outcome.SUCCEEDED, at=slot(0))
        for at in (1, 2):
            show(film, at, slow="n", ready="p")
        assert film.of(IncidentEnded)[0].excused == ()
        show(film, 3, slow="b", ready="p")
        assert len(film.of(IncidentOpened)) == 2

    def test_excuse_what_breached_before_until_it_has_recovered_once(self):
        film = self.film()
        film.conclude(Outcome.SUCCEEDED, at=slot(0))
        for at in range(1, 20):
            show(film, at, slow="b", ready="p")
        assert len(film.of(IncidentOpened)) == 1
        assert film.conclusions()[-1] == "hold/already_bad"
        show(film, 20, slow="p", ready="p")
        show(film, 21, slow="b", ready="p")
        assert len(film.of(IncidentOpened)) == 2

    def test_excuse_what_was_not_known_at_that_moment(self):
        film = self.film()
        film.conclude(Outcome.SUCCEEDED, at=slot(0))
        for at, slow in enumerate("uubb", start=1):
            show(film, at, slow=slow, ready="p")
        assert len(film.of(IncidentOpened)) == 1

    def test_excuse_nothing_that_began_after_the_step(self):
        rules = (*self.RULES, a_rule("new"))
        film = a_ladder(a_step(rules=("g/ready",)), TWO, rules=rules)
        show(film, 0, slow="b", ready="b", new="p")
        film.conclude(Outcome.SUCCEEDED, at=slot(0))
        for at in (1, 2, 3):
            show(film, at, slow="b", ready="p", new="b")
        assert [each.rules for each in film.of(IncidentOpened)] == [("g/slow",), ("g/new",)]

    @pytest.mark.parametrize("seconds", [-3000, 3000])
    def test_excuse_the_same_when_the_clock_was_set_in_between(self, seconds):
        by = timedelta(seconds=seconds)
        film = self.film()
        film.set_clock(by, at=slot(0) + by)
        film.conclude(Outcome.SUCCEEDED, at=slot(0) + by)
        for at in (1, 2, 3):
            film.show(slot(at) + by, {"g/slow": seen("b"), "g/ready": seen("p")})
        assert film.conclusions() == ["act/breach", "recovered/verified", "hold/already_bad"]

    def test_lead_to_the_next_step_when_they_breach(self):
        film = self.film()
        film.conclude(Outcome.SUCCEEDED, at=slot(0))
        for at in (1, 2, 3):
            show(film, at, slow="p", ready="b")
        assert film.conclusions() == ["act/breach", "act/not_recovered"]

    def test_say_nothing_of_a_step_that_was_not_done(self):
        """Its rules pass because nothing was wrong with them: that is no recovery, and no reason to stop."""
        film = a_ladder(a_step(rules=("g/ready",)), TWO, rules=self.RULES)
        show(film, 0, slow="b", ready="p")
        film.conclude(Outcome.FAILED, at=slot(0))
        assert film.conclusions() == ["act/breach", "act/action_failed"]

    def test_are_not_what_an_incident_in_peoples_hands_waits_for(self):
        """Closing it while what made the guard act still breaches would open the next one, and act again."""
        film = self.film(a_step(rules=("g/ready",)))
        film.conclude(Outcome.SUCCEEDED, at=slot(0))
        for at in (1, 2, 3):
            show(film, at, slow="b", ready="b")
        assert film.conclusions()[-1] == "hand_over/playbook_exhausted"
        for at in range(4, 30):
            show(film, at, slow="b", ready="p")
        assert film.incident().phase is IncidentPhase.HANDED_OVER
        assert len(film.of(IncidentOpened)) == 1

    def test_that_a_reload_took_away_cannot_tell(self):
        film = self.film()
        film.conclude(Outcome.SUCCEEDED, at=slot(0))
        film.reload(a_policy([a_group(self.RULES[0])], [a_guard(rules=["g/slow"], limits=LIMITS)]), at=slot(0))
        for at in range(1, 12):
            show(film, at, slow="b")
        assert film.conclusions() == ["act/breach", "hand_over/cannot_tell"]


class TestAReloadInTheMiddle:
    def test_that_shortens_the_playbook_ends_it_there(self):
        film = play(a_ladder(ONE, TWO), "b")
        film.reload(a_policy(film.policy.groups.values(), [a_guard(playbook=(ONE,), limits=LIMITS)]), at=slot(0))
        film.conclude(Outcome.FAILED, at=slot(0))
        assert film.conclusions() == ["act/breach", "hand_over/playbook_exhausted"]

    def test_that_takes_its_rules_away_ends_it_when_its_action_is_over(self):
        film = play(a_ladder(ONE, TWO), "b")
        film.reload(a_policy([a_group(a_rule("other"))], [a_guard(rules=["g/other"])]), at=slot(0))
        assert film.incident().phase is IncidentPhase.ACTING
        film.conclude(Outcome.SUCCEEDED, at=slot(1))
        assert film.conclusions() == ["act/breach", "hand_over/rules_removed"]
        assert film.incident().phase is IncidentPhase.CLOSED

    def test_that_takes_its_rules_away_ends_it_at_once_where_nothing_is_under_way(self):
        film = play(a_ladder(asks()), "b")
        film.reload(a_policy([a_group(a_rule("other"))], [a_guard(rules=[])]), at=slot(1))
        assert film.conclusions()[-1] == "hand_over/rules_removed"
        assert film.incident().phase is IncidentPhase.CLOSED


def test_the_bound_of_a_step_goes_with_its_intent():
    film = play(a_ladder(a_step(timeout=minutes(7), rules=("g/r",))), "b")
    intent = film.incident().intents[0]
    assert (intent.timeout, intent.rules) == (minutes(7), ("g/r",))


@pytest.mark.promise(22)
def test_a_ladder_that_does_not_help_is_climbed_once_and_said_to_have_failed():
    film = a_ladder(ONE, TWO)
    for at in range(60):
        play(film, "b", first=at)
        incident = film.incident()
        if incident.open_intent:
            film.conclude(Outcome.SUCCEEDED, at=slot(at))
    assert [action for action, _ in film.intents()] == ["flag-off", "rollback"]
    assert film.conclusions() == ["act/breach", "act/not_recovered", "hand_over/playbook_exhausted"]


def test_what_is_not_seen_at_present_closes_no_incident():
    groups = [a_group(a_rule("a", group="g"), id="g"), a_group(a_rule("b", group="h"), id="h")]
    film = a_film(groups=groups, guards=[a_guard(rules=["g/a", "h/b"], playbook=(asks(within=999),))])
    film.show(slot(0), {"g/a": seen("b")})
    film.show(slot(0), {"h/b": seen("b")}, group="h")
    film.show(slot(1), {"g/a": seen("p")})
    film.restart(at=slot(60))
    film.show(slot(60), {"h/b": seen("p")}, group="h")
    assert film.incident().phase is IncidentPhase.WAITING
    film.show(slot(60), {"g/a": seen("p")})
    assert film.conclusions()[-1] == "recovered/by_itself"


def test_blindness_of_before_a_restart_is_none_of_now():
    groups = [a_group(a_rule("a", group="g"), id="g"), a_group(a_rule("b", group="h"), id="h")]
    blind = Blindness(after=minutes(5), do=BlindPolicy.ACT)
    film = a_film(groups=groups, guards=[a_guard(rules=["g/a", "h/b"], blind=blind)])
    film.show(slot(0), {"g/a": seen("u")})
    film.restart(at=slot(60))
    film.show(slot(60), {"h/b": seen("p")}, group="h")
    assert film.of(Decided) == []
