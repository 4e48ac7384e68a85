"""A web server over a scripted view, on a free port of the loopback."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx

import snapshots
from incidents import ID, RECOVERED
from rollback_guard.adapters.clock import SystemClock
from rollback_guard.adapters.web import Bounds, Certificate, Server, TokenFile, View, create_app
from rollback_guard.core.operations import Operation, Refused
from rollback_guard.core.records import Record
from rollback_guard.core.snapshot import ReloadView, Snapshot


class Daemon:
    """What a daemon lets the web see; tests change its attributes."""

    def __init__(self, **changes: Any) -> None:
        self.picture = snapshots.snapshot(**changes)
        self.is_alive = True
        self.reloads = 0
        self.problems: tuple[str, ...] = ()
        self.served_requests: list[tuple[str, str, int]] = []
        self.refusals: list[str] = []
        self.asked: list[Operation] = []
        self.outcome: Sequence[Record] | Refused | Exception = ()
        self.takers: dict[str, tuple[str, ...]] = {}

    def snapshot(self) -> Snapshot:
        return self.picture

    async def metrics(self) -> tuple[bytes, str]:
        return b"up 1\n", "text/plain; version=0.0.4; charset=utf-8"

    async def reload(self) -> ReloadView:
        self.reloads += 1
        return replace(self.picture.reload, at=snapshots.NOW, successful=not self.problems, problems=self.problems)

    async def records(self, incident: str):
        return RECOVERED[:5] if incident == ID else ()

    def alive(self) -> bool:
        return self.is_alive

    async def operate(self, operation: Operation) -> Sequence[Record] | Refused:
        self.asked.append(operation)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    def accepts(self, labels: Mapping[str, str]) -> Sequence[str]:
        return self.takers.get(labels.get("alertname", ""), ())

    def refused(self, kind: str) -> None:
        self.refusals.append(kind)

    def served(self, route: str, method: str, code: int) -> None:
        self.served_requests.append((route, method, code))

    def view(self) -> View:
        return View(
            snapshot=self.snapshot,
            ready=lambda: self.snapshot().ready,
            metrics=lambda: self.metrics(),  # noqa: PLW0108  tests put another in its place
            reload=self.reload,
            records=self.records,
            guard_records=self.records,
            alive=self.alive,
            telemetry=self,
            operate=self.operate,
            accepts=self.accepts,
        )


def client_within(
    daemon: Daemon, *, url: str = "http://127.0.0.1", peer: str = "127.0.0.1", tokens: TokenFile | None = None
) -> httpx.AsyncClient:
    """Talk to the application itself, without sockets between: for what does not depend on them."""
    transport = httpx.ASGITransport(create_app(daemon.view(), tokens=tokens), client=(peer, 50000))
    return httpx.AsyncClient(transport=transport, base_url=url)


@contextlib.asynccontextmanager
async def serving(
    daemon: Daemon,
    *,
    host: str = "127.0.0.1",
    bounds: Bounds | None = None,
    tokens: TokenFile | None = None,
    certificate: Certificate | None = None,
) -> AsyncIterator[Server]:
    server = Server(
        create_app(daemon.view(), tokens=tokens),
        host=host,
        port=0,
        clock=SystemClock(),
        bounds=bounds,
        certificate=certificate,
    )
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@contextlib.contextmanager
def serving_apart(daemon: Daemon, **settings: Any) -> Iterator[str]:
    """Serve from a thread of its own, for clients that block; gives the URL."""
    url: list[str] = []
    begun, done = threading.Event(), threading.Event()

    async def serve() -> None:
        async with serving(daemon, **settings) as server:
            url.append(f"http://127.0.0.1:{server.port}")
            begun.set()
            await asyncio.to_thread(done.wait, 60)

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    try:
        assert begun.wait(30)
        yield url[0]
    finally:
        done.set()
        thread.join(30)
