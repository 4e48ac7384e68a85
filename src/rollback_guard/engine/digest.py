"""Bound what one channel is told in an hour, and tell what was held back as one notice."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from rollback_guard.core.notice import Notice, NoticeKind, Urgency
from rollback_guard.ports import Letter

WINDOW = timedelta(hours=1)

SHOWN = 10
"""Titles in one digest; the newest say most."""

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
    """Say whether a notice may use the reserve: it needs people now, or ends what they were called for."""
    return notice.resolves or (notice.urgency is Urgency.CRITICAL and notice.kind in PRESSING)


def digest(letters: Sequence[Letter], count: int, *, now: datetime) -> Notice:
    """Return one notice for many.

    Args:
        letters: Some of those that were held back, oldest first; at least one.
        count: How many were held back in all.
        now: When it is sent.
    """
    channel, first = letters[0].channel, letters[0]
    shown = [letter.notice for letter in letters[-SHOWN:]]
    loudest = max((letter.notice.urgency for letter in letters), key=_LOUDNESS.index)
    return Notice(
        id=f"held_back/{channel}/{first.number}",
        thread=f"held_back/{channel}",
        at=now,
        kind=NoticeKind.TROUBLE,
        urgency=loudest,
        channels=(channel,),
        title=f"{count} more notices were held back: this channel has had as many as it may in an hour",
        body="\n".join(
            (
                "The last ones:",
                *(f"{notice.at:%H:%M:%S} UTC  {notice.title}" for notice in shown),
                "All that happened: rollback-guard status; rollback-guard explain",
            )
        ),
        data=(("held_back", str(count)),),
    )
