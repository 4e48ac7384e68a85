"""What people and other systems did to an incident is told with who, when and why."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from incidents import (
    BREACH,
    HANDED_OVER,
    ID,
    OPENED,
    RECOVERED,
    RULE,
    after,
    concluded,
    decided,
    ended,
    intended,
    watched,
)
from rollback_guard.core.model import Otherwise, Verdict
from rollback_guard.core.orders import (
    Acknowledged,
    Approved,
    Extended,
    MaintenanceChanged,
    Paused,
    Resumed,
    RolloutFinished,
    RolloutStarted,
    Signal,
    Signalled,
    Triggered,
    Vetoed,
    Window,
)
from rollback_guard.core.records import Awaited, Decision, Escalated, Outcome, Reason, Record, Wait
from rollback_guard.core.story import tell

OF = {"incident": ID, "guard": "checkout"}
BEGUN = after(minutes=10)
LATER = after(minutes=11)


def awaited(step: int = 0, *, what: Wait = Wait.VETO, otherwise: Otherwise = Otherwise.RUN) -> Awaited:
    return Awaited(
        **OF,
        at=BEGUN,
        step=step,
        action=intended(step, BEGUN).action,
        what=what,
        until=after(minutes=15),
        otherwise=otherwise,
        reason=Reason.BREACH,
    )


def holding(reason: Reason, step: int = 0):
    return decided(Decision.HOLD, reason, BEGUN, BREACH, step=step)


VETO = (OPENED, awaited(), holding(Reason.AWAITING_VETO))


def texts(*records: Record) -> list[str]:
    return [line.text for line in tell(records)]


def line_of(word: str, *records: Record):
    (found,) = [line for line in tell(records) if word in line.text]
    return found


@pytest.mark.parametrize(
    ("what", "otherwise", "words"),
    [
        (Wait.VETO, Otherwise.RUN, "it is run then, unless a person vetoes it"),
        (Wait.APPROVAL, Otherwise.RUN, "a person is to approve it, and if nobody does it is run then"),
        (Wait.APPROVAL, Otherwise.SKIP, "a person has to approve it, and if nobody does it is skipped"),
        (Wait.APPROVAL, Otherwise.HAND_OVER, "if nobody does people have to go on by hand"),
    ],
)
def test_a_countdown_says_until_when_for_whom_and_what_happens_otherwise(what, otherwise, words):
    line = line_of("Step 1", OPENED, awaited(what=what, otherwise=otherwise))
    assert line.text.startswith("Step 1, disable-new-checkout, waits until 10:05:00: ")
    assert words in line.text
    assert line.notes == ("It is to be run because a critical rule fires.",)


def test_an_incident_that_waits_ends_with_the_commands_that_answer_it():
    last = tell(VETO)[-1]
    assert last.text.startswith("Not over yet: step 1, disable-new-checkout, waits until 10:05:00")
    assert last.notes == (
        "`rollback-guard approve checkout` runs it at once.",
        "`rollback-guard extend checkout --for 10m` gives people more time.",
        "`rollback-guard veto checkout --reason …` cancels the playbook.",
    )


def test_more_time_moves_the_end_of_the_countdown():
    extended = Extended(**OF, at=LATER, until=after(days=1, minutes=25), by="alice", why="looking at it")
    line = line_of("alice", *VETO, extended)
    assert line.text == "alice gave more time for step 1, disable-new-checkout: until 2026-03-02 10:15:00."
    assert line.notes == ("Why: looking at it",)
    assert "waits until 2026-03-02 10:15:00" in texts(*VETO, extended)[-1]


def test_an_approved_step_says_whose_approval_began_it():
    approved = Approved(**OF, at=LATER, by="alice")
    told = texts(
        *VETO,
        approved,
        replace(decided(Decision.ACT, Reason.APPROVED, LATER, BREACH, step=0), detail="alice: "),
        replace(intended(0, LATER), by="alice"),
    )
    assert "alice approved step 1, disable-new-checkout." in told
    assert "Decided to run step 1, disable-new-checkout: a person approved it." in told
    assert "Began step 1, disable-new-checkout, with the approval of alice." in told
    assert "alice: " not in tell((*VETO, approved))[-1].notes


def test_an_approved_step_that_has_not_begun_says_so():
    assert texts(*VETO, Approved(**OF, at=LATER, by="alice"))[-1] == (
        "Not over yet: alice approved step 1, disable-new-checkout, which is about to begin."
    )


def test_a_veto_leaves_the_incident_to_people():
    vetoed = Vetoed(**OF, at=LATER, by="bob", why="the database is being moved")
    story = tell((*VETO, vetoed, ended(LATER, Decision.HAND_OVER, Reason.VETOED)))
    (line,) = [line for line in story if "bob" in line.text]
    assert line.text == "bob vetoed what the playbook was to do: nothing further is done."
    assert line.notes == ("Why: the database is being moved",)
    assert story[-2].notes == ("Decide by hand what is to be done: the guard does nothing further in this incident.",)


def test_a_step_that_nobody_approved_is_named_to_those_who_go_on():
    waiting = awaited(1, what=Wait.APPROVAL, otherwise=Otherwise.HAND_OVER)
    story = tell((*RECOVERED[:4], waiting, ended(after(minutes=15), Decision.HAND_OVER, Reason.NOT_APPROVED)))
    assert story[-2].notes == (
        "Decide by hand whether rollback-checkout is to be run (step 2); `rollback-guard trigger` runs it.",
    )


@pytest.mark.parametrize(
    ("before", "why"),
    [
        ((awaited(what=Wait.APPROVAL, otherwise=Otherwise.SKIP),), "nobody approved it in time"),
        ((), "it is meant for other rules than those of this incident"),
    ],
)
def test_a_step_that_was_skipped_is_told_with_why(before, why):
    told = texts(OPENED, *before, intended(1, after(minutes=15)))
    name = "step 1, disable-new-checkout" if before else "step 1"
    assert f"Skipped {name}: {why}." in told


def test_steps_in_their_order_and_triggered_ones_skip_nothing():
    triggered = Triggered(**OF, at=LATER, steps=(1,), by="alice", why="data corruption")
    assert not [text for text in texts(*HANDED_OVER) if "Skipped" in text]
    assert not [text for text in texts(OPENED, triggered, intended(1, LATER)) if "Skipped" in text]


def test_a_trigger_says_who_why_and_which_steps():
    opened = replace(OPENED, at=BEGUN, breached_at=BEGUN, rules=(), by="alice")
    triggered = Triggered(**OF, at=BEGUN, steps=(0, 1), by="alice", why="data corruption")
    begun = [replace(intended(step, BEGUN), by="alice", why="data corruption") for step in (0, 1)]
    records = (
        opened,
        triggered,
        begun[0],
        concluded(0, BEGUN, Outcome.SUCCEEDED),
        begun[1],
        concluded(1, LATER, Outcome.SUCCEEDED),
        ended(after(minutes=20), Decision.RECOVERED, Reason.VERIFIED),
    )
    told = texts(*records)
    assert told[0] == "Guard checkout opened incident checkout-20260301T100000Z: alice triggered it."
    line = line_of("alice triggered step", *records)
    assert line.text == "alice triggered step 1, disable-new-checkout and step 2, rollback-checkout."
    assert line.notes == ("Why: data corruption",)
    assert "Began step 1, disable-new-checkout, as alice asked." in told
    assert "disable-new-checkout succeeded at the first attempt in 0s." in told
    assert told[-2] == "rollback-checkout succeeded at the first attempt in 1m; now its effect is watched."
    assert told[-1] == "The incident is over, 10m after it began."
    assert not [text for text in told if "breach" in text]


def test_a_step_that_only_tells_is_one_line_and_has_no_outcome():
    tells = replace(intended(0, BEGUN), action="notify oncall, team", notify=("oncall", "team"))
    told = replace(concluded(0, BEGUN, Outcome.SUCCEEDED), action=tells.action)
    story = tell((OPENED, tells, told))
    assert [line.text for line in story[2:]] == [
        "Told oncall, team (step 1).",
        "Not over yet: the effect is being watched.",
    ]
    assert story[2].notes == ("The next step follows unless the rules pass for 1m, within 3m.",)


def test_a_step_with_rules_of_its_own_names_them():
    line = line_of("Began", OPENED, replace(intended(0, BEGUN), rules=("probe/checkout-ready", RULE)))
    assert line.notes[-1].startswith("It has helped if the rules of checkout-ready and CheckoutErrorRate pass for 1m,")


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome.SUCCEEDED, "enable-new-checkout succeeded at the first attempt in 1m; step 1 is taken back."),
        (Outcome.FAILED, "enable-new-checkout failed for good at the first attempt in 1m; step 1 is not taken back."),
        (Outcome.UNKNOWN, "It cannot be told whether enable-new-checkout had its effect, at the first attempt in 1m."),
    ],
)
def test_an_undo_says_who_why_what_and_how_it_ended(outcome, words):
    undo = replace(
        intended(0, after(minutes=40)),
        key=f"{ID}-1-undo",
        action="enable-new-checkout",
        goal="the flag is on",
        undoes=f"{ID}-1",
        by="alice",
        why="false alarm",
    )
    done = replace(concluded(0, after(minutes=41), outcome), key=undo.key, action=undo.action)
    line = line_of("take back", *RECOVERED, undo)
    assert line.text == "Began to take back step 1, disable-new-checkout, by enable-new-checkout, as alice asked."
    assert line.notes == ("Why: false alarm", "Goal: the flag is on")
    assert texts(*RECOVERED, undo)[-1] == "enable-new-checkout is under way, or how it ended is not known yet."
    assert texts(*RECOVERED, undo, done)[-1] == words


def both_undone():
    """Return the records of two steps, and of an undo of both."""
    known = {
        "action": "roll-forward",
        "undoes": f"{ID}-2",
        "further": (f"{ID}-1",),
        "by": "alice",
        "why": "false alarm",
    }
    undo = replace(intended(1, after(minutes=40)), key=f"{ID}-2-undo", **known)
    steps = [each for step in (0, 1) for each in (intended(step, LATER), concluded(step, LATER, Outcome.SUCCEEDED))]
    done = replace(concluded(1, after(minutes=41), Outcome.SUCCEEDED), key=undo.key, action=undo.action)
    return (OPENED, *steps, ended(LATER, Decision.HAND_OVER, Reason.VETOED), undo, done)


def test_an_undo_that_was_stopped_in_the_middle_is_not_forgotten_without_a_word():
    records = both_undone()
    held = "roll-forward succeeded at the first attempt in 1m; step 2 is taken back, what comes next is held back."
    assert held in texts(*records)
    line = line_of("Still to be taken back", *records)
    assert line.text.startswith(
        "Still to be taken back: step 1, disable-new-checkout; that goes on once neither a pause"
    )
    assert line.notes == ("`rollback-guard veto checkout --reason …` keeps it from that.",)


@pytest.mark.parametrize("ends", ["goes on", "vetoed"])
def test_an_undo_that_goes_on_or_was_cancelled_leaves_nothing_to_be_said(ends):
    undo = replace(intended(0, after(minutes=41)), key="u", undoes=f"{ID}-1", by="alice")
    after_it = undo if ends == "goes on" else Vetoed(**OF, at=after(minutes=42), by="bob", why="no")
    told = texts(*both_undone(), after_it)
    assert not [text for text in told if "Still to be" in text]
    assert any("held back" in text for text in told) is (ends == "vetoed")


def test_a_step_that_was_held_back_until_its_time_was_up_has_not_failed_for_good():
    held = replace(concluded(0, LATER, Outcome.FAILED, attempts=2), held=True)
    assert texts(OPENED, intended(0, BEGUN), held)[-2] == (
        "disable-new-checkout was held back until its time was up, after 2 attempts in 1m; "
        "after that it may be tried anew."
    )


def test_an_incident_that_waits_for_the_end_of_an_undo_says_so():
    told = texts(OPENED, decided(Decision.HOLD, Reason.IN_PROGRESS, LATER))
    assert told[-1] == (
        "Not over yet: the guard still does not act, because what it began before is not over yet, "
        "and it does one thing at a time."
    )


def test_time_that_nobody_in_particular_gave_is_told_without_a_name():
    told = texts(OPENED, awaited(), Extended(**OF, at=LATER, until=after(minutes=30), by="", why="restarted"))
    assert "There is more time for step 1, disable-new-checkout: until 10:20:00." in told


def test_a_trigger_names_the_steps_as_they_were_called_then():
    triggered = Triggered(**OF, at=BEGUN, steps=(0, 1), by="alice", why="x", actions=("rollback", "page"))
    moved = replace(intended(1, LATER), action="rollback", by="alice", why="x")
    told = texts(OPENED, triggered, moved)
    assert "alice triggered step 1, rollback and step 2, page." in told
    assert "Began step 2, rollback, as alice asked." in told
    assert not [text for text in told if "Skipped" in text]


def test_an_undo_changes_nothing_of_what_was_told_of_the_steps():
    undo = replace(intended(0, after(minutes=40)), key="u", undoes=f"{ID}-1", stable_for=timedelta(0))
    assert set(texts(*RECOVERED)) <= set(texts(*RECOVERED, undo))


def test_acknowledgement_and_escalation_are_told():
    told = texts(
        *HANDED_OVER,
        Escalated(**OF, at=after(minutes=25), level=1, notify=("lead", "oncall")),
        Acknowledged(**OF, at=after(minutes=26), by="alice"),
    )
    assert "Nobody has acknowledged the incident, so level 1 was called: lead, oncall." in told
    assert "alice takes care of the incident: nobody further is called." in told
    assert told[-1] == "Not closed yet: the rules have not all passed again."


def paused(guard: str | None = "checkout", **changes) -> Paused:
    return replace(Paused(guard=guard, at=LATER, by="alice", why="release party"), **changes)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (paused(), "alice paused guard checkout until further notice."),
        (paused(None, until=after(minutes=30)), "alice paused all guards until 10:20:00."),
        (Resumed(guard="checkout", at=LATER, by="bob"), "bob resumed guard checkout."),
        (Resumed(guard=None, at=LATER), "The pause of all guards is over: its time was up."),
        (
            RolloutStarted(
                rollout="r-42",
                guard="checkout",
                at=LATER,
                until=after(hours=1),
                by="ci",
                version="42",
                previous_version="41",
            ),
            "ci began rollout r-42 of version 42 (before it: 41); its window ends at 10:50:00.",
        ),
        (RolloutFinished(rollout="r-42", guard="checkout", at=LATER), "Rollout r-42 is over: its window has ended."),
        (
            RolloutFinished(rollout="r-42", guard="checkout", at=LATER, by="ci"),
            "Rollout r-42 is over: ci finished it.",
        ),
    ],
)
def test_pauses_and_rollouts_are_told_where_they_concern_the_guard(record, words):
    assert words in texts(OPENED, record)
    if record.guard is not None:
        assert words not in texts(OPENED, replace(record, guard="search"))


def test_what_fired_before_a_rollout_is_named_with_it():
    record = RolloutStarted(
        rollout="r", guard="checkout", at=LATER, until=after(hours=1), by="ci", excused=((RULE, ()), ("g/Other", ()))
    )
    assert line_of("rollout r", OPENED, record).notes == (
        "CheckoutErrorRate and Other fire, and do not count until they have recovered once.",
    )


def test_what_still_fires_after_a_recovery_is_named():
    over = replace(ended(after(minutes=12), Decision.RECOVERED, Reason.VERIFIED), excused=((RULE, (("code", "500"),)),))
    assert tell((OPENED, over))[-1].notes == (
        "CheckoutErrorRate fires, and does not count until it has recovered once.",
    )


def windows(at, *open_windows: Window) -> MaintenanceChanged:
    return MaintenanceChanged(at=at, windows=open_windows)


def test_maintenance_windows_of_the_guard_open_and_close():
    night = Window(name="night", until=after(hours=2))
    other = Window(name="search-only", until=after(hours=2), guards=("search",))
    told = texts(OPENED, windows(LATER, night, other), windows(after(minutes=13), night), windows(after(minutes=14)))
    assert [text for text in told if "window" in text] == [
        "Maintenance window night opened, until 11:50:00.",
        "Maintenance window night closed.",
    ]


def test_a_window_that_was_open_before_the_story_began_is_told_when_it_had_held():
    closed = windows(LATER)
    assert "The maintenance window closed." in texts(OPENED, holding(Reason.MAINTENANCE), closed)
    assert "The maintenance window closed." not in texts(OPENED, closed)


def signal(firing: bool = True, **changes) -> Signalled:
    known = Signal(
        guard="checkout",
        name="DataCorruption",
        labels=(("db", "orders"),),
        firing=firing,
        starts_at=BEGUN,
        summary="rows are lost",
    )
    return Signalled(at=BEGUN, signals=(replace(known, **changes),), by="alertmanager")


def test_signals_that_opened_an_incident_are_told_with_who_sent_them():
    opened = replace(OPENED, rules=("signal/checkout/DataCorruption",))
    line = line_of("says an alert", opened, signal())
    assert line.text == 'DataCorruption{db="orders"} fires, says an alert from alertmanager.'
    assert line.notes == ("rows are lost",)
    resolved = texts(opened, replace(signal(firing=False), by=""))
    assert 'DataCorruption{db="orders"} is resolved, says an alert.' in resolved
    for other in (signal(guard="search"), signal(name="Other")):
        assert not [text for text in texts(opened, other) if "says an alert" in text]


@pytest.mark.parametrize("reason", [Reason.PAUSED, Reason.MAINTENANCE])
@pytest.mark.parametrize("before", [(OPENED,), VETO, (*RECOVERED[:4], watched(BEGUN, Verdict.BREACH))])
def test_a_brake_that_holds_is_how_things_stand_wherever_the_incident_was(reason, before):
    assert texts(*before, holding(reason))[-1].startswith("Not over yet: the guard still does not act, because ")
