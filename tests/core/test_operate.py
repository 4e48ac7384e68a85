"""What people and other systems ask for, and how it is refused."""

from dataclasses import replace
from datetime import timedelta

import pytest

from build import a_film, a_group, a_guard, a_policy, a_rule, a_step, minutes, play, seen, series, slot
from rollback_guard.core import step as core
from rollback_guard.core.model import Approval, Armed, Fleet, Limits, Mode, Otherwise
from rollback_guard.core.operations import (
    Acknowledge,
    Approve,
    Extend,
    FinishRollout,
    Pause,
    Refusal,
    Refused,
    Report,
    Resume,
    StartRollout,
    Trigger,
    Undo,
    Veto,
)
from rollback_guard.core.records import (
    Concluded,
    IncidentEnded,
    IncidentOpened,
    Intended,
    Outcome,
    RolloutFinished,
    Signal,
    Triggered,
)
from rollback_guard.core.state import SIGNALS_REMEMBERED, IncidentPhase

FREE = Limits(max_actions=9, cooldown=timedelta(0))
SECOND = timedelta(seconds=1)
UNDOS = {"flag-off": "flag-on", "rollback": "roll-forward"}
STEPS = (a_step("flag-off"), a_step("rollback"))


def a_world(*steps, rules=(), mode=Mode.ENFORCE, **changes):
    rules = rules or (a_rule(),)
    guard = a_guard(rules=[each.id for each in rules], **{"playbook": steps or STEPS, "limits": FREE} | changes)
    return a_film(*rules, guards=[guard], mode=mode, undos=UNDOS, goals={"flag-on": "the flag is on"})


def asking(**changes):
    return a_step("rollback", approve=Approval(within=minutes(9), otherwise=Otherwise.HAND_OVER), **changes)


def ask(film, at, kind, **words):
    known = {"by": "ann", "why": "because"}
    if kind not in {Acknowledge, Undo}:
        known["guard"] = "checkout"
    return film.operate(kind(**known | words), at=at)


def refusal(answer):
    assert isinstance(answer, Refused)
    assert answer.detail
    return answer.refusal


def acting(**changes):
    return play(a_world(**changes), "b")


def verifying(**changes):
    film = acting(**changes)
    film.conclude(Outcome.SUCCEEDED, at=slot(0))
    return film


def handed_over(**changes):
    film = acting(**changes)
    film.conclude(Outcome.UNKNOWN, at=slot(0))
    return film


def waiting(**changes):
    return play(a_world(asking(), a_step("page"), **changes), "b")


def holding(**changes):
    return play(a_world(warm_up=minutes(99), **changes), "b")


def healthy(**changes):
    return play(a_world(**changes), "p")


class TestRefusals:
    @pytest.mark.parametrize("kind", [Pause, Veto, Extend, Approve, Trigger, StartRollout, FinishRollout])
    def test_of_a_guard_that_is_none_offer_those_that_are(self, kind):
        words = {"lasting": minutes(1)} if kind is Extend else {}
        names = {"by": "ann", "guard": "chekout"} | words
        asked = kind(**names, why="x") if kind is not StartRollout else kind(**names)
        answer = a_world().operate(asked, at=slot(0))
        assert refusal(answer) is Refusal.NO_SUCH_GUARD
        assert answer.near == ("checkout",)

    @pytest.mark.parametrize("kind", [Acknowledge, Undo])
    def test_of_an_incident_that_is_none_offer_one_that_is(self, kind):
        film = acting()
        answer = ask(film, slot(0), kind, incident=film.incident().id[:-1])
        assert refusal(answer) is Refusal.NO_SUCH_INCIDENT
        assert answer.near == (film.incident().id,)

    @pytest.mark.parametrize(
        ("kind", "world", "words"),
        [(Pause, healthy, {}), (Veto, acting, {}), (Trigger, healthy, {}), (Undo, handed_over, {"incident": "it"})],
    )
    @pytest.mark.parametrize("why", ["", "  \n"])
    def test_of_what_has_no_reason(self, kind, world, words, why):
        film = world()
        words = {each: film.incident().id for each in words}
        assert refusal(ask(film, slot(0), kind, why=why, **words)) is Refusal.NO_REASON

    def test_of_a_step_that_is_none_offer_those_that_are(self):
        answer = ask(healthy(), slot(0), Trigger, step="flag-of")
        assert refusal(answer) is Refusal.NO_SUCH_STEP
        assert answer.near == ("flag-off", "rollback")

    @pytest.mark.parametrize(
        ("world", "kind"),
        [
            (healthy, Veto),
            (handed_over, Veto),
            (healthy, Extend),
            (holding, Extend),
            (verifying, Approve),
            (acting, Approve),
            (healthy, Resume),
            (healthy, FinishRollout),
        ],
    )
    def test_where_there_is_nothing_to_do(self, world, kind):
        words = {"lasting": minutes(1)} if kind is Extend else {}
        assert refusal(ask(world(), slot(0), kind, **words)) is Refusal.NOTHING_TO_DO

    def test_change_nothing(self):
        film = acting()
        before, records = film.state, list(film.records)
        ask(film, slot(0), Trigger)
        assert (film.state, film.records) == (before, records)


class TestAPause:
    def test_says_who_why_and_until_when(self):
        film = healthy()
        ask(film, slot(0), Pause, why=" look ", lasting=minutes(5))
        pause = film.state.pauses["checkout"]
        assert (pause.by, pause.why, pause.since, pause.until) == ("ann", "look", slot(0), slot(5))

    def test_may_be_said_again_with_another_end(self):
        film = healthy()
        ask(film, slot(0), Pause, lasting=minutes(5))
        ask(film, slot(1), Pause)
        assert film.state.pauses["checkout"].until is None

    def test_leaves_an_action_under_way_alone_and_begins_no_other(self):
        film = acting()
        ask(film, slot(0), Pause)
        assert film.incident().phase is IncidentPhase.ACTING
        film.conclude(Outcome.FAILED, at=slot(0))
        play(film, "b" * 9, first=1)
        assert film.conclusions() == ["act/breach", "hold/paused"]

    def test_lets_a_step_that_helped_be_verified(self):
        film = verifying()
        ask(film, slot(0), Pause)
        play(film, "pp", first=1)
        assert film.conclusions() == ["act/breach", "recovered/verified"]

    def test_makes_an_open_intent_wait_and_not_be_given_up(self):
        film = acting()
        intent = film.of(Intended)[0]
        wanted = lambda at: core.is_wanted(film.policy, film.state, intent, now=at)  # noqa: E731  three words, said twice
        assert wanted(slot(0)) is True
        ask(film, slot(0), Pause)
        assert wanted(slot(0)) is None
        film.restart(at=slot(1))
        play(film, "b", first=1)
        assert wanted(slot(1)) is None
        ask(film, slot(1), Resume)
        assert wanted(slot(1)) is True


class TestAVeto:
    @pytest.mark.parametrize("world", [waiting, verifying, holding])
    def test_ends_the_incident_at_once(self, world):
        film = world()
        ask(film, slot(0), Veto)
        assert film.conclusions()[-1] == "hand_over/vetoed"
        assert film.incident().phase is IncidentPhase.HANDED_OVER
        assert film.incident().vetoed_by == "ann"

    @pytest.mark.parametrize("outcome", list(Outcome))
    def test_waits_for_the_action_under_way_and_for_nothing_else(self, outcome):
        film = acting()
        ask(film, slot(0), Veto)
        assert film.conclusions() == ["act/breach"]
        film.conclude(outcome, at=slot(0))
        play(film, "b" * 30, first=1)
        assert film.conclusions() == ["act/breach", "hand_over/vetoed"]
        assert len(film.intents()) == 1

    def test_keeps_the_action_under_way_from_being_tried_again(self):
        film = acting()
        intent = film.of(Intended)[0]
        ask(film, slot(0), Veto)
        assert core.is_wanted(film.policy, film.state, intent, now=slot(0)) is False
        film.restart(at=slot(0))
        assert core.is_wanted(film.policy, film.state, intent, now=slot(0)) is False

    def test_is_said_once(self):
        film = acting()
        ask(film, slot(0), Veto)
        assert refusal(ask(film, slot(0), Veto)) is Refusal.NOTHING_TO_DO

    def test_drops_what_a_person_had_queued(self):
        film = healthy()
        ask(film, slot(0), Trigger)
        ask(film, slot(0), Veto)
        film.conclude(Outcome.SUCCEEDED, at=slot(1))
        assert [action for action, _ in film.intents()] == ["flag-off"]
        assert film.conclusions()[-1] == "hand_over/vetoed"

    def test_is_for_this_incident_and_not_for_the_next(self):
        film = waiting()
        ask(film, slot(0), Veto)
        play(film, "pb", first=1)
        assert film.conclusions()[-1] == "hold/awaiting_approval"


class TestATrigger:
    @pytest.mark.parametrize("world", [healthy, holding, waiting, verifying, handed_over])
    def test_runs_a_step_whatever_the_guard_is_at(self, world):
        film = world()
        before = len(film.intents())
        ask(film, slot(0) + SECOND, Trigger, step="rollback", why="data corruption")
        ((action, at),) = film.intents()[before:]
        assert (action, at) == ("rollback", slot(0) + SECOND)
        assert film.conclusions()[-1] == "act/triggered"
        intent = film.incident().intents[-1]
        assert (intent.by, intent.why) == ("ann", "data corruption")
        assert film.incident().phase is IncidentPhase.ACTING

    def test_opens_an_incident_of_what_fires_now(self):
        rules = (a_rule("a"), a_rule("b"))
        film = a_world(rules=rules)
        film.show(slot(0), {"g/a": seen("b"), "g/b": seen("p")}, present=False)
        ask(film, slot(1), Trigger)
        (opened,) = film.of(IncidentOpened)
        assert (opened.rules, opened.by, opened.breached_at, opened.at) == (("g/a",), "ann", slot(0), slot(1))

    def test_watches_all_that_may_make_the_guard_act_where_nothing_fires(self):
        film = healthy()
        ask(film, slot(0), Trigger, step="rollback")
        assert film.incident().rules == ()
        film.conclude(Outcome.SUCCEEDED, at=slot(0))
        play(film, "pp", first=1)
        assert film.conclusions() == ["act/triggered", "recovered/verified"]

    def test_of_all_steps_runs_one_after_the_other_without_waiting_for_their_effect(self):
        film = healthy()
        ask(film, slot(0), Trigger)
        film.conclude(Outcome.SUCCEEDED, at=slot(1))
        assert film.intents() == [("flag-off", slot(0)), ("rollback", slot(1))]
        film.conclude(Outcome.SUCCEEDED, at=slot(2))
        assert film.incident().phase is IncidentPhase.VERIFYING
        play(film, "ppp", first=3)
        assert film.conclusions() == ["act/triggered", "act/triggered", "recovered/verified", "none/healthy"]

    @pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.UNKNOWN])
    def test_of_all_steps_goes_on_after_one_that_did_not_succeed(self, outcome):
        film = healthy()
        ask(film, slot(0), Trigger)
        film.conclude(outcome, at=slot(1))
        assert film.intents()[-1] == ("rollback", slot(1))
        film.conclude(Outcome.SUCCEEDED, at=slot(2))
        unknown = outcome is Outcome.UNKNOWN
        assert film.conclusions()[-1] == ("hand_over/outcome_unknown" if unknown else "act/triggered")

    def test_skips_no_step_for_its_labels_and_asks_nobody_to_approve_one(self):
        film = healthy(playbook=(STEPS[0], asking(select=series(alertname="DataCorruption"))), veto=minutes(5))
        ask(film, slot(0), Trigger)
        film.conclude(Outcome.SUCCEEDED, at=slot(1))
        assert film.intents() == [("flag-off", slot(0)), ("rollback", slot(1))]
        assert film.incident().waiting is None

    def test_of_all_steps_tells_people_in_passing(self):
        film = healthy(playbook=(a_step("", notify=("dba",)), *STEPS, a_step("", notify=("boss",))))
        ask(film, slot(0), Trigger)
        for at in (1, 2):
            film.conclude(Outcome.SUCCEEDED, at=slot(at))
        assert film.intents() == [
            ("notify dba", slot(0)),
            ("flag-off", slot(0)),
            ("rollback", slot(1)),
            ("notify boss", slot(2)),
        ]
        assert film.incident().phase is IncidentPhase.VERIFYING

    def test_goes_on_with_the_ladder_when_it_did_not_help(self):
        film = play(a_world(warm_up=minutes(99)), "b")
        ask(film, slot(0), Trigger, step="flag-off")
        film.conclude(Outcome.SUCCEEDED, at=slot(0))
        play(film, "bbb", first=1)
        assert film.conclusions()[-1] == "act/not_recovered"
        assert film.intents()[-1][0] == "rollback"

    def test_that_fails_while_all_is_well_is_left_to_people_and_never_called_recovered(self):
        film = play(a_world(), "p")
        ask(film, slot(0), Trigger)
        film.conclude(Outcome.SUCCEEDED, at=slot(0))
        film.conclude(Outcome.FAILED, at=slot(0))
        assert film.conclusions()[-1] == "hand_over/action_failed"
        play(film, "p", first=1)
        assert film.of(IncidentEnded)[-1].reason == "action_failed"
        assert film.incident().phase is IncidentPhase.CLOSED

    def test_that_fails_while_a_rule_breaches_goes_on_with_the_ladder(self):
        film = play(a_world(), "b")
        film.operate(Veto(by="ann", why="by hand", guard="checkout"), at=slot(0))
        film.conclude(Outcome.SUCCEEDED, at=slot(0))
        ask(film, slot(0), Trigger, step="flag-off")
        film.conclude(Outcome.FAILED, at=slot(1))
        assert [action for action, _ in film.intents()] == ["flag-off", "flag-off", "rollback"]

    def test_on_an_incident_of_which_the_outcome_was_unknown_is_verified_like_any_other(self):
        film = handed_over()
        ask(film, slot(1), Trigger, step="rollback")
        film.conclude(Outcome.SUCCEEDED, at=slot(1))
        assert film.incident().phase is IncidentPhase.VERIFYING
        play(film, "ppp", first=2)
        assert film.conclusions()[-1:] == ["none/healthy"]
        assert film.of(IncidentEnded)[-1].reason == "verified"

    def test_of_the_same_step_again_has_a_key_and_a_decision_of_its_own(self):
        film = healthy()
        for at in (0, 1, 2):
            ask(film, slot(at), Trigger, step="flag-off")
            film.conclude(Outcome.SUCCEEDED, at=slot(at))
        keys = [each.key for each in film.of(Intended)]
        assert len(set(keys)) == 3
        assert film.conclusions() == ["act/triggered"] * 3

    @pytest.mark.parametrize(
        "changes",
        [
            {"limits": Limits(max_actions=1, cooldown=minutes(60))},
            {"armed": Armed.ROLLOUT},
            {"warm_up": minutes(99)},
            {"veto": minutes(5)},
        ],
        ids=str,
    )
    def test_bypasses_the_brakes(self, changes):
        film = healthy(**changes)
        film.policy = replace(film.policy, fleet=Fleet(max_actions=0))
        for at in (1, 2):
            ask(film, slot(at), Trigger, step="rollback")
            film.conclude(Outcome.SUCCEEDED, at=slot(at))
        assert len(film.intents()) == 2

    def test_does_not_bypass_a_pause_or_a_dry_run(self):
        film = healthy()
        ask(film, slot(0), Pause)
        assert refusal(ask(film, slot(0), Trigger)) is Refusal.PAUSED
        assert refusal(ask(healthy(mode=Mode.DRY_RUN), slot(0), Trigger)) is Refusal.DRY_RUN

    def test_waits_in_the_middle_for_the_end_of_a_pause(self):
        film = healthy()
        ask(film, slot(0), Trigger)
        ask(film, slot(0), Pause)
        film.conclude(Outcome.SUCCEEDED, at=slot(0))
        play(film, "ppp", first=1)
        assert film.conclusions()[-1] == "hold/paused"
        ask(film, slot(4), Resume)
        play(film, "p", first=4)
        assert film.intents()[-1] == ("rollback", slot(4))

    def test_ends_in_peoples_hands_when_a_dry_run_begins_in_the_middle(self):
        film = healthy()
        ask(film, slot(0), Trigger)
        film.reload(replace(film.policy, mode=Mode.DRY_RUN), at=slot(0))
        film.conclude(Outcome.SUCCEEDED, at=slot(0))
        assert film.conclusions()[-1] == "hand_over/dry_run"

    def test_goes_on_over_a_restart(self):
        film = healthy()
        ask(film, slot(0), Trigger)
        film.restart(at=slot(1))
        film.conclude(Outcome.SUCCEEDED, at=slot(1))
        assert film.intents()[-1] == ("rollback", slot(1))

    def test_is_refused_while_an_action_is_under_way(self):
        assert refusal(ask(acting(), slot(0), Trigger)) is Refusal.IN_PROGRESS

    def test_is_refused_while_a_step_of_an_older_incident_is_taken_back(self):
        film = verifying()
        play(film, "ppp", first=1)
        ask(film, slot(3), Undo, incident=film.incident().id)
        assert refusal(ask(film, slot(3), Trigger)) is Refusal.IN_PROGRESS

    def test_goes_on_with_what_a_veto_had_ended(self):
        film = waiting()
        ask(film, slot(0), Veto)
        ask(film, slot(1), Trigger, step="page")
        incident = film.incident()
        assert (incident.vetoed_by, incident.decision, incident.ended_at) == ("", None, None)
        film.conclude(Outcome.SUCCEEDED, at=slot(1))
        play(film, "ppp", first=2)
        assert film.of(IncidentEnded)[-1].reason == "verified"

    def test_needs_no_evidence_to_be_resumed(self):
        film = healthy()
        ask(film, slot(0), Trigger, step="rollback")
        film.restart(at=slot(60))
        assert core.is_wanted(film.policy, film.state, film.of(Intended)[0], now=slot(60)) is True

    def test_says_which_steps(self):
        film = healthy()
        ask(film, slot(0), Trigger)
        assert film.of(Triggered)[0].steps == (0, 1)

    def reordered(self, *steps):
        film = healthy()
        ask(film, slot(0), Trigger)
        guard = replace(film.policy.guards["checkout"], playbook=steps)
        film.reload(replace(film.policy, guards={"checkout": guard}), at=slot(0))
        film.conclude(Outcome.SUCCEEDED, at=slot(0))
        return film

    @pytest.mark.parametrize(
        "steps", [STEPS[::-1], (STEPS[0], a_step("page"), STEPS[1]), (STEPS[1],)], ids=["turned", "later", "earlier"]
    )
    def test_runs_the_steps_that_were_named_also_where_a_reload_moved_them(self, steps):
        film = self.reordered(*steps)
        assert [action for action, _ in film.intents()] == ["flag-off", "rollback"]
        film.conclude(Outcome.SUCCEEDED, at=slot(0))
        assert film.incident().queue == film.incident().queued == ()
        assert len(film.intents()) == 2

    def test_of_a_step_that_a_reload_replaced_ends_in_peoples_hands(self):
        film = self.reordered(STEPS[0], a_step("drop-tables"))
        assert [action for action, _ in film.intents()] == ["flag-off"]
        assert film.conclusions()[-1] == "hand_over/playbook_exhausted"

    def test_that_a_journal_tells_without_names_goes_by_their_places(self):
        film = healthy()
        answer = core.operate(film.policy, film.state, Trigger(by="ann", why="x", guard="checkout"), now=slot(0))
        film.take([replace(each, actions=()) if isinstance(each, Triggered) else each for each in answer])
        film.conclude(Outcome.SUCCEEDED, at=slot(0))
        assert [action for action, _ in film.intents()] == ["flag-off", "rollback"]
        assert film.incident().queue == ()

    def test_of_a_queue_that_a_reload_shortened_ends_in_peoples_hands(self):
        film = healthy()
        ask(film, slot(0), Trigger)
        guard = replace(film.policy.guards["checkout"], playbook=STEPS[:1])
        film.reload(replace(film.policy, guards={"checkout": guard}), at=slot(0))
        film.conclude(Outcome.SUCCEEDED, at=slot(0))
        assert film.conclusions()[-1] == "hand_over/playbook_exhausted"


class TestAnUndo:
    def film(self, *outcomes, **changes):
        """Return a film whose incident ran these steps one after the other and was vetoed."""
        film = acting(**changes)
        for outcome in outcomes:
            film.conclude(outcome, at=slot(0))
            play(film, "bbbb", first=1)
        if film.incident().phase is not IncidentPhase.HANDED_OVER:
            ask(film, slot(5), Veto)
        return film

    def both(self):
        film = healthy()
        ask(film, slot(0), Trigger)
        film.conclude(Outcome.SUCCEEDED, at=slot(0))
        film.conclude(Outcome.SUCCEEDED, at=slot(0))
        ask(film, slot(0), Veto)
        return film

    def undo(self, film, at=9, **words):
        return ask(film, slot(at), Undo, incident=film.incident().id, **words)

    def test_takes_back_the_newest_first_and_one_after_the_other(self):
        film = self.both()
        self.undo(film)
        assert film.intents()[2:] == [("roll-forward", slot(9))]
        film.conclude(Outcome.SUCCEEDED, at=slot(10))
        assert film.intents()[2:] == [("roll-forward", slot(9)), ("flag-on", slot(10))]
        film.conclude(Outcome.SUCCEEDED, at=slot(11))
        _, second = film.incident().undos
        assert (second.goal, second.by, second.step) == ("the flag is on", "ann", 0)
        assert second.undoes == film.incident().intents[0].key
        assert refusal(self.undo(film)) is Refusal.NOTHING_TO_DO

    @pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.UNKNOWN])
    def test_stops_where_one_did_not_succeed(self, outcome):
        film = self.both()
        self.undo(film)
        film.conclude(outcome, at=slot(10))
        assert len(film.intents()) == 3

    def test_that_failed_may_be_asked_for_again_under_a_key_of_its_own(self):
        film = self.both()
        for at in (9, 10):
            self.undo(film, at)
            film.conclude(Outcome.FAILED, at=slot(at))
        keys = [each.key for each in film.of(Intended)]
        assert len(set(keys)) == 4

    def test_of_which_nobody_knows_is_not_done_twice(self):
        film = self.both()
        self.undo(film)
        film.conclude(Outcome.UNKNOWN, at=slot(9))
        self.undo(film)
        assert film.intents()[-1][0] == "flag-on"

    @pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.UNKNOWN])
    def test_takes_back_nothing_that_did_not_succeed(self, outcome):
        film = acting(playbook=STEPS[:1])
        film.conclude(outcome, at=slot(0))
        assert refusal(self.undo(film)) is Refusal.NOTHING_TO_DO

    def test_takes_back_nothing_that_declares_no_way_back(self):
        film = healthy(playbook=(a_step("page"),))
        ask(film, slot(0), Trigger)
        film.conclude(Outcome.SUCCEEDED, at=slot(0))
        ask(film, slot(0), Veto)
        assert refusal(self.undo(film)) is Refusal.NOTHING_TO_DO

    @pytest.mark.parametrize("world", [acting, verifying, waiting])
    def test_is_refused_while_the_guard_is_still_at_it(self, world):
        film = world()
        assert refusal(self.undo(film)) is Refusal.IN_PROGRESS

    def test_is_refused_while_the_guard_is_at_another_incident(self):
        film = verifying()
        play(film, "ppp", first=1)
        old = film.incident().id
        play(film, "b", first=4)
        assert refusal(ask(film, slot(4), Undo, incident=old)) is Refusal.IN_PROGRESS
        film.conclude(Outcome.SUCCEEDED, at=slot(4))
        assert refusal(ask(film, slot(4), Undo, incident=old)) is Refusal.IN_PROGRESS

    def test_works_on_a_closed_incident_and_changes_neither_phase_nor_limits(self):
        film = verifying()
        play(film, "ppp", first=1)
        before, acted = film.incident(), film.state.guards["checkout"]
        self.undo(film)
        film.conclude(Outcome.SUCCEEDED, at=slot(10))
        after = film.incident()
        assert replace(after, undos=()) == before
        assert film.state.guards["checkout"] == acted
        assert after.undos[0].outcome is Outcome.SUCCEEDED

    def test_of_a_vetoed_incident_is_tried_again_like_any_action_of_people(self):
        film = self.both()
        self.undo(film)
        intent = film.of(Intended)[-1]
        assert core.is_wanted(film.policy, film.state, intent, now=slot(9)) is True
        film.restart(at=slot(20))
        assert core.is_wanted(film.policy, film.state, intent, now=slot(20)) is True

    def test_does_not_go_on_while_a_person_keeps_the_hands_off(self):
        film = self.both()
        self.undo(film)
        ask(film, slot(9), Pause)
        film.conclude(Outcome.SUCCEEDED, at=slot(10))
        assert len(film.intents()) == 3
        assert refusal(self.undo(film)) is Refusal.PAUSED
        ask(film, slot(11), Resume)
        self.undo(film, 11)
        assert film.intents()[-1] == ("flag-on", slot(11))

    def test_does_not_go_on_in_a_dry_run(self):
        film = self.both()
        self.undo(film)
        film.reload(replace(film.policy, mode=Mode.DRY_RUN), at=slot(9))
        film.conclude(Outcome.SUCCEEDED, at=slot(10))
        assert len(film.intents()) == 3
        assert refusal(self.undo(film)) is Refusal.DRY_RUN

    def held(self):
        """Return a film whose undo a pause has stopped in the middle."""
        film = self.both()
        self.undo(film)
        ask(film, slot(9), Pause)
        film.conclude(Outcome.SUCCEEDED, at=slot(10))
        return film

    def left(self, film):
        return film.intents()[3:]

    def test_that_a_pause_stopped_goes_on_when_that_is_over(self):
        film = self.held()
        film.restart(at=slot(11))
        assert film.attend(at=slot(12)) == ()
        ask(film, slot(20), Resume)
        film.attend(at=slot(20) + SECOND)
        assert self.left(film) == [("flag-on", slot(20) + SECOND)]
        assert (film.incident().undos[-1].by, film.incident().undos[-1].why) == ("ann", "because")
        film.conclude(Outcome.SUCCEEDED, at=slot(21))
        assert film.attend(at=slot(22)) == ()
        assert film.incident().undo_queue == ()

    def test_that_a_dry_run_stopped_goes_on_after_it(self):
        film = self.both()
        self.undo(film)
        enforcing = film.policy
        film.reload(replace(enforcing, mode=Mode.DRY_RUN), at=slot(9))
        film.conclude(Outcome.SUCCEEDED, at=slot(10))
        assert film.attend(at=slot(11)) == ()
        film.reload(enforcing, at=slot(12))
        film.attend(at=slot(12))
        assert self.left(film) == [("flag-on", slot(12))]

    def test_that_a_full_disk_stopped_goes_on_when_it_can_be_written_down(self):
        film = self.both()
        self.undo(film)
        intent = film.incident().open_intents[0]
        ended = Concluded(
            key=intent.key,
            incident=film.incident().id,
            guard="checkout",
            action=intent.action,
            at=slot(10),
            outcome=Outcome.SUCCEEDED,
        )
        film.take([ended])
        film.attend(at=slot(11))
        assert self.left(film) == [("flag-on", slot(11))]

    def test_that_goes_on_by_itself_may_be_asked_for_before(self):
        film = self.held()
        ask(film, slot(11), Resume)
        assert refusal(ask(film, slot(11), Trigger)) is Refusal.IN_PROGRESS
        self.undo(film, 11)
        assert self.left(film) == [("flag-on", slot(11))]
        assert film.attend(at=slot(12)) == ()

    def test_that_was_stopped_does_not_go_on_once_a_person_vetoes_it(self):
        film = self.held()
        ask(film, slot(11), Veto)
        ask(film, slot(12), Resume)
        assert film.attend(at=slot(13)) == ()
        assert refusal(ask(film, slot(14), Veto)) is Refusal.NOTHING_TO_DO

    def test_that_is_under_way_is_the_last_one_once_a_person_vetoes_it(self):
        film = self.both()
        self.undo(film)
        ask(film, slot(9), Veto)
        film.conclude(Outcome.SUCCEEDED, at=slot(10))
        assert film.attend(at=slot(11)) == ()
        assert self.left(film) == []

    def test_is_over_with_what_there_was_to_be_taken_back_when_it_was_asked_for(self):
        """A way back that people declare next week is no order to go it."""
        film = self.both()
        film.policy = replace(film.policy, undos={"rollback": "roll-forward"})
        self.undo(film)
        film.conclude(Outcome.SUCCEEDED, at=slot(10))
        film.reload(replace(film.policy, undos=UNDOS), at=slot(11))
        assert film.attend(at=slot(11)) == ()

    def test_has_nothing_left_where_a_reload_took_the_way_back_away(self):
        film = self.held()
        film.reload(replace(film.policy, undos={"rollback": "roll-forward"}), at=slot(11))
        ask(film, slot(12), Resume)
        assert film.attend(at=slot(12)) == ()
        assert not isinstance(ask(film, slot(12), Trigger), Refused)

    def test_that_people_held_back_until_its_time_was_up_is_tried_once_more(self):
        film = self.both()
        self.undo(film)
        ask(film, slot(9), Pause)
        film.conclude(Outcome.FAILED, at=slot(10), held=True)
        ask(film, slot(11), Resume)
        film.attend(at=slot(11))
        film.conclude(Outcome.SUCCEEDED, at=slot(12))
        assert [action for action, _ in film.intents()[2:]] == ["roll-forward", "roll-forward", "flag-on"]
        assert len({each.key for each in film.of(Intended)}) == 5

    def closed(self, **changes):
        film = verifying(**changes)
        play(film, "ppp", first=1)
        self.undo(film, 5)
        return film

    @pytest.mark.promise(4)
    def test_is_alone_while_it_is_under_way(self):
        film = play(self.closed(), "bb", first=6)
        assert film.conclusions()[-1] == "hold/in_progress"
        assert film.intents()[-1] == ("flag-on", slot(5))
        film.conclude(Outcome.SUCCEEDED, at=slot(8))
        play(film, "b", first=8)
        assert film.intents()[-1] == ("flag-off", slot(8))

    @pytest.mark.promise(4)
    def test_that_a_pause_stopped_comes_before_what_breaches_meanwhile(self):
        film = self.both()
        self.undo(film)
        play(film, "p", first=10)
        ask(film, slot(10), Pause)
        film.conclude(Outcome.SUCCEEDED, at=slot(10))
        ask(film, slot(11), Resume)
        play(film, "b", first=11)
        assert film.conclusions()[-1] == "hold/in_progress"
        film.attend(at=slot(11) + SECOND)
        assert self.left(film) == [("flag-on", slot(11) + SECOND)]

    def test_survives_a_restart(self):
        film = self.both()
        self.undo(film)
        film.restart(at=slot(10))
        film.conclude(Outcome.SUCCEEDED, at=slot(10))
        assert film.intents()[-1] == ("flag-on", slot(10))

    def test_is_concluded_also_when_its_guard_was_removed(self):
        film = self.both()
        self.undo(film)
        film.reload(a_policy([a_group(a_rule())], undos=UNDOS), at=slot(9))
        film.conclude(Outcome.SUCCEEDED, at=slot(10))
        assert film.intents()[-1] == ("flag-on", slot(10))
        assert isinstance(film.of(Concluded)[-1], Concluded)


class TestAnAcknowledgement:
    def test_is_of_one_incident_and_said_once(self):
        film = handed_over()
        id_ = film.incident().id
        ask(film, slot(1), Acknowledge, incident=id_)
        assert (film.incident().acknowledged_by, film.incident().acknowledged_at) == ("ann", slot(1))
        answer = ask(film, slot(2), Acknowledge, incident=id_, by="bob")
        assert refusal(answer) is Refusal.NOTHING_TO_DO
        assert "ann" in answer.detail

    def test_of_one_that_is_over_is_refused(self):
        film = play(holding(), "p", first=1)
        assert refusal(ask(film, slot(2), Acknowledge, incident=film.incident().id)) is Refusal.NOTHING_TO_DO

    def test_changes_nothing_of_what_the_guard_does(self):
        film = verifying()
        ask(film, slot(0), Acknowledge, incident=film.incident().id)
        play(film, "bbb", first=1)
        assert film.conclusions()[-1] == "act/not_recovered"


class TestARollout:
    def test_is_known_by_its_id_or_its_version_or_its_time(self):
        film = healthy()
        for words, expected in [
            ({"rollout": "r1", "version": "42"}, "r1"),
            ({"version": "42"}, "42"),
            ({}, "checkout-20240501T120000Z"),
        ]:
            (*_, started) = film.operate(StartRollout(by="ci", guard="checkout", **words), at=slot(0))
            assert started.rollout == expected

    def test_lasts_for_the_guards_window_or_its_own(self):
        film = healthy(window=minutes(30))
        film.operate(StartRollout(by="ci", guard="checkout"), at=slot(0))
        assert film.state.guards["checkout"].rollout.until == slot(30)
        film.operate(StartRollout(by="ci", guard="checkout", window=minutes(5)), at=slot(1))
        assert film.state.guards["checkout"].rollout.until == slot(6)

    def test_that_begins_ends_the_one_before(self):
        film = healthy()
        film.operate(StartRollout(by="ci", guard="checkout", rollout="one"), at=slot(0))
        film.operate(StartRollout(by="ci", guard="checkout", rollout="two", previous_version="41"), at=slot(1))
        assert [(each.rollout, each.by) for each in film.of(RolloutFinished)] == [("one", "ci")]
        rollout = film.state.guards["checkout"].rollout
        assert (rollout.id, rollout.previous_version, rollout.finished_at) == ("two", "41", None)

    def test_is_finished_once(self):
        film = healthy()
        film.operate(StartRollout(by="ci", guard="checkout"), at=slot(0))
        ask(film, slot(1), FinishRollout)
        assert film.state.guards["checkout"].rollout.finished_at == slot(1)
        assert refusal(ask(film, slot(2), FinishRollout)) is Refusal.NOTHING_TO_DO


class TestSignals:
    def signal(self, name="DataCorrupt", *, firing=True, **labels):
        return Signal(guard="checkout", name=name, labels=series(**labels), firing=firing, starts_at=slot(-5))

    def report(self, film, at, *signals):
        return film.operate(Report(by="alertmanager", signals=signals), at=slot(at))

    def test_fire_until_they_are_resolved(self):
        film = healthy()
        self.report(film, 0, self.signal())
        (known,) = film.state.signals
        assert known.heard_at == slot(0)
        self.report(film, 3, self.signal())
        assert [each.heard_at for each in film.state.signals] == [slot(3)]
        self.report(film, 4, self.signal(firing=False))
        assert film.state.signals == ()

    def test_are_told_apart_by_their_labels(self):
        film = healthy()
        self.report(film, 0, self.signal(shard="a"), self.signal(shard="b"))
        self.report(film, 1, self.signal(shard="a", firing=False))
        assert [each.labels for each in film.state.signals] == [series(shard="b")]

    def test_that_are_resolved_and_were_never_heard_are_no_news(self):
        film = healthy()
        assert self.report(film, 0, self.signal(firing=False)) == ()

    def test_survive_a_restart(self):
        film = healthy()
        self.report(film, 0, self.signal())
        film.restart(at=slot(1))
        assert len(film.state.signals) == 1

    def test_are_no_more_than_a_thousand(self):
        film = healthy()
        many = [self.signal(shard=str(number)) for number in range(SIGNALS_REMEMBERED)]
        self.report(film, 0, *many)
        assert refusal(self.report(film, 1, self.signal(shard="new"))) is Refusal.TOO_MANY
        self.report(film, 1, *many)
        self.report(film, 2, self.signal(shard="0", firing=False), self.signal(shard="new"))
        assert len(film.state.signals) == SIGNALS_REMEMBERED
