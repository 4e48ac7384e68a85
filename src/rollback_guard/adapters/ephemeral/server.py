"""Start a Prometheus, write samples into it, and ask it."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import httpcore

from rollback_guard.adapters.ephemeral import message
from rollback_guard.adapters.ephemeral.binary import find_prometheus
from rollback_guard.adapters.ephemeral.failure import EphemeralError, QueryRefused, StartFailed, WriteRefused
from rollback_guard.adapters.ephemeral.keeper import Keeper
from rollback_guard.adapters.ephemeral.message import Series
from rollback_guard.core.model import Labels, labels_of

FLAGS = (
    # Nothing is scraped and no rule evaluated: an empty file is a configuration.
    "--config.file=/dev/null",
    "--web.listen-address=127.0.0.1:0",
    "--web.enable-remote-write-receiver",
    # The head takes samples that are half a block older than its newest: 145 years. Nothing is ever compacted.
    "--storage.tsdb.min-block-duration=290y",
    "--storage.tsdb.max-block-duration=290y",
    "--storage.tsdb.retention.time=290y",
    # On this level it tells its port.
    "--log.level=info",
)
LISTENING = re.compile(r'msg="Listening on"[^\n]* address=127\.0\.0\.1:(\d+)')

READY_TRIES, READY_PAUSE_S = 6000, 0.005
"""30 seconds and what the tries take."""

ANSWERED_WITHIN_S = 10.0
"""Being asked whether it is ready."""

TIMEOUT_S = 150.0
"""Prometheus itself ends a query after two minutes."""

USUAL_NAME = re.compile("[a-zA-Z_:][a-zA-Z0-9_:]*")
LOST = re.compile(rb"^prometheus_api_remote_write_invalid_labels_samples_total [^0\n]", re.MULTILINE)
"""The counter of samples that were thrown away without a word."""


@dataclass(kw_only=True)
class EphemeralPrometheus:
    """A server on a port of its own, which ends with us, and its storage with it.

    All methods may be called from several threads.

    Attributes:
        url: Where it answers.
        version: As it says itself, such as ``2.42.0``.
    """

    url: str = ""
    version: str = ""
    _keeper: Keeper
    _idle: deque[httpcore.ConnectionPool] = field(default_factory=deque)

    @classmethod
    def start(cls, binary: str | None = None) -> Self:
        """Start a server and wait until it answers.

        Raises:
            PrometheusMissing: There is no such program.
            StartFailed: It does not get ready.
        """
        server = cls(_keeper=Keeper.start([find_prometheus(binary), *FLAGS]))
        try:
            server._await_ready()
        except BaseException:
            server.stop()
            raise
        return server

    def __enter__(self) -> Self:
        """Return the server, which runs already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self.stop()

    @property
    def pid(self) -> int:
        """The process of the server."""
        return self._keeper.pid

    def stop(self) -> None:
        """End the server and remove all its files; harmless when that is done already."""
        while self._idle:
            self._idle.pop().close()
        self._keeper.stop()

    def write(self, series: Iterable[Series]) -> None:
        """Write samples, and return when they can be queried.

        Times may lie decades apart, also in the future; but Prometheus 3 refuses what is more than ten minutes ahead.

        Raises:
            ValueError: A series is not in order.
            WriteRefused: The server does not take them.
        """
        unusual: list[Labels] = []
        for request in message.requests(_watched(series, unusual)):
            status, body = self._call(
                "/api/v1/write",
                message.snappy(request),
                {
                    "Content-Type": "application/x-protobuf",
                    "Content-Encoding": "snappy",
                    "X-Prometheus-Remote-Write-Version": "0.1.0",
                },
            )
            if status // 100 != 2:  # noqa: PLR2004  the successes of HTTP
                raise WriteRefused(f"Prometheus refuses samples: {body.decode(errors='replace').strip()}")
        if unusual:
            self._check_names()

    def query(self, expr: str, at_ms: int) -> list[tuple[Labels, float]]:
        """Return what an expression is at an instant; a scalar is one sample without labels.

        Args:
            expr: PromQL.
            at_ms: Milliseconds since the epoch.

        Raises:
            QueryRefused: The expression is not PromQL, fails, or gives something else than samples.
        """
        form = urlencode({"query": expr, "time": _seconds(at_ms)})
        _, body = self._call("/api/v1/query", form.encode(), {"Content-Type": "application/x-www-form-urlencoded"})
        answer = json.loads(body)
        if answer["status"] != "success":
            raise QueryRefused(str(answer["error"]))
        return _samples(answer["data"])

    def _check_names(self) -> None:
        """Refuse what the server has thrown away: some versions do so with names that are not plain words."""
        _, body = self._call("/metrics")
        if LOST.search(body):
            raise WriteRefused(
                f"Prometheus {self.version} does not take the names of some series or labels",
                hint="Write names with letters, digits and _ only, and give each series a name.",
            )

    def _await_ready(self) -> None:
        for _ in range(READY_TRIES):
            if self._keeper.ended_within(READY_PAUSE_S):
                raise StartFailed(f"Prometheus ended at once:\n{self._keeper.tail()}")
            if self._is_ready():
                return
        raise StartFailed(f"Prometheus does not get ready:\n{self._keeper.tail()}")

    def _is_ready(self) -> bool:
        if not self.url:
            port = self._keeper.find_in_log(LISTENING)
            if port is None:
                return False
            self.url = f"http://127.0.0.1:{port}"
        # The API answers with 503 until the storage is open.
        try:
            status, body = self._call("/api/v1/status/buildinfo", timeout_s=ANSWERED_WITHIN_S)
        except EphemeralError as error:
            raise StartFailed(error.message) from error
        if status != 200:  # noqa: PLR2004  OK
            return False
        self.version = str(json.loads(body)["data"]["version"])
        return True

    @contextmanager
    def _connected(self) -> Iterator[httpcore.ConnectionPool]:
        """Lend a connection to one thread at a time.

        In a pool that several use, one may close a connection of another: while it looks whether an idle one has been
        closed by the server, that one is taken into use, and the answer that comes in on it looks like a goodbye.
        """
        try:
            pool = self._idle.pop()
        except IndexError:
            pool = httpcore.ConnectionPool(max_connections=1)
        try:
            yield pool
        finally:
            self._idle.append(pool)

    def _call(
        self,
        path: str,
        body: bytes | None = None,
        headers: Mapping[bytes | str, bytes | str] | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
    ) -> tuple[int, bytes]:
        try:
            with self._connected() as pool:
                answer = pool.request(
                    "GET" if body is None else "POST",
                    self.url + path,
                    headers=headers,
                    content=body,
                    extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), timeout_s)},
                )
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            words = str(error) or type(error).__name__
            raise EphemeralError(f"Prometheus does not answer: {words}\n{self._keeper.tail()}") from error
        return answer.status, answer.content


def _watched(series: Iterable[Series], unusual: list[Labels]) -> Iterator[Series]:
    """Pass series on, and keep those labels that some versions of Prometheus do not take."""
    for each in series:
        names = dict(each.labels)
        plain = all(USUAL_NAME.fullmatch(name) and ":" not in name for name in names)
        if not plain or not USUAL_NAME.fullmatch(names.get("__name__", "")):
            unusual.append(each.labels)
        yield each


def _seconds(at_ms: int) -> str:
    sign, (seconds, ms) = "-" if at_ms < 0 else "", divmod(abs(at_ms), 1000)
    return f"{sign}{seconds}.{ms:03d}"


def _samples(data: dict[str, Any]) -> list[tuple[Labels, float]]:
    match data["resultType"]:
        case "vector":
            return [(labels_of(each["metric"]), float(each["value"][1])) for each in data["result"]]
        case "scalar":
            return [((), float(data["result"][1]))]
        case other:
            raise QueryRefused(f"the expression gives a {other}: expected a vector or a scalar")
