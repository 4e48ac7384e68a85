"""Keep the counts of the edges and of the records, and render them with the snapshot, off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from rollback_guard.adapters.metrics import registry as table
from rollback_guard.adapters.metrics.collector import SnapshotCollector
from rollback_guard.adapters.metrics.metric import Kind, Metric
from rollback_guard.adapters.metrics.reaction import Reactions
from rollback_guard.adapters.metrics.series import Names, Series, counter, histogram
from rollback_guard.core.records import Concluded, Decided, Evaluated, IncidentEnded, IncidentOpened, Record
from rollback_guard.core.snapshot import Snapshot
from rollback_guard.core.state import Incident
from rollback_guard.ports import Clock, Goal

CACHED = timedelta(seconds=1)
"""Several scrapers, or one that is impatient, cost no more than one."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

FROM_SNAPSHOT = frozenset({table.GROUP_MISSED, table.CLOCK_STEPS})
"""Counters that the journal counts, restarts included."""


class Metrics:
    """All metrics of this process, in a registry of their own.

    The methods of `Telemetry` may be called from any thread, all others from the event loop only.

    Args:
        snapshot: Called on the event loop, at most once per `CACHED`.
    """

    def __init__(self, snapshot: Callable[[], Snapshot], clock: Clock) -> None:
        # `_created` doubles the number of series of every counter; Prometheus does not use it in this format.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._snapshot = snapshot
        self._clock = clock
        self._registry = CollectorRegistry()
        self._gauges = SnapshotCollector()
        self._registry.register(self._gauges)
        self._counters: dict[Metric, Series[Counter]] = {
            metric: counter(metric, self._registry)
            for metric in table.METRICS
            if metric.kind is Kind.COUNTER and metric not in FROM_SNAPSHOT
        }
        self._histograms: dict[Metric, Series[Histogram]] = {
            metric: histogram(metric, self._registry) for metric in table.METRICS if metric.kind is Kind.HISTOGRAM
        }
        ProcessCollector(registry=self._registry)
        self._reactions = Reactions(self._incident)
        self._names: Names = {}
        self._rendering = asyncio.Lock()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="metrics")
        self._rendered_at: timedelta | None = None
        self._body = b""

    async def render(self) -> tuple[bytes, str]:
        """Return the exposition and its content type; not older than `CACHED`."""
        async with self._rendering:
            now = self._clock.elapsed()
            if self._rendered_at is None or now - self._rendered_at >= CACHED:
                work = self._thread.submit(self._render, self._snapshot())
                self._body = await asyncio.wrap_future(work)
                self._rendered_at = now
            return self._body, CONTENT_TYPE

    def close(self) -> None:
        """Let the rendering thread end."""
        self._thread.shutdown(wait=False)

    def observe(self, records: Sequence[Record]) -> None:
        """Count what was just made durable."""
        for record in records:
            self._count(table.JOURNAL_RECORDS, record.kind)
            match record:
                case Evaluated():
                    for transition in record.transitions:
                        self._count(table.ALERT_TRANSITIONS, transition.because)
                case Decided():
                    self._count(table.DECISIONS, record.guard, record.decision, record.reason)
                case IncidentOpened():
                    self._count(table.INCIDENTS, record.guard)
                case IncidentEnded():
                    self._count(table.INCIDENTS_ENDED, record.decision, record.reason)
                case Concluded():
                    self._count(table.ACTIONS, record.action, record.outcome)
            for span in self._reactions.of(record):
                self._time(span.metric, span.seconds, *span.labels)

    # Telemetry

    def queried(self, source: str, result: str, seconds: float) -> None:
        """Count and time one request to a source."""
        self._count(table.SOURCE_REQUESTS, source, result)
        self._time(table.SOURCE_DURATION, seconds, source)

    def evaluated(self, group: str, seconds: float) -> None:
        """Count and time one evaluation of a group; what it missed stands in the journal and comes by the snapshot."""
        self._count(table.GROUP_EVALUATIONS, group)
        self._time(table.EVALUATION_DURATION, seconds)

    def attempted(self, action: str, result: str, seconds: float) -> None:
        """Count and time one attempt of an action."""
        self._count(table.ACTION_ATTEMPTS, action, result)
        self._time(table.ACTION_ATTEMPT_DURATION, seconds, action)

    def inspected(self, action: str, goal: Goal) -> None:
        """Count one inspection."""
        self._count(table.ACTION_INSPECTIONS, action, goal)

    def journal_failed(self, kind: str) -> None:
        """Count one append that failed."""
        self._count(table.JOURNAL_ERRORS, kind)

    def client_rebuilt(self, client: str) -> None:
        """Count one connection pool that was made anew."""
        self._count(table.CLIENT_REBUILDS, client)

    def served(self, route: str, method: str, code: int) -> None:
        """Count one HTTP request."""
        self._count(table.HTTP_REQUESTS, route, method, str(code))

    def _count(self, metric: Metric, *labels: str) -> None:
        self._counters[metric].at(*labels).inc()

    def _time(self, metric: Metric, seconds: float, *labels: str) -> None:
        # A wall clock that was set back would make it negative.
        self._histograms[metric].at(*labels).observe(max(0.0, seconds))

    def _render(self, snapshot: Snapshot) -> bytes:
        names = _names(snapshot)
        if names != self._names:
            for counted in self._counters.values():
                counted.follow(names)
            for timed in self._histograms.values():
                timed.follow(names)
            self._names = names
        self._gauges.snapshot = snapshot
        return generate_latest(self._registry)

    def _incident(self, incident: str) -> Incident | None:
        return next((each for each in self._snapshot().incidents if each.id == incident), None)


def _names(snapshot: Snapshot) -> Names:
    return {
        "rule": {rule.id for rule in snapshot.rules},
        "group": {group.id for group in snapshot.groups},
        "guard": {guard.name for guard in snapshot.guards},
        "action": {action for guard in snapshot.guards for action in guard.playbook},
        "source": {group.source for group in snapshot.groups},
    }
