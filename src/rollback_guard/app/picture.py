"""Take the picture that metrics, API and status page show: of one instant, and at most a second old."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from operator import is_
from pathlib import Path

from rollback_guard import __version__
from rollback_guard.adapters.journal.sqlite import SqliteJournal
from rollback_guard.core.records import (
    Decided,
    Decision,
    Evaluated,
    IncidentCleared,
    IncidentEnded,
    IncidentJoined,
    IncidentOpened,
    Record,
)
from rollback_guard.core.snapshot import JournalView, OutboxView, ReloadView, Running, Snapshot, build
from rollback_guard.core.state import State
from rollback_guard.engine.loop import Loop
from rollback_guard.ports import Clock

LIVES = timedelta(seconds=1)
"""A snapshot of ten thousand rules takes a moment to build; many may look at the same one."""

LEAD = timedelta(seconds=1)
"""How much before its first breach and after its end an incident's story reaches."""

LATELY = timedelta(days=1)
"""How far back a guard's story reaches."""

TOLD = ("incident_opened", "incident_ended", "incident_cleared", "vetoed", "triggered")
"""Kinds of an incident's records of which its guard's story tells."""

INCIDENTS_TOLD = 20
"""Incidents that a guard's story names."""


class Gallery:
    """Show the daemon to those who look.

    Attributes:
        reload: How the last attempt to load the configuration went.
        outbox: What waits to be delivered, as of the last look.
    """

    def __init__(self, clock: Clock, path: Path) -> None:
        self._clock = clock
        self._path = path
        self._started_at = clock.now()
        self._seen: tuple[State, ReloadView, timedelta, Snapshot] | None = None
        self.reload = ReloadView(at=self._started_at, successful=True, succeeded_at=self._started_at)
        self.outbox: tuple[OutboxView, ...] = ()
        self.journal: SqliteJournal
        self.loop: Loop

    @property
    def ready(self) -> bool:
        """Whether every group has been evaluated once; a probe that asks for it must not cost a whole picture."""
        return self.loop.pulses.keys() >= self.loop.policy.groups.keys()

    def snapshot(self) -> Snapshot:
        """Return the present picture."""
        if (seen := self._present()) is not None:
            return seen
        state, reload, now = self.loop.state, self.reload, self._clock.elapsed()
        picture = self._frame()()
        self._seen = (state, reload, now, picture)
        return picture

    def frame(self) -> Callable[[], Snapshot]:
        """Take hold of the present; the picture of it may then be made in another thread, which takes a moment."""
        seen = self._present()
        return self._frame() if seen is None else lambda: seen

    def _present(self) -> Snapshot | None:
        """Return the last picture, where it is not old and nothing but evaluations that changed nothing came since."""
        if self._seen is None:
            return None
        state, reload, at, seen = self._seen
        is_same = reload is self.reload and all(map(is_, _told(state), _told(self.loop.state)))
        return seen if is_same and self._clock.elapsed() - at < LIVES else None

    def _frame(self) -> Callable[[], Snapshot]:
        loop = self.loop
        running = Running(
            version=__version__,
            started_at=self._started_at,
            reload=self.reload,
            judgements=dict(loop.judgements),
            pulses=dict(loop.pulses),
            decisions=tuple(loop.decisions),
            journal_failed_since=loop.journal_failed_since,
            clock_steps=loop.clock_steps,
            heartbeat_at=loop.heartbeat_at,
            journal=self._journal(),
            outbox=self.outbox,
        )
        return partial(build, loop.policy, loop.state, running, now=self._clock.now())

    def _journal(self) -> JournalView:
        head = self.journal.head
        return JournalView(
            head_seq=head.seq,
            head_hash=head.hash.hex(),
            size_bytes=sum(path.stat().st_size for path in self._files() if path.exists()),
            checkpointed_at=self.loop.checkpointed_at,
        )

    def _files(self) -> tuple[Path, ...]:
        return (self._path, self._path.with_name(f"{self._path.name}-wal"))

    def show_outbox(self, outbox: Sequence[OutboxView]) -> None:
        """Take over what waits to be delivered."""
        self.outbox = tuple(outbox)

    async def records(self, incident: str) -> Sequence[Record]:
        """Return an incident's records, and what was evaluated from before its first breach to its end."""
        own = await self.journal.read(incident=incident)
        if not own:
            return own
        opened = next((each.breached_at for each in own if isinstance(each, IncidentOpened)), self._started_at)
        ended = next((_time_of(each) for each in own if _closes(each)), self._clock.now())
        rules = {rule for each in own if isinstance(each, IncidentOpened | IncidentJoined) for rule in each.rules}
        around = await self.journal.around(opened - LEAD, ended + LEAD, rules=rules)
        return sorted([*own, *(each for each in around if not isinstance(each, Decided))], key=_time_of)

    async def guard_records(self, guard: str) -> Sequence[Record]:
        """Return what happened of late that concerns a guard; of a busy instance only the newest of a day."""
        now = self._clock.now()
        rules = {rule.id for rule in self.loop.policy.rules_of.get(guard, ())}
        lately = await self.journal.around(now - LATELY, now, rules=rules, newest=True)
        incidents = [each.id for each in self.loop.state.incidents.values() if each.guard == guard][-INCIDENTS_TOLD:]
        begun = [record for each in incidents for record in await self.journal.read(incident=each, kinds=TOLD)]
        return sorted([*lately, *(each for each in begun if _time_of(each) >= now - LATELY)], key=_time_of)


def _told(state: State) -> tuple[object, ...]:
    """Return what only decisions, orders and the clock change; in a fleet some group's slot moves all the time."""
    return (state.guards, state.incidents, state.pauses, state.maintenance, state.signals, state.configured_at)


def _closes(record: Record) -> bool:
    recovered = isinstance(record, IncidentEnded) and record.decision is Decision.RECOVERED
    return recovered or isinstance(record, IncidentCleared)


def _time_of(record: Record) -> datetime:
    return record.slot if isinstance(record, Evaluated) else record.at
