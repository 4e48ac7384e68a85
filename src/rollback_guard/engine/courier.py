"""Bring letters from the outbox to their channels: at least once each, in order per thread, for hours if need be.

Every channel has a desk of its own, which works in tasks of its own: one that hangs delays no other, and no action.
What is delivered is marked in the outbox; a process that dies between the two delivers it again, under the same id.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

import structlog

from rollback_guard.core.notice import Notice
from rollback_guard.engine.desk import Desk
from rollback_guard.engine.digest import is_pressing
from rollback_guard.engine.pile import PAGE
from rollback_guard.ports import Channel, Clock, JournalError, Letter, Outbox, Telemetry
from rollback_guard.specs import ChannelSpec

log = structlog.get_logger()

BATCH = 8
"""Letters that a desk gets at once: what comes meanwhile and is more pressing waits for no more than these."""

LOOK_EVERY = timedelta(seconds=30)
"""What an earlier process postponed is due at times that only the outbox knows."""

BREATH = timedelta(milliseconds=250)
"""Between two looks into the outbox; evaluations wake it many times a second."""

OUTBOX_RESTS_FOR = timedelta(seconds=5)
"""After it could not be read or written."""

DEFECT_RESTS_FOR = timedelta(seconds=5)
"""After what nobody foresaw: it must neither end the notices for good nor fill the log."""


class Courier:
    """Deliver what is in the outbox, until it is stopped.

    Args:
        outbox: Where letters wait.
        channels: The ways to reach people, by name; they are closed by whoever made them.
        specs: How each of them is to be used.
        clock: For backoff and limits.
        telemetry: Hears of every attempt.
        jitter: Between 0 and 1, anew for each delay.
    """

    def __init__(
        self,
        outbox: Outbox,
        channels: Mapping[str, Channel] | None = None,
        specs: Mapping[str, ChannelSpec] | None = None,
        *,
        clock: Clock,
        telemetry: Telemetry,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._outbox = outbox
        self._clock = clock
        self._telemetry = telemetry
        self._jitter = jitter
        self._desks: dict[str, Desk] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._woken = asyncio.Event()
        self._is_stopping = False
        self._looked_at = clock.elapsed()
        self._outbox_rests_until = clock.elapsed()
        self.use(channels or {}, specs or {})

    def use(self, channels: Mapping[str, Channel], specs: Mapping[str, ChannelSpec]) -> None:
        """Deliver through these from now on; a letter that is under way keeps its channel."""
        for name, channel in channels.items():
            if name in self._desks:
                self._desks[name].use(channel, specs[name])
            else:
                self._desks[name] = self._desk(channel, specs[name])
        self._desks = {name: self._desks[name] for name in channels}
        self.wake()

    def wake(self) -> None:
        """Look into the outbox soon."""
        self._woken.set()

    def urgent(self, notice: Notice) -> None:
        """Deliver what no journal keeps, as well as can be while the process lives."""
        for channel in notice.channels:
            if channel in self._desks:
                self._desks[channel].put(notice)
            else:
                log.error("notice_given_up", channel=channel, notice=notice.id, error="there is no such channel")
        self.wake()

    async def run(self) -> None:
        """Deliver until `stop` is called."""
        while not self._is_stopping:
            self._woken.clear()
            try:
                self._dispatch(await self._look())
                await self._clock.sleep(BREATH)
                await self._pause()
            except Exception:
                log.exception("courier_failed")
                await self._clock.sleep(DEFECT_RESTS_FOR)

    async def stop(self, patience: timedelta) -> None:
        """Begin nothing more, wait for what is under way, and leave the rest for the next start."""
        self._is_stopping = True
        self.wake()
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=patience.total_seconds())
        left = list(self._tasks.values())
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _desk(self, channel: Channel, spec: ChannelSpec) -> Desk:
        return Desk(
            channel,
            spec,
            outbox=self._outbox,
            clock=self._clock,
            telemetry=self._telemetry,
            jitter=self._jitter,
        )

    async def _look(self) -> Sequence[Letter]:
        self._looked_at = self._clock.elapsed()
        if self._looked_at < self._outbox_rests_until:
            return ()
        try:
            desks = tuple(self._desks.items())
            for name, desk in desks:
                if desk.is_full and self._is_free(name, desk):
                    await desk.look()
            # Of a channel that takes nothing now the letters would fill the page, and hide those of another.
            without = [name for name, desk in desks if desk.is_full or not self._is_free(name, desk)]
            letters = await self._outbox.due(self._clock.now(), most=PAGE, without=without)
            for letter in letters:
                if letter.channel not in self._desks:
                    await self._give_up(letter)
        except JournalError as error:
            self._outbox_failed(error)
            return ()
        except Exception:
            # What no journal keeps is delivered all the same.
            log.exception("courier_failed")
            self._outbox_rests_until = self._clock.elapsed() + DEFECT_RESTS_FOR
            return ()
        return letters

    def _outbox_failed(self, error: JournalError) -> None:
        log.warning("outbox_failed", error=str(error))
        self._outbox_rests_until = self._clock.elapsed() + OUTBOX_RESTS_FOR

    async def _give_up(self, letter: Letter) -> None:
        why = "the configuration has no such channel any more"
        log.error("notice_given_up", channel=letter.channel, notice=letter.notice.id, error=why)
        self._telemetry.notified(letter.channel, "given_up")
        await self._outbox.give_up(letter, self._clock.now(), why)
        self.wake()

    def _is_free(self, name: str, desk: Desk) -> bool:
        return name not in self._tasks and not desk.is_resting

    def _dispatch(self, letters: Sequence[Letter]) -> None:
        if self._is_stopping:
            return
        for name, desk in self._desks.items():
            mine = [letter for letter in letters if letter.channel == name]
            if self._is_free(name, desk) and (mine or desk.has_work):
                # A letter that failed before waits for the others: perhaps it is the letter and not the channel.
                mine.sort(key=lambda letter: (not is_pressing(letter.notice), letter.attempts, letter.number))
                task = asyncio.create_task(self._deliver(name, desk, mine[:BATCH]), name=f"notify {name}")
                self._tasks[name] = task

    async def _deliver(self, name: str, desk: Desk, letters: Sequence[Letter]) -> None:
        try:
            await desk.deliver(letters)
        except JournalError as error:
            self._outbox_failed(error)
        except Exception:
            log.exception("courier_failed", channel=name)
            desk.rest(DEFECT_RESTS_FOR)
        finally:
            self._tasks.pop(name, None)
            self.wake()

    async def _pause(self) -> None:
        """Wait until somebody wakes it or something is due."""
        times = [self._outbox_rests_until, *(desk.rests_until for desk in self._desks.values())]
        times += [desk.retry_at for desk in self._desks.values() if desk.retry_at is not None]
        # What was due when it last looked has been seen to, or cannot be helped.
        ahead = [at for at in times if at > self._looked_at]
        span = min([LOOK_EVERY, *(at - self._clock.elapsed() for at in ahead)])
        waits = [asyncio.ensure_future(self._woken.wait()), asyncio.ensure_future(self._clock.sleep(span))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
