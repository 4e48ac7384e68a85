"""Put the daemon together: the only module that knows concrete classes."""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import structlog

from rollback_guard import __version__
from rollback_guard.adapters.actions import registry
from rollback_guard.adapters.clock import SystemClock
from rollback_guard.adapters.journal.sqlite import SqliteJournal
from rollback_guard.adapters.metrics.exposition import Metrics
from rollback_guard.adapters.probe import ProbeSource
from rollback_guard.adapters.prometheus import PrometheusSource
from rollback_guard.adapters.ticker import SlotTicker
from rollback_guard.adapters.web import Server, View, create_app
from rollback_guard.core.model import Policy
from rollback_guard.core.records import (
    Decided,
    Decision,
    Evaluated,
    IncidentCleared,
    IncidentEnded,
    IncidentOpened,
    Intended,
    Record,
)
from rollback_guard.core.snapshot import PROBE, ReloadView, Running, Snapshot, build
from rollback_guard.core.state import State
from rollback_guard.engine.context import context_of
from rollback_guard.engine.loop import Loop
from rollback_guard.engine.runner import Runner
from rollback_guard.ports import Action, Source
from rollback_guard.secret import redact
from rollback_guard.setup import Overrides, Setup, load

log = structlog.get_logger()

SNAPSHOT_LIVES = timedelta(seconds=1)
"""A snapshot of ten thousand rules takes a moment to build; many may look at the same one."""

RETIRED_AFTER = timedelta(minutes=1)
"""What a reload replaced is closed this much later, when no evaluation can be using it any more."""

LEAD = timedelta(seconds=1)
"""How much before its first breach and after its end an incident's story reaches."""

SILENCE_TOLERATED = timedelta(seconds=60)
"""Without any evaluation for three of the shortest intervals and this, the daemon is not alive."""


class Closeable(Protocol):
    """Something with connections."""

    async def close(self) -> None:
        """Release them."""
        ...


@dataclass(slots=True)
class Parts:
    """What a configuration is made into: sources by name, actions by name."""

    sources: dict[str, Source] = field(default_factory=dict)
    actions: dict[str, Action] = field(default_factory=dict)


class Daemon:
    """The guard as a process: everything wired, started, reloaded and stopped in order."""

    def __init__(self, path: Path, overrides: Overrides, setup: Setup) -> None:
        self._path = path
        self._overrides = overrides
        self._setup = setup
        self._clock = SystemClock()
        self._started_at = self._clock.now()
        self._reload = ReloadView(at=self._started_at, successful=True, succeeded_at=self._started_at)
        self._reloading = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._metrics = Metrics(self.snapshot, self._clock)
        self._parts = self._build(setup, {})
        self._journal = SqliteJournal(setup.state, telemetry=self._metrics)
        self._loop = Loop(
            policy=self._with_goals(setup.policy),
            sources=self._parts.sources,
            journal=self._journal,
            clock=self._clock,
            telemetry=self._metrics,
            observe=self._metrics.observe,
            catch_up=setup.catch_up,
            version=__version__,
            run=secrets.token_hex(3),
        )
        self._runner = Runner(
            clock=self._clock,
            telemetry=self._metrics,
            context=self._context,
            on_end=self._loop.conclude,
            is_wanted=self._loop.is_wanted,
            is_over=self._loop.is_over,
        )
        self._ticker = SlotTicker(self._loop.tick, self._clock, self._loop.set_clock)
        self._seen: tuple[State, timedelta, Snapshot] | None = None

    async def run(self) -> None:
        """Watch until SIGTERM or SIGINT, then end in order: no new decisions, actions, journal, HTTP last."""
        host, port = self._setup.listen
        server = Server(create_app(self._view()), host=host, port=port, clock=self._clock)
        running = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            running.add_signal_handler(number, self._stopping.set)
        running.add_signal_handler(signal.SIGHUP, self._reload_soon)
        await server.start()
        try:
            async with self._reloading:  # what the journal tells must be known before anything ticks
                self._runner.use(self._parts.actions)
                await self._loop.begin(self._runner)
                self._ticker.start(self._loop.policy.groups.values())
            log.info(
                "watching",
                listen=_address(self._setup),
                rules=len(self._loop.policy.rules),
                journal=str(self._setup.state),
            )
            await self._stopping.wait()
        finally:
            await self._stop()
            await server.stop()

    async def _stop(self) -> None:
        log.info("stopping")
        self._ticker.stop()
        self._loop.stop()
        left = await self._runner.stop(self._setup.stop_timeout)
        if left:
            log.warning("actions_interrupted", intents=left)
        await self._loop.end()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await _close(_closeables(self._parts))
        await self._journal.close()

    def _build(self, setup: Setup, kept: Mapping[str, Source]) -> Parts:
        """Make sources and actions, but for the sources that are kept with what they remember."""
        parts = Parts(sources=dict(kept))
        for name, endpoint in setup.endpoints.items():
            if name not in kept:
                parts.sources[name] = PrometheusSource(endpoint, self._clock, self._metrics)
        parts.sources[PROBE] = ProbeSource(setup.probes, self._clock, self._metrics)
        for name, settings in setup.actions.items():
            parts.actions[name] = registry.build(
                name, settings, clock=self._clock, telemetry=self._metrics, directory=self._path.parent
            )
        return parts

    def _with_goals(self, policy: Policy) -> Policy:
        return replace(policy, goals={name: action.goal for name, action in self._parts.actions.items()})

    def _context(self, intent: Intended) -> Mapping[str, Any]:
        return context_of(intent, self._loop.policy, self._loop.state)

    def _view(self) -> View:
        return View(
            snapshot=self.snapshot,
            metrics=self._metrics.render,
            reload=self.reload,
            records=self._records,
            alive=self._is_alive,
            telemetry=self._metrics,
        )

    async def _records(self, incident: str) -> Sequence[Record]:
        """Return an incident's records, and what was evaluated from before its first breach to its end."""
        own = await self._journal.read(incident=incident)
        if not own:
            return own
        opened = next((each.breached_at for each in own if isinstance(each, IncidentOpened)), self._started_at)
        ended = next((_time_of(each) for each in own if _closes(each)), self._clock.now())
        around = await self._journal.around(opened - LEAD, ended + LEAD)
        return sorted([*own, *(each for each in around if not isinstance(each, Decided))], key=_time_of)

    def _is_alive(self) -> bool:
        shortest = min((group.interval for group in self._loop.policy.groups.values()), default=None)
        if shortest is None:
            return True
        return self._clock.elapsed() - self._loop.beat < 3 * shortest + SILENCE_TOLERATED

    def snapshot(self) -> Snapshot:
        """Return the present picture, at most a second old."""
        state, now = self._loop.state, self._clock.elapsed()
        if self._seen is not None and self._seen[0] is state and now - self._seen[1] < SNAPSHOT_LIVES:
            return self._seen[2]
        running = Running(
            version=__version__,
            started_at=self._started_at,
            reload=self._reload,
            judgements=dict(self._loop.judgements),
            pulses=dict(self._loop.pulses),
            decisions=tuple(self._loop.decisions),
            journal_failed_since=self._loop.journal_failed_since,
            clock_steps=self._loop.clock_steps,
        )
        picture = build(self._loop.policy, state, running, now=self._clock.now())
        self._seen = (state, now, picture)
        return picture

    def _reload_soon(self) -> None:
        self._spawn(self.reload())

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._end_of)

    def _end_of(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background_task_failed", exc_info=error)

    async def reload(self) -> ReloadView:
        """Load the configuration again and put it in force; with any error in it the old one stays."""
        async with self._reloading:
            loaded = await asyncio.to_thread(load, self._path, self._overrides)
            if loaded.setup is None:
                return self._refuse(loaded.errors)
            if fixed := self._fixed(loaded.setup):
                return self._refuse(fixed)
            return await self._put_in_force(loaded.setup)

    def _fixed(self, setup: Setup) -> list[str]:
        """Name what cannot change while the daemon runs."""
        old, new = self._setup, setup
        pairs = (
            ("server.listen", _address(old), _address(new)),
            ("guard.state", old.state, new.state),
            ("log.level", old.log_level, new.log_level),
            ("log.format", old.log_format, new.log_format),
        )
        return [f"{key} cannot change from {was} to {to} without a restart" for key, was, to in pairs if was != to]

    def _refuse(self, problems: Sequence[str]) -> ReloadView:
        self._reload = replace(
            self._reload, at=self._clock.now(), successful=False, problems=tuple(map(redact, problems))
        )
        log.error("configuration_refused", problems=list(self._reload.problems))
        self._seen = None
        return self._reload

    async def _put_in_force(self, setup: Setup) -> ReloadView:
        same = {
            name: self._parts.sources[name]
            for name, endpoint in setup.endpoints.items()
            if self._setup.endpoints.get(name) == endpoint
        }
        old, self._parts = self._parts, self._build(setup, same)
        self._setup = setup
        self._runner.use(self._parts.actions)
        await self._loop.configure(self._with_goals(setup.policy), self._parts.sources, catch_up=setup.catch_up)
        self._ticker.start(self._loop.policy.groups.values())
        self._spawn(self._retire([each for each in _closeables(old) if each not in same.values()]))
        now = self._clock.now()
        self._reload = ReloadView(at=now, successful=True, succeeded_at=now)
        self._seen = None
        return self._reload

    async def _retire(self, replaced: Sequence[Closeable]) -> None:
        try:
            await self._clock.sleep(RETIRED_AFTER)
            while self._runner.is_busy:
                await self._clock.sleep(RETIRED_AFTER)
        finally:
            await _close(replaced)


def _address(setup: Setup) -> str:
    host, port = setup.listen
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _closes(record: Record) -> bool:
    recovered = isinstance(record, IncidentEnded) and record.decision is Decision.RECOVERED
    return recovered or isinstance(record, IncidentCleared)


def _time_of(record: Record) -> datetime:
    return record.slot if isinstance(record, Evaluated) else record.at


def _closeables(parts: Parts) -> list[Closeable]:
    return [*parts.sources.values(), *parts.actions.values()]


async def _close(parts: Iterable[Closeable]) -> None:
    for part in parts:
        await part.close()
