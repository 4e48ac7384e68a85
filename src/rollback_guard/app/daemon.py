"""Run the guard as a process: everything wired, started, reloaded and stopped in order."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from rollback_guard import __version__
from rollback_guard.adapters.clock import SystemClock
from rollback_guard.adapters.journal.sqlite import SqliteJournal
from rollback_guard.adapters.metrics.exposition import Metrics
from rollback_guard.adapters.signals import SignalSource
from rollback_guard.adapters.systemd import Systemd
from rollback_guard.adapters.ticker import SlotTicker
from rollback_guard.adapters.web import Certificate, Server, TokenFile, View, create_app
from rollback_guard.app.chores import Chores, Tasks
from rollback_guard.app.parts import Closeable, Maker, close
from rollback_guard.app.picture import Gallery
from rollback_guard.app.takers import Takers
from rollback_guard.core.model import Policy
from rollback_guard.core.notices import trouble
from rollback_guard.core.operations import Operation, Refused
from rollback_guard.core.records import Intended, Record
from rollback_guard.core.snapshot import ReloadView
from rollback_guard.core.state import Incident
from rollback_guard.engine.context import context_of
from rollback_guard.engine.courier import Courier
from rollback_guard.engine.loop import Loop
from rollback_guard.engine.runner import Runner
from rollback_guard.ports import JournalError
from rollback_guard.secret import redact
from rollback_guard.setup import Overrides, Setup, load

log = structlog.get_logger()

RETIRED_AFTER = timedelta(minutes=1)
"""What a reload replaced is closed this much later, when no evaluation can be using it any more."""

PROBLEMS_TOLD = 5
"""Problems of a refused configuration that people are told; the log and the API have them all."""

LETTERS_AWAITED = timedelta(seconds=5)
"""How long letters that are on their way are waited for on stop; the others are sent after the next start."""


class Daemon:
    """The guard as a process."""

    def __init__(self, path: Path, overrides: Overrides, setup: Setup) -> None:
        self._path = path
        self._overrides = overrides
        self._setup = setup
        self._clock = SystemClock()
        self._reloading = asyncio.Lock()
        self._refused_at: datetime | None = None
        self._stopping = asyncio.Event()
        self._tasks = Tasks()
        self._gallery = Gallery(self._clock, setup.state)
        self._metrics = Metrics(self._gallery.frame, self._clock, incident=self._incident)
        self._systemd = Systemd(os.environ, self._clock)
        self._journal = SqliteJournal(setup.state, telemetry=self._metrics)
        self._maker = Maker(
            clock=self._clock,
            telemetry=self._metrics,
            directory=path.parent,
            signals=SignalSource(lambda: self._loop.state.signals),
        )
        self._parts = self._maker.make(setup, {})
        self._courier = Courier(self._journal.outbox, clock=self._clock, telemetry=self._metrics)
        self._loop = Loop(
            policy=self._with_goals(setup.policy),
            sources=self._parts.sources,
            journal=self._journal,
            clock=self._clock,
            telemetry=self._metrics,
            observe=self._observe,
            catch_up=setup.catch_up,
            version=__version__,
            run=secrets.token_hex(3),
            urgent=self._courier.urgent,
            trouble=self._journal_trouble,
            clock_set=self._clock_set,
        )
        self._takers = Takers(self._loop.policy)
        self._runner = Runner(
            clock=self._clock,
            telemetry=self._metrics,
            context=self._context,
            on_end=self._loop.conclude,
            is_wanted=self._loop.is_wanted,
            is_over=self._loop.is_over,
            is_held=self._loop.is_held,
        )
        self._ticker = SlotTicker(self._loop.tick, self._clock, self._loop.set_clock)
        self._gallery.loop, self._gallery.journal = self._loop, self._journal
        self._chores = Chores(
            loop=self._loop,
            courier=self._courier,
            outbox=self._journal.outbox,
            clock=self._clock,
            systemd=self._systemd,
            setup=lambda: self._setup,
            tell=self._gallery.show_outbox,
        )

    async def run(self) -> None:
        """Watch until SIGTERM or SIGINT, then end in order: no new decisions, actions, journal, HTTP last."""
        server = self._server()
        running = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            running.add_signal_handler(number, self._stopping.set)
        running.add_signal_handler(signal.SIGHUP, self._reload_soon)
        await server.start()
        try:
            async with self._reloading:  # what the journal tells must be known before anything ticks
                self._use(self._setup)
                await self._loop.begin(self._runner)
                self._ticker.start(self._loop.policy.groups.values())
                self._chores.begin(self._tasks)
            log.info(
                "watching",
                listen=_address(self._setup),
                rules=len(self._loop.policy.rules),
                journal=str(self._setup.state),
            )
            self._systemd.ready()
            await self._stopping.wait()
        finally:
            await self._stop()
            await server.stop()

    async def _stop(self) -> None:
        log.info("stopping")
        self._systemd.stopping()
        self._ticker.stop()
        self._loop.stop()
        left = await self._runner.stop(self._setup.stop_timeout)
        if left:
            log.warning("actions_interrupted", intents=left)
        await self._loop.end()
        await self._courier.stop(LETTERS_AWAITED)
        await self._tasks.cancel()
        await close(self._parts.all)
        await self._journal.close()

    def _server(self) -> Server:
        host, port = self._setup.listen
        view = View(
            snapshot=self._gallery.snapshot,
            ready=lambda: self._gallery.ready,
            metrics=self._metrics.render,
            reload=self.reload,
            records=self._gallery.records,
            guard_records=self._gallery.guard_records,
            alive=self._chores.is_alive,
            telemetry=self._metrics,
            operate=self._operate,
            accepts=self._accepts,
        )
        path, tls = self._setup.token_file, self._setup.tls
        app = create_app(view, tokens=TokenFile(path, self._clock) if path else None)
        certificate = Certificate(cert_file=tls[0], key_file=tls[1]) if tls else None
        return Server(app, host=host, port=port, clock=self._clock, certificate=certificate)

    def _with_goals(self, policy: Policy) -> Policy:
        return replace(policy, goals={name: action.goal for name, action in self._parts.actions.items()})

    def _use(self, setup: Setup) -> None:
        self._runner.use(self._parts.actions)
        self._courier.use(self._parts.channels, setup.channels)

    def _context(self, intent: Intended) -> Mapping[str, Any]:
        return context_of(intent, self._loop.policy, self._loop.state)

    def _incident(self, incident: str) -> Incident | None:
        return self._loop.state.incidents.get(incident)

    def _observe(self, records: Sequence[Record]) -> None:
        self._metrics.observe(records)
        self._courier.wake()

    async def _operate(self, asked: Operation) -> Sequence[Record] | Refused:
        return await self._loop.operate(asked)

    def _accepts(self, labels: Mapping[str, str]) -> Sequence[str]:
        """Return the guards that take an alert with these labels as a signal."""
        if self._takers.policy is not self._loop.policy:
            self._takers = Takers(self._loop.policy)
        return self._takers.of(labels)

    def _journal_trouble(self, since: datetime, why: str) -> None:
        """Tell people past the journal, which cannot hold the letter."""
        self._tell_trouble("journal", redact(why) or "it can be written again", since, over=not why)

    def _tell_trouble(self, what: str, text: str, since: datetime, *, over: bool = False) -> None:
        notice = trouble(self._loop.policy, what, text, since, over=over)
        if notice.channels:
            self._courier.urgent(notice)

    async def _clock_set(self, by: timedelta) -> None:
        try:
            await self._journal.outbox.shift(by)
            self._courier.wake()
        except JournalError as error:
            log.warning("outbox_not_shifted", error=str(error), by_s=by.total_seconds())

    def _reload_soon(self) -> None:
        self._tasks.spawn(self.reload())

    async def reload(self) -> ReloadView:
        """Load the configuration again and put it in force; with any error in it the old one stays."""
        async with self._reloading:
            self._systemd.reloading()
            try:
                loaded = await asyncio.to_thread(load, self._path, self._overrides)
                if loaded.setup is None:
                    return self._refuse(loaded.errors)
                if fixed := self._fixed(loaded.setup):
                    return self._refuse(fixed)
                return await self._put_in_force(loaded.setup)
            finally:
                self._systemd.ready()

    def _fixed(self, setup: Setup) -> list[str]:
        """Name what cannot change while the daemon runs."""
        old, new = self._setup, setup
        pairs = (
            ("server.listen", _address(old), _address(new)),
            ("server.token_file", old.token_file, new.token_file),
            ("server.cert_file and key_file", old.tls, new.tls),
            ("guard.state", old.state, new.state),
            ("log.level", old.log_level, new.log_level),
            ("log.format", old.log_format, new.log_format),
        )
        return [f"{key} cannot change from {was} to {to} without a restart" for key, was, to in pairs if was != to]

    def _refuse(self, problems: Sequence[str]) -> ReloadView:
        now, said = self._clock.now(), tuple(map(redact, problems))
        self._gallery.reload = replace(self._gallery.reload, at=now, successful=False, problems=said)
        log.error("configuration_refused", problems=list(said))
        self._refused_at = self._refused_at or now
        self._tell_trouble("configuration", "\n".join(said[:PROBLEMS_TOLD]), self._refused_at)
        return self._gallery.reload

    async def _put_in_force(self, setup: Setup) -> ReloadView:
        same = {
            name: self._parts.sources[name]
            for name, endpoint in setup.endpoints.items()
            if self._setup.endpoints.get(name) == endpoint
        }
        old, self._parts = self._parts, self._maker.make(setup, same)
        self._setup = setup
        await self._loop.configure(
            self._with_goals(setup.policy), self._parts.sources, catch_up=setup.catch_up, use=lambda: self._use(setup)
        )
        self._ticker.start(self._loop.policy.groups.values())
        self._tasks.spawn(self._retire([each for each in old.all if each not in self._parts.all]))
        now = self._clock.now()
        self._gallery.reload = ReloadView(at=now, successful=True, succeeded_at=now)
        refused_at, self._refused_at = self._refused_at, None
        if refused_at is not None:
            self._tell_trouble("configuration", "the files are in order again", refused_at, over=True)
        return self._gallery.reload

    async def _retire(self, replaced: Sequence[Closeable]) -> None:
        try:
            await self._clock.sleep(RETIRED_AFTER)
            while self._runner.is_busy:
                await self._clock.sleep(RETIRED_AFTER)
        finally:
            await close(replaced)


def _address(setup: Setup) -> str:
    host, port = setup.listen
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
