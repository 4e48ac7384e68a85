"""Tell a story in plain words, from nothing but records: that of an incident, or that of a guard without one.

What was seen and when, why it was or was not acted on, what was done and by whom, whether that helped, how it ended,
and what people have to do now.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import assert_never

from rollback_guard.core.records import (
    Acknowledged,
    Approved,
    Awaited,
    ClockStepped,
    Concluded,
    Configured,
    Decided,
    Escalated,
    Evaluated,
    Extended,
    IncidentCleared,
    IncidentEnded,
    IncidentJoined,
    IncidentOpened,
    Intended,
    MaintenanceChanged,
    Paused,
    Record,
    Resumed,
    Rewound,
    RolloutFinished,
    RolloutStarted,
    Signalled,
    Started,
    Stopped,
    Triggered,
    Vetoed,
    Watched,
)
from rollback_guard.core.story.account import Account, Line, Said
from rollback_guard.core.story.deeds import deed
from rollback_guard.core.story.orders import order
from rollback_guard.core.story.outlook import outlook
from rollback_guard.core.story.surroundings import surrounding

Beyond = Concluded | Intended | IncidentJoined | Watched | Awaited | Extended | Approved | Acknowledged | Escalated
"""What only an incident's own story tells."""


def tell(records: Sequence[Record]) -> tuple[Line, ...]:
    """Return the story of one incident, oldest first.

    Args:
        records: Those of one incident, in the journal's order; others among them, such as evaluations, restarts,
            pauses and rollouts, are told where they concern it.
    """
    account = Account.of_incident(records)
    said = [each for record in account.records for each in _said(record, account)]
    said.extend(outlook(account))
    return _lines(said, account.opened.breached_at if account.opened else None)


def tell_guard(records: Sequence[Record], guard: str, *, rules: frozenset[str] = frozenset()) -> tuple[Line, ...]:
    """Return the story of a guard: why it did not act, who paused it, what was rolled out; incidents only by name.

    Args:
        records: Of any kind and of any guard, in the journal's order; those of other guards are left out.
        guard: Whose story it is.
        rules: Those that it listens to; without any, no evaluation is told.
    """
    account = Account(records=tuple(each for each in records if _is_of(each, guard)), guard=guard, rules=rules)
    told = (each for each in account.records if rules or not isinstance(each, Evaluated | Rewound))
    return _lines([each for record in told for each in _said(record, account)], None)


def _is_of(record: Record, guard: str) -> bool:
    match record:
        case Decided() if record.incident:
            return False
        case Vetoed() | Triggered() | IncidentCleared() | IncidentOpened() | IncidentEnded() | Decided():
            return record.guard == guard
        case _:
            return not isinstance(record, Beyond)


def _lines(said: Iterable[Said], origin: datetime | None) -> tuple[Line, ...]:
    told = sorted(said, key=lambda each: each.at)
    if not told:
        return ()
    start = origin or told[0].at
    return tuple(Line(at=each.at, offset=each.at - start, text=each.text, notes=each.notes) for each in told)


def _said(record: Record, account: Account) -> Iterator[Said]:
    match record:
        case Started() | Stopped() | Configured() | ClockStepped() | Evaluated() | Rewound():
            return surrounding(record, account)
        case (
            Extended()
            | Approved()
            | Vetoed()
            | Acknowledged()
            | Triggered()
            | Paused()
            | Resumed()
            | MaintenanceChanged()
            | RolloutStarted()
            | RolloutFinished()
            | Signalled()
        ):
            return order(record, account)
        case (
            Decided()
            | IncidentOpened()
            | IncidentJoined()
            | Awaited()
            | Intended()
            | Concluded()
            | Watched()
            | Escalated()
            | IncidentEnded()
            | IncidentCleared()
        ):
            return deed(record, account)
        case _:
            assert_never(record)
