"""Deliver through one channel: one letter after the other, with retries, a limit per hour, and an end."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial

import structlog

from rollback_guard.core.notice import Notice
from rollback_guard.engine.digest import SMALLEST, WINDOW, digest, is_pressing, reserve
from rollback_guard.ports import (
    Channel,
    Clock,
    GuardError,
    JournalError,
    Letter,
    Outbox,
    PermanentError,
    Telemetry,
    TransientError,
    UnknownOutcome,
)
from rollback_guard.specs import ChannelSpec

log = structlog.get_logger()

FIRST_DELAY = timedelta(seconds=5)
LONGEST_DELAY = timedelta(hours=1)
SHORTEST_DELAY = timedelta(seconds=1)
"""Full jitter may come out near nothing, and that would be no wait at all."""

LONGEST_REST = timedelta(minutes=1)
"""A channel that fails is tried this often at least, however many letters wait: the next one may be for a fire."""

MARK_EVERY = timedelta(seconds=5)
"""While the journal refuses to hear that a letter was sent, nothing else is sent: it would all be sent twice."""

PAGE = 256
"""Letters that are read at once."""

URGENT_KEPT = 20
ERROR_CHARS = 500


class Desk:
    """All that is delivered through one channel. It never works at two letters at once.

    Attributes:
        rests_until: On the steady clock; after a failure nothing is tried before.
        retry_at: On the steady clock, when the next letter that failed is due again; ``None`` if none is known.
    """

    def __init__(
        self,
        channel: Channel,
        spec: ChannelSpec,
        *,
        outbox: Outbox,
        clock: Clock,
        telemetry: Telemetry,
        jitter: Callable[[], float],
    ) -> None:
        self.rests_until = clock.elapsed()
        self.retry_at: timedelta | None = None
        self._channel = channel
        self._spec = spec
        self._outbox = outbox
        self._clock = clock
        self._telemetry = telemetry
        self._jitter = jitter
        self._failures = 0
        self._held_back = False
        self._held_pressing = False
        self._full_until = clock.elapsed()
        self._urgent: deque[Notice] = deque(maxlen=URGENT_KEPT)

    def use(self, channel: Channel, spec: ChannelSpec) -> None:
        """Deliver through this from the next letter on; what was wrong before may be mended."""
        self._channel, self._spec = channel, spec
        self.rests_until = self._full_until = self._clock.elapsed()

    def put(self, notice: Notice) -> None:
        """Take in what must be told although no journal keeps it."""
        if any(notice.id == known.id for known in self._urgent):
            return
        if len(self._urgent) == URGENT_KEPT:
            log.error("urgent_notice_given_up", channel=self._spec.name, notice=self._urgent[0].id, error="too many")
        self._urgent.append(notice)

    @property
    def is_resting(self) -> bool:
        """Whether it has failed so lately that it is not tried."""
        return self._clock.elapsed() < self.rests_until

    def takes(self, letters: Sequence[Letter]) -> bool:
        """Say whether it can deliver any of these: where its hour is full only what is pressing, if that."""
        is_full = self._clock.elapsed() < self._full_until
        return any(not is_full or (is_pressing(each.notice) and not self._held_pressing) for each in letters)

    @property
    def has_urgent(self) -> bool:
        """Whether it holds what no journal keeps."""
        return bool(self._urgent)

    async def deliver(self, letters: Sequence[Letter]) -> None:
        """Deliver what is urgent, then these letters, of which no two are of one thread; stop at the first failure."""
        if self.retry_at is not None and self.retry_at <= self._clock.elapsed():
            self.retry_at = None
        if not await self._deliver_urgent() or not letters:
            return
        room = self._spec.max_per_hour - await self._outbox.sent_since(self._spec.name, self._clock.now() - WINDOW)
        for letter in letters:
            if room > 0 and self._is_held_back(letter):
                await self._tell_held_back(letters)
                return
            if room <= 0 and not (is_pressing(letter.notice) and room > -reserve(self._spec.max_per_hour)):
                self._hold_back(letter)
                return
            if not await self._deliver(letter):
                return
            room -= 1

    async def _deliver(self, letter: Letter) -> bool:
        error = await self._send(letter.notice)
        now = self._clock.now()
        if error is None:
            await self._mark(lambda: self._outbox.sent(letter, now))
            return True
        delay = self._delay(error, letter.attempts)
        if isinstance(error, PermanentError) or now + delay - letter.notice.at >= self._spec.give_up_after:
            await self._give_up(letter, error)
            return isinstance(error, PermanentError)
        said = str(error)[:ERROR_CHARS]
        log.warning(
            "notice_not_delivered", channel=self._spec.name, notice=letter.notice.id, error=said, again_in=str(delay)
        )
        try:
            await self._outbox.postpone(letter, now + delay, said)
        except JournalError as journal_error:  # then it is tried again as soon as the channel has rested
            log.warning("letter_not_marked", channel=self._spec.name, error=str(journal_error))
        at = self._clock.elapsed() + delay
        self.retry_at = min(at, self.retry_at or at)
        return False

    async def _give_up(self, letter: Letter, error: GuardError) -> None:
        why = str(error)[:ERROR_CHARS]
        log.error(
            "notice_given_up",
            channel=self._spec.name,
            notice=letter.notice.id,
            title=letter.notice.title,
            attempts=letter.attempts + 1,
            error=why,
        )
        self._telemetry.notified(self._spec.name, "given_up")
        await self._mark(lambda: self._outbox.give_up(letter, self._clock.now(), why))

    async def _deliver_urgent(self) -> bool:
        """Deliver what is kept in memory, and say whether nothing of it is left."""
        while self._urgent and not self.is_resting:
            await self._try_urgent(self._urgent[0])
        return not self._urgent

    async def _try_urgent(self, notice: Notice) -> None:
        """Try one; what fails stays in memory as long as the process lives, or until it is too old."""
        error = await self._send(notice)
        gives_up = isinstance(error, PermanentError) or self._clock.now() - notice.at >= self._spec.give_up_after
        if error is None or gives_up:
            self._urgent.remove(notice)
        if error is not None:
            event = "urgent_notice_given_up" if gives_up else "urgent_notice_not_delivered"
            log.error(event, channel=self._spec.name, notice=notice.id, error=str(error)[:ERROR_CHARS])
            if gives_up:
                self._telemetry.notified(self._spec.name, "given_up")

    async def _send(self, notice: Notice) -> GuardError | None:
        """Try once; after a failure the channel rests, the longer the more often it failed."""
        try:
            await self._channel.send(notice)
        except (TransientError, UnknownOutcome, PermanentError) as failure:
            error: GuardError = failure
        except Exception as defect:
            log.exception("channel_crashed", channel=self._spec.name, notice=notice.id)
            error = UnknownOutcome(f"defect in the channel: {type(defect).__name__}")
        else:
            self._failures = 0
            self._telemetry.notified(self._spec.name, "delivered")
            return None
        if not isinstance(error, PermanentError):
            self._telemetry.notified(self._spec.name, "transient" if isinstance(error, TransientError) else "unknown")
            rest: timedelta = min(LONGEST_REST, FIRST_DELAY * (1 << min(self._failures, 10)))
            self._failures += 1
            self.rests_until = self._clock.elapsed() + rest
        return error

    def _delay(self, error: GuardError, attempts: int) -> timedelta:
        longest: timedelta = min(LONGEST_DELAY, FIRST_DELAY * (1 << min(attempts, 20)))
        asked = error.retry_after if isinstance(error, TransientError) else None
        return max(longest * self._jitter(), SHORTEST_DELAY, min(asked or SHORTEST_DELAY, LONGEST_DELAY))

    def _hold_back(self, letter: Letter) -> None:
        if not self._held_back:
            log.warning("notices_held_back", channel=self._spec.name, max_per_hour=self._spec.max_per_hour)
        self._held_back = True
        self._held_pressing = self._held_pressing or is_pressing(letter.notice)
        self._full_until = self.retry_at = self._clock.elapsed() + LONGEST_REST

    def _is_held_back(self, letter: Letter) -> bool:
        """Say whether a letter is told together with others; what resolves something goes out by itself."""
        held = self._held_pressing if is_pressing(letter.notice) else self._held_back
        return held and not letter.notice.resolves

    async def _tell_held_back(self, letters: Sequence[Letter]) -> None:
        """Tell all that waits as one notice."""
        now = self._clock.now()
        backlog = (await self._outbox.backlog()).get(self._spec.name)
        held = [letter for letter in letters if self._is_held_back(letter)]
        kept = frozenset(letter.number for letter in letters) - {letter.number for letter in held}
        count = max(len(held), (backlog.letters if backlog else 0) - len(kept))
        if count < SMALLEST:
            self._held_back = self._held_pressing = False
            return
        notice = digest(held, count, now=now)
        error = await self._send(notice)
        if isinstance(error, PermanentError):
            await self._give_up(held[0], error)
        elif error is None:
            self._held_back = self._held_pressing = False
            await self._settle(held[0], kept, count - 1, notice)

    async def _settle(self, first: Letter, kept: frozenset[int], left: int, told: Notice) -> None:
        """Take what a digest told out of the outbox, each thread to its end; one of the letters counts as sent."""
        why = f"held back, and told in {told.id}"
        await self._mark(lambda: self._outbox.sent(first, self._clock.now()))
        while left > 0:
            due = await self._outbox.due(self._clock.now(), most=PAGE)
            mine = [each for each in due if each.channel == self._spec.name and each.number not in kept]
            mine = [each for each in mine if each.notice.at <= told.at][:left]
            if not mine:
                return
            for letter in mine:
                await self._mark(partial(self._outbox.give_up, letter, self._clock.now(), why))
                self._telemetry.notified(self._spec.name, "held_back")
            left -= len(mine)

    async def _mark(self, write: Callable[[], Awaitable[None]]) -> None:
        """Have the outbox hear how a letter ended, however long that takes; else it would be sent again and again."""
        while True:
            try:
                await write()
            except JournalError as error:
                log.warning("letter_not_marked", channel=self._spec.name, error=str(error))
            else:
                return
            await self._clock.sleep(MARK_EVERY)
            # That the journal fails is what people have to hear now.
            await self._deliver_urgent()
