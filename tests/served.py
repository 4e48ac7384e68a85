"""A web server over a scripted view, on a free port of the loopback."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import httpx

import snapshots
from incidents import ID, RECOVERED
from rollback_guard.adapters.clock import SystemClock
from rollback_guard.adapters.web import Bounds, Server, View, create_app
from rollback_guard.core.snapshot import ReloadView, Snapshot


class Daemon:
    """What a daemon lets the web see; tests change its attributes."""

    def __init__(self, **changes: Any) -> None:
        self.picture = snapshots.snapshot(**changes)
        self.is_alive = True
        self.reloads = 0
        self.problems: tuple[str, ...] = ()
        self.served_requests: list[tuple[str, str, int]] = []

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

    def served(self, route: str, method: str, code: int) -> None:
        self.served_requests.append((route, method, code))

    def view(self) -> View:
        return View(
            snapshot=self.snapshot,
            metrics=lambda: self.metrics(),  # noqa: PLW0108  tests put another in its place
            reload=self.reload,
            records=self.records,
            alive=self.alive,
            telemetry=self,
        )


def client_within(daemon: Daemon, *, url: str = "http://127.0.0.1", peer: str = "127.0.0.1") -> httpx.AsyncClient:
    """Talk to the application itself, without sockets between: for what does not depend on them."""
    transport = httpx.ASGITransport(create_app(daemon.view()), client=(peer, 50000))
    return httpx.AsyncClient(transport=transport, base_url=url)


@contextlib.asynccontextmanager
async def serving(daemon: Daemon, *, host: str = "127.0.0.1", bounds: Bounds | None = None) -> AsyncIterator[Server]:
    server = Server(create_app(daemon.view()), host=host, port=0, clock=SystemClock(), bounds=bounds)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@contextlib.contextmanager
def serving_apart(daemon: Daemon) -> Iterator[str]:
    """Serve from a thread of its own, for clients that block; gives the URL."""
    url: list[str] = []
    begun, done = threading.Event(), threading.Event()

    async def serve() -> None:
        async with serving(daemon) as server:
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
