"""Name what people are told: one notice, which is delivered to every channel that it names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class NoticeKind(StrEnum):
    """What a notice is about."""

    OPENED = "opened"  # an incident began
    HOLDING = "holding"  # a brake holds, or the guard is blind
    WAITING = "waiting"  # a step waits for a veto or an approval
    ACTING = "acting"  # a step is begun
    ACTED = "acted"  # how it ended
    TELLING = "telling"  # a step that only notifies
    RECOVERED = "recovered"
    HANDED_OVER = "handed_over"
    ESCALATED = "escalated"
    WARNING = "warning"  # a rule that is not critical fires
    BLIND = "blind"
    SEES_AGAIN = "sees_again"
    ORDERED = "ordered"  # a person paused, vetoed, triggered, undid …
    TROUBLE = "trouble"  # the guard itself: its journal fails, its configuration was refused


class Urgency(StrEnum):
    """How loud a channel should be."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One message to people.

    Attributes:
        id: The same for the same happening, also after a restart; what is known is not sent twice.
        thread: Notices of one thread arrive in their order: the incident's id, or the guard's name.
        title: One line: what, where, why.
        body: Plain text, some lines, free of secrets.
        resolves: Whether it ends what an earlier notice of its thread began (PagerDuty resolves on it).
        data: What templates and webhooks may use beside the text: guard, rule, value, threshold and the like.
    """

    id: str
    thread: str
    at: datetime
    kind: NoticeKind
    urgency: Urgency
    channels: tuple[str, ...]
    title: str
    body: str
    guard: str = ""
    incident: str = ""
    resolves: bool = False
    data: tuple[tuple[str, str], ...] = ()
