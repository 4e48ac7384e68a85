"""Ask a server about itself and about what it holds: for people, never for a verdict.

The query API of `client` knows samples. Version, types of metrics, targets, raw samples and what a query costs stand
elsewhere; they are asked for under the same guarantees: credentials read when they are sent, no redirects, a bounded
body and one deadline for all that a request does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import requests

from rollback_guard.adapters.prometheus import envelope
from rollback_guard.adapters.prometheus.client import GRACE
from rollback_guard.adapters.prometheus.refusal import SILENT, TRANSPORT_ERRORS, Refused, refusal_of
from rollback_guard.adapters.prometheus.session import GuardedSession
from rollback_guard.adapters.prometheus.wire import DEADLINE, Deadline
from rollback_guard.core.observation import Unknown
from rollback_guard.ports import Clock
from rollback_guard.specs import Endpoint

QUERY = "/api/v1/query"

Params = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One complete answer.

    Attributes:
        data: What stands under `data`.
        took: From the first byte that was sent to the last that was read.
        told_at: The server's clock, to the second; ``None`` where it did not say.
        ahead: How far the server's clock is ahead of ours, as near as its seconds tell.
    """

    data: Any
    took: timedelta
    told_at: datetime | None = None
    ahead: timedelta = timedelta(0)


class CatalogSession(GuardedSession):
    """A session for one thread at a time that asks any address of the API."""

    def fetch(self, url: str, params: Params, deadline: Deadline) -> tuple[Any, Mapping[str, str]]:
        """Return what stands under `data`, and the headers of the answer.

        Raises:
            Refused: The answer is not one that counts.
            SecretError: A credential cannot be read.
        """
        token = DEADLINE.set(deadline)
        try:
            # A query travels in the body, where its length does not matter; the rest of the API takes GET alone.
            asked = {"data": params} if url.endswith(QUERY) else {"params": params}
            method = "POST" if url.endswith(QUERY) else "GET"
            request = requests.Request(method, url, headers=self._credentials(), **asked)
            with self._post(self.prepare_request(request), deadline) as response:
                answer = envelope.succeeded(response.status_code, response.headers, self._body(response))
                return answer.get("data"), response.headers
        finally:
            DEADLINE.reset(token)


class Catalog:
    """Requests to one server, at most as many at once as its data source allows.

    What does not answer is not asked for ever: once as many requests in a row as may run at once got no answer, the
    rest is given up.
    """

    def __init__(self, endpoint: Endpoint, clock: Clock) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._places = asyncio.Semaphore(endpoint.concurrency)
        self._threads = ThreadPoolExecutor(endpoint.concurrency, f"catalog-{endpoint.name}")
        self._idle: deque[CatalogSession] = deque()
        self._unanswered = 0
        self._closed = False

    async def query(self, expr: str, at: datetime, *, until: timedelta, stats: bool = False) -> Reply:
        """Ask one instant query; `data` has `resultType`, `result`, and `stats` where the server knows them.

        Raises:
            Refused: There is no answer that can be used.
        """
        params = {"query": expr, "time": f"{at.timestamp():.3f}"} | ({"stats": "all"} if stats else {})
        reply = await self.get(QUERY, params, until=until)
        if not isinstance(reply.data, dict) or not isinstance(reply.data.get("result"), list):
            raise Refused(Unknown.BAD_RESPONSE, "the answer has no data", shared=False)
        if len(reply.data["result"]) > self._endpoint.max_series:
            raise Refused(Unknown.TOO_LARGE, f"{len(reply.data['result'])} series", shared=False)
        return reply

    async def get(self, path: str, params: Params, *, until: timedelta) -> Reply:
        """Ask one address of the API.

        Args:
            path: From `/api` on.
            params: Of the request.
            until: By the clock's `elapsed`: the end of the time for all that is asked together.

        Raises:
            Refused: There is no answer that can be used.
        """
        async with self._places:
            if self._unanswered >= self._endpoint.concurrency:
                raise Refused(Unknown.TIMEOUT, "not asked: the server has ceased to answer", shared=True)
            end = min(self._clock.elapsed() + self._endpoint.timeout, until)
            try:
                reply = await self._wait_for(path, params, end)
            except Refused as refused:
                # An address that is not there (404) is an answer; only silence is none.
                is_silent = refused.reason in SILENT - {Unknown.HTTP_ERROR}
                self._unanswered = self._unanswered + 1 if is_silent else 0
                raise
            self._unanswered = 0
            return reply

    async def close(self) -> None:
        """Close the connections; a request that is still under way ends by its deadline."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        while self._idle:
            self._idle.pop().close()

    async def _wait_for(self, path: str, params: Params, end: timedelta) -> Reply:
        left = end - self._clock.elapsed()
        if left <= timedelta(0):
            raise Refused(Unknown.TIMEOUT, "not asked: no time was left", shared=True)
        loop = asyncio.get_running_loop()
        working = loop.run_in_executor(self._threads, self._work, path, params, Deadline(self._clock, end))
        try:
            return await asyncio.wait_for(working, (left + GRACE).total_seconds())
        except TimeoutError:
            raise Refused(Unknown.TIMEOUT, "no answer by the deadline", shared=True) from None

    def _work(self, path: str, params: Params, deadline: Deadline) -> Reply:
        """Make one request; runs on a thread of the pool."""
        session = self._idle.pop() if self._idle else CatalogSession(self._endpoint, self._clock)
        begun, begun_at = self._clock.elapsed(), self._clock.now()
        try:
            asked = dict(params) | ({"timeout": f"{deadline.left_s():.3f}"} if path == QUERY else {})
            data, headers = session.fetch(self._endpoint.url.rstrip("/") + path, asked, deadline)
        except TRANSPORT_ERRORS as error:
            raise refusal_of(error) from error
        finally:
            if self._closed:
                session.close()
            else:
                self._idle.append(session)
        told_at = _time_in(headers.get("Date", ""))
        ahead = timedelta(0) if told_at is None else _distance(told_at, begun_at, self._clock.now())
        return Reply(data=data, took=self._clock.elapsed() - begun, told_at=told_at, ahead=ahead)


def _time_in(date: str) -> datetime | None:
    try:
        told_at = parsedate_to_datetime(date)
    except ValueError:
        return None
    return told_at if told_at.tzinfo else told_at.replace(tzinfo=UTC)


def _distance(told_at: datetime, earliest: datetime, latest: datetime) -> timedelta:
    """Return how far a clock that tells whole seconds, between two instants of ours, is ahead at least; 0 is no less.

    It told that second at some instant of the exchange, and any fraction of a second may have been cut off.
    """
    if told_at > latest:
        return told_at - latest
    last = told_at + timedelta(seconds=1)
    return last - earliest if last < earliest else timedelta(0)
