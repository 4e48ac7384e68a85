"""What people order while the daemon runs, and what the clock brings about, as the loop carries it out."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from build import a_group, a_guard, a_rule, a_step, minutes, slot
from engine_world import World, in_background, letters, policy_for
from rollback_guard.core.model import Approval, JournalPolicy, Level, Notify
from rollback_guard.core.operations import Approve, Pause, Refused, Resume, Trigger
from rollback_guard.core.records import (
    Concluded,
    Decided,
    Escalated,
    MaintenanceChanged,
    Outcome,
    Reason,
    Resumed,
    Window,
)
from rollback_guard.engine import loop as loop_module
from rollback_guard.engine.ledger import CHECKPOINT_EVERY
from rollback_guard.ports import JournalError

BREACHES = {"a": "pbbbbbbbbb"}


async def started(script=None, **guard):
    script = script or BREACHES
    policy = policy_for(script, guards=[a_guard(rules=[f"g/{name}" for name in script], **guard)])
    return await World(policy, letters(script)).start()


def pause(**changes):
    return Pause(by="ann", why="a test", **changes)


async def test_a_pause_holds_from_the_next_slot_on_and_its_end_lets_what_still_breaches_act():
    world = await started()
    await world.run(0, 1)
    await world.loop.operate(pause(lasting=minutes(4)))
    await world.run(1, 4)
    assert world.doer.intents == []
    world.clock.jump_to(slot(5))
    await world.loop.attend(())
    assert [each.by for each in await world.records(Resumed)] == [""]
    await world.tick(5)
    assert len(world.doer.intents) == 1


@pytest.mark.promise(23)
async def test_a_pause_counts_even_when_it_cannot_be_written_and_is_written_as_soon_as_it_can():
    world = await started()
    world.journal.is_broken = True
    await world.loop.operate(pause())
    world.journal.is_broken = False
    await world.run(0, 3)
    assert world.doer.intents == []
    await world.start()
    await world.tick(3)
    assert world.doer.intents == []
    assert [each.reason for each in world.loop.decisions if each.decision == "hold"] == []
    assert world.loop.state.guards["checkout"].last.reason is Reason.PAUSED


async def test_a_trigger_that_cannot_be_written_is_not_done():
    world = await started({"a": "pppp"})
    await world.run(0, 1)
    world.journal.is_broken = True
    with pytest.raises(JournalError):
        await world.loop.operate(Trigger(by="ann", why="leak", guard="checkout"))
    assert (world.doer.intents, dict(world.loop.state.incidents)) == ([], {})


async def test_a_trigger_that_is_refused_says_why_and_changes_nothing():
    world = await started({"a": "pppp"})
    await world.loop.operate(pause())
    before = world.loop.state
    answer = await world.loop.operate(Trigger(by="ann", why="leak", guard="checkout"))
    assert isinstance(answer, Refused)
    assert answer.refusal == "paused"
    assert world.loop.state is before
    await world.loop.operate(Resume(by="ann"))
    await world.loop.operate(Trigger(by="ann", why="leak", guard="checkout"))
    assert [each.by for each in world.doer.intents] == ["ann"]


async def test_an_approval_starts_the_action_at_once():
    world = await started(playbook=(a_step(approve=Approval(within=minutes(10))),))
    await world.run(0, 2)
    assert world.doer.intents == []
    await world.loop.operate(Approve(by="ann", guard="checkout"))
    assert [each.action for each in world.doer.intents] == ["flag-off"]


async def test_a_notify_only_step_starts_no_action_and_is_over_at_once():
    world = await started(
        playbook=(a_step("", notify=("oncall",)), a_step("rollback")), notify=Notify(critical=("team",))
    )
    await world.run(0, 2)
    assert world.doer.intents == []
    assert world.loop.state.incidents[world.loop.state.guards["checkout"].incident].open_intents == ()
    told = {letter.channel for letter, _ in world.journal.outbox.letters.values()}
    assert told == {"oncall", "team"}
    await world.run(2, 7)
    assert [each.action for each in world.doer.intents] == ["rollback"]


async def test_levels_are_called_by_the_clock_and_not_by_a_slot():
    world = await started(
        escalate=(Level(after=minutes(5), notify=("lead",)), Level(after=minutes(9), notify=("boss",)))
    )
    await world.run(0, 2)
    for number in (2, 7, 8, 11):
        world.clock.jump_to(slot(number))
        await world.loop.attend(())
    assert [(each.level, each.notify) for each in await world.records(Escalated)] == [(1, ("lead",)), (2, ("boss",))]


async def test_a_maintenance_window_is_written_when_it_opens_and_when_it_closes():
    world = await started()
    window = Window(name="night", until=slot(3))
    for windows in ((window,), (window,), ()):
        await world.loop.attend(windows)
    assert [each.windows for each in await world.records(MaintenanceChanged)] == [(window,), ()]


@pytest.mark.parametrize(("told", "acts"), [(JournalPolicy.ACT, True), (JournalPolicy.HOLD, False)])
async def test_a_guard_acts_without_a_journal_only_where_it_is_told_to(told, acts):
    world = await started(when_journal_fails=told)
    await world.run(0, 1)
    world.journal.is_broken = True
    await world.run(1, 4)
    assert bool(world.doer.intents) is acts
    world.journal.is_broken = False
    await world.tick(4)
    assert len(await world.intents()) == 1
    assert await world.folded() == world.loop.state


async def test_a_failing_journal_is_told_once_and_that_it_is_mended_too():
    world, heard = await started(), []
    world.loop._ledger._trouble = lambda since, why: heard.append((since, bool(why)))
    world.journal.is_broken = True
    await world.run(0, 3)
    since = world.loop.journal_failed_since
    world.journal.is_broken = False
    await world.tick(3)
    assert heard == [(since, True), (since, False)]


async def test_the_state_is_kept_whole_now_and_then_and_a_start_goes_on_from_there():
    world = await started()
    await world.run(0, 3)
    world.loop._ledger._since_checkpoint = CHECKPOINT_EVERY
    await world.loop.attend(())
    assert len(world.journal.kept) == 1
    await world.run(3, 5)
    kept = world.loop.state
    await world.start()
    assert world.loop.state.groups == kept.groups
    assert [each.reason for each in await world.records(Decided)] == [Reason.BREACH]


async def test_an_undo_that_was_left_open_is_still_wanted_after_a_restart():
    world = await started()
    await world.run(0, 2)
    (intent,) = world.doer.intents
    undo = replace(intent, key=f"{intent.key}-undo", undoes=intent.key, within=timedelta(0), by="ann")
    assert await world.loop.is_wanted(undo) is True


async def test_a_pause_does_not_use_up_the_time_that_an_open_intent_waits_for_evidence():
    world = await started()
    await world.run(0, 2)
    (intent,) = world.doer.intents
    await world.loop.operate(pause(guard="checkout"))
    wanted = await in_background(world.loop.is_wanted(intent))
    await world.clock.advance(5 * intent.within)
    assert not wanted.done()
    await world.loop.operate(Resume(by="ann", guard="checkout"))
    await world.tick(40)
    await world.clock.advance(timedelta(seconds=2))
    assert wanted.result() is False, "what the rules say is known again: they pass"


async def test_a_start_that_cannot_read_its_journal_leaves_it_as_it_is():
    """Else the next start would take the guard for one that never did anything."""
    world = await started()
    await world.loop.operate(pause())
    rows = list(world.journal._rows)
    broken = world.journal.copy()
    broken.load = failing
    broken.copy = lambda: broken
    world.journal = broken
    with pytest.raises(JournalError):
        await world.start()
    await world.loop.end()
    assert (broken._rows, broken.kept) == (rows, [])


def ended(intent, at, outcome):
    return Concluded(
        key=intent.key, incident=intent.incident, guard=intent.guard, action=intent.action, at=at, outcome=outcome
    )


async def failing():
    raise JournalError("record 7 was changed")


async def test_no_order_is_taken_before_the_journal_is_known():
    world = await started()
    await world.loop.operate(pause())
    slow, may_read = world.journal.copy(), asyncio.Event()
    load = slow.load

    async def slowly():
        await may_read.wait()
        return await load()

    slow.load = slowly
    world.journal.copy = lambda: slow
    beginning = await in_background(world.start())
    ordering = await in_background(world.loop.operate(Resume(by="ann")))
    assert not ordering.done()
    may_read.set()
    await beginning
    assert [each.kind for each in await ordering] == ["resumed"]


async def test_what_ends_while_the_guard_is_stopped_is_written_and_nothing_begins_after_it():
    world = await started(actions=("flag-off", "rollback"))
    await world.run(0, 2)
    (first,) = world.doer.intents
    world.loop.stop()
    await world.loop.conclude(ended(first, world.clock.now(), Outcome.FAILED))
    assert [each.outcome for each in await world.records(Concluded)] == [Outcome.FAILED]
    with pytest.raises(JournalError):
        await world.loop.operate(Trigger(by="ann", why="leak", guard="checkout"))
    assert world.doer.intents == [first]
    await world.loop.end()
    await world.start()
    await world.tick(2)
    assert [each.action for each in world.doer.intents] == ["flag-off", "rollback"]


async def test_what_people_must_hear_is_told_past_a_journal_that_fails():
    world, urgent = await started(when_journal_fails=JournalPolicy.ACT, notify=Notify(critical=("oncall",))), []
    world.loop._ledger._urgent = urgent.append
    world.journal.is_broken = True
    await world.run(0, 2)
    assert {str(notice.kind) for notice in urgent} >= {"opened"}
    world.journal.is_broken = False
    await world.tick(2)
    assert {notice.id for notice in urgent}.isdisjoint(world.journal.outbox.notices)


async def test_a_notice_that_cannot_be_made_costs_no_decision(monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(loop_module, "notices", broken)
    world = await started()
    await world.run(0, 2)
    assert len(world.doer.intents) == 1


async def test_one_group_that_hangs_shows_although_others_go_on():
    world = await started()
    await world.run(0, 2)
    assert world.loop.overdue() < timedelta(0)
    world.loop.policy = replace(
        world.loop.policy, groups={**world.loop.policy.groups, "h": a_group(a_rule("x", group="h"), id="h")}
    )
    await world.run(2, 9)
    assert world.loop.overdue() > minutes(4)
