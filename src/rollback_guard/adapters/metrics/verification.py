"""Tell from the records how each watch over a step's effect ended: recovered, not recovered, cannot tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rollback_guard.core.records import (
    Awaited,
    Concluded,
    Decided,
    Decision,
    IncidentEnded,
    Intended,
    Outcome,
    Reason,
    Record,
)
from rollback_guard.core.state import Incident

RECOVERED, NOT_RECOVERED, CANNOT_TELL = "recovered", "not_recovered", "cannot_tell"

BROKEN_OFF = frozenset(
    {
        Reason.VETOED,
        Reason.NOT_APPROVED,
        Reason.OUTCOME_UNKNOWN,
        Reason.GUARD_REMOVED,
        Reason.RULES_REMOVED,
    }
)
"""Ends of an incident that say nothing about whether its last step helped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """One incident: the keys of intents that have an effect on the service, and whether the last one is watched."""

    steps: frozenset[str] = frozenset()
    watched: bool = False


class Verifications:
    """The open incidents.

    Args:
        find: Looks up an incident that was opened before this process began.
    """

    def __init__(self, find: Callable[[str], Incident | None]) -> None:
        self._find = find
        self._open: dict[str, Watch] = {}

    def of(self, record: Record) -> Iterator[tuple[str, str]]:
        """Yield the guard and the result of a watch that ends with this record."""
        match record:
            case Intended(undoes=""):
                known = self._watch(record.incident).steps
                steps = known if record.notify else known | {record.key}
                self._open[record.incident] = Watch(steps=steps)
            case Concluded():
                known = self._watch(record.incident).steps
                if record.key in known:
                    watched = record.outcome is Outcome.SUCCEEDED
                    self._open[record.incident] = Watch(steps=known, watched=watched)
            case Awaited(reason=Reason.NOT_RECOVERED, incident=incident):
                yield from self._ended(incident, record.guard, NOT_RECOVERED)
            case Decided(decision=Decision.ACT, reason=Reason.NOT_RECOVERED, incident=str(incident)):
                yield from self._ended(incident, record.guard, NOT_RECOVERED)
            case IncidentEnded():
                result = _result(record)
                if result is not None:
                    yield from self._ended(record.incident, record.guard, result)
                self._open.pop(record.incident, None)

    def _ended(self, incident: str, guard: str, result: str) -> Iterator[tuple[str, str]]:
        watch = self._watch(incident)
        if watch.watched:
            self._open[incident] = Watch(steps=watch.steps)
            yield guard, result

    def _watch(self, incident: str) -> Watch:
        if incident in self._open:
            return self._open[incident]
        found = self._find(incident)
        intents = [intent for intent in found.intents if not intent.notify] if found else []
        return Watch(
            steps=frozenset(intent.key for intent in intents),
            watched=bool(intents) and intents[-1].outcome is Outcome.SUCCEEDED,
        )


def _result(ended: IncidentEnded) -> str | None:
    if ended.decision is Decision.RECOVERED:
        return RECOVERED if ended.reason is Reason.VERIFIED else None
    if ended.reason in BROKEN_OFF:
        return None
    return CANNOT_TELL if ended.reason is Reason.CANNOT_TELL else NOT_RECOVERED
