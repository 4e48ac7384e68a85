"""Ask one query, without ever holding up the event loop or outlasting the time for it.

The library blocks, so each request runs on one of a few threads. Its connection has the deadline too, but the event
loop does not rely on that: a resolver that hangs cannot be interrupted, and is not waited for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from prometheus_api_client import PrometheusConnect

from rollback_guard.adapters.prometheus.batch import Points, combine, split
from rollback_guard.adapters.prometheus.grid import Grid, from_ms
from rollback_guard.adapters.prometheus.refusal import TRANSPORT_ERRORS, Refused, refusal_of
from rollback_guard.adapters.prometheus.session import GuardedSession
from rollback_guard.adapters.prometheus.wire import Deadline
from rollback_guard.core.observation import Unknown
from rollback_guard.ports import Clock, Telemetry
from rollback_guard.specs import Endpoint

GRACE = timedelta(milliseconds=100)
"""How much longer than the request itself the event loop waits: the thread can say better what went wrong."""


EXACTLY = {"nocache": "1"}
"""VictoriaMetrics else moves start and end to where its cache has something; the others do not know the parameter."""


class Client:
    """Requests to one Prometheus, each on a connection of its own.

    Attributes:
        places: To be held while asking; there are as many as threads, so that no request waits on its own time.
    """

    def __init__(self, endpoint: Endpoint, clock: Clock, telemetry: Telemetry) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._telemetry = telemetry
        self.places = asyncio.Semaphore(endpoint.concurrency)
        self._threads = ThreadPoolExecutor(endpoint.concurrency, f"prometheus-{endpoint.name}")
        self._idle: deque[PrometheusConnect] = deque()
        self._running: set[Future[dict[str, Points]]] = set()
        self._closed = False

    async def ask(self, queries: tuple[str, ...], grid: Grid, until: timedelta | None = None) -> dict[str, Points]:
        """Ask the queries in one request.

        Args:
            queries: One, or several that are joined.
            grid: For which instants.
            until: By the clock's `elapsed`: the end of the time for all that is asked together.

        Raises:
            Refused: There is no answer that can be used.
        """
        begun = self._clock.elapsed()
        end = begun + self._endpoint.timeout
        if until is not None:
            if until <= begun:
                raise Refused(Unknown.TIMEOUT, "not asked: there was no time left in the slot", shared=True)
            end = min(end, until)
        try:
            answer = await self._wait_for(queries, grid, end)
        except Refused as refused:
            self._count(refused.reason.value, begun)
            raise
        self._count("ok", begun)
        return answer

    async def close(self) -> None:
        """End the threads, after the requests that are still under way, and close the connections."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        waiting = {asyncio.wrap_future(future) for future in self._running if not future.cancelled()}
        ended = asyncio.gather(*waiting, return_exceptions=True)
        if waiting:
            await asyncio.wait({ended}, timeout=(self._endpoint.timeout + GRACE).total_seconds())
        ended.cancel()
        while self._idle:
            self._idle.pop().close()

    def _count(self, result: str, begun: timedelta) -> None:
        self._telemetry.queried(self._endpoint.name, result, (self._clock.elapsed() - begun).total_seconds())

    async def _wait_for(self, queries: tuple[str, ...], grid: Grid, end: timedelta) -> dict[str, Points]:
        if self._closed:
            raise Refused(Unknown.CONNECT, "the guard is shutting down", shared=True)
        running = self._threads.submit(self._work, queries, grid, Deadline(self._clock, end))
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        answer = asyncio.wrap_future(running)
        answer.add_done_callback(_retrieve)
        left = end + GRACE - self._clock.elapsed()
        await asyncio.wait({answer}, timeout=max(0.0, left.total_seconds()))
        if not answer.done():
            answer.cancel()
            raise Refused(Unknown.TIMEOUT, "no answer by the deadline: the name is still being resolved", shared=True)
        return answer.result()

    def _work(self, queries: tuple[str, ...], grid: Grid, deadline: Deadline) -> dict[str, Points]:
        """Make one request; runs on a thread of the pool."""
        connect = self._idle.pop() if self._idle else self._new_connect()
        try:
            return split(queries, self._request(connect, combine(queries), grid, deadline), grid)
        except TRANSPORT_ERRORS as error:
            raise refusal_of(error) from error
        finally:
            if self._closed:
                connect.close()
            else:
                self._idle.append(connect)

    def _request(self, connect: PrometheusConnect, query: str, grid: Grid, deadline: Deadline) -> list[dict[str, Any]]:
        left = f"{deadline.left_s():.3f}"  # told to the server too, so that it does not work for nobody
        if grid.count == 1:
            params = {"time": _seconds(grid.start_ms), "timeout": left}
            found = connect.custom_query(query, params=params, timeout=deadline)
        else:
            # The library rounds start and end to whole seconds; what stands in `params` replaces them.
            params = {"start": _seconds(grid.start_ms), "end": _seconds(grid.end_ms), "timeout": left, **EXACTLY}
            start, end, step = from_ms(grid.start_ms), from_ms(grid.end_ms), _seconds(grid.step_ms)
            found = connect.custom_query_range(query, start, end, step, params=params, timeout=deadline)
        return list(found)

    def _new_connect(self) -> PrometheusConnect:
        session = GuardedSession(self._endpoint, self._clock)
        return PrometheusConnect(self._endpoint.url.rstrip("/"), session=session, method="POST")


def _retrieve(answer: asyncio.Future[dict[str, Points]]) -> None:
    """Take note of an error for which nobody waits any more, or asyncio would log it as forgotten."""
    if not answer.cancelled():
        answer.exception()


def _seconds(ms: int) -> str:
    return f"{ms // 1000}.{ms % 1000:03}"
