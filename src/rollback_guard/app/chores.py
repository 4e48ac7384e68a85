"""Do by the clock what no slot does: let pauses end, call the next level, keep the watchdogs fed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Any

import structlog

from rollback_guard.adapters.calendar import open_windows
from rollback_guard.adapters.dead_man import DeadMan
from rollback_guard.adapters.systemd import Systemd
from rollback_guard.core.snapshot import OutboxView
from rollback_guard.engine.courier import Courier
from rollback_guard.engine.loop import Loop
from rollback_guard.ports import Clock, JournalError, Outbox
from rollback_guard.setup import Setup

log = structlog.get_logger()

ATTENDED_EVERY = timedelta(seconds=1)

OUTBOX_LOOKED_INTO_EVERY = timedelta(seconds=5)
"""What waits there is only shown; each look is a query in the journal's thread."""

SILENCE_TOLERATED = timedelta(seconds=60)
"""Where a group was not evaluated for three of its intervals and this, the daemon is not alive."""

FORGOTTEN_EVERY = timedelta(hours=1)


class Tasks:
    """Background tasks of which none ends in silence."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Begin something."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._end_of)
        return task

    async def cancel(self) -> None:
        """End them all."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _end_of(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background_task_failed", exc_info=error)


class Chores:
    """What is done about once a second, for as long as the daemon runs.

    Args:
        setup: The configuration in force.
        tell: Gets what waits in the outbox.
    """

    def __init__(
        self,
        *,
        loop: Loop,
        courier: Courier,
        outbox: Outbox,
        clock: Clock,
        systemd: Systemd,
        setup: Callable[[], Setup],
        tell: Callable[[Sequence[OutboxView]], None],
    ) -> None:
        self._loop = loop
        self._courier = courier
        self._outbox = outbox
        self._clock = clock
        self._systemd = systemd
        self._setup = setup
        self._tell = tell

    def begin(self, tasks: Tasks) -> None:
        """Begin all of them."""
        tasks.spawn(self._attend())
        tasks.spawn(self._look())
        tasks.spawn(self._courier.run())
        tasks.spawn(self._systemd.watch(self.is_alive))
        tasks.spawn(self._call())
        tasks.spawn(self._forget())

    def is_alive(self) -> bool:
        """Say whether every group is still evaluated."""
        return self._loop.overdue() < SILENCE_TOLERATED

    def is_healthy(self) -> bool:
        """Say whether the evaluation loop goes on and what it finds can be written down."""
        return self.is_alive() and self._loop.heartbeat_at is not None and self._loop.journal_failed_since is None

    async def _attend(self) -> None:
        while True:
            try:
                await self._attend_once()
            except Exception:
                log.exception("attending_failed")
            await self._clock.sleep(ATTENDED_EVERY)

    async def _attend_once(self) -> None:
        setup = self._setup()
        windows = open_windows(setup.maintenance, self._clock.now())
        await self._loop.attend(windows)

    async def _look(self) -> None:
        while True:
            try:
                await self._look_once()
            except Exception:
                log.exception("looking_into_outbox_failed")
            await self._clock.sleep(OUTBOX_LOOKED_INTO_EVERY)

    async def _look_once(self) -> None:
        setup = self._setup()
        try:
            waiting = await self._outbox.backlog()
        except JournalError as error:
            log.debug("outbox_unreadable", error=str(error))  # the journal has said so already, loudly
            return
        names = [*setup.channels, *(name for name in waiting if name not in setup.channels)]
        self._tell(
            tuple(
                OutboxView(channel=name, letters=waiting[name].letters, oldest=waiting[name].oldest)
                if name in waiting
                else OutboxView(channel=name, letters=0)
                for name in names
            )
        )

    async def _forget(self) -> None:
        while True:
            await self._clock.sleep(FORGOTTEN_EVERY)
            await self._loop.forget(self._setup().keep)

    async def _call(self) -> None:
        """Call the dead-man's switch of the configuration in force, also of one that is loaded later."""
        while True:
            spec = self._setup().dead_man
            if spec is None:
                await self._clock.sleep(ATTENDED_EVERY)
                continue
            calling = asyncio.create_task(DeadMan(spec, self._clock, self.is_healthy).run())
            try:
                while self._setup().dead_man == spec and not calling.done():
                    await self._clock.sleep(ATTENDED_EVERY)
            finally:
                calling.cancel()
                await asyncio.gather(calling, return_exceptions=True)
