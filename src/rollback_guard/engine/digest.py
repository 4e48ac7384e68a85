"""Bound what one channel is told in an hour, and tell what was held back as one notice."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from rollback_guard.core.notice import Notice, NoticeKind, Urgency
from rollback_guard.ports import Letter

WINDOW = timedelta(hours=1)

SHOWN = 10
"""Titles in one digest; the newest say most."""

EARLIER_SHOWN = 3
"""Titles in a notice that others of its thread were held back before; it must still fit into a message."""

NAMED_CHARS = 3000
"""Of the titles in one notice; Telegram takes 4096 characters in all."""

SMALLEST = 2
"""Fewer letters than this are sent as they are."""

PRESSING = frozenset(
    {
        NoticeKind.OPENED,
        NoticeKind.WAITING,
        NoticeKind.TELLING,
        NoticeKind.HANDED_OVER,
        NoticeKind.ESCALATED,
        NoticeKind.BLIND,
        NoticeKind.TROUBLE,
    }
)
"""What wakes people or waits for them, where it is critical."""

_LOUDNESS = tuple(Urgency)


def reserve(most: int) -> int:
    """Return how many pressing letters go out beyond the limit."""
    return max(3, most // 4)


def is_pressing(notice: Notice) -> bool:
    """Say whether a notice may use the reserve: it needs people now, or ends what they were called for.

    The end of an order ends nothing of that kind: nobody was called for the order.
    """
    if notice.kind is NoticeKind.ORDERED:
        return False
    return notice.resolves or (notice.urgency is Urgency.CRITICAL and notice.kind in PRESSING)


@dataclass(slots=True, kw_only=True)
class Held:
    """What was held back and is told together: the first and the last letter, how many, the loudest, and the newest."""

    first: Letter
    last: int
    count: int = 0
    loudest: Urgency = Urgency.INFO
    shown: deque[Notice] = field(default_factory=lambda: deque(maxlen=SHOWN))

    def add(self, letter: Letter) -> None:
        """Take one more into it."""
        self.last = letter.number
        self.count += 1
        self.loudest = max(self.loudest, letter.notice.urgency, key=_LOUDNESS.index)
        self.shown.append(letter.notice)


def digest(held: Held, *, now: datetime) -> Notice:
    """Return one notice for many, of which it names the newest."""
    lines = ("The last ones:", *map(line, held.shown))
    return _digest(held.first, held.count, lines, held.loudest, now)


def roll_call(letters: Sequence[Letter], *, now: datetime) -> Notice:
    """Return one notice for many that call for people; it names every one of them."""
    lines = ("All of them:", *(line(letter.notice) for letter in letters))
    return _digest(letters[0], len(letters), lines, Urgency.CRITICAL, now)


def fits(letters: Sequence[Letter]) -> bool:
    """Say whether so many letters can be named in one notice."""
    return sum(len(line(letter.notice)) + 1 for letter in letters) <= NAMED_CHARS


def line(notice: Notice) -> str:
    """Return a notice as one line of another."""
    return f"{notice.at:%H:%M:%S} UTC  {notice.title}"


def with_earlier(notice: Notice, earlier: Held) -> Notice:
    """Return a notice that also tells what of its thread was held back before it."""
    shown = [*earlier.shown][-EARLIER_SHOWN:]
    more = f", the last {len(shown)} of {earlier.count}" if len(shown) < earlier.count else ""
    return replace(notice, body="\n".join((notice.body, f"Held back before this{more}:", *map(line, shown))))


def _digest(first: Letter, count: int, lines: Sequence[str], urgency: Urgency, now: datetime) -> Notice:
    return Notice(
        id=f"held_back/{first.channel}/{first.number}",
        thread=f"held_back/{first.channel}",
        at=now,
        kind=NoticeKind.TROUBLE,
        urgency=urgency,
        channels=(first.channel,),
        title=f"{count} more notices were held back: this channel has had as many as it may in an hour",
        body="\n".join((*lines, "All that happened: rollback-guard status; rollback-guard explain")),
        data=(("held_back", str(count)),),
    )
