"""Run the guard: read a slot, think, write the records down, do what they intend. One direction, one writer.

ticker ── group ──▶ read      sources: an observation per rule
                    think     core.step(policy, state, reading) → records        (pure)
                    write     journal.append(records), then fold
                    do        runner: action.execute for every new intent
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from rollback_guard.core import step as core
from rollback_guard.core.fold import fold, fold_all
from rollback_guard.core.judgement import Judgement
from rollback_guard.core.model import Group, Labels, Policy
from rollback_guard.core.observation import Reading
from rollback_guard.core.records import Concluded, Decided, Evaluated, Intended, Record, Stopped
from rollback_guard.core.snapshot import Pulse
from rollback_guard.core.state import State
from rollback_guard.engine.catch_up import due_slots, read_back
from rollback_guard.engine.narrate import narrate
from rollback_guard.ports import Clock, Journal, JournalError, Source, Telemetry

log = structlog.get_logger()

SLOTS_WRITTEN_EVERY = timedelta(minutes=1)
"""An uneventful evaluation is written down this often: a restart reads back no more than that plus its own absence."""

JOURNAL_RETRIED_EVERY = timedelta(seconds=1)

DECISIONS_SHOWN = 200

CLOCK_TOLERANCE = timedelta(seconds=2)
"""A journal whose slots lie further ahead than this was written before the wall clock was set back."""


class Doer(Protocol):
    """Carry out intents; ends each with a `Concluded`."""

    def start(self, intent: Intended, *, resumed: bool = False) -> None:
        """Begin to carry out one intent; a resumed one is inspected first."""
        ...


class Loop:
    """Hold the policy in force and the folded state, and let nothing but records change it.

    Attributes:
        policy: In force; replaced whole by `configure`.
        state: The fold of everything that happened.
        judgements: What was last judged of each rule, for those who look.
        pulses: When each group was last evaluated and how long it took.
        decisions: The last ones, newest first.
        journal_failed_since: Since when records can not be made durable.
    """

    def __init__(
        self,
        *,
        policy: Policy,
        sources: Mapping[str, Source],
        journal: Journal,
        clock: Clock,
        telemetry: Telemetry,
        observe: Callable[[Sequence[Record]], None],
        catch_up: timedelta,
        version: str,
    ) -> None:
        self.policy = policy
        self.state = State()
        self.judgements: dict[str, Judgement] = {}
        self.pulses: dict[str, Pulse] = {}
        self.decisions: deque[Decided] = deque(maxlen=DECISIONS_SHOWN)
        self.journal_failed_since: datetime | None = None
        self.clock_steps = 0
        self.beat = clock.elapsed()
        self._sources = sources
        self._journal = journal
        self._clock = clock
        self._telemetry = telemetry
        self._observe = observe
        self._catch_up = catch_up
        self._version = version
        self._written: dict[str, datetime] = {}
        self._writing = asyncio.Lock()
        self._doer: Doer | None = None

    async def begin(self, doer: Doer) -> None:
        """Fold the journal, write down the start, and take up the intents that were left open."""
        self._doer = doer
        self.state = fold_all(State(), await self._journal.read())
        now = self._clock.now()
        ahead = max((group.slot for group in self.state.groups.values()), default=now) - now
        async with self._writing:
            if ahead > CLOCK_TOLERANCE:
                await self._write(core.set_clock(self.state, by=-ahead, now=now))
            await self._write(core.begin(self.policy, self.state, now=now, version=self._version))
        for incident in self.state.incidents.values():
            intent = incident.open_intent
            if intent is not None:
                log.warning("intent_open", intent=intent.key, action=intent.action, incident=incident.id)
                doer.start(
                    Intended(
                        key=intent.key,
                        incident=incident.id,
                        guard=incident.guard,
                        step=intent.step,
                        action=intent.action,
                        goal=intent.goal,
                        at=intent.at,
                        within=intent.within,
                        stable_for=intent.stable_for,
                    ),
                    resumed=True,
                )

    async def tick(self, group_id: str) -> None:
        """Evaluate every slot of a group that is due: past ones from a range query, the newest one as it is."""
        group = self.policy.groups.get(group_id)
        if group is None:
            return
        began = self._clock.elapsed()
        slots = due_slots(group, self.state.groups.get(group_id), self._clock.now(), catch_up=self._catch_up)
        if not slots:
            return
        *past, present = slots
        source, expected = self._sources[group.source], core.expected(self.state, group_id)
        observations = await source.read(group, present, expected)
        reading = Reading(group=group_id, slot=present, observations=observations)
        if past and not reading.is_lost:
            await self._read_back(source, group, past, expected)
        await self._evaluate(reading, present=True)
        self._finish(group, began)

    async def _read_back(
        self, source: Source, group: Group, slots: Sequence[datetime], expected: Mapping[str, frozenset[Labels]]
    ) -> None:
        readings = await read_back(source, group, slots, expected)
        if not readings:
            return
        log.info("slots_read_back", group=group.id, slots=len(readings), of=len(slots))
        async with self._writing:
            await self._write(core.rewind(self.state, group.id, now=self._clock.now()))
        for reading in readings:
            await self._evaluate(reading, present=False)

    def _finish(self, group: Group, began: timedelta) -> None:
        took = (self._clock.elapsed() - began).total_seconds()
        known = self.state.groups.get(group.id)
        self.pulses[group.id] = Pulse(evaluated_at=self._clock.now(), duration_s=took)
        self.beat = self._clock.elapsed()
        self._telemetry.evaluated(group.id, took, known.missed if known else 0)

    async def _evaluate(self, reading: Reading, *, present: bool) -> None:
        async with self._writing:
            step = core.step(self.policy, self.state, reading, now=self._clock.now(), present=present)
            self.judgements.update(step.judgements)
            await self._write(step.records)

    async def conclude(self, ended: Concluded) -> None:
        """Write down how an action ended, and what follows from it; try until the journal takes it."""
        while True:
            async with self._writing:
                if await self._write(core.conclude(self.policy, self.state, ended)):
                    return
            await self._clock.sleep(JOURNAL_RETRIED_EVERY)

    async def configure(self, policy: Policy, sources: Mapping[str, Source]) -> None:
        """Put another policy in force, between two evaluations."""
        async with self._writing:
            records = core.configure(policy, self.state, now=self._clock.now())
            self.policy, self._sources = policy, sources
            self.judgements = {rule: said for rule, said in self.judgements.items() if rule in policy.rules}
            self.pulses = {group: pulse for group, pulse in self.pulses.items() if group in policy.groups}
            await self._write(records)

    async def set_clock(self, by: timedelta) -> None:
        """Move the state's clocks along with the wall clock."""
        async with self._writing:
            self.clock_steps += 1
            self._written.clear()
            log.warning("clock_stepped", by_s=by.total_seconds())
            await self._write(core.set_clock(self.state, by=by, now=self._clock.now()))

    async def end(self) -> None:
        """Write down the end, and which intents are left open for the next start."""
        left = tuple(each.open_intent.key for each in self.state.incidents.values() if each.open_intent)
        if left:
            log.warning("intents_left_open", intents=left)
        async with self._writing:
            await self._write((Stopped(at=self._clock.now(), open_intents=left),))

    async def _write(self, records: Sequence[Record]) -> bool:
        """Make records durable, fold them, tell those who watch, and start what was intended.

        What can not be written down does not happen: of a step whose records are lost only the evaluation is kept, in
        memory, so that the guard still sees; decisions and intents are made again in a later slot.

        Returns:
            Whether the records are durable.
        """
        durable = [record for record in records if self._is_due(record)]
        try:
            if durable:
                await self._journal.append(durable)
        except JournalError as error:
            self._lost(error)
            self.state = fold_all(self.state, (each for each in records if isinstance(each, Evaluated)))
            return False
        if durable:
            self.journal_failed_since = None
        for record in records:
            self.state = fold(self.state, record)
            if isinstance(record, Evaluated) and record in durable:
                self._written[record.group] = record.slot
            if isinstance(record, Decided):
                self.decisions.appendleft(record)
        self._observe(records)
        narrate(log, records)
        for record in records:
            if isinstance(record, Intended) and self._doer is not None:
                self._doer.start(record)
        return True

    def _is_due(self, record: Record) -> bool:
        last = self._written.get(record.group) if isinstance(record, Evaluated) else None
        return core.is_worth_writing(record, last, every=SLOTS_WRITTEN_EVERY)

    def _lost(self, error: JournalError) -> None:
        self.journal_failed_since = self.journal_failed_since or self._clock.now()
        log.error("journal_failed", error=str(error), since=self.journal_failed_since)
