"""Ask one server everything, each question once, within the time there is, and remember what was not asked."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from rollback_guard.adapters.prometheus.batch import Allowance, Points, Result, answer_at
from rollback_guard.adapters.prometheus.catalog import Catalog, Reply
from rollback_guard.adapters.prometheus.client import Client
from rollback_guard.adapters.prometheus.grid import Grid, to_ms
from rollback_guard.adapters.prometheus.inquiry import Inquiry
from rollback_guard.adapters.prometheus.refusal import Refused
from rollback_guard.core.observation import Failure, Sample, Unknown
from rollback_guard.core.units import format_duration
from rollback_guard.core.wording import BRIEF
from rollback_guard.ports import Clock
from rollback_guard.specs import Endpoint
from rollback_guard.workbench.unheard import Unheard

Progress = Callable[[str], None]

BATCH = 10
"""Queries that travel together: a question about a week must not make ten others late."""


class Tally(Unheard):
    """Count requests, for people who ask how much was asked."""

    def __init__(self) -> None:
        self.requests = 0

    def queried(self, source: str, result: str, seconds: float) -> None:
        """Count one."""
        self.requests += 1


class Server:
    """One data source while it is examined.

    Attributes:
        now: The instant that everything is asked for.
        unanswered: How many questions on each topic had no answer, with the reason of the first.
    """

    def __init__(self, endpoint: Endpoint, clock: Clock, *, until: timedelta, progress: Progress) -> None:
        self.endpoint = endpoint
        self.clock = clock
        self.tally = Tally()
        self.now: datetime = clock.now()
        self.unasked: Counter[str] = Counter()
        self.unanswered: dict[str, tuple[int, str]] = {}
        self._until = until
        self._progress = progress
        self._client = Client(endpoint, clock, self.tally)
        self._catalog = Catalog(endpoint, clock)
        self._allowance = Allowance(min(BATCH, endpoint.batch_size))
        self._known: dict[tuple[str, Grid], Result] = {}
        self._replies: dict[tuple[object, ...], asyncio.Task[Reply | Failure]] = {}

    @property
    def has_time(self) -> bool:
        """Whether anything can still be asked."""
        return self.clock.elapsed() < self._until

    @property
    def time_left_s(self) -> float:
        """How long anything can still be asked, in seconds."""
        return max(0.0, (self._until - self.clock.elapsed()).total_seconds())

    async def instant(self, topic: str, queries: Iterable[str]) -> dict[str, tuple[Sample, ...] | None]:
        """Return the samples that each query has now; ``None`` where it got no answer."""
        grid = Grid(start_ms=to_ms(self.now), step_ms=1)
        said = await self.over(topic, queries, grid)
        return {query: _samples(result, grid.end_ms) for query, result in said.items()}

    async def over(self, topic: str, queries: Iterable[str], grid: Grid) -> dict[str, Result]:
        """Return what each query says over a grid; what it does not say is counted under the topic."""
        wanted = dict.fromkeys(queries)
        new = [query for query in wanted if (query, grid) not in self._known]
        if new:
            self._tell(topic)
            inquiry = Inquiry(self._client, self._allowance, patience=self.endpoint.concurrency, until=self._until)
            for query, result in (await inquiry.ask(new, grid)).items():
                self._known[query, grid] = result
                if isinstance(result, Failure):
                    self._miss(topic, result)
        return {query: self._known[query, grid] for query in wanted}

    async def query(self, topic: str, expr: str, *, stats: bool = False, again: bool = False) -> Reply | Failure:
        """Ask one instant query for all that the server tells of it.

        Args:
            topic: Under which to count it when there is no answer.
            expr: What is asked.
            stats: Whether to ask what it cost.
            again: Ask, although it is known already.
        """
        return await self._once(
            topic,
            ("query", expr, stats, again),
            lambda: self._catalog.query(expr, self.now, until=self._until, stats=stats),
        )

    async def get(self, topic: str, path: str, **params: str) -> Any:
        """Return what one address of the API says; ``None`` where it says nothing."""
        reply = await self._once(
            topic, (path, *sorted(params.items())), lambda: self._catalog.get(path, params, until=self._until)
        )
        return None if isinstance(reply, Failure) else reply.data

    async def close(self) -> None:
        """Release connections and threads."""
        await self._catalog.close()
        await self._client.close()

    def lacks(self, topic: str, why: str) -> None:
        """Note that the server has nothing to say on a topic."""
        self.unanswered.setdefault(topic, (0, why))

    async def _once(self, topic: str, key: tuple[object, ...], ask: Callable[[], Awaitable[Reply]]) -> Reply | Failure:
        if key not in self._replies:
            self._replies[key] = asyncio.create_task(self._ask(topic, ask))
        return await self._replies[key]

    async def _ask(self, topic: str, ask: Callable[[], Awaitable[Reply]]) -> Reply | Failure:
        if not self.has_time:
            self.unasked[topic] += 1
            return Failure(Unknown.MISSED, "no time was left")
        self._tell(topic)
        self.tally.requests += 1
        try:
            return await ask()
        except Refused as refused:
            if refused.reason is not Unknown.QUERY_ERROR:
                self._miss(topic, refused.failure)
            return refused.failure

    def _miss(self, topic: str, failure: Failure) -> None:
        if not self.has_time:
            self.unasked[topic] += 1
            return
        count, why = self.unanswered.get(topic, (0, f"{failure.reason}: {failure.detail}"))
        self.unanswered[topic] = (count + 1, why)

    def _tell(self, topic: str) -> None:
        self._progress(f"{self.endpoint.name}: {topic} (after {self.tally.requests} questions)")


def _samples(result: Result, at_ms: int) -> tuple[Sample, ...] | None:
    answer = answer_at(result, at_ms)
    if isinstance(answer, Failure):
        return None
    return answer.samples


def last_in(points: Points) -> int | None:
    """Return the last instant at which there was anything, in milliseconds."""
    return max((at_ms for at_ms, samples in points.items() if samples), default=None)


def shown(span: timedelta) -> str:
    """Return a span as people read it, without what nobody wants to read of it."""
    unit = timedelta(milliseconds=100) if span < BRIEF else timedelta(seconds=1)
    return format_duration(round(span / unit) * unit)
