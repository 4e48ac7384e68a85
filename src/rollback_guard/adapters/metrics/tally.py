"""Say what each record counts for."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rollback_guard.adapters.metrics.metric import Metric
from rollback_guard.adapters.metrics.table import actions, guards, instance, people, rules
from rollback_guard.adapters.metrics.verification import Verifications
from rollback_guard.core.records import (
    Acknowledged,
    Approved,
    Concluded,
    Decided,
    Escalated,
    Evaluated,
    Extended,
    IncidentEnded,
    IncidentOpened,
    Intended,
    Paused,
    Record,
    Resumed,
    RolloutFinished,
    RolloutStarted,
    Signalled,
    Triggered,
    Vetoed,
)
from rollback_guard.core.state import Incident

Count = tuple[Metric, tuple[str, ...]]


class Tally:
    """Turn records into counts.

    Args:
        find: Looks up an incident that was opened before this process began.
    """

    def __init__(self, find: Callable[[str], Incident | None]) -> None:
        self._verifications = Verifications(find)

    def of(self, record: Record) -> Iterator[Count]:
        """Yield the counters that grow by one with this record, and their label values."""
        yield instance.JOURNAL_RECORDS, (record.kind,)
        match record:
            case Evaluated():
                yield from ((rules.ALERT_TRANSITIONS, (each.because,)) for each in record.transitions)
            case Decided():
                yield guards.DECISIONS, (record.guard, record.decision, record.reason)
            case IncidentOpened():
                yield guards.INCIDENTS, (record.guard,)
            case IncidentEnded():
                yield guards.INCIDENTS_ENDED, (record.decision, record.reason)
            case Concluded():
                yield actions.ACTIONS, (record.action, record.outcome)
        yield from _of_people(record)
        for guard, result in self._verifications.of(record):
            yield actions.VERIFICATIONS, (guard, result)


def _of_people(record: Record) -> Iterator[Count]:
    match record:
        case Escalated():
            yield people.ESCALATIONS, (record.guard,)
        case Signalled():
            for signal in record.signals:
                yield people.SIGNALS, (signal.guard, "firing" if signal.firing else "resolved")
        case Intended(by=by) if by and record.undoes:
            yield people.ORDERS, ("undone",)
        case (
            Paused()
            | Resumed()
            | Extended()
            | Approved()
            | Vetoed()
            | Acknowledged()
            | Triggered()
            | RolloutStarted()
            | RolloutFinished()
        ) if record.by:  # where it is empty, nobody ordered it: a time was up
            yield people.ORDERS, (record.kind,)
