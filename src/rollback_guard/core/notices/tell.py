"""Make notices of records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from rollback_guard.core.model import Policy
from rollback_guard.core.notice import Notice, NoticeKind, Urgency
from rollback_guard.core.notices import message
from rollback_guard.core.notices.course import course
from rollback_guard.core.notices.order import ORDERS, order
from rollback_guard.core.notices.sight import begun, ended, let_go, outlasted
from rollback_guard.core.notices.telling import Telling, everybody, stamp
from rollback_guard.core.records import (
    Awaited,
    Concluded,
    Configured,
    Decided,
    Escalated,
    IncidentCleared,
    IncidentEnded,
    IncidentOpened,
    Intended,
    MaintenanceChanged,
    Record,
    RolloutStarted,
)
from rollback_guard.core.state import State


def notices(
    policy: Policy, state: State, records: Sequence[Record], *, before: State | None = None
) -> tuple[Notice, ...]:
    """Return what people are to be told of these records.

    Args:
        policy: In force.
        state: After the records were folded.
        records: Of one moment, in their order.
        before: The state before them. Without it nobody is told that a warning or blindness is over.
    """
    it = Telling(policy=policy, state=state, records=records, before=before)
    told = (notice for record in records for notice in _told(it, record) if notice.channels)
    return tuple({notice.id: notice for notice in told}.values())


def trouble(policy: Policy, what: str, text: str, at: datetime, *, over: bool = False) -> Notice:
    """Return a notice about the guard itself, for what no record tells; without any guard it has no channels.

    Args:
        policy: In force.
        what: One word, such as ``journal`` or ``configuration``.
        text: What is the matter, free of secrets.
        at: When it began: the same for every notice of one occurrence.
        over: Whether this says that it is over.
    """
    it = Telling(policy=policy, state=State(), records=())
    ending = "/over" if over else ""
    return it.notice(
        NoticeKind.TROUBLE,
        id_=f"trouble/{what}/{stamp(at)}{ending}",
        thread=f"trouble/{what}",
        at=at,
        urgency=Urgency.INFO if over else Urgency.CRITICAL,
        channels=everybody(policy),
        title=f"{policy.name}: {what} {'is well again' if over else 'is in trouble'}: {text}",
        lines=(text, f"Since {message.clock(at)}.", "More: rollback-guard status", policy.url),
        resolves=over,
        data=(("what", what),),
    )


def _told(it: Telling, record: Record) -> Iterator[Notice]:
    if isinstance(record, Decided):
        yield from ended(it, record)
    if isinstance(record, Decided) and record.incident is None:
        yield from begun(it, record)
    elif isinstance(
        record,
        IncidentOpened | Decided | Awaited | Intended | Concluded | IncidentEnded | IncidentCleared | Escalated,
    ):
        yield from course(it, record)
    elif isinstance(record, ORDERS):
        yield from order(it, record)
    if isinstance(record, MaintenanceChanged | RolloutStarted):
        yield from outlasted(it, record)
    elif isinstance(record, Configured):
        yield from let_go(it, record)
