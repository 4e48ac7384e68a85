"""Deliver through one channel: one letter after the other, with retries, a limit per hour, and an end."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import structlog

from rollback_guard.core.notice import Notice
from rollback_guard.engine.digest import (
    SMALLEST,
    WINDOW,
    Held,
    digest,
    fits,
    is_pressing,
    reserve,
    roll_call,
    with_earlier,
)
from rollback_guard.engine.pile import Pile, Place
from rollback_guard.ports import (
    Channel,
    Clock,
    EmptyTextError,
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
        self._reserve_is_spent = False
        self._full_until = clock.elapsed()
        self._pile = Pile(outbox, spec.name)
        self._urgent: deque[tuple[Notice, timedelta]] = deque(maxlen=URGENT_KEPT)

    def use(self, channel: Channel, spec: ChannelSpec) -> None:
        """Deliver through this from the next letter on; what was wrong before may be mended."""
        self._channel, self._spec = channel, spec
        self.rests_until = self._full_until = self._clock.elapsed()

    def put(self, notice: Notice) -> None:
        """Take in what must be told although no journal keeps it."""
        if any(notice.id == known.id for known, _ in self._urgent):
            return
        if len(self._urgent) == URGENT_KEPT:
            log.error("urgent_notice_given_up", channel=self._spec.name, notice=self._urgent[0][0].id, error="too many")
        self._urgent.append((notice, self._clock.elapsed()))

    def rest(self, span: timedelta) -> None:
        """Try nothing for a while."""
        self.rests_until = self._clock.elapsed() + span

    @property
    def is_resting(self) -> bool:
        """Whether it has failed so lately that it is not tried."""
        return self._clock.elapsed() < self.rests_until

    @property
    def is_full(self) -> bool:
        """Whether its hour is full: only what is pressing goes out, if that."""
        return self._clock.elapsed() < self._full_until

    @property
    def has_work(self) -> bool:
        """Whether there is something to deliver beside what is due: what no journal keeps, or what is pressing."""
        return bool(self._urgent) or (self._pile.first() is not None and not self._reserve_is_spent)

    async def look(self) -> None:
        """Find what is pressing behind letters that wait for the hour to be over."""
        await self._pile.look()

    async def deliver(self, letters: Sequence[Letter]) -> None:
        """Deliver what is urgent, then these letters, of which no two are of one thread; stop at the first failure."""
        if self.retry_at is not None and self.retry_at <= self._clock.elapsed():
            self.retry_at = None
        if not await self._deliver_urgent():
            return
        room = self._spec.max_per_hour - await self._outbox.sent_since(self._spec.name, self._clock.now() - WINDOW)
        if room > 0:
            self._full_until = self._clock.elapsed()
            self._pile.forget()
            if self._held_back:
                await self._tell_held_back(room)
                return
        for number, letter in enumerate(letters):
            if room <= 0:
                await self._hold_back(letters[number:], room)
                return
            if not await self._deliver(letter):
                return
            room -= 1
        if not letters and room <= 0:
            await self._press(room)

    async def _hold_back(self, letters: Sequence[Letter], room: int) -> None:
        """Let these wait until the hour is over, and what is pressing go out on the reserve."""
        if not await self._press(room):
            return
        if self._reserve_is_spent or not all(is_pressing(letter.notice) for letter in letters):
            if not self._held_back:
                log.warning("notices_held_back", channel=self._spec.name, max_per_hour=self._spec.max_per_hour)
            self._held_back = True
            self._full_until = self.retry_at = self._clock.elapsed() + LONGEST_REST

    async def _press(self, room: int) -> bool:
        """Deliver what is pressing, as far as the room and the reserve go, and say whether nothing failed."""
        room += reserve(self._spec.max_per_hour)
        self._reserve_is_spent = False
        await self._pile.look()
        while (place := self._pile.first()) is not None:
            if room <= 0:
                self._reserve_is_spent = True
                return True
            if not await self._deliver_from(place):
                return False
            room -= 1
        return True

    async def _deliver_from(self, place: Place) -> bool:
        """Deliver a letter together with what was held back before it in its thread."""
        held: Held | None = None
        async for letter in self._pile.walk(until=place.number, thread=place.thread):
            if letter.number == place.number:
                return await self._deliver(letter, held)
            held = held or Held(first=letter, last=letter.number)
            held.add(letter)
        self._pile.end(place.number)
        return True

    async def _deliver(self, letter: Letter, earlier: Held | None = None) -> bool:
        error = await self._send(with_earlier(letter.notice, earlier) if earlier else letter.notice)
        now = self._clock.now()
        if error is None:
            if earlier:
                await self._settle(earlier, letter.notice, thread=letter.notice.thread)
            await self._mark(lambda: self._outbox.sent(letter, now))
            self._pile.end(letter.number)
            return True
        first = earlier.first if earlier else letter
        delay = self._delay(error, first.attempts)
        if isinstance(error, PermanentError) or now + delay - letter.put_at >= self._spec.give_up_after:
            await self._give_up(letter, error)
            return isinstance(error, PermanentError)
        said = str(error)[:ERROR_CHARS]
        log.warning(
            "notice_not_delivered", channel=self._spec.name, notice=letter.notice.id, error=said, again_in=str(delay)
        )
        try:
            await self._outbox.postpone(first, now + delay, said)
        except JournalError as journal_error:  # then it is tried again as soon as the channel has rested
            log.warning("letter_not_marked", channel=self._spec.name, error=str(journal_error))
        self._pile.tried(letter.number)
        at = self._clock.elapsed() + delay
        self.retry_at = min(at, self.retry_at or at)
        return False

    async def _give_up(self, letter: Letter, error: GuardError) -> None:
        why = str(error)[:ERROR_CHARS]
        if not isinstance(error, EmptyTextError):
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
        self._pile.end(letter.number)

    async def _deliver_urgent(self) -> bool:
        """Deliver what is kept in memory, and say whether nothing of it is left."""
        while self._urgent and not self.is_resting:
            await self._try_urgent(*self._urgent[0])
        return not self._urgent

    async def _try_urgent(self, notice: Notice, put_at: timedelta) -> None:
        """Try one; what fails stays in memory as long as the process lives, or until it is too old."""
        error = await self._send(notice)
        gives_up = isinstance(error, PermanentError) or self._clock.elapsed() - put_at >= self._spec.give_up_after
        if error is None or gives_up:
            self._urgent.remove((notice, put_at))
        if error is not None and not isinstance(error, EmptyTextError):
            event = "urgent_notice_given_up" if gives_up else "urgent_notice_not_delivered"
            log.error(event, channel=self._spec.name, notice=notice.id, error=str(error)[:ERROR_CHARS])
            if gives_up:
                self._telemetry.notified(self._spec.name, "given_up")

    async def _send(self, notice: Notice) -> GuardError | None:
        """Try once; after a failure the channel rests, the longer the more often it failed."""
        try:
            await self._channel.send(notice)
        except EmptyTextError as nothing:
            log.info("notice_empty", channel=self._spec.name, notice=notice.id)
            self._telemetry.notified(self._spec.name, "empty")
            return nothing
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

    async def _tell_held_back(self, room: int) -> None:
        """Tell what waited: what is pressing by itself, or by name where it is too much; all the rest as one notice."""
        await self._pile.look()
        if self._pile.calls > room:
            await self._call_the_roll(room)
            return
        while (place := self._pile.first()) is not None:
            if room <= 0:
                await self._press(room)
                return
            if not await self._deliver_from(place):
                return
            room -= 1
        if room > 0:
            await self._tell_the_rest()

    async def _call_the_roll(self, room: int) -> None:
        """Tell of as many letters that call for people as one notice can name, and of no other.

        Where the channel's templates leave nothing of such a notice, they come one by one, as far as there is room.
        """
        named: list[Letter] = []
        async for letter in self._pile.walk():
            if is_pressing(letter.notice) and not letter.notice.resolves:
                if not fits([*named, letter]):
                    break
                named.append(letter)
        notice = roll_call(named, now=self._clock.now())
        error = await self._send(notice)
        if isinstance(error, EmptyTextError):
            await self._press(room)
        elif isinstance(error, PermanentError):
            await self._give_up(named[0], error)
        elif error is None:
            await self._mark(lambda: self._outbox.sent(named[0], self._clock.now()))
            for letter in named[1:]:
                await self._hold(letter, notice)

    async def _tell_the_rest(self) -> None:
        """Tell what is not pressing as one notice; one of the letters counts as sent."""
        held: Held | None = None
        async for letter in self._pile.walk():
            if not is_pressing(letter.notice):
                held = held or Held(first=letter, last=letter.number)
                held.add(letter)
        if held is None or held.count < SMALLEST:
            self._held_back = False
            return
        first, notice = held.first, digest(held, now=self._clock.now())
        error = await self._send(notice)
        if isinstance(error, EmptyTextError):
            self._held_back = False  # what has a text of its own comes by itself
        elif isinstance(error, PermanentError):
            await self._give_up(first, error)
        elif error is None:
            self._held_back = False
            await self._mark(lambda: self._outbox.sent(first, self._clock.now()))
            await self._settle(held, notice)

    async def _settle(self, held: Held, told: Notice, *, thread: str | None = None) -> None:
        """Take what a notice told out of the outbox; what is pressing stays, for it is told by itself."""
        async for letter in self._pile.walk(until=held.last, thread=thread):
            if not is_pressing(letter.notice):
                await self._hold(letter, told)

    async def _hold(self, letter: Letter, told: Notice) -> None:
        why = f"held back, and told in {told.id}"
        await self._mark(lambda: self._outbox.give_up(letter, self._clock.now(), why))
        self._telemetry.notified(self._spec.name, "held_back")

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
