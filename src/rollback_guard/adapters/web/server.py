"""Run the web application in the daemon's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from datetime import timedelta

import uvicorn
from starlette.types import ASGIApp

from rollback_guard.adapters.web.connection import BoundedConfig, Bounds, Turn
from rollback_guard.adapters.web.gate import HSTS, security_headers
from rollback_guard.adapters.web.page import STYLE_HASH
from rollback_guard.adapters.web.tls import Certificate, Identity, reason_of
from rollback_guard.ports import Clock, GuardError

BACKLOG = 512

SWEEPS = 10
"""Within the shortest bound the connections are looked through so often."""


class ListenError(GuardError):
    """The address cannot be listened on, or not with this certificate."""


class Server:
    """An HTTP server that leaves signals alone and whose clients cannot hold it up; with a certificate it speaks TLS.

    Attributes:
        port: The port that it listens on, also where 0 was asked for.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        host: str,
        port: int,
        clock: Clock,
        bounds: Bounds | None = None,
        certificate: Certificate | None = None,
    ) -> None:
        """Prepare it.

        Raises:
            ListenError: The certificate cannot be used.
        """
        self.port = port
        self._host = host
        self._clock = clock
        self._bounds = bounds or Bounds()
        headers = list(security_headers(STYLE_HASH).items())
        identity = _identity(certificate) if certificate is not None else None
        if identity is not None:
            headers.append(("strict-transport-security", HSTS))
        config = BoundedConfig(app, bounds=self._bounds, clock=clock, headers=headers, identity=identity)
        self._uvicorn = _Uvicorn(config)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Listen; when this returns, requests are answered.

        Raises:
            ListenError: The address is taken, not ours or not allowed.
        """
        listener = await self._listen()
        self.port = listener.getsockname()[1]
        serving = asyncio.create_task(self._uvicorn.serve(sockets=[listener]), name="web")
        self._tasks = [serving, asyncio.create_task(self._sweep(), name="web sweep")]
        started = asyncio.create_task(self._uvicorn.is_up.wait())
        await asyncio.wait({started, serving}, return_when=asyncio.FIRST_COMPLETED)
        started.cancel()
        if serving.done():
            serving.result()

    async def stop(self) -> None:
        """Answer what is being answered, for two seconds at most, then close every connection."""
        if not self._tasks:
            return
        serving, sweeping = self._tasks
        self._tasks = []
        self._uvicorn.should_exit = True
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)
        try:
            await serving
        finally:
            for each in self._connections():
                each.transport.abort()

    async def _listen(self) -> socket.socket:
        loop = asyncio.get_running_loop()
        try:
            rows = await loop.getaddrinfo(self._host or None, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            family, _, _, _, address = rows[0]
            return _bound(family, (str(address[0]), self.port))
        except (OSError, OverflowError) as error:
            words = getattr(error, "strerror", None) or error
            raise ListenError(
                f"cannot listen on {self._host}:{self.port}: {words}; "
                "choose another address in [server] listen, or end what uses this one"
            ) from error

    async def _sweep(self) -> None:
        pause = max(min(self._bounds.request, self._bounds.answer) / SWEEPS, timedelta(milliseconds=50))
        while True:
            await self._clock.sleep(pause)
            for each in self._connections():
                each.end_if_overdue()

    def _connections(self) -> list[Turn]:
        return list(self._uvicorn.server_state.connections)  # type: ignore[arg-type]  # there are no others but ours


def _identity(certificate: Certificate) -> Identity:
    try:
        return Identity(certificate)
    except OSError as error:
        raise ListenError(
            f"cannot use the certificate {certificate.cert_file} with the key {certificate.key_file}: "
            f"{reason_of(error)}; [server] cert_file and key_file name them"
        ) from error


def _bound(family: int, address: tuple[str, int]) -> socket.socket:
    # Only for a socket that names its protocol does asyncio turn Nagle's algorithm off; without that each answer on a
    # connection that is used again waits 40 ms for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


class _Uvicorn(uvicorn.Server):
    """uvicorn without its hand on the process: the daemon decides what a signal means, and in which order it ends."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self.is_up.set()
