"""Bound what one client can hold of the server, and for how long.

uvicorn closes a connection only after an answer. One that sends nothing, or a byte now and then, or that never reads
what it is sent, is kept for ever; a few hundred of them would shut out Prometheus and the health check. Here every
turn of a connection has an absolute end, and where there are too many connections the one that has kept the server
waiting the longest gives way to the new one; where all are being answered, the new one gives way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from rollback_guard.adapters.web.tls import Door, Identity
from rollback_guard.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a client may take.

    Attributes:
        connections: Open at once; below any usual limit of file descriptors, which probes and actions need too.
        request: From the connection, or the last answer, to the end of the request; also for taking an answer.
        answer: From the end of the request to the end of the answer, so that a reload has its time.
        keep_alive: Between an answer and the next request, in whole seconds.
    """

    connections: int = 256
    request: timedelta = timedelta(seconds=5)
    answer: timedelta = timedelta(seconds=60)
    keep_alive: int = 5


class Turn(Protocol):
    """A connection, as far as it has to come to an end; also one that is still in its handshake."""

    transport: asyncio.Transport

    @property
    def is_answering(self) -> bool:
        """Whether it is the server's turn."""
        ...

    @property
    def held(self) -> timedelta:
        """How long this turn has lasted."""
        ...

    def end_if_overdue(self) -> None:
        """Cut the connection off if its turn has lasted too long."""
        ...


class BoundedConfig(uvicorn.Config):
    """uvicorn's configuration, with the bounds that it does not know."""

    def __init__(
        self,
        app: Any,
        *,
        bounds: Bounds,
        clock: Clock,
        headers: list[tuple[str, str]],
        identity: Identity | None = None,
    ) -> None:
        super().__init__(
            app,
            http=BoundedProtocol if identity is None else _door(identity),  # type: ignore[arg-type]  # it only calls it
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=True,
            timeout_keep_alive=bounds.keep_alive,
            timeout_graceful_shutdown=2,
        )
        self.bounds = bounds
        self.clock = clock
        self.bad_request_headers = headers

    def make_room(self, newcomer: Turn, connections: set[Any]) -> None:
        """Where there are too many connections, cut off the one that has kept the server waiting the longest."""
        if len(connections) <= self.bounds.connections:
            return
        waiting = [each for each in connections if each is not newcomer and not each.is_answering]
        oldest = max(waiting, key=lambda each: each.held, default=newcomer)
        connections.discard(oldest)
        oldest.transport.abort()


class BoundedProtocol(H11Protocol):
    """An HTTP connection whose turns come to an end."""

    config: BoundedConfig
    cycle: RequestResponseCycle | None  # type: ignore[assignment]  # there is none before the first request

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, and make room where there is none."""
        super().connection_made(transport)
        self._turn_began = self.config.clock.elapsed()
        self.config.make_room(self, self.connections)

    def began(self, at: timedelta) -> None:
        """Count the handshake before it as part of the first turn."""
        self._turn_began = at

    def on_response_complete(self) -> None:
        """Begin the next turn."""
        self._turn_began = self.config.clock.elapsed()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, with the headers that every answer has, and close."""
        headers = [(name.encode(), value.encode()) for name, value in self.config.bad_request_headers]
        headers += [(b"content-type", b"application/json"), (b"connection", b"close")]
        for event in (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=b'{"error":"this is no valid HTTP request","near":[]}'),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event))
        self.transport.close()

    @property
    def is_answering(self) -> bool:
        """Whether the request is here whole and the answer is not out yet: the server's turn."""
        return self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete

    @property
    def held(self) -> timedelta:
        """How long this turn has lasted."""
        return self.config.clock.elapsed() - self._turn_began

    def end_if_overdue(self) -> None:
        """Cut the connection off if its turn has lasted too long; what was not read by then is lost."""
        bounds = self.config.bounds
        if self.held > (bounds.answer if self.is_answering else bounds.request):
            self.transport.abort()


def _door(identity: Identity) -> Callable[..., Door]:
    """Return what uvicorn makes a connection with where TLS is negotiated before HTTP is spoken."""

    def make(config: BoundedConfig, server_state: Any, app_state: dict[str, Any], _loop: Any = None) -> Door:
        return Door(config, identity, server_state, lambda: BoundedProtocol(config, server_state, app_state, _loop))

    return make
