"""What the clock brings about by itself: ends of pauses, rollouts and waits, escalation, alerts that fell silent."""

from dataclasses import replace
from datetime import timedelta

import pytest

from build import a_film, a_group, a_guard, a_policy, a_rule, a_step, minutes, play, seen, series, slot
from rollback_guard.core.attend import SIGNAL_LIVES, due_at
from rollback_guard.core.model import Approval, Level, Limits, Otherwise
from rollback_guard.core.operations import Acknowledge, Approve, Pause, Report, Resume, StartRollout, Trigger, Veto
from rollback_guard.core.records import Escalated, IncidentCleared, Outcome, Resumed, RolloutFinished, Signal, Signalled
from rollback_guard.core.state import IncidentPhase

SECOND = timedelta(seconds=1)
LEVELS = (Level(after=minutes(15), notify=("lead",)), Level(after=minutes(30), notify=("executive", "lead")))


def a_world(**changes):
    limits = Limits(max_actions=9, cooldown=timedelta(0))
    return a_film(guards=[a_guard(**{"escalate": LEVELS, "limits": limits} | changes)])


def called(film):
    return [(each.level, each.at) for each in film.of(Escalated)]


def attend_every_minute(film, first, last, letter=""):
    for at in range(first, last + 1):
        play(film, letter, first=at)
        film.attend(at=slot(at))


def test_nothing_is_done_where_nothing_is_due():
    film = play(a_world(), "b")
    film.operate(Pause(by="ann", why="look", lasting=minutes(9)), at=slot(0))
    film.operate(StartRollout(by="ci", guard="checkout"), at=slot(0))
    assert film.attend(at=slot(0)) == ()


class TestAPause:
    @pytest.mark.parametrize("guard", [None, "checkout"])
    def test_with_an_end_is_resumed_then_and_once(self, guard):
        film = a_world()
        film.operate(Pause(by="ann", why="look", guard=guard, lasting=minutes(5)), at=slot(0))
        assert film.attend(at=slot(5) - SECOND) == ()
        (resumed,) = film.attend(at=slot(5))
        assert isinstance(resumed, Resumed)
        assert (resumed.guard, resumed.by) == (guard, "")
        assert film.state.pauses == {}
        assert film.attend(at=slot(6)) == ()

    @pytest.mark.promise(23)
    def test_without_an_end_has_none(self):
        film = a_world()
        film.operate(Pause(by="ann", why="look"), at=slot(0))
        assert film.attend(at=slot(1_000_000)) == ()

    @pytest.mark.promise(23)
    def test_whose_end_fell_into_a_time_without_daemon_is_resumed_after_it(self):
        film = a_world()
        film.operate(Pause(by="ann", why="look", lasting=minutes(5)), at=slot(0))
        film.restart(at=slot(99))
        assert len(film.attend(at=slot(99))) == 1

    def test_of_one_ends_without_that_of_the_other(self):
        film = a_world()
        film.operate(Pause(by="ann", why="look", lasting=minutes(5)), at=slot(0))
        film.operate(Pause(by="bob", why="look", guard="checkout"), at=slot(0))
        film.attend(at=slot(5))
        assert list(film.state.pauses) == ["checkout"]


class TestARollout:
    def test_is_finished_when_its_window_is_over(self):
        film = a_world(window=minutes(30))
        film.operate(StartRollout(by="ci", guard="checkout", rollout="r1"), at=slot(0))
        assert film.attend(at=slot(30) - SECOND) == ()
        (finished,) = film.attend(at=slot(30))
        assert isinstance(finished, RolloutFinished)
        assert (finished.rollout, finished.by) == ("r1", "")
        assert film.attend(at=slot(31)) == ()

    def test_is_finished_also_when_its_guard_was_removed(self):
        film = a_world(window=minutes(30))
        film.operate(StartRollout(by="ci", guard="checkout", rollout="r1"), at=slot(0))
        film.reload(a_policy([a_group(a_rule())]), at=slot(1))
        assert len(film.attend(at=slot(30))) == 1


class TestEscalation:
    @pytest.mark.parametrize("state", ["holding", "acting", "verifying", "waiting", "handed over"])
    def test_calls_each_level_once_and_in_order_whatever_the_guard_is_at(self, state):
        changes = {
            "holding": {"warm_up": minutes(999)},
            "waiting": {"playbook": (a_step(approve=Approval(within=minutes(999), otherwise=Otherwise.RUN)),)},
            "verifying": {"within": 999},
        }
        film = play(a_world(**changes.get(state, {})), "b")
        if state in {"verifying", "handed over"}:
            film.conclude(Outcome.SUCCEEDED if state == "verifying" else Outcome.UNKNOWN, at=slot(0))
        attend_every_minute(film, 1, 60, "b")
        assert film.incident().phase == state.replace(" ", "_")
        assert called(film) == [(1, slot(15)), (2, slot(30))]
        assert [each.notify for each in film.of(Escalated)] == [("lead",), ("executive", "lead")]

    def test_calls_those_that_were_due_meanwhile_one_after_the_other(self):
        film = play(a_world(), "b")
        film.restart(at=slot(99))
        film.attend(at=slot(99))
        assert called(film) == [(1, slot(99)), (2, slot(99))]

    @pytest.mark.parametrize("at", [3, 20])
    def test_ends_when_somebody_takes_care(self, at):
        film = play(a_world(), "b")
        attend_every_minute(film, 1, at, "b")
        film.operate(Acknowledge(by="ann", incident=film.incident().id), at=slot(at))
        film.restart(at=slot(at))
        attend_every_minute(film, at, 60, "b")
        assert len(called(film)) == (0 if at < 15 else 1)

    def test_does_not_end_because_people_have_it(self):
        film = play(a_world(), "b")
        film.operate(Veto(by="ann", why="mine", guard="checkout"), at=slot(0))
        film.conclude(Outcome.SUCCEEDED, at=slot(0))
        attend_every_minute(film, 1, 60, "b")
        assert len(called(film)) == 2

    def test_ends_with_the_incident(self):
        film = play(a_world(), "b")
        film.conclude(Outcome.UNKNOWN, at=slot(0))
        attend_every_minute(film, 1, 16, "b")
        attend_every_minute(film, 17, 60, "p")
        assert len(film.of(IncidentCleared)) == 1
        assert len(called(film)) == 1

    def test_is_not_of_an_incident_that_recovers_in_the_same_instant(self):
        """What the clock ends it also stops to escalate: its countdown finds that all is quiet."""
        approve = Approval(within=minutes(15), otherwise=Otherwise.RUN)
        film = play(a_world(playbook=(a_step(approve=approve),)), "b" * 15)
        film.show(slot(15), {"g/r": seen("p")}, present=False)
        assert film.incident().phase is IncidentPhase.WAITING
        film.attend(at=slot(15))
        assert film.incident().phase is IncidentPhase.CLOSED
        assert called(film) == []

    def test_counts_from_the_beginning_of_the_incident_that_a_person_opened_too(self):
        film = play(a_world(), "p")
        film.operate(Trigger(by="ann", why="leak", guard="checkout"), at=slot(1))
        attend_every_minute(film, 1, 60)
        assert called(film) == [(1, slot(16)), (2, slot(31))]

    @pytest.mark.parametrize("seconds", [-3600, 3600])
    def test_counts_on_when_the_clock_is_set(self, seconds):
        by = timedelta(seconds=seconds)
        film = play(a_world(), "b")
        film.set_clock(by, at=slot(5) + by)
        film.attend(at=slot(15) + by - SECOND)
        assert called(film) == []
        film.attend(at=slot(15) + by)
        assert called(film) == [(1, slot(15) + by)]

    def test_follows_the_levels_of_a_reload(self):
        film = play(a_world(), "b")
        film.attend(at=slot(15))
        guard = replace(film.policy.guards["checkout"], escalate=LEVELS[:1])
        film.reload(replace(film.policy, guards={"checkout": guard}), at=slot(16))
        film.attend(at=slot(60))
        assert called(film) == [(1, slot(15))]


class TestAlertsFromElsewhere:
    def signal(self, name="DataCorrupt", **labels):
        return Signal(guard="checkout", name=name, labels=series(**labels), firing=True, starts_at=slot(-5))

    def test_that_nobody_repeats_for_a_day_are_over(self):
        film = a_world()
        film.operate(Report(by="am", signals=(self.signal(shard="a"), self.signal(shard="b"))), at=slot(0))
        film.operate(Report(by="am", signals=(self.signal(shard="b"),)), at=slot(60))
        assert film.attend(at=slot(0) + SIGNAL_LIVES - SECOND) == ()
        (signalled,) = film.attend(at=slot(0) + SIGNAL_LIVES)
        assert isinstance(signalled, Signalled)
        assert [(each.labels, each.firing) for each in signalled.signals] == [(series(shard="a"), False)]
        assert [each.labels for each in film.state.signals] == [series(shard="b")]

    def test_live_as_long_when_the_clock_is_set(self):
        film = a_world()
        film.operate(Report(by="am", signals=(self.signal(),)), at=slot(0))
        film.set_clock(SIGNAL_LIVES, at=slot(1) + SIGNAL_LIVES)
        assert film.attend(at=slot(1) + SIGNAL_LIVES) == ()


def test_a_pause_that_ends_lets_what_was_approved_be_run_in_the_same_instant():
    film = play(a_world(playbook=(a_step(approve=Approval(within=minutes(2), otherwise=Otherwise.RUN)),)), "b")
    film.operate(Pause(by="ann", why="look", lasting=minutes(5)), at=slot(0))
    film.operate(Approve(by="bob", guard="checkout"), at=slot(1))
    play(film, "bbbb", first=1)
    assert film.conclusions()[-1] == "hold/paused"
    film.attend(at=slot(5))
    assert film.intents() == [("flag-off", slot(5))]


def test_a_resume_lets_what_still_breaches_act_at_the_next_slot_and_not_before():
    film = a_world()
    film.operate(Pause(by="ann", why="look"), at=slot(0))
    play(film, "b")
    film.operate(Resume(by="ann"), at=slot(0) + SECOND)
    film.attend(at=slot(0) + SECOND)
    assert film.intents() == []
    play(film, "b", first=1)
    assert film.intents() == [("flag-off", slot(1))]


def next_due(film, at):
    return due_at(film.policy, film.state, after=at)


def test_without_anything_under_way_nothing_is_ever_due():
    assert next_due(play(a_world(), "ppp"), slot(0)) is None


def test_the_end_of_a_pause_of_a_rollout_and_of_a_signal_are_due():
    film = play(a_world(window=minutes(50)), "p")
    film.operate(Pause(by="ann", why="look", lasting=minutes(9)), at=slot(0))
    film.operate(StartRollout(by="ci", guard="checkout"), at=slot(0))
    signal = Signal(guard="checkout", name="Corrupt", labels=series(), firing=True, starts_at=slot(0))
    film.operate(Report(by="am", signals=(signal,)), at=slot(0))
    due, at = [], slot(0)
    while (at := next_due(film, at)) is not None:
        due.append(at)
    assert due == [slot(9), slot(50), slot(0) + SIGNAL_LIVES]


def test_the_end_of_a_wait_and_the_levels_that_were_not_called_yet_are_due():
    film = play(a_world(veto=37 * SECOND), "b")
    assert next_due(film, slot(0)) == slot(0) + 37 * SECOND
    assert next_due(film, slot(0) + 37 * SECOND) == slot(15)
    film.attend(at=slot(15))
    assert next_due(film, slot(15)) == slot(30)
    film.attend(at=slot(30))
    assert next_due(film, slot(30)) is None


def test_whatever_the_clock_brings_about_is_due_when_it_does():
    """Asking only when something is due misses nothing that asking every second finds."""
    every, due = (play(a_world(veto=37 * SECOND), "b") for _ in range(2))
    for second in range(1, 40 * 60):
        every.attend(at=slot(0) + second * SECOND)
    at = slot(0)
    while (at := next_due(due, at)) is not None and at < slot(40):
        due.attend(at=at)
    assert [record for record in due.records if record not in every.records] == []
    assert len(due.records) == len(every.records)
