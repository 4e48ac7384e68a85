"""Bound everything that a connection does by one deadline.

The time-outs of requests count anew for every address that is tried, every block that is sent and every byte that
comes in. A peer that drips beats them for ever. Here each of these operations gets what is left of the whole.
"""

from __future__ import annotations

import io
import socket
from contextvars import ContextVar
from datetime import timedelta
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import create_connection

from rollback_guard.ports import Clock

SHORTEST_WAIT_S = 0.001
"""A time-out of zero would mean not to wait at all, which is another mode of a socket."""


class Deadline:
    """The end of one request.

    Attributes:
        connected: Whether a new connection was made for it; else it travels on one that had been idle.
    """

    def __init__(self, clock: Clock, end: timedelta) -> None:
        self._clock = clock
        self._end = end
        self.connected = False

    def left_s(self) -> float:
        """Return what is left, in seconds.

        Raises:
            TimeoutError: Nothing is.
        """
        left_s = (self._end - self._clock.elapsed()).total_seconds()
        if left_s <= 0:
            raise TimeoutError("the deadline has passed")
        return max(left_s, SHORTEST_WAIT_S)


DEADLINE: ContextVar[Deadline] = ContextVar("DEADLINE")
"""Of the request that the running thread makes."""


class _PatientReader(io.RawIOBase):
    """Read from a socket, each time waiting no longer than what is left."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw = raw
        self._sock = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(DEADLINE.get().left_s())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _PatientResponse(HTTPResponse):
    """An answer whose status line, headers and body are all read under the deadline."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_PatientReader(self.fp.detach(), sock))


def _bounded(sock: socket.socket, deadline: Deadline) -> socket.socket:
    """Have the TLS handshake, which comes next, end by the deadline."""
    try:
        sock.settimeout(deadline.left_s())
    except TimeoutError:
        sock.close()
        raise
    return sock


if TYPE_CHECKING:
    _Mixed = HTTPConnection
else:
    _Mixed = object


class _Patient(_Mixed):
    """A connection whose connecting and sending obey the deadline."""

    response_class = _PatientResponse

    def _new_conn(self) -> socket.socket:
        """Connect, giving each address of the name an equal share of what is left."""
        deadline = DEADLINE.get()
        try:
            addresses = socket.getaddrinfo(self._dns_host, self.port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        failed = OSError("the name has no address")
        for tried, (*_, address) in enumerate(addresses):
            try:
                share_s = deadline.left_s() / (len(addresses) - tried)
                place = (str(address[0]), int(self.port))
                sock = create_connection(place, share_s, self.source_address, self.socket_options)
            except OSError as error:
                failed = error
            else:
                deadline.connected = True
                return _bounded(sock, deadline)
        if isinstance(failed, TimeoutError):
            raise ConnectTimeoutError(self, "no connection by the deadline") from failed
        raise NewConnectionError(self, str(failed)) from failed

    def send(self, data: Any) -> None:
        if self.sock is not None:
            self.sock.settimeout(DEADLINE.get().left_s())
        super().send(data)


class _PlainConnection(_Patient, HTTPConnection):
    pass


class _TLSConnection(_Patient, HTTPSConnection):
    pass


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


_POOLS = {"http": _PlainPool, "https": _TLSPool}


class PatientAdapter(HTTPAdapter):
    """One connection, kept alive, without retries."""

    def __init__(self) -> None:
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Have the pools make connections that obey the deadline."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Have the pools behind a proxy do so too."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager
