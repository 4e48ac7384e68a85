"""A loop between doubles, driven slot by slot."""

import asyncio
from datetime import timedelta

from build import a_group, a_guard, a_policy, a_rule, seen, slot
from fakes import FakeClock, MemoryJournal, ScriptedSource, Tally, settle
from rollback_guard.core.fold import fold_all
from rollback_guard.core.records import Evaluated, Intended
from rollback_guard.core.state import State
from rollback_guard.engine.loop import Loop

AFTER_SLOT = timedelta(seconds=1)
CATCH_UP = timedelta(hours=1)


class Started:
    """Do nothing but remember what was started."""

    def __init__(self):
        self.intents = []
        self.resumed = []

    def start(self, intent, *, resumed=False):
        (self.resumed if resumed else self.intents).append(intent)


def letters(script, *, first=0):
    """Return a source's script from films by rule name; before and after a film everything passes."""

    def said(rule, at):
        film = script[rule.name]
        number = (at - slot(first)) // timedelta(minutes=1)
        return seen(film[number] if 0 <= number < len(film) else "p")

    return said


def policy_for(script, *, hold=0, keep=0, guards=None, **changes):
    rules = [a_rule(name, hold=hold, keep=keep) for name in script]
    guards = [a_guard(rules=[rule.id for rule in rules])] if guards is None else guards
    return a_policy([a_group(*rules)], guards, **changes)


class World:
    """One process after another on one journal, beside one source and one clock."""

    def __init__(self, policy, said, *, clock=None, journal=None, catch_up=CATCH_UP, looks_back=True, doer=None):
        self.policy = policy
        self.clock = clock or FakeClock(slot(0) - timedelta(seconds=30))
        self.source = ScriptedSource(said, looks_back=looks_back)
        self.journal = journal or MemoryJournal()
        self.catch_up = catch_up
        self.doer = doer or Started()
        self.observed = []
        self.loop = None

    async def start(self):
        """Start a process; the one before is gone without a word."""
        self.journal = self.journal.copy()
        self.telemetry = Tally()
        self.loop = Loop(
            policy=self.policy,
            sources={"prometheus": self.source},
            journal=self.journal,
            clock=self.clock,
            telemetry=self.telemetry,
            observe=self.observed.extend,
            catch_up=self.catch_up,
            version="test",
            run="",
        )
        await self.loop.begin(self.doer)
        return self

    async def tick(self, number, group="g"):
        """Let the time of a slot come, and tick."""
        self.clock.jump_to(slot(number) + AFTER_SLOT)
        await self.loop.tick(group)

    async def run(self, first, last):
        for number in range(first, last):
            await self.tick(number)
        return self

    async def reload(self, policy):
        self.policy = policy
        await self.loop.configure(policy, {"prometheus": self.source}, catch_up=self.catch_up)

    @property
    def group(self):
        return self.loop.state.groups["g"]

    def alerts(self):
        return {rule: tuple(of_rule.values()) for rule, of_rule in self.group.alerts.items()}

    async def records(self, kind=None):
        return [record for record in await self.journal.read() if kind is None or isinstance(record, kind)]

    async def folded(self):
        return fold_all(State(), await self.journal.read())

    async def transitions(self):
        return [
            (record.slot, each.rule, str(each.after), str(each.because))
            for record in await self.records(Evaluated)
            for each in record.transitions
        ]

    async def intents(self):
        return await self.records(Intended)


async def in_background(coroutine):
    task = asyncio.create_task(coroutine)
    await settle()
    return task
