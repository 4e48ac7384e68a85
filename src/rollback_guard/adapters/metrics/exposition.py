"""Keep the counts of the edges and of the records, and render them with the snapshot, off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from prometheus_client import (
    CollectorRegistry,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from rollback_guard.adapters.metrics import gauges
from rollback_guard.adapters.metrics.metric import Kind, Metric
from rollback_guard.adapters.metrics.reaction import Reactions
from rollback_guard.adapters.metrics.registry import METRICS
from rollback_guard.adapters.metrics.series import Counts, Names, Spans
from rollback_guard.adapters.metrics.table import actions, groups, instance, people
from rollback_guard.adapters.metrics.tally import Tally
from rollback_guard.adapters.metrics.text import family
from rollback_guard.core.records import Record
from rollback_guard.core.snapshot import Snapshot
from rollback_guard.core.state import Incident
from rollback_guard.ports import Clock, Goal

CACHED = timedelta(seconds=1)
"""Several scrapers, or one that is impatient, cost no more than one."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

FROM_SNAPSHOT = frozenset({groups.GROUP_MISSED, instance.CLOCK_STEPS})
"""Counters that the journal counts, restarts included."""


class Metrics:
    """All metrics of this process, in a registry of their own.

    The methods of `Telemetry` may be called from any thread, all others from the event loop only.

    Args:
        frame: Called on the event loop, at most once per `CACHED`; what it returns is called in a thread and makes the
            picture, which for ten thousand rules takes long enough to be missed by the event loop.
        incident: Looks up an incident; called for records of those that were opened before this process began.
    """

    def __init__(
        self, frame: Callable[[], Callable[[], Snapshot]], clock: Clock, *, incident: Callable[[str], Incident | None]
    ) -> None:
        # `_created` doubles the number of series of every counter; Prometheus does not use it in this format.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._frame = frame
        self._clock = clock
        self._registry = CollectorRegistry()
        self._counters = {
            metric: Counts(metric) for metric in METRICS if metric.kind is Kind.COUNTER and metric not in FROM_SNAPSHOT
        }
        self._histograms = {
            metric: Spans(metric, self._registry) for metric in METRICS if metric.kind is Kind.HISTOGRAM
        }
        ProcessCollector(registry=self._registry)
        self._reactions = Reactions(incident)
        self._tally = Tally(incident)
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
                work = self._thread.submit(self._render, self._frame())
                self._body = await asyncio.wrap_future(work)
                self._rendered_at = now
            return self._body, CONTENT_TYPE

    def close(self) -> None:
        """Let the rendering thread end."""
        self._thread.shutdown(wait=False)

    def observe(self, records: Sequence[Record]) -> None:
        """Count what was just made durable."""
        for record in records:
            for metric, labels in self._tally.of(record):
                self._count(metric, *labels)
            for span in self._reactions.of(record):
                self._time(span.metric, span.seconds, *span.labels)

    # Telemetry

    def queried(self, source: str, result: str, seconds: float) -> None:
        """Count and time one request to a source."""
        self._count(groups.SOURCE_REQUESTS, source, result)
        self._time(groups.SOURCE_DURATION, seconds, source)

    def evaluated(self, group: str, seconds: float) -> None:
        """Count and time one evaluation of a group; what it missed stands in the journal and comes by the snapshot."""
        self._count(groups.GROUP_EVALUATIONS, group)
        self._time(groups.EVALUATION_DURATION, seconds)

    def attempted(self, action: str, result: str, seconds: float) -> None:
        """Count and time one attempt of an action."""
        self._count(actions.ACTION_ATTEMPTS, action, result)
        self._time(actions.ACTION_ATTEMPT_DURATION, seconds, action)

    def inspected(self, action: str, goal: Goal) -> None:
        """Count one inspection."""
        self._count(actions.ACTION_INSPECTIONS, action, goal)

    def journal_failed(self, kind: str) -> None:
        """Count one append that failed."""
        self._count(instance.JOURNAL_ERRORS, kind)

    def notified(self, channel: str, result: str) -> None:
        """Count one attempt to deliver a notice."""
        self._count(people.NOTIFICATIONS, channel, result)

    def refused(self, kind: str) -> None:
        """Count one caller that was not let in."""
        self._count(instance.AUTH_FAILURES, kind)

    def client_rebuilt(self, client: str) -> None:
        """Count one connection pool that was made anew."""
        self._count(groups.CLIENT_REBUILDS, client)

    def served(self, route: str, method: str, code: int) -> None:
        """Count one HTTP request."""
        self._count(instance.HTTP_REQUESTS, route, method, str(code))

    def _count(self, metric: Metric, *labels: str) -> None:
        self._counters[metric].add(*labels)

    def _time(self, metric: Metric, seconds: float, *labels: str) -> None:
        self._histograms[metric].add(seconds, *labels)

    def _render(self, picture: Callable[[], Snapshot]) -> bytes:
        snapshot = picture()
        names = _names(snapshot)
        if names != self._names:
            for counted in self._counters.values():
                counted.follow(names)
            for timed in self._histograms.values():
                timed.follow(names)
            self._names = names
        counted_so_far = (family(metric, counted.rows()) for metric, counted in self._counters.items())
        return "".join((gauges.render(snapshot), *counted_so_far)).encode() + generate_latest(self._registry)


def _names(snapshot: Snapshot) -> Names:
    return {
        "rule": {rule.id for rule in snapshot.rules},
        "group": {group.id for group in snapshot.groups},
        "guard": {guard.name for guard in snapshot.guards},
        "action": {action for guard in snapshot.guards for action in guard.playbook},
        "channel": {box.channel for box in snapshot.outbox},
        "source": {group.source for group in snapshot.groups},
    }
