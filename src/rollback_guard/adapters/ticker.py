"""Tick at slots, on APScheduler, and notice when somebody sets the clock.

APScheduler sleeps towards a wall-clock time: after the clock is set back by an hour it would be silent for that hour.
A watcher compares the wall clock with the steady one, tells the engine by how much it was set, and plans every group
anew, each on its own phase, so that none of them catches up in a burst.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.events import EVENT_JOB_MAX_INSTANCES, JobSubmissionEvent
from apscheduler.executors.asyncio import AsyncIOExecutor
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from rollback_guard.core.model import Group
from rollback_guard.core.slots import EPOCH, next_slot
from rollback_guard.ports import Clock

log = structlog.get_logger(__name__)

WATCH_EVERY = timedelta(seconds=1)
"""How often the two clocks are compared; a tick compares them too, before it does anything."""

STEP = timedelta(seconds=2)
"""A larger difference between two looks is a clock that was set; slewing is a thousand times slower."""

ONE_LOOK = timedelta(milliseconds=100)
"""Both clocks must be read within this time: a process that is stopped between the two would see a step."""


@dataclass(frozen=True, slots=True)
class Rhythm(BaseTrigger):  # type: ignore[misc]  # APScheduler ships no types
    """Fire at every slot. However late it is asked, it names one slot and never a backlog."""

    interval: timedelta
    offset: timedelta

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """Return the first slot that is later than both."""
        latest = now if previous_fire_time is None else max(previous_fire_time, now)
        return next_slot(latest.astimezone(UTC), self.interval, self.offset)


class PatientExecutor(AsyncIOExecutor):  # type: ignore[misc]  # APScheduler ships no types
    """Let a tick that is under way end in peace; APScheduler's own executor cancels it, in the middle of an action."""

    def shutdown(self, wait: bool = True) -> None:
        """Forget what is under way."""
        self._pending_futures.clear()


class SlotTicker:
    """Call back for a group at once after its start, then at each of its slots, never twice at the same time.

    A slot that comes while the group's tick is still under way makes one more tick as soon as that has ended.

    Args:
        on_tick: Gets the group's id. What it raises is logged, and the group ticks on.
        clock: The wall clock must be the one that APScheduler reads.
        on_clock_step: Gets how much the wall clock was set forward (negative: back), before any further tick.
    """

    def __init__(
        self,
        on_tick: Callable[[str], Awaitable[None]],
        clock: Clock,
        on_clock_step: Callable[[timedelta], Awaitable[None]],
    ) -> None:
        self._on_tick = on_tick
        self._on_clock_step = on_clock_step
        self._clock = clock
        self._scheduler: AsyncIOScheduler | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._rhythms: dict[str, Rhythm] = {}
        self._overdue: set[str] = set()
        self._comparing = asyncio.Lock()
        self._difference = timedelta(0)

    def start(self, groups: Iterable[Group]) -> None:
        """Tick for these groups from now on, in place of those of before.

        A group whose interval and offset are the same as before goes on as if nothing had happened.
        """
        if self._scheduler is None:
            self._scheduler = self._begin()
        wanted = {group.id: Rhythm(group.interval, group.offset) for group in groups}
        for group in self._rhythms.keys() - wanted.keys():
            self._scheduler.remove_job(group)
            self._overdue.discard(group)
        for group, rhythm in wanted.items():
            if self._rhythms.get(group) != rhythm:
                self._scheduler.add_job(
                    self._tick, rhythm, (group,), id=group, next_run_time=self._clock.now(), replace_existing=True
                )
        self._rhythms = wanted

    def stop(self) -> None:
        """Tick no more. A tick that is under way ends by itself."""
        if self._scheduler is None:
            return
        self._scheduler.shutdown(wait=False)
        self._scheduler = None
        self._rhythms = {}
        self._overdue.clear()
        if self._watcher is not None and not self._comparing.locked():
            self._watcher.cancel()

    def _begin(self) -> AsyncIOScheduler:
        # One line for every job that is run, skipped or moved is APScheduler's idea of INFO and WARNING.
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        scheduler = AsyncIOScheduler(
            executors={"default": PatientExecutor()},
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
            timezone=UTC,
        )
        scheduler.add_listener(self._note_overdue, EVENT_JOB_MAX_INSTANCES)
        scheduler.start()
        self._difference = self._look()
        self._watcher = asyncio.get_running_loop().create_task(self._watch(scheduler))
        return scheduler

    def _note_overdue(self, event: JobSubmissionEvent) -> None:
        self._overdue.add(event.job_id)

    async def _tick(self, group: str) -> None:
        while True:
            await self._compare_clocks()
            if group not in self._rhythms:
                return
            self._overdue.discard(group)
            try:
                await self._on_tick(group)
            except Exception:
                log.exception("tick_failed", group=group)
            if group not in self._overdue:
                return

    async def _watch(self, scheduler: AsyncIOScheduler) -> None:
        while self._scheduler is scheduler:
            await self._clock.sleep(WATCH_EVERY)
            await self._compare_clocks()

    async def _compare_clocks(self) -> None:
        """Tell the engine about a step; whoever comes meanwhile waits until it knows."""
        async with self._comparing:
            difference = self._look()
            step, self._difference = difference - self._difference, difference
            if abs(step) <= STEP:
                return
            log.warning("clock_stepped", by_s=step.total_seconds())
            try:
                await self._on_clock_step(step)
            except Exception:
                log.exception("clock_step_failed", by_s=step.total_seconds())
            self._plan_anew()

    def _look(self) -> timedelta:
        """Return the wall clock minus the steady one; only a step of the wall clock changes it."""
        while True:
            before = self._clock.elapsed()
            wall = self._clock.now()
            after = self._clock.elapsed()
            if after - before < ONE_LOOK:
                return wall - EPOCH - after

    def _plan_anew(self) -> None:
        if self._scheduler is None:
            return
        now = self._clock.now()
        for group, rhythm in self._rhythms.items():
            self._scheduler.modify_job(group, next_run_time=next_slot(now, rhythm.interval, rhythm.offset))
