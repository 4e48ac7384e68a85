"""A guard that was away decides what an unbroken one would have, as far as the source can still tell."""

from datetime import timedelta

import pytest

from build import a_group, a_rule, seen, slot
from engine_world import AFTER_SLOT, World, in_background, letters, policy_for
from rollback_guard.core.alert import Because
from rollback_guard.core.model import Phase
from rollback_guard.core.records import Decided, Evaluated, IncidentOpened, Rewound
from rollback_guard.core.state import GroupState
from rollback_guard.engine.catch_up import MOST_OBSERVATIONS, due_slots

SCRIPT = {
    "short": "pbbbbbpppbbpbbbbpppp",
    "holey": "pbbaabbbnnbbppbaaabb",
    "flaps": "bpbpbbpbpbbbpbpbbbbb",
    "quiet": "pppppppppppppppppppp",
}
SLOTS = 20
AWAY = (1, 2, 3, 6)


async def unbroken(**changes):
    world = await World(policy_for(SCRIPT, **changes), letters(SCRIPT)).start()
    states = []
    for number in range(SLOTS):
        await world.tick(number)
        states.append(world.group)
    return world, states


@pytest.fixture(params=[{"hold": 2}, {"hold": 3, "keep": 2}, {"hold": 1.5}], ids=str)
def timing(request):
    return request.param


@pytest.mark.parametrize("away", AWAY)
async def test_a_guard_killed_at_any_slot_and_started_later_has_the_alerts_of_an_unbroken_one(timing, away):
    reference, states = await unbroken(**timing)
    for killed in range(SLOTS - away):
        world = await World(policy_for(SCRIPT, **timing), letters(SCRIPT)).start()
        await world.run(0, killed + 1)
        await world.start()
        for number in range(killed + away, SLOTS):
            await world.tick(number)
            assert world.group == states[number], f"killed in slot {killed}, seen in slot {number}"
        assert await world.transitions() == await reference.transitions()


async def test_a_guard_killed_before_the_slot_was_written_down_evaluates_it_again(timing):
    reference, states = await unbroken(**timing)
    for killed in range(1, SLOTS):
        world = await World(policy_for(SCRIPT, **timing), letters(SCRIPT)).start()
        await world.run(0, killed)
        before = world.journal.copy()
        await world.tick(killed)
        world.journal = before
        await world.start()
        await world.run(killed, SLOTS)
        assert world.group == states[-1]
        assert await world.transitions() == await reference.transitions()


@pytest.mark.parametrize("length", AWAY)
async def test_an_outage_of_the_road_anywhere_is_read_back(timing, length):
    _, states = await unbroken(**timing)
    for began in range(1, SLOTS - length):
        world = await World(policy_for(SCRIPT, **timing), letters(SCRIPT)).start()
        for number in range(SLOTS):
            world.source.is_cut = began <= number < began + length
            await world.tick(number)
            if not world.source.is_cut:
                assert world.group == states[number], f"cut in slot {began}, seen in slot {number}"
        assert len(await world.records(Rewound)) == 1
        told = (await world.folded()).groups["g"]
        assert (told.alerts, told.sights, told.missed) == (world.group.alerts, world.group.sights, 0)


async def test_a_guard_killed_during_an_outage_reads_it_back_all_the_same(timing):
    _, states = await unbroken(**timing)
    for killed in range(6, 12):
        world = await World(policy_for(SCRIPT, **timing), letters(SCRIPT)).start()
        for number in range(SLOTS):
            world.source.is_cut = 5 <= number < 12
            await world.tick(number)
            if number == killed:
                await world.start()
        assert world.group == states[-1]


async def test_the_count_of_missed_slots_never_falls_when_an_outage_is_read_back():
    script = {"a": "p" * 40}
    world = await World(policy_for(script), letters(script), catch_up=timedelta(minutes=10)).start()
    await world.run(0, 2)
    world.source.is_cut = True
    counted = []
    for number in (2, 9, 20):
        await world.tick(number)
        counted.append(world.group.missed)
    world.source.is_cut = False
    await world.tick(21)
    assert [*counted, world.group.missed] == [0, 0, 0, 10]


async def test_during_an_outage_nothing_begins_advances_or_ends():
    script = {"a": "bbbbbbbb", "b": "ppbbbbbb", "c": "bbbppppp"}
    world = await World(policy_for(script, hold=2), letters(script)).start()
    await world.run(0, 2)
    before = {rule: each[0].phase for rule, each in world.alerts().items()}
    world.source.is_cut = True
    await world.run(2, 8)
    assert {rule: each[0].phase for rule, each in world.alerts().items()} == before
    assert await world.intents() == []


async def test_action_is_taken_on_what_still_holds_and_not_on_what_held_meanwhile():
    script = {"over": "pbbbbpppp", "holds": "pppbbbbbb"}
    world = await World(policy_for(script, hold=1), letters(script)).start()
    await world.run(0, 1)
    await world.start()
    await world.tick(8)
    assert await world.transitions() == [
        (slot(1), "g/over", "pending", "breached"),
        (slot(2), "g/over", "firing", "held"),
        (slot(3), "g/holds", "pending", "breached"),
        (slot(4), "g/holds", "firing", "held"),
        (slot(5), "g/over", "inactive", "passed"),
    ]
    (opened,) = await world.records(IncidentOpened)
    assert (opened.rules, opened.breached_at, opened.at) == (("g/holds",), slot(3), slot(8) + AFTER_SLOT)
    assert len(world.doer.intents) == 1


async def test_what_is_all_over_is_no_incident():
    script = {"over": "pbbbbpppp"}
    world = await World(policy_for(script), letters(script)).start()
    await world.run(0, 1)
    await world.start()
    await world.tick(8)
    assert await world.records(Decided) == []


async def test_a_late_slot_is_caught_up():
    script = {"a": "pbbbbbb"}
    world = await World(policy_for(script, hold=2), letters(script)).start()
    await world.run(0, 2)
    await world.tick(4)
    assert world.source.ranges == [("g", (slot(2), slot(3)))]
    assert [at for at, *_ in await world.transitions()] == [slot(1), slot(3)]
    assert world.group.missed == 0


async def test_what_lies_further_back_than_catch_up_is_missed():
    script = {"a": "p" + "b" * 30}
    world = await World(policy_for(script, hold=2), letters(script), catch_up=timedelta(minutes=5)).start()
    await world.run(0, 1)
    await world.tick(20)
    assert world.source.ranges == [("g", tuple(slot(number) for number in range(16, 20)))]
    assert world.group.missed == 15
    assert [at for at, *_ in await world.transitions()] == [slot(16), slot(18)]


async def test_how_far_it_goes_back_can_be_changed_by_a_reload():
    script = {"a": "b" * 30}
    world = await World(policy_for(script, hold=2), letters(script), catch_up=timedelta(minutes=5)).start()
    await world.run(0, 1)
    world.catch_up = timedelta(minutes=10)
    await world.reload(world.policy)
    await world.tick(20)
    assert len(world.source.ranges[-1][1]) == 9


async def test_a_source_that_cannot_look_back_leaves_missed_slots():
    script = {"a": "pb" + "b" * 9}
    world = await World(policy_for(script, hold=3), letters(script), looks_back=False).start()
    await world.run(0, 2)
    await world.tick(5)
    (alert,) = world.alerts()["g/a"]
    assert world.group.missed == 3
    assert (alert.phase, alert.stalled) == (Phase.PENDING, timedelta(minutes=3))


async def test_a_hole_in_what_can_be_read_back_is_missed():
    script = {"a": "pbbbbbb"}
    world = await World(policy_for(script, hold=2), letters(script)).start()
    world.source._said = lambda group, at: {} if at == slot(2) else {"g/a": seen("b")}
    await world.run(0, 1)
    await world.tick(4)
    assert world.group.missed == 1


async def test_the_present_slot_is_read_first_and_asked_for_once():
    script = {"a": "p" * 9}
    world = await World(policy_for(script), letters(script)).start()
    await world.run(0, 1)
    await world.tick(5)
    assert world.source.reads == [("g", slot(0)), ("g", slot(5))]


async def test_while_the_road_is_cut_nothing_is_asked_for_twice():
    script = {"a": "p" * 9}
    world = await World(policy_for(script), letters(script)).start()
    await world.run(0, 1)
    world.source.is_cut = True
    await world.run(1, 6)
    assert world.source.ranges == []


async def test_two_evaluations_of_a_group_never_overlap():
    script = {"a": "pbbbbb"}
    world = await World(policy_for(script), letters(script)).start()
    world.source.gate.clear()
    world.clock.jump_to(slot(0) + AFTER_SLOT)
    first = await in_background(world.loop.tick("g"))
    world.clock.jump_to(slot(1) + AFTER_SLOT)
    second = await in_background(world.loop.tick("g"))
    assert second.done()
    world.source.gate.set()
    await first
    await world.tick(2)
    assert world.source.most_at_once == 1
    assert [record.slot for record in world.observed if isinstance(record, Evaluated)] == [slot(0), slot(1), slot(2)]


async def test_a_tick_that_fails_does_not_block_the_group_for_good():
    script = {"a": "pbbbbb"}
    world = await World(policy_for(script), letters(script)).start()
    said, world.source._said = world.source._said, None
    with pytest.raises(TypeError):
        await world.tick(0)
    world.source._said = said
    await world.tick(1)
    assert world.group.slot == slot(1)


async def test_a_reading_that_comes_much_too_late_decides_nothing():
    """As of a process that was stopped in the middle of it, for an hour."""
    script = {"a": "b" * 200}
    world = await World(policy_for(script), letters(script)).start()
    world.source.gate.clear()
    world.clock.jump_to(slot(0) + AFTER_SLOT)
    tick = await in_background(world.loop.tick("g"))
    world.clock.jump_to(slot(60) + AFTER_SLOT)
    world.source.gate.set()
    await tick
    assert world.group.slot == slot(0)
    assert world.doer.intents == []
    await world.tick(60)
    assert len(world.doer.intents) == 1


class TestDueSlots:
    group = a_group(a_rule())

    def due(self, last, now, **changes):
        state = None if last is None else GroupState(slot=slot(last), **changes)
        return due_slots(self.group, state, slot(now) + AFTER_SLOT, catch_up=timedelta(minutes=10))

    def test_of_a_new_group_are_the_present_one(self):
        assert self.due(None, 5) == (slot(5),)

    def test_are_those_since_the_last_one(self):
        assert self.due(2, 5) == (slot(3), slot(4), slot(5))

    @pytest.mark.parametrize("last", [5, 6, 1000])
    def test_are_none_when_the_present_one_is_done_or_the_clock_was_set_back(self, last):
        assert self.due(last, 5) == ()

    def test_are_bounded_in_time(self):
        assert self.due(0, 500) == tuple(slot(number) for number in range(491, 501))

    def test_are_bounded_in_number(self):
        rules = tuple(a_rule(str(number)) for number in range(1000))
        state = GroupState(slot=slot(0))
        due = due_slots(a_group(*rules), state, slot(5000), catch_up=timedelta(days=99))
        assert len(due) == MOST_OBSERVATIONS // 1000

    def test_begin_before_the_outage_whose_end_they_may_be(self):
        assert self.due(4, 5, before_outage=GroupState(slot=slot(2))) == (slot(3), slot(4), slot(5))


async def test_an_expired_alert_of_an_outage_comes_back_with_the_road():
    script = {"a": "b" * 40}
    world = await World(policy_for(script, hold=20), letters(script)).start()
    await world.run(0, 2)
    world.source.is_cut = True
    await world.run(2, 30)
    assert world.alerts() == {}
    assert (await world.transitions())[-1][3] == Because.EVIDENCE_EXPIRED
    world.source.is_cut = False
    await world.tick(30)
    (alert,) = world.alerts()["g/a"]
    assert (alert.active_at, alert.fired_at) == (slot(0), slot(20))
