"""Carry out intents: execute, retry, inspect, and report one outcome for each.

Every error of an action ends here and becomes a value. An outcome that is not known is inspected: reached is success,
not reached may be tried again, and what nobody can tell is handed over, unless people declared the action idempotent.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from rollback_guard.core.records import Concluded, Intended, Outcome
from rollback_guard.ports import Action, Call, Clock, Goal, PermanentError, Telemetry, TransientError, UnknownOutcome

log = structlog.get_logger()

FIRST_DELAY = timedelta(milliseconds=500)
LONGEST_DELAY = timedelta(seconds=30)
READ_BACK_EVERY = timedelta(seconds=1)
"""How often a finished action is asked whether its goal is there yet."""

DETAIL_CHARS = 2000

HELD_LOOKED_AT_EVERY = timedelta(seconds=1)

HELD_TOO_LONG = "not repeated, for it was held back until its time was up"

NOT_NEEDED = "not repeated, for nothing calls for it now"


@dataclass(frozen=True, slots=True)
class Ended:
    """How the attempts of one intent ended."""

    outcome: Outcome
    detail: str
    attempts: int
    held: bool = False


class Runner:
    """Run at most one task per intent, and hand each outcome to `on_end`.

    Args:
        clock: For waits and time limits.
        telemetry: Hears of attempts and inspections.
        context: What an action may know about its intent.
        on_end: Gets how each intent ended.
        is_wanted: Whether a resumed intent whose goal is not reached is still to be run; may take its time.
        is_over: Whether nothing calls for an intent any more; asked before an attempt is repeated.
        is_held: Whether it must not be tried again for now: while that is so, no attempt is repeated.
        jitter: Between 0 and 1, anew for each delay.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        telemetry: Telemetry,
        context: Callable[[Intended], Mapping[str, Any]],
        on_end: Callable[[Concluded], Coroutine[Any, Any, None]],
        is_wanted: Callable[[Intended], Awaitable[bool]],
        is_over: Callable[[Intended], bool],
        is_held: Callable[[Intended], bool],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._telemetry = telemetry
        self._context = context
        self._on_end = on_end
        self._is_wanted = is_wanted
        self._is_over = is_over
        self._is_held = is_held
        self._jitter = jitter
        self._actions: Mapping[str, Action] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def use(self, actions: Mapping[str, Action]) -> None:
        """Have intents from now on carried out by these; those under way keep theirs."""
        self._actions = actions

    def start(self, intent: Intended, *, resumed: bool = False) -> None:
        """Begin to carry out one intent in the background; a resumed one is inspected before anything is done."""
        if intent.key not in self._tasks:
            self._tasks[intent.key] = asyncio.create_task(self._carry_out(intent, resumed=resumed), name=intent.key)

    @property
    def is_busy(self) -> bool:
        """Whether an action is under way."""
        return bool(self._tasks)

    async def stop(self, patience: timedelta) -> tuple[str, ...]:
        """Wait for running actions, end those that take longer, and return the keys of the intents left open."""
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=patience.total_seconds())
        left = dict(self._tasks)
        for task in left.values():
            task.cancel()
        await asyncio.gather(*left.values(), return_exceptions=True)
        return tuple(left)

    async def _carry_out(self, intent: Intended, *, resumed: bool) -> None:
        try:
            ended = await self._ended(intent, resumed=resumed)
            await self._on_end(
                Concluded(
                    key=intent.key,
                    incident=intent.incident,
                    guard=intent.guard,
                    action=intent.action,
                    at=self._clock.now(),
                    outcome=ended.outcome,
                    attempts=ended.attempts,
                    detail=ended.detail[:DETAIL_CHARS],
                    held=ended.held,
                )
            )
        except Exception:
            # The intent stays open: the next start inspects it.
            log.exception("outcome_lost", action=intent.action, intent=intent.key)
        finally:
            self._tasks.pop(intent.key, None)

    async def _ended(self, intent: Intended, *, resumed: bool) -> Ended:
        try:
            return await self._end_of(intent, resumed=resumed)
        except Exception as error:  # a defect in an action must end in people's hands, not in an intent without end
            log.exception("action_crashed", action=intent.action, intent=intent.key)
            return Ended(Outcome.UNKNOWN, f"defect in the action: {type(error).__name__}", 1)

    async def _end_of(self, intent: Intended, *, resumed: bool) -> Ended:
        action = self._actions.get(intent.action)
        if action is None:
            # One that was under way before a restart may have had its effect, and nobody is left to inspect it.
            outcome = Outcome.UNKNOWN if resumed else Outcome.FAILED
            return Ended(outcome, f"the configuration has no action {intent.action!r} any more", 0)
        call = Call(key=intent.key, context=self._context(intent))
        attempts = _Attempts(
            action,
            call,
            name=intent.action,
            clock=self._clock,
            telemetry=self._telemetry,
            jitter=self._jitter,
            is_over=lambda: self._is_over(intent),
            is_held=lambda: self._is_held(intent),
            time_limit=intent.timeout or action.timeout,
        )
        if not resumed:
            return await attempts.run()
        return await attempts.resume(lambda: self._is_wanted(intent), begun_at=intent.at)


class _Attempts:
    """The attempts of one intent, all under one key and within one time limit."""

    def __init__(
        self,
        action: Action,
        call: Call,
        *,
        name: str,
        clock: Clock,
        telemetry: Telemetry,
        jitter: Callable[[], float],
        is_over: Callable[[], bool],
        is_held: Callable[[], bool],
        time_limit: timedelta,
    ) -> None:
        self._action = action
        self._time_limit = time_limit
        self._is_over = is_over
        self._is_held = is_held
        self._before = ""
        self._name = name
        self._call = call
        self._clock = clock
        self._telemetry = telemetry
        self._jitter = jitter
        self._until = clock.elapsed() + time_limit
        self._made = 0
        self._in_doubt = False

    async def resume(self, is_wanted: Callable[[], Awaitable[bool]], *, begun_at: datetime) -> Ended:
        """Take up an intent whose effect may or may not have happened before a crash, or is still on its way."""
        await self._action.sweep(self._call)
        if self._action.lingers:
            await self._clock.sleep(max(timedelta(0), begun_at + self._action.timeout - self._clock.now()))
        return await self._settle("the daemon ended before the outcome was known", is_wanted)

    async def run(self) -> Ended:
        """Execute until it is done, fails for good or time is up."""
        while True:
            self._made += 1
            try:
                said = await self._attempt()
            except TransientError as error:
                delay = error.retry_after or self._backoff()
                if self._left() <= delay:
                    return self._failed(f"{error} (no time left to try again)")
                await self._clock.sleep(delay)
                if stopped := await self._stopped():
                    return self._failed(f"{error}; {stopped}", held=stopped is HELD_TOO_LONG)
                log.info("action_retried", action=self._name, intent=self._call.key, error=str(error))
            except PermanentError as error:
                return self._failed(str(error))
            except UnknownOutcome as error:
                return await self._settle(str(error))
            else:
                return await self._read_back(said)

    async def _attempt(self) -> str:
        began = self._clock.elapsed()
        result = "succeeded"
        try:
            return await self._action.execute(self._call)
        except TransientError:
            result = "transient"
            raise
        except PermanentError:
            result = "failed"
            raise
        except UnknownOutcome:
            result = "unknown"
            raise
        finally:
            took = self._clock.elapsed() - began
            self._telemetry.attempted(self._name, result, took.total_seconds())

    async def _settle(self, why: str, is_wanted: Callable[[], Awaitable[bool]] | None = None) -> Ended:
        """Find out what became of an effect that nobody saw end, and try again where it did not happen."""
        goal, seen = await self._inspect()
        if goal is Goal.REACHED:
            return Ended(Outcome.SUCCEEDED, f"{why}; inspected: {seen}", self._made)
        self._in_doubt = goal is Goal.CANNOT_TELL
        if self._in_doubt and not self._action.idempotent:
            return self._failed(f"{why}; inspected: {seen}")
        if is_wanted is not None:
            if not await is_wanted():
                return self._failed(f"{why}; inspected: {seen}; {NOT_NEEDED}")
            self._until = self._clock.elapsed() + self._time_limit
        delay = self._backoff() if self._made else timedelta(0)
        if self._made and self._left() <= delay:
            return self._failed(f"{why}; inspected: {seen} (no time left to try again)")
        await self._clock.sleep(delay)
        if self._made and (stopped := await self._stopped()):
            return self._failed(f"{why}; inspected: {seen}; {stopped}", held=stopped is HELD_TOO_LONG)
        self._before = f"{why}; inspected: {seen}; executed again"
        return await self.run()

    async def _stopped(self) -> str:
        """Return why no further attempt is made, empty if it may be; while people hold it back, wait."""
        while self._is_held() and not self._is_over():
            if self._left() <= HELD_LOOKED_AT_EVERY:
                return HELD_TOO_LONG
            await self._clock.sleep(HELD_LOOKED_AT_EVERY)
        return NOT_NEEDED if self._is_over() else ""

    def _failed(self, why: str, *, held: bool = False) -> Ended:
        """End without success; after an attempt of which nobody could tell what it did, not with certainty."""
        outcome = Outcome.UNKNOWN if self._in_doubt else Outcome.FAILED
        return Ended(outcome, _joined(self._before, why), self._made, held=held and outcome is Outcome.FAILED)

    async def _read_back(self, said: str) -> Ended:
        """Do not take a target's word for it: wait until the goal is seen, within the time limit."""
        if not self._action.inspectable:
            return Ended(Outcome.SUCCEEDED, _joined(self._before, said), self._made)
        while True:
            goal, seen = await self._inspect()
            if goal is not Goal.NOT_REACHED:
                return Ended(Outcome.SUCCEEDED, _joined(self._before, said, f"inspected: {seen}"), self._made)
            if self._left() <= READ_BACK_EVERY:
                return Ended(Outcome.FAILED, f"{said}; but the goal is not reached: {seen}", self._made)
            await self._clock.sleep(READ_BACK_EVERY)

    async def _inspect(self) -> tuple[Goal, str]:
        goal, seen = await self._action.inspect(self._call)
        self._telemetry.inspected(self._name, goal)
        return goal, seen

    def _left(self) -> timedelta:
        return self._until - self._clock.elapsed()

    def _backoff(self) -> timedelta:
        """Return a delay with jitter, so that guards that failed together do not return together."""
        longest: timedelta = min(LONGEST_DELAY, FIRST_DELAY * (1 << min(self._made, 10)))
        return longest * (0.5 + self._jitter() / 2)


def _joined(*parts: str) -> str:
    """Return what several had to say; a command often says nothing."""
    return "; ".join(part for part in parts if part)
