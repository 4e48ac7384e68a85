"""See what one channel has not got yet, and find in it what may go out before its turn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from rollback_guard.engine.digest import is_pressing
from rollback_guard.ports import Letter, Outbox

PAGE = 256
"""Letters that are read at once; it bounds the memory of a backlog."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a pressing letter is: in which thread, and how often it was tried from there."""

    number: int
    thread: str
    resolves: bool
    tries: int = 0


class Pile:
    """The letters of one channel, and among them the pressing ones, which `look` finds."""

    def __init__(self, outbox: Outbox, channel: str) -> None:
        self._outbox = outbox
        self._channel = channel
        self._seen = 0
        self._pressing: dict[int, Place] = {}

    async def walk(
        self, *, after: int = 0, until: int | None = None, thread: str | None = None
    ) -> AsyncIterator[Letter]:
        """Yield what is left, oldest first, of all threads or of one, up to a number."""
        while letters := await self._outbox.left(self._channel, after=after, most=PAGE, thread=thread):
            for letter in letters:
                after = letter.number
                if until is not None and after > until:
                    return
                yield letter

    async def look(self) -> None:
        """Find the pressing letters among those that came since it looked last."""
        async for letter in self.walk(after=self._seen):
            self._seen = letter.number
            if is_pressing(letter.notice):
                self._pressing[letter.number] = Place(
                    number=letter.number, thread=letter.notice.thread, resolves=letter.notice.resolves
                )

    def forget(self) -> None:
        """Look at everything anew the next time."""
        self._seen = 0
        self._pressing.clear()

    def end(self, number: int) -> None:
        """Take note that a letter is left no more."""
        self._pressing.pop(number, None)

    def tried(self, number: int) -> None:
        """Take note that a letter failed: the others come first, for perhaps it is the letter and not the channel."""
        if number in self._pressing:
            place = self._pressing[number]
            self._pressing[number] = replace(place, tries=place.tries + 1)

    @property
    def calls(self) -> int:
        """How many letters call for people; what ends something is not among them."""
        return sum(not place.resolves for place in self._pressing.values())

    def first(self) -> Place | None:
        """Return the next pressing letter: of each thread only its first may be, for their order holds."""
        of_thread: dict[str, Place] = {}
        for place in self._pressing.values():
            of_thread.setdefault(place.thread, place)
        return min(of_thread.values(), key=lambda place: (place.tries, place.number), default=None)
