"""One direction, one writer: nothing changes but by records, and nothing is done that is not written down."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from build import MINUTE, a_group, a_guard, a_policy, a_rule, minutes, seen, slot
from engine_world import AFTER_SLOT, World, in_background, letters, policy_for
from fakes import FakeClock, MemoryJournal, settle
from rollback_guard.core.model import Limits, Mode, Phase
from rollback_guard.core.records import (
    ClockStepped,
    Concluded,
    Configured,
    Decided,
    Evaluated,
    IncidentOpened,
    Intended,
    Outcome,
    Started,
    Stopped,
)
from rollback_guard.core.state import IncidentPhase
from rollback_guard.engine.ledger import BACKLOG
from rollback_guard.ports import JournalError

BREACHES = {"a": "p" + "b" * 100}


def ended(intent, at, outcome=Outcome.SUCCEEDED):
    return Concluded(
        key=intent.key, incident=intent.incident, guard=intent.guard, action=intent.action, at=at, outcome=outcome
    )


class TestAnIntent:
    @pytest.mark.promise(1)
    async def test_is_durable_before_it_is_started(self):
        world = await World(policy_for(BREACHES), letters(BREACHES)).start()
        seen_by_journal = []
        world.journal.before = lambda records: seen_by_journal.append((list(records), list(world.doer.intents)))
        await world.run(0, 2)
        (intended,) = world.doer.intents
        written = [started for records, started in seen_by_journal if intended in records]
        assert written == [[]]

    @pytest.mark.promise(1)
    async def test_that_cannot_be_written_is_not_started_and_is_made_again_when_it_can(self):
        world = await World(policy_for(BREACHES), letters(BREACHES)).start()
        world.journal.is_broken = True
        await world.run(0, 5)
        assert world.doer.intents == []
        assert world.loop.journal_failed_since is not None
        assert world.loop.state.incidents == {}
        world.journal.is_broken = False
        await world.tick(5)
        assert world.doer.intents == await world.intents()
        assert len(world.doer.intents) == 1
        assert world.loop.journal_failed_since is None

    async def test_that_was_left_open_is_resumed_by_the_next_process_under_its_key(self):
        world = await World(policy_for(BREACHES), letters(BREACHES)).start()
        await world.run(0, 2)
        await world.start()
        assert world.doer.resumed == world.doer.intents
        await world.run(2, 5)
        assert len(world.doer.intents) == 1

    async def test_that_has_ended_is_not_resumed(self):
        world = await World(policy_for(BREACHES), letters(BREACHES)).start()
        await world.run(0, 2)
        await world.loop.conclude(ended(world.doer.intents[0], world.clock.now()))
        await world.start()
        assert world.doer.resumed == []

    @pytest.mark.promise(26)
    async def test_that_is_left_open_is_named_at_the_end(self):
        world = await World(policy_for(BREACHES), letters(BREACHES)).start()
        await world.run(0, 2)
        await world.loop.end()
        assert (await world.records())[-1] == Stopped(at=world.clock.now(), open_intents=(world.doer.intents[0].key,))

    async def test_is_not_made_by_a_reading_that_comes_when_the_guard_is_about_to_end(self):
        world = await World(policy_for(BREACHES), letters(BREACHES)).start()
        await world.run(0, 1)
        world.source.gate.clear()
        reading = await in_background(world.tick(1))
        world.loop.stop()
        world.source.gate.set()
        await reading
        assert world.doer.intents == []
        assert world.group.slot == slot(0)

    async def test_whose_outcome_cannot_be_written_is_tried_until_it_can(self):
        world = await World(policy_for(BREACHES), letters(BREACHES)).start()
        await world.run(0, 2)
        world.journal.is_broken = True
        concluding = await in_background(world.loop.conclude(ended(world.doer.intents[0], world.clock.now())))
        await world.clock.advance(timedelta(seconds=10))
        assert not concluding.done()
        assert world.loop.state.incidents[world.doer.intents[0].incident].phase is IncidentPhase.ACTING
        world.journal.is_broken = False
        await world.clock.advance(timedelta(seconds=1))
        assert concluding.done()
        assert len(await world.records(Concluded)) == 1

    @pytest.mark.promise(24)
    async def test_whose_outcome_fits_on_a_full_disk_is_over_and_what_follows_waits_for_room(self):
        guard = a_guard(rules=["g/a"], actions=("flag-off", "rollback"))
        world = await World(policy_for(BREACHES, guards=[guard]), letters(BREACHES)).start()
        await world.run(0, 2)
        world.journal.before = no_room
        (first,) = world.doer.intents
        await world.loop.conclude(ended(first, world.clock.now(), Outcome.FAILED))
        assert world.loop.journal_failed_since is not None
        assert [each.outcome for each in await world.records(Concluded)] == [Outcome.FAILED]
        assert world.doer.intents == [first]
        world.journal.before = lambda records: None
        await world.tick(2)
        assert [each.action for each in world.doer.intents] == ["flag-off", "rollback"]
        assert await world.folded() == world.loop.state


def no_room(records):
    """Refuse what begins, and whatever is longer than an outcome."""
    if any(not isinstance(record, Concluded) for record in records):
        raise JournalError("disk full")


class TestAnIntentThatWasLeftOpen:
    """By another process, maybe long ago: people may have acted since."""

    async def left_open(self, script, *, away=0, **changes):
        world = await World(policy_for(script), letters(script)).start()
        await world.run(0, 2)
        world.policy = policy_for(script, **changes)
        world.clock.jump_to(slot(1 + away) + AFTER_SLOT)
        await world.start()
        return world

    async def is_wanted(self, world):
        return await in_background(world.loop.is_wanted(world.doer.resumed[0]))

    async def test_is_wanted_at_once_while_the_evidence_is_new(self):
        wanted = await self.is_wanted(await self.left_open(BREACHES))
        assert wanted.result() is True

    @pytest.mark.parametrize(("script", "expected"), [(BREACHES, True), ({"a": "pbpppppppppppppppppppp"}, False)])
    async def test_is_wanted_after_a_long_absence_if_its_rules_breach_now(self, script, expected):
        world = await self.left_open(script, away=10)
        wanted = await self.is_wanted(world)
        assert not wanted.done()
        await world.loop.tick("g")
        await world.clock.advance(timedelta(seconds=1))
        assert wanted.result() is expected

    async def test_is_not_wanted_while_nothing_is_known_for_as_long_as_its_step_would_have_had(self):
        world = await self.left_open({"a": "pb" + "u" * 100}, away=10)
        wanted = await self.is_wanted(world)
        await world.loop.tick("g")
        await world.clock.advance(minutes(2))
        assert not wanted.done()
        await world.clock.advance(minutes(1))
        assert wanted.result() is False

    @pytest.mark.parametrize("changes", [{"mode": Mode.DRY_RUN}, {"guards": []}])
    async def test_is_not_wanted_in_a_dry_run_or_without_its_guard(self, changes):
        wanted = await self.is_wanted(await self.left_open(BREACHES, **changes))
        assert wanted.result() is False


class TestABrokenJournal:
    @pytest.mark.promise(24)
    async def test_does_not_stop_evaluation(self):
        world = await World(policy_for(BREACHES, hold=3), letters(BREACHES)).start()
        await world.run(0, 1)
        world.journal.is_broken = True
        await world.run(1, 6)
        (alert,) = world.alerts()["g/a"]
        assert (world.group.slot, alert.phase, alert.active_at) == (slot(5), Phase.FIRING, slot(1))
        assert world.loop.judgements["g/a"].series[0].value == 2.0
        assert world.loop.pulses["g"].evaluated_at == world.clock.now()

    @pytest.mark.parametrize("failed", [(1, 4), (3, 7), (2, 3)])
    async def test_is_told_afterwards_what_it_missed(self, failed):
        """Else a restart would take an alert for new, or for firing that was over."""
        script = {"a": "pbbbbbbbbbb", "b": "bbbbppppppp", "c": "ppuuuuupppp"}
        reference = await World(policy_for(script, hold=2, guards=[]), letters(script)).start()
        await reference.run(0, 10)
        world = await World(policy_for(script, hold=2, guards=[]), letters(script)).start()
        for number in range(10):
            world.journal.is_broken = failed[0] <= number < failed[1]
            await world.tick(number)
        assert (await world.folded()).groups["g"].alerts == world.group.alerts == reference.group.alerts
        assert await world.transitions() == await reference.transitions()
        await world.start()
        await world.tick(10)
        assert world.group.alerts["g/a"][()].active_at == slot(1)

    async def test_is_not_remembered_without_bound(self):
        world = await World(policy_for(BREACHES), letters(BREACHES)).start()
        world.journal.is_broken = True
        opened = IncidentOpened(incident="i", guard="checkout", at=slot(0), breached_at=slot(0), rules=())
        world.loop._ledger._backlog += [opened, *[Evaluated(group="h", slot=slot(0))] * (BACKLOG + 5)]
        await world.tick(0)
        kept = world.loop._ledger._backlog
        assert len(kept) == BACKLOG
        assert kept[0] is opened, "what was decided is found again; evaluations are given up first"

    async def test_at_the_start_still_warms_up(self):
        guard = a_guard(rules=["g/a"], warm_up=minutes(5))
        world = World(policy_for(BREACHES, guards=[guard]), letters(BREACHES))
        world.journal.is_broken = True
        copy, world.journal.copy = world.journal, lambda: copy
        await world.start()
        assert world.loop.state.started_at is not None
        world.journal.is_broken = False
        await world.run(0, 3)
        assert world.doer.intents == []
        assert [type(each) for each in (await world.records())[:2]] == [Started, Configured]

    async def test_does_not_stop_a_reload(self):
        world = await World(policy_for(BREACHES), letters(BREACHES)).start()
        world.journal.is_broken = True
        await world.reload(a_policy([a_group(a_rule("a"))], digest="new"))
        assert world.loop.state.digest == "new"
        world.journal.is_broken = False
        await world.tick(0)
        assert (await world.folded()).digest == "new"


class TestAReload:
    @pytest.mark.promise(18)
    async def test_keeps_the_alerts_of_rules_that_did_not_change(self):
        script = {"a": "b" * 20, "b": "b" * 20}
        world = await World(policy_for(script, hold=5), letters(script)).start()
        await world.run(0, 3)
        changed = a_rule("b", hold=5, fingerprint="other")
        await world.reload(a_policy([a_group(a_rule("a", hold=5), changed)]))
        await world.run(3, 6)
        assert {rule: each[0].active_at for rule, each in world.alerts().items()} == {"g/a": slot(0), "g/b": slot(3)}
        assert world.alerts()["g/a"][0].phase is Phase.FIRING

    @pytest.mark.promise(18)
    async def test_never_judges_by_a_new_rule_what_was_asked_for_an_old_one(self):
        world = await World(policy_for(BREACHES), letters(BREACHES)).start()
        world.source.gate.clear()
        world.clock.jump_to(slot(1) + AFTER_SLOT)
        tick = await in_background(world.loop.tick("g"))
        other = a_policy([a_group(a_rule("a", fingerprint="other"))], [a_guard(rules=["g/a"])])
        await world.reload(other)
        world.source.gate.set()
        await tick
        assert world.observed[-1].kind == "configured"
        assert world.doer.intents == []
        await world.tick(2)
        assert len(world.doer.intents) == 1

    @pytest.mark.promise(18)
    async def test_in_the_middle_of_reading_back_ends_it(self):
        world = await World(policy_for(BREACHES), letters(BREACHES)).start()
        await world.tick(0)
        world.clock.jump_to(slot(5) + AFTER_SLOT)
        range_read = world.source.read_range

        async def slow_range(*asked):
            said = await range_read(*asked)
            await world.reload(a_policy([a_group(a_rule("a", fingerprint="other"))]))
            return said

        world.source.read_range = slow_range
        await world.loop.tick("g")
        assert world.group.slot == slot(0)

    async def test_to_the_same_files_lets_a_reading_go_on(self):
        world = await World(policy_for(BREACHES), letters(BREACHES)).start()
        world.source.gate.clear()
        world.clock.jump_to(slot(1) + AFTER_SLOT)
        tick = await in_background(world.loop.tick("g"))
        await world.reload(policy_for(BREACHES))
        world.source.gate.set()
        await tick
        assert len(world.doer.intents) == 1

    async def test_forgets_what_is_shown_of_rules_and_groups_that_are_gone(self):
        world = await World(policy_for(BREACHES), letters(BREACHES)).start()
        await world.tick(0)
        await world.reload(a_policy([a_group(a_rule("c", group="h"), id="h")]))
        assert (world.loop.judgements, world.loop.pulses) == ({}, {})
        assert world.loop.state.groups == {}
        await world.loop.tick("g")
        assert world.loop.state.groups == {}

    async def test_to_enforce_lets_a_dry_incident_act(self):
        world = await World(policy_for(BREACHES, mode=Mode.DRY_RUN), letters(BREACHES)).start()
        await world.run(0, 3)
        assert world.doer.intents == []
        await world.reload(policy_for(BREACHES))
        await world.tick(3)
        assert len(world.doer.intents) == 1


NAMES = st.sampled_from("abc")
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("slots"), st.integers(1, 3)),
        st.tuples(st.sampled_from(["add", "remove", "change", "hold"]), NAMES),
        st.just(("same", "")),
        st.just(("restart", "")),
    ),
    max_size=15,
)


@pytest.mark.promise(18)
@given(CHANGES)
@settings(max_examples=100, deadline=None)
def test_any_sequence_of_reloads_keeps_the_clocks_of_unchanged_rules_only(changes):
    """Every rule breaches all the time, so that its alert must be as old as what it measures."""

    def policy(rules):
        made = [a_rule(name, hold=hold, fingerprint=str(version)) for name, (version, hold) in sorted(rules.items())]
        return a_policy([a_group(*made)])

    async def play():
        rules, model, number = {"a": (0, 50)}, {}, 0
        world = await World(policy(rules), lambda rule, at: seen("b")).start()
        for what, how in [*changes, ("slots", 1)]:
            match what:
                case "slots":
                    for _ in range(how):
                        await world.tick(number)
                        for name in rules:
                            model.setdefault(name, slot(number))
                        number += 1
                    shown = {rule: [each.active_at for each in of_rule] for rule, of_rule in world.alerts().items()}
                    assert shown == {f"g/{name}": [at] for name, at in model.items()}
                    for name, (_, hold) in rules.items():
                        (alert,) = world.alerts()[f"g/{name}"]
                        fires = slot(number - 1) - alert.active_at >= minutes(hold)
                        assert (alert.phase is Phase.FIRING) == fires
                case "add":
                    rules.setdefault(how, (0, 50))
                case "remove" if how in rules and number:
                    # An alert of a rule that is put back before the next slot is still its alert.
                    del rules[how]
                    await world.reload(policy(rules))
                    await world.tick(number)
                    for name in rules:
                        model.setdefault(name, slot(number))
                    model.pop(how, None)
                    number += 1
                case "change" if how in rules:
                    rules[how] = (rules[how][0] + 1, rules[how][1])
                    model.pop(how, None)
                case "hold" if how in rules:
                    rules[how] = (rules[how][0], 2 if rules[how][1] == 50 else 50)
                case "restart":
                    world.policy = policy(rules)
                    await world.start()
            await world.reload(policy(rules))

    asyncio.run(play())


STEPS = [timedelta(hours=1), timedelta(hours=-1), timedelta(days=3650), timedelta(seconds=37), timedelta(seconds=-37)]


class TestASetClock:
    @pytest.mark.promise(15)
    @pytest.mark.parametrize("by", STEPS, ids=str)
    async def test_leaves_no_gap_of_two_intervals_and_causes_no_burst(self, by):
        world = await World(policy_for(BREACHES, hold=10), letters(BREACHES)).start()
        world.source._script = lambda rule, at: seen("b")
        evaluated = []
        for second in range(30 * 60):
            world.clock.jump_to(world.clock.now() + timedelta(seconds=1))
            if second == 6 * 60 + 15:
                world.clock.step(by)
                await world.loop.set_clock(by)
            before = len(world.source.reads)
            await world.loop.tick("g")
            evaluated += [world.clock.elapsed()] * (len(world.source.reads) - before)
        gaps = [after - before for before, after in pairwise(evaluated)]
        assert max(gaps) < 2 * MINUTE
        assert min(gaps) > timedelta(0)
        assert world.source.ranges == []
        assert world.group.missed == 0
        (intended,) = await world.intents()
        (opened,) = await world.records(IncidentOpened)
        held = intended.at - opened.breached_at - AFTER_SLOT
        assert minutes(10) - AFTER_SLOT <= held < minutes(11)
        assert world.loop.clock_steps == 1

    @pytest.mark.promise(15)
    @pytest.mark.parametrize("by", STEPS, ids=str)
    async def test_while_a_slot_is_read_makes_that_reading_void(self, by):
        """Its slot is one of the old time: taken for one of the new, the group would be silent for the difference."""
        world = await World(policy_for(BREACHES, hold=10), letters(BREACHES)).start()
        world.source._script = lambda rule, at: seen("b")
        await world.run(0, 3)
        world.source.gate.clear()
        world.clock.jump_to(slot(3) + AFTER_SLOT)
        tick = await in_background(world.loop.tick("g"))
        world.clock.step(by)
        await world.loop.set_clock(by)
        world.source.gate.set()
        await tick
        assert world.group.slot == slot(2) + by
        world.clock.jump_to(world.clock.now() + MINUTE)
        await world.loop.tick("g")
        assert timedelta(0) <= world.clock.now() - world.group.slot < MINUTE

    @pytest.mark.promise(15)
    @pytest.mark.parametrize("by", STEPS, ids=str)
    async def test_while_the_guard_was_away_does_not_silence_it(self, by):
        world = await World(policy_for(BREACHES, hold=10), letters(BREACHES)).start()
        world.source._script = lambda rule, at: seen("b")
        await world.run(0, 3)
        world.clock.jump_to(world.clock.now() + minutes(2))
        world.clock.step(by)
        await world.start()
        world.clock.jump_to(world.clock.now() + MINUTE)
        await world.loop.tick("g")
        assert timedelta(0) <= world.clock.now() - world.group.slot < MINUTE
        (alert,) = world.alerts()["g/a"]
        assert alert.active_at <= world.group.slot

    async def test_is_taken_into_account_even_when_it_cannot_be_written(self):
        world = await World(policy_for(BREACHES, hold=10), letters(BREACHES)).start()
        world.source._script = lambda rule, at: seen("b")
        await world.run(0, 3)
        world.journal.is_broken = True
        world.clock.step(timedelta(hours=-1))
        await world.loop.set_clock(timedelta(hours=-1))
        world.clock.jump_to(world.clock.now() + MINUTE)
        await world.loop.tick("g")
        world.journal.is_broken = False
        world.clock.jump_to(world.clock.now() + MINUTE)
        await world.loop.tick("g")
        assert (await world.folded()).groups["g"].alerts == world.group.alerts
        assert len(await world.records(ClockStepped)) == 1

    async def test_that_did_not_move_is_no_record(self):
        world = await World(policy_for(BREACHES), letters(BREACHES)).start()
        await world.loop.set_clock(timedelta(0))
        assert await world.records(ClockStepped) == []


async def test_an_uneventful_slot_is_written_once_a_minute_and_an_eventful_one_always():
    script = {"a": "p" * 40}
    fast = a_policy([a_group(a_rule("a"), interval=timedelta(seconds=15))])
    world = await World(fast, letters(script)).start()
    for quarter in range(40):
        world.clock.jump_to(slot(0) + quarter * timedelta(seconds=15) + AFTER_SLOT)
        await world.loop.tick("g")
    written = [record.slot for record in await world.records(Evaluated)]
    assert written == [slot(number) for number in range(10)]
    assert world.group.slot == slot(9) + timedelta(seconds=45)


async def test_a_slot_in_which_only_sight_changed_is_eventful():
    fast = a_policy([a_group(a_rule("a"), interval=timedelta(seconds=15))])
    world = await World(fast, lambda rule, at: seen("p" if at == slot(0) else "q"), looks_back=False).start()
    for quarter in range(2):
        world.clock.jump_to(slot(0) + quarter * timedelta(seconds=15) + AFTER_SLOT)
        await world.loop.tick("g")
    assert (await world.folded()).groups["g"].sights == world.group.sights != {}


async def test_what_watches_is_told_everything_that_is_folded():
    world = await World(policy_for(BREACHES), letters(BREACHES)).start()
    await world.run(0, 3)
    assert [record for record in world.observed if not isinstance(record, Evaluated)] == [
        record for record in await world.records() if not isinstance(record, Evaluated)
    ]
    assert sum(isinstance(record, Evaluated) for record in world.observed) == 3
    assert [each.reason for each in world.loop.decisions] == [each.reason for each in await world.records(Decided)]


async def test_an_action_is_started_before_anybody_is_told():
    """A defect in what only watches must not leave an intent that nobody carries out."""
    world = await World(policy_for(BREACHES), letters(BREACHES)).start()

    def refuse(records):
        if any(isinstance(each, Intended) for each in records):
            raise ZeroDivisionError

    world.loop._observe = refuse
    await world.tick(0)
    with pytest.raises(ZeroDivisionError):
        await world.tick(1)
    assert len(world.doer.intents) == 1


async def test_every_evaluation_is_timed():
    world = await World(policy_for(BREACHES), letters(BREACHES)).start()
    await world.run(0, 2)
    assert [group for group, *_ in world.telemetry.of("evaluated")] == ["g", "g"]


async def test_the_limit_of_actions_survives_a_restart():
    guard = a_guard(rules=["g/a"], limits=Limits(max_actions=1, per=minutes(60), cooldown=timedelta(0)))
    script = {"a": "bppbbbbbb"}
    world = await World(policy_for(script, guards=[guard]), letters(script)).start()
    await world.run(0, 1)
    await world.loop.conclude(ended(world.doer.intents[0], world.clock.now()))
    await world.run(1, 4)
    for number in range(4, 8):
        await world.start()
        await world.tick(number)
    assert len(await world.intents()) == 1
    assert (await world.records(Decided))[-1].reason == "limit_reached"


class TestTheMemoryJournal:
    """The fake keeps the journal's contract, or what it shows would mean nothing."""

    async def test_keeps_order_and_incidents_apart_and_nothing_of_a_failed_append(self):
        journal = MemoryJournal()
        stopped, opened = Stopped(at=slot(0)), None
        opened = IncidentOpened(incident="i", guard="x", at=slot(0), breached_at=slot(0), rules=("g/a",))
        await journal.append([stopped, opened])
        journal.is_broken = True
        with pytest.raises(JournalError):
            await journal.append([stopped])
        journal.is_broken = False
        with pytest.raises(JournalError):
            await journal.append([stopped, replace(stopped, at=None)])
        await journal.append([])
        assert await journal.read() == [stopped, opened]
        assert await journal.read(incident="i") == [opened]
        assert await journal.copy().read() == [stopped, opened]


async def test_the_fake_clock_wakes_sleepers_in_their_order_and_at_their_time():
    clock, woken = FakeClock(), []

    async def sleeper(seconds):
        await clock.sleep(timedelta(seconds=seconds))
        woken.append((seconds, clock.elapsed() - began))

    began = clock.elapsed()
    tasks = [asyncio.create_task(sleeper(seconds)) for seconds in (3, 1, 2)]
    await settle()
    await clock.advance(timedelta(seconds=2))
    assert woken == [(1, timedelta(seconds=1)), (2, timedelta(seconds=2))]
    await clock.advance(timedelta(seconds=1))
    await asyncio.gather(*tasks)
    assert woken[-1] == (3, timedelta(seconds=3))
