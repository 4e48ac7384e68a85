"""Measure, from the records alone, how long it took from a breach to a decision, to an action and to recovery."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from rollback_guard.adapters.metrics.metric import Metric
from rollback_guard.adapters.metrics.table.actions import (
    ACTION_DURATION,
    BREACH_TO_ACTION,
    BREACH_TO_DECISION,
    BREACH_TO_RECOVERY,
)
from rollback_guard.core.records import (
    ClockStepped,
    Concluded,
    Decided,
    Decision,
    IncidentEnded,
    IncidentOpened,
    Intended,
    Record,
)
from rollback_guard.core.state import Incident


@dataclass(frozen=True, slots=True)
class Span:
    """How long something took, and the metric and label values it goes to."""

    metric: Metric
    seconds: float
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What is known of an open incident."""

    breached_at: datetime
    decided: bool = False
    begun: bool = False
    intents: tuple[tuple[str, datetime], ...] = ()


class Reactions:
    """The open incidents.

    Args:
        find: Looks up an incident that was opened before this process began.
    """

    def __init__(self, find: Callable[[str], Incident | None]) -> None:
        self._find = find
        self._open: dict[str, Progress] = {}

    def of(self, record: Record) -> Iterator[Span]:
        """Yield the spans that end with this record."""
        match record:
            case IncidentOpened():
                self._open[record.incident] = Progress(breached_at=record.breached_at)
            case Decided(decision=Decision.ACT, incident=str(incident)):
                yield from self._decided(incident, record.at)
            case Intended():
                yield from self._intended(record)
            case Concluded():
                yield from self._concluded(record)
            case IncidentEnded():
                progress = self._progress(record.incident, record.at)
                if progress and record.decision is Decision.RECOVERED:
                    yield _span(BREACH_TO_RECOVERY, progress.breached_at, record.at)
                self._open.pop(record.incident, None)
            case ClockStepped():
                self._open = {incident: _moved(each, record.by) for incident, each in self._open.items()}

    def _decided(self, incident: str, at: datetime) -> Iterator[Span]:
        progress = self._progress(incident, at)
        if progress and not progress.decided:
            self._open[incident] = replace(progress, decided=True)
            yield _span(BREACH_TO_DECISION, progress.breached_at, at)

    def _intended(self, record: Intended) -> Iterator[Span]:
        progress = self._progress(record.incident, record.at)
        if progress:
            intents = (*progress.intents, (record.key, record.at))
            self._open[record.incident] = replace(progress, begun=True, intents=intents)
            if not progress.begun:
                yield _span(BREACH_TO_ACTION, progress.breached_at, record.at)

    def _concluded(self, record: Concluded) -> Iterator[Span]:
        progress = self._progress(record.incident, record.at)
        begun_at = dict(progress.intents).get(record.key) if progress else None
        if begun_at:
            yield _span(ACTION_DURATION, begun_at, record.at, record.action)

    def _progress(self, incident: str, now: datetime) -> Progress | None:
        if incident in self._open:
            return self._open[incident]
        found = self._find(incident)
        if found is None:
            return None
        earlier = tuple((intent.key, intent.at) for intent in found.intents if intent.at < now)
        return Progress(breached_at=found.breached_at, decided=bool(earlier), begun=bool(earlier), intents=earlier)


def _span(metric: Metric, begin: datetime, end: datetime, *labels: str) -> Span:
    return Span(metric, (end - begin).total_seconds(), labels)


def _moved(progress: Progress, by: timedelta) -> Progress:
    """Keep spans what they are when the clock that measures them is set."""
    intents = tuple((key, at + by) for key, at in progress.intents)
    return replace(progress, breached_at=progress.breached_at + by, intents=intents)
