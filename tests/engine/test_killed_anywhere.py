"""The whole engine, killed at every point of an incident at which anything outside could tell the difference.

A kill is a step that never returns: before and after each append to the journal, before and after each effect.
"""

import asyncio
from datetime import timedelta

import pytest

from build import a_guard, slot
from engine_world import AFTER_SLOT, World, letters, policy_for
from fakes import CountingTarget, ScriptedAction, Tally, settle
from rollback_guard.core.records import Decision, IncidentEnded, Intended
from rollback_guard.engine.runner import Runner
from rollback_guard.ports import Goal

BREACHES = {"a": "p" + "b" * 100}
LONGEST = 30
"""Slots after which every incident of these tests is over."""


class Reaper:
    """Count the points of a run, and let one of them be the last."""

    def __init__(self, last=None):
        self.points = 0
        self.last = last
        self.is_dead = asyncio.Event()

    async def point(self):
        self.points += 1
        if self.points == self.last:
            self.is_dead.set()
        if self.is_dead.is_set():
            await asyncio.Event().wait()


class Mortal:
    """A journal whose process may end right before or right after an append."""

    def __init__(self, journal, reaper):
        self._journal, self._reaper = journal, reaper

    async def append(self, records, notices=()):
        await self._reaper.point()
        await self._journal.append(records, notices)
        await self._reaper.point()

    async def checkpoint(self, state):
        await self._reaper.point()
        await self._journal.checkpoint(state)
        await self._reaper.point()

    def __getattr__(self, name):
        return getattr(self._journal, name)


class MortalAction(ScriptedAction):
    reaper = None

    async def execute(self, call):
        await self.reaper.point()
        said = await super().execute(call)
        await self.reaper.point()
        return said

    async def inspect(self, call):
        await self.reaper.point()
        return await super().inspect(call)


class Life:
    """Processes one after the other, until one of them has seen the end of the incident."""

    def __init__(self, *, cures, actions):
        guard = a_guard(rules=["g/a"], actions=tuple(actions), within=5, stable_for=1)
        self.actions, self.cures = actions, cures
        self.world = World(policy_for(BREACHES, guards=[guard]), self.said)
        self.world.journal.copy = lambda journal=self.world.journal: journal
        self.number = 0

    def said(self, rule, at):
        is_cured = self.actions[self.cures]._target.is_reached
        return letters({"a": "p"} if is_cured else BREACHES)(rule, at)

    async def process(self, reaper):
        """Live until killed or until the incident has ended; whether it has."""
        world = self.world
        ends = asyncio.ensure_future(reaper.is_dead.wait())
        runner = Runner(
            clock=world.clock,
            telemetry=Tally(),
            context=lambda intent: {},
            on_end=self.conclude,
            is_wanted=self.is_wanted,
            is_over=self.is_over,
            is_held=lambda intent: False,
            jitter=lambda: 0.0,
        )
        for action in self.actions.values():
            action.reaper = reaper
        runner.use(self.actions)
        world.doer = runner
        living = asyncio.ensure_future(self.live(reaper))
        await asyncio.wait([living, ends], return_when=asyncio.FIRST_COMPLETED, timeout=10)
        for task in (living, ends):
            task.cancel()
        await runner.stop(timedelta(0))
        await asyncio.gather(living, ends, return_exceptions=True)
        return not reaper.is_dead.is_set() and living.result()

    async def conclude(self, ended):
        await self.world.loop.conclude(ended)

    def is_over(self, intent):
        return self.world.loop.is_over(intent)

    async def is_wanted(self, intent):
        return await self.world.loop.is_wanted(intent)

    async def live(self, reaper):
        journal = self.world.journal
        self.world.journal = Mortal(journal, reaper)
        self.world.journal.copy = lambda mortal=self.world.journal: mortal
        try:
            await self.world.start()
            while self.number < LONGEST:
                await settle()
                self.number += 1
                self.world.clock.jump_to(slot(self.number) + AFTER_SLOT)
                await self.world.loop.tick("g")
                await settle()
                if await self.world.records(IncidentEnded):
                    return True
            return False
        finally:
            self.world.journal = journal


def actions_for(kind):
    """Return a playbook whose first step does not cure, and one whose first does."""
    flag, rollback = CountingTarget(), CountingTarget()
    match kind:
        case "inspectable":
            return {"flag-off": MortalAction(flag), "rollback": MortalAction(rollback)}
        case "blind":
            return {
                "flag-off": MortalAction(flag, inspectable=False),
                "rollback": MortalAction(rollback, inspectable=False),
            }
    return {
        "flag-off": MortalAction(flag, sees=[Goal.CANNOT_TELL]),
        "rollback": MortalAction(rollback),
    }


async def points_of(**changes):
    reaper = Reaper()
    life = Life(**changes)
    assert await life.process(reaper)
    return reaper.points


@pytest.mark.promise(1)
@pytest.mark.promise(3)
@pytest.mark.promise(4)
@pytest.mark.parametrize("cures", ["flag-off", "rollback"])
@pytest.mark.parametrize("kind", ["inspectable", "blind", "sometimes"])
async def test_killed_at_any_point_it_acts_once_and_sees_the_incident_to_its_end(kind, cures):
    points = await points_of(cures=cures, actions=actions_for(kind))
    assert points >= 8
    for last in range(1, points + 1):
        life = Life(cures=cures, actions=actions_for(kind))
        assert not await life.process(Reaper(last)), "the reaper was meant to come"
        assert await life.process(Reaper())
        intended = await life.world.records(Intended)
        assert [each.action for each in intended] == ["flag-off", "rollback"][: len(intended)]
        for action in life.actions.values():
            assert set(action._target.effects.values()) <= {1}
            assert len(action._target.effects) <= 1
            assert set(action._target.effects) <= {each.key for each in intended}
        (ended,) = await life.world.records(IncidentEnded)
        if kind == "inspectable":
            assert ended.decision is Decision.RECOVERED
            assert life.actions[cures]._target.effects.total() == 1
        else:
            # Where nobody can tell, people are called rather than the effect repeated.
            assert ended.decision in {Decision.RECOVERED, Decision.HAND_OVER}


@pytest.mark.parametrize(("first", "second"), [(first, second) for first in range(1, 9) for second in range(1, 9)])
async def test_killed_twice_it_is_no_worse(first, second):
    life = Life(cures="flag-off", actions=actions_for("inspectable"))
    for reaper in (Reaper(first), Reaper(second), Reaper()):
        over = await life.process(reaper)
        if over:
            break
    assert over
    (ended,) = await life.world.records(IncidentEnded)
    assert ended.decision is Decision.RECOVERED
    assert list(life.actions["flag-off"]._target.effects.values()) == [1]
