"""Run the guard: read a slot, think, write the records down, do what they intend. One direction, one writer.

ticker ── group ──▶ read      sources: an observation per rule
                    think     core.step(policy, state, reading) → records        (pure)
                    write     journal.append(records), then fold
                    do        runner: action.execute for every new intent
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from rollback_guard.core import step as core
from rollback_guard.core.incident import intended
from rollback_guard.core.judgement import Judgement
from rollback_guard.core.model import PROBE, Group, Policy
from rollback_guard.core.notice import Notice
from rollback_guard.core.notices import notices
from rollback_guard.core.observation import Reading
from rollback_guard.core.operations import Operation, Refused
from rollback_guard.core.records import (
    Concluded,
    Decided,
    Evaluated,
    Intended,
    MaintenanceChanged,
    Record,
    Stopped,
    Window,
)
from rollback_guard.core.snapshot import Pulse
from rollback_guard.core.state import State
from rollback_guard.engine.catch_up import due_slots, read_back
from rollback_guard.engine.ledger import Ledger
from rollback_guard.engine.narrate import narrate
from rollback_guard.ports import Clock, Journal, JournalError, Source, Telemetry

log = structlog.get_logger()

JOURNAL_RETRIED_EVERY = timedelta(seconds=1)

EVIDENCE_AWAITED_EVERY = timedelta(seconds=1)
"""How often an intent that was left open looks whether it is known by now what its rules say."""

DECISIONS_SHOWN = 200

CLOCK_TOLERANCE = timedelta(seconds=2)
"""A journal whose slots lie further ahead than this was written before the wall clock was set back."""

READING_LIVES = timedelta(minutes=1)
"""A reading that took longer than this, and than two intervals, is of the past: the process was stopped meanwhile."""


Ruled = tuple[Group | None, int]
"""What a reading depends on while it is under way: the group as configured, and how often the clock was set."""


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
        heartbeat_at: When an evaluation was last finished that could also be written down.
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
        run: str,
        urgent: Callable[[Notice], None] = lambda notice: None,
        trouble: Callable[[datetime, str], None] = lambda since, why: None,
        clock_set: Callable[[timedelta], Awaitable[None]] | None = None,
    ) -> None:
        self.policy = policy
        self.judgements: dict[str, Judgement] = {}
        self.pulses: dict[str, Pulse] = {}
        self.decisions: deque[Decided] = deque(maxlen=DECISIONS_SHOWN)
        self.clock_steps = 0
        self._beats: dict[str, timedelta] = {}
        self._configured = clock.elapsed()
        self.heartbeat_at: datetime | None = None
        self._sources = sources
        self._ledger = Ledger(
            journal,
            clock,
            announce=self._announce,
            taken=self._taken,
            is_due=self._only_now,
            urgent=urgent,
            trouble=trouble,
        )
        self._clock_set = clock_set
        self._clock = clock
        self._telemetry = telemetry
        self._observe = observe
        self._catch_up = catch_up
        self._version = version
        self._run = run
        self._reading: set[str] = set()
        self._writing = asyncio.Lock()
        self._doer: Doer | None = None
        self._has_begun = False
        self._is_ending = False

    @property
    def state(self) -> State:
        """What is the case."""
        return self._ledger.state

    @property
    def journal_failed_since(self) -> datetime | None:
        """Since when records can not be made durable."""
        return self._ledger.failed_since

    @property
    def checkpointed_at(self) -> datetime | None:
        """When the state was last kept whole."""
        return self._ledger.checkpointed_at

    async def begin(self, doer: Doer) -> None:
        """Fold the journal, write down the start, and take up the intents that were left open."""
        self._doer = doer
        async with self._writing:
            await self._ledger.load()
            self._has_begun = True
            now = self._clock.now()
            ahead = max((group.slot for group in self.state.groups.values()), default=now) - now
            if ahead > CLOCK_TOLERANCE:
                await self._move_clock(-ahead)
            await self._ledger.note(core.begin(self.policy, self.state, now=now, version=self._version, run=self._run))
        for incident in self.state.incidents.values():
            for intent in incident.open_intents:
                log.warning("intent_open", intent=intent.key, action=intent.action, incident=incident.id)
                doer.start(intended(incident, intent), resumed=True)

    async def tick(self, group_id: str) -> None:
        """Evaluate every slot of a group that is due: past ones from a range query, the newest one as it is.

        While an evaluation of the group is under way this does nothing: its slots are due at the next tick.
        """
        group = self.policy.groups.get(group_id)
        if group is None or group_id in self._reading:
            return
        self._reading.add(group_id)
        try:
            await self._read(group)
        finally:
            self._reading.discard(group_id)

    async def _read(self, group: Group) -> None:
        began, ruled = self._clock.elapsed(), self._rule_of(group)
        slots = due_slots(group, self.state.groups.get(group.id), self._clock.now(), catch_up=self._catch_up)
        if not slots:
            return
        *past, present = slots
        source, expected = self._sources[group.source], core.expected(self.state, group.id)
        observations = await source.read(group, present, expected)
        reading = Reading(group=group.id, slot=present, observations=observations)
        if past and not reading.is_lost:
            readings = await read_back(source, group, past, expected)
            await self._evaluate_past(group, readings, ruled, of=len(past))
        if await self._evaluate(reading, ruled, present=True):
            self._finish(group, began)

    async def _evaluate_past(self, group: Group, readings: Sequence[Reading], ruled: Ruled, *, of: int) -> None:
        if not readings:
            return
        log.info("slots_read_back", group=group.id, slots=len(readings), of=of)
        async with self._writing:
            if self._rule_of(group) == ruled:
                await self._ledger.note(core.rewind(self.state, group.id, now=self._clock.now()))
        for reading in readings:
            await self._evaluate(reading, ruled, present=False)

    def _rule_of(self, group: Group) -> Ruled:
        return (self.policy.groups.get(group.id), self.clock_steps)

    def _finish(self, group: Group, began: timedelta) -> None:
        took = (self._clock.elapsed() - began).total_seconds()
        self.pulses[group.id] = Pulse(evaluated_at=self._clock.now(), duration_s=took)
        self._beats[group.id] = self._clock.elapsed()
        if self.journal_failed_since is None:
            self.heartbeat_at = self._clock.now()
        self._telemetry.evaluated(group.id, took)

    async def _evaluate(self, reading: Reading, ruled: Ruled, *, present: bool) -> bool:
        """Take one step, unless the reading answers questions that are no longer asked: then its slot is read anew.

        A reload may have changed what a rule measures, and a set clock which slot this is; a guard that is about to
        end leaves the slot to the next one.
        """
        async with self._writing:
            group = self.policy.groups.get(reading.group)
            if self._is_ending or group is None or (group, self.clock_steps) != ruled:
                log.info("reading_dropped", group=reading.group, slot=reading.slot)
                return False
            now = self._clock.now()
            present = present and now - reading.slot < max(READING_LIVES, 2 * group.interval)
            step = core.step(self.policy, self.state, reading, now=now, present=present)
            self.judgements.update(step.judgements)
            if not await self._ledger.write(step.records):
                self._ledger.keep(core.undaunted(self.policy, step.records))
            return True

    async def conclude(self, ended: Concluded) -> None:
        """Write down how an action ended, and what follows from it; try until the journal takes it."""
        while True:
            async with self._writing:
                records: Sequence[Record] = core.conclude(self.policy, self.state, ended)
                begins = any(isinstance(record, Intended) for record in records)
                if begins and self._is_ending:
                    records = [ended]  # what follows from it is decided after the next start
                if await self._ledger.write(records):
                    return
                # The room that is kept on a full disk takes how it ended, and nothing that begins. What follows from it
                # then is decided at the next slot.
                if (begins or len(records) == 1) and await self._ledger.write_outcome(ended):
                    return
                if core.is_undaunted(self.policy, ended.guard):
                    self._ledger.keep(records)
                    return
            await self._clock.sleep(JOURNAL_RETRIED_EVERY)

    async def operate(self, asked: Operation) -> Sequence[Record] | Refused:
        """Do what a person or another system asks for.

        What keeps hands off counts even where the journal can not take it; what begins an action does not.

        Raises:
            JournalError: The journal is still being read, or it would begin an action and can not be written down, or
                the guard is about to end; nothing has changed.
        """
        async with self._writing:
            if not self._has_begun:
                raise JournalError("the journal is still being read; ask again in a moment")
            records = core.operate(self.policy, self.state, asked, now=self._clock.now())
            if isinstance(records, Refused):
                return records
            acts = [record.guard for record in records if isinstance(record, Intended)]
            if acts and self._is_ending:
                raise JournalError("the guard is about to end, and begins nothing any more")
            if await self._ledger.write(records):
                return records
            if not all(core.is_undaunted(self.policy, guard) for guard in acts):
                raise JournalError("the journal can not be written, and what is not written down is not done")
            self._ledger.keep(records)
            return records

    async def attend(self, windows: Sequence[Window]) -> None:
        """Let the clock end what it ends, and keep the state whole now and then.

        Args:
            windows: The maintenance windows that are open now.
        """
        async with self._writing:
            now = self._clock.now()
            if self._is_ending:
                return
            if tuple(windows) != self.state.maintenance:
                await self._ledger.note([MaintenanceChanged(at=now, windows=tuple(windows))])
            records = core.attend(self.policy, self.state, now=now)
            if records and not await self._ledger.write(records):
                self._ledger.keep(core.undaunted(self.policy, records))
            await self._ledger.checkpoint()

    async def forget(self, keep: timedelta) -> None:
        """Forget the records that are older than this, as far as the state is kept whole and nothing needs them."""
        async with self._writing:
            await self._ledger.checkpoint(at_once=True)
        await self._ledger.prune(self._clock.now() - keep)

    async def is_wanted(self, intent: Intended) -> bool:
        """Wait until it is known what the rules of an intent say now; whether its action is still to be run.

        Where that does not become known in the time that the step's verification would have had, it is not. The time of
        a pause does not count.
        """
        left = intent.within
        while (wanted := core.is_wanted(self.policy, self.state, intent, now=self._clock.now())) is None:
            if not self.is_held(intent):
                left -= EVIDENCE_AWAITED_EVERY
            if left < timedelta(0):
                return False
            await self._clock.sleep(EVIDENCE_AWAITED_EVERY)
        return wanted

    def is_held(self, intent: Intended) -> bool:
        """Say whether an intent must not be tried again for now."""
        return core.is_held(self.policy, self.state, intent, now=self._clock.now())

    def is_over(self, intent: Intended) -> bool:
        """Say whether it is known that nothing calls for an intent any more."""
        return core.is_wanted(self.policy, self.state, intent, now=self._clock.now()) is False

    async def configure(
        self,
        policy: Policy,
        sources: Mapping[str, Source],
        *,
        catch_up: timedelta,
        use: Callable[[], None] = lambda: None,
    ) -> None:
        """Put another policy in force, between two evaluations; `use` has those follow who carry intents out."""
        async with self._writing:
            use()
            records = core.configure(policy, self.state, now=self._clock.now())
            self.policy, self._sources, self._catch_up = policy, sources, catch_up
            self._configured = self._clock.elapsed()
            self.judgements = {rule: said for rule, said in self.judgements.items() if rule in policy.rules}
            self.pulses = {group: pulse for group, pulse in self.pulses.items() if group in policy.groups}
            await self._ledger.note(records)

    async def set_clock(self, by: timedelta) -> None:
        """Move the state's clocks along with the wall clock."""
        async with self._writing:
            self.clock_steps += 1
            self._ledger.write_slots_anew()
            log.warning("clock_stepped", by_s=by.total_seconds())
            await self._move_clock(by)

    async def _move_clock(self, by: timedelta) -> None:
        await self._ledger.note(core.set_clock(self.state, by=by, now=self._clock.now()))
        if self._clock_set is not None:
            await self._clock_set(by)

    def stop(self) -> None:
        """Decide nothing from now on: what is still being read is dropped."""
        self._is_ending = True

    async def end(self) -> None:
        """Write down the end, and which intents are left open for the next start."""
        if not self._has_begun:
            return  # what is not known must not be written over what is
        left = tuple(intent.key for each in self.state.incidents.values() for intent in each.open_intents)
        if left:
            log.warning("intents_left_open", intents=left)
        async with self._writing:
            slots = self._ledger.unwritten_slots()
            self._ledger.write_slots_anew()  # what was left out so far is written down now
            await self._ledger.write((*slots, Stopped(at=self._clock.now(), open_intents=left)))
            await self._ledger.checkpoint(at_once=True)

    def _announce(self, before: State, after: State, records: Sequence[Record]) -> Sequence[Notice]:
        if all(isinstance(record, Evaluated) for record in records):
            return ()
        try:
            return notices(self.policy, after, records, before=before)
        except Exception:  # a defect in a text must not cost the decision that it tells of
            log.exception("announcing_failed")
            return ()

    def overdue(self) -> timedelta:
        """Return for how long the group that is latest has been silent, beyond three of its intervals."""
        now = self._clock.elapsed()
        silences = (
            now - max(self._beats.get(group.id, self._configured), self._configured) - 3 * group.interval
            for group in self.policy.groups.values()
        )
        return max(silences, default=timedelta(0))

    def _taken(self, records: Sequence[Record]) -> None:
        """Start what was intended, and tell those who watch."""
        for record in records:
            if isinstance(record, Intended) and not record.notify and self._doer is not None:
                self._doer.start(record)
            if isinstance(record, Decided):
                self.decisions.appendleft(record)
        self._observe(records)
        narrate(log, records)

    def _only_now(self, record: Evaluated) -> bool:
        """Say whether a slot holds evidence that nobody could read back later: a probe has no past."""
        group, state = self.policy.groups.get(record.group), self.state.groups.get(record.group)
        return group is not None and group.source == PROBE and state is not None and bool(state.alerts)
