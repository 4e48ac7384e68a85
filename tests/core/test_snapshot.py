"""One picture tells what people have to know now, and which command answers it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from build import MINUTE, NO_LABELS, Film, a_group, a_guard, a_policy, a_rule, a_step, minutes, seen, slot
from rollback_guard.core.model import SIGNAL, Approval, Armed, Blindness, Fleet, Level, Limits, labels_of
from rollback_guard.core.operations import (
    Acknowledge,
    Approve,
    Extend,
    FinishRollout,
    Pause,
    Report,
    Resume,
    StartRollout,
    Trigger,
    Veto,
)
from rollback_guard.core.orders import MaintenanceChanged, RolloutStarted, Signal, Window
from rollback_guard.core.records import Outcome, Reason, Wait
from rollback_guard.core.snapshot import JournalView, Matter, OutboxView, ReloadView, Running, StepView, build
from rollback_guard.core.story import tell

BREACH, PASS = {"g/r": seen("b")}, {"g/r": seen("p")}


def a_film(*, fleet=None, **changes) -> Film:
    policy = a_policy([a_group(a_rule())], [a_guard(**changes)], fleet=fleet or Fleet())
    return Film(policy)


def picture(film: Film, at, **running):
    reload = ReloadView(at=slot(0), successful=True, succeeded_at=slot(0))
    known = {"version": "test", "started_at": slot(0), "reload": reload}
    return build(film.policy, film.state, Running(**known | running), now=at)


def view(film: Film, at):
    (guard,) = picture(film, at).guards
    return guard


def matters(film: Film, at) -> list[Matter]:
    return [remark.matter for remark in view(film, at).remarks]


def test_where_nothing_is_the_matter_nothing_is_said():
    film = a_film()
    film.show(slot(0), PASS)
    guard = view(film, slot(0))
    assert (guard.armed, guard.braked_by, guard.paused, guard.waiting, guard.rollout) == (True, None, None, None, None)
    assert guard.remarks == ()
    assert picture(film, slot(0)).remarks == ()


def test_the_steps_of_a_guard_say_what_it_minds_before_it_begins_them():
    asking = a_step("restore", select=labels_of({"alertname": "r"}), approve=Approval(within=minutes(5)))
    film = a_film(playbook=(a_step(), asking, a_step("", notify=("team",))), warm_up=minutes(60))
    film.show(slot(0), PASS)
    assert [(each.name, each.applies) for each in view(film, slot(0)).steps] == [
        ("flag-off", True),
        ("restore", False),
        ("notify team", True),
    ]
    film.show(slot(1), BREACH)
    (_, step, _) = view(film, slot(1)).steps
    assert step == StepView(name="restore", select=labels_of({"alertname": "r"}), approve=minutes(5))
    assert view(film, slot(1)).playbook == ("flag-off", "restore", "notify team")


@pytest.mark.parametrize(
    ("whom", "everything", "command"),
    [("checkout", False, "rollback-guard resume checkout"), (None, True, "rollback-guard resume --all")],
)
def test_a_pause_says_who_why_until_when_and_how_to_end_it(whom, everything, command):
    film = a_film()
    film.operate(Pause(by="alice", why="party", guard=whom, lasting=minutes(30)), at=slot(1))
    seen_now = picture(film, slot(2))
    (guard,) = seen_now.guards
    assert guard.paused is not None
    assert (guard.paused.by, guard.paused.why, guard.paused.until, guard.paused.everything) == (
        "alice",
        "party",
        slot(31),
        everything,
    )
    assert guard.braked_by is Reason.PAUSED
    assert (seen_now.paused is not None) is everything
    (remark,) = seen_now.remarks if everything else guard.remarks
    assert remark.matter is Matter.PAUSED
    assert "alice paused" in remark.text
    assert "until 12:31:00 UTC" in remark.text
    assert remark.text.endswith(": party")
    assert [each.text for each in remark.commands] == [command]
    film.operate(Resume(by="alice", guard=whom), at=slot(3))
    assert view(film, slot(3)).paused is None


def test_a_guards_own_pause_is_shown_beside_that_of_all_and_outlasts_it():
    film = a_film()
    film.operate(Pause(by="alice", why="its database", guard="checkout"), at=slot(1))
    film.operate(Pause(by="bob", why="party", lasting=minutes(30)), at=slot(2))
    guard = view(film, slot(3))
    assert (guard.paused.by, guard.paused.everything) == ("bob", True)
    assert (guard.paused_by_name.by, guard.paused_by_name.everything) == ("alice", False)
    (remark,) = guard.remarks
    assert remark.text == (
        "alice paused it until further notice, also once all guards are resumed, and nothing is done meanwhile: "
        "its database"
    )
    assert [each.text for each in remark.commands] == ["rollback-guard resume checkout"]
    film.operate(Resume(by="bob"), at=slot(4))
    guard = view(film, slot(4))
    assert guard.paused == guard.paused_by_name
    assert guard.paused.by == "alice"
    assert "all guards" not in guard.remarks[0].text
    film.operate(Pause(by="bob", why="party"), at=slot(5))
    film.operate(Resume(by="alice", guard="checkout"), at=slot(6))
    guard = view(film, slot(6))
    assert (guard.paused.by, guard.paused_by_name, guard.remarks) == ("bob", None, ())


def test_a_guard_that_waits_for_a_veto_shows_the_countdown_and_the_commands():
    film = a_film(veto=minutes(5))
    film.show(slot(0), BREACH)
    guard = view(film, slot(2))
    assert guard.waiting is not None
    assert (guard.waiting.what, guard.waiting.until) == (Wait.VETO, slot(5))
    (remark,) = guard.remarks
    assert remark.matter is Matter.WAITING
    assert remark.text == (
        "Step 1, flag-off, waits another 3m, until 12:05:00 UTC: it is run then, unless a person vetoes it."
    )
    assert [each.text for each in remark.commands] == [
        "rollback-guard approve checkout",
        "rollback-guard extend checkout --for 10m",
        "rollback-guard veto checkout --reason …",
    ]
    film.operate(Extend(by="alice", guard="checkout", lasting=minutes(10)), at=slot(2))
    assert "another 13m, until 12:15:00 UTC" in view(film, slot(2)).remarks[0].text
    film.operate(Approve(by="alice", guard="checkout"), at=slot(3))
    assert view(film, slot(3)).remarks == ()


def test_an_approval_that_a_pause_holds_up_says_both():
    film = a_film(playbook=(a_step(approve=Approval(within=minutes(5))),))
    film.show(slot(0), BREACH)
    film.operate(Pause(by="bob", why="wait", guard="checkout"), at=slot(1))
    film.operate(Approve(by="alice", guard="checkout"), at=slot(2))
    first, second = view(film, slot(2)).remarks
    assert first.text == "Step 1, flag-off, was approved by alice and is about to begin."
    assert second.matter is Matter.PAUSED


def test_a_vetoed_incident_is_in_the_hands_of_people_until_one_takes_care_of_it():
    film = a_film(veto=minutes(5), escalate=(Level(after=minutes(2), notify=("lead",)),))
    film.show(slot(0), BREACH)
    film.operate(Veto(by="bob", why="no", guard="checkout"), at=slot(1))
    incident = film.incident()
    (remark,) = view(film, slot(1)).remarks
    assert remark.text == "In the hands of people: a person vetoed what the playbook was to do."
    assert [each.text for each in remark.commands] == [f"rollback-guard ack {incident.id}"]
    film.attend(at=slot(3))
    assert view(film, slot(3)).escalated == 1
    assert (
        view(film, slot(3))
        .remarks[0]
        .text.endswith("Nobody has acknowledged it, and level 1 of its escalation was called.")
    )
    film.operate(Acknowledge(by="alice", incident=incident.id), at=slot(4))
    (remark,) = view(film, slot(4)).remarks
    assert view(film, slot(4)).acknowledged_by == "alice"
    assert remark.text.endswith("alice takes care of it.")
    assert remark.commands == ()


def test_a_guard_that_is_armed_by_rollouts_says_when_it_is_not():
    film = a_film(armed=Armed.ROLLOUT)
    assert not view(film, slot(1)).armed
    assert view(film, slot(1)).braked_by is Reason.NOT_ARMED
    assert matters(film, slot(1)) == [Matter.NOT_ARMED]
    film.operate(
        StartRollout(
            by="ci", guard="checkout", rollout="r-42", version="42", previous_version="41", window=60 * MINUTE
        ),
        at=slot(2),
    )
    guard = view(film, slot(5))
    assert guard.armed
    (remark,) = guard.remarks
    assert remark.text == (
        "Rollout r-42 of version 42 (before it: 41) under way for 3m, until 13:02:00 UTC at the latest."
    )
    assert [each.text for each in remark.commands] == ["rollback-guard rollout finish checkout"]
    film.operate(FinishRollout(by="ci", guard="checkout"), at=slot(6))
    guard = view(film, slot(6))
    assert guard.rollout is not None
    assert guard.rollout.finished_at == slot(6)
    assert matters(film, slot(6)) == [Matter.NOT_ARMED]


def test_what_was_bad_before_the_rollout_is_shown_as_excused_until_it_has_recovered():
    film = a_film(armed=Armed.ROLLOUT)
    began = RolloutStarted(
        rollout="r", guard="checkout", at=slot(0), until=slot(60), by="ci", excused=(("g/r", NO_LABELS),)
    )
    film.take([began])
    film.show(slot(3), BREACH)
    assert view(film, slot(3)).excused == ("g/r",)
    assert [remark.text for remark in view(film, slot(3)).remarks if remark.matter is Matter.EXCUSED] == [
        "r fires, and does not count until it has recovered once."
    ]
    film.show(slot(4), PASS)
    assert view(film, slot(4)).excused == ()


def test_maintenance_windows_are_shown_where_they_hold():
    film = a_film()
    film.take(
        [
            MaintenanceChanged(
                at=slot(1),
                windows=(
                    Window(name="night", until=slot(30)),
                    Window(name="ours", until=slot(40), guards=("checkout",)),
                    Window(name="theirs", until=slot(50), guards=("search",)),
                ),
            )
        ]
    )
    guard = view(film, slot(2))
    assert (guard.maintenance_until, guard.braked_by) == (slot(40), Reason.MAINTENANCE)
    assert guard.remarks[0].text == "In maintenance until 12:40:00 UTC."
    told = picture(film, slot(2))
    assert [window.name for window in told.maintenance] == ["night", "ours", "theirs"]
    assert [remark.matter for remark in told.remarks] == [Matter.MAINTENANCE] * 3
    assert view(film, slot(45)).maintenance_until is None
    assert [window.name for window in picture(film, slot(45)).maintenance] == ["theirs"]


def test_signals_that_fire_are_shown_by_name_and_once():
    film = a_film(signals=("Corruption",))
    told = [
        Signal(guard="checkout", name="Corruption", labels=(("db", db),), firing=True, starts_at=slot(0)) for db in "ab"
    ]
    film.operate(Report(by="alertmanager", signals=tuple(told)), at=slot(1))
    guard = view(film, slot(1))
    assert guard.signals == ("Corruption",)
    assert guard.remarks[0].text == "Alerts from elsewhere: Corruption."


def test_the_source_of_signals_is_no_probe():
    film = Film(a_policy([a_group(a_rule(), source=SIGNAL)]))
    assert [rule.probe for rule in picture(film, slot(0)).rules] == [False]


def test_a_blind_guard_says_for_how_long_and_of_what():
    film = a_film(blind=Blindness(after=minutes(1)))
    for number in range(3):
        film.show(slot(number), {"g/r": seen("q")})
    remarks = view(film, slot(2)).remarks
    assert [remark.text for remark in remarks] == ["Blind for 2m: nothing is known of r."]
    assert picture(film, slot(2)).remarks[0].text.startswith("Guard checkout is blind")


def test_used_up_actions_are_shown_for_the_guard_and_for_all():
    film = a_film(limits=Limits(max_actions=1, cooldown=timedelta(0)), fleet=Fleet(max_actions=1))
    film.show(slot(0), BREACH)
    told = picture(film, slot(1))
    assert told.guards[0].actions_left == 0
    assert told.fleet_actions_left == 0
    assert Matter.LIMIT in [remark.matter for remark in told.guards[0].remarks]
    assert Matter.LIMIT in [remark.matter for remark in told.remarks]
    assert picture(a_film(), slot(1)).fleet_actions_left is None


def test_open_intents_of_steps_and_of_undos_are_named():
    film = a_film()
    film.show(slot(0), BREACH)
    assert picture(film, slot(0)).intents_open == (film.incident().open_intent.key,)
    film.conclude(Outcome.SUCCEEDED, at=slot(1))
    assert picture(film, slot(1)).intents_open == ()


def test_trouble_of_the_instance_itself_is_said_first():
    film = a_film()
    refused = ReloadView(at=slot(4), successful=False, succeeded_at=slot(0), problems=("p",))
    journal = JournalView(head_seq=7, head_hash="ab", size_bytes=4096)
    told = picture(
        film,
        slot(10),
        journal_failed_since=slot(3),
        reload=refused,
        journal=journal,
        heartbeat_at=slot(9),
        outbox=(
            OutboxView(channel="oncall", letters=2, oldest=slot(1)),
            OutboxView(channel="team", letters=1, oldest=slot(9)),
            OutboxView(channel="lead", letters=0),
        ),
    )
    assert [remark.matter for remark in told.remarks] == [Matter.JOURNAL, Matter.CONFIGURATION, Matter.OUTBOX]
    assert told.remarks[0].text.startswith("The journal cannot be written since 12:03:00 UTC")
    assert told.remarks[2].text == "Channel oncall does not deliver: 2 notices have not arrived, the oldest for 9m."
    assert (told.journal, told.heartbeat_at) == (journal, slot(9))


def test_the_story_of_an_incident_that_people_steered_needs_no_other_records():
    film = a_film(veto=minutes(5), actions=("flag-off", "rollback"))
    film.show(slot(0), BREACH)
    film.operate(Extend(by="alice", guard="checkout", lasting=minutes(5)), at=slot(1))
    film.operate(Approve(by="alice", guard="checkout"), at=slot(2))
    film.conclude(Outcome.SUCCEEDED, at=slot(3))
    film.operate(Veto(by="bob", why="enough", guard="checkout"), at=slot(4))
    film.operate(Trigger(by="carol", why="corruption", guard="checkout", step="rollback"), at=slot(5))
    told = [line.text for line in tell(film.records)]
    in_order = [
        "Step 1, flag-off, waits until 12:05:00: it is run then, unless a person vetoes it.",
        "alice gave more time for step 1, flag-off: until 12:10:00.",
        "alice approved step 1, flag-off.",
        "Began step 1, flag-off, with the approval of alice.",
        "flag-off succeeded at the first attempt in 1m; now its effect is watched.",
        "bob vetoed what the playbook was to do: nothing further is done.",
        "Handed over to people: a person vetoed what the playbook was to do.",
        "carol triggered step 2, rollback.",
        "Began step 2, rollback, as carol asked.",
        "rollback is under way, or how it ended is not known yet.",
    ]
    assert [text for text in told if text in in_order] == in_order
