"""Open the road of one HTTP exchange: checked addresses, one deadline for everything, and whether anything was sent.

The deadline stands under each read and write of the socket. So a peer that drips its headers or its body ends with the
same time-out as one that is silent, and no task ever has to be cancelled from outside, which would leak connections.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import httpcore

from rollback_guard.ports import Clock

LINK_LOCAL = tuple(
    ipaddress.ip_network(network)
    for network in ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128", "::ffff:169.254.0.0/112", "64:ff9b::a9fe:0/112")
)
"""Where clouds answer with the credentials of the machine; the last two are ways to write the first in IPv6."""

SOONEST_S = 0.001
"""A time-out of nothing would be no time-out."""


class RefusedAddress(Exception):  # noqa: N818  says what happened, like the exceptions of httpcore beside it
    """The name leads to an address that may not be called."""


class UntrustedPeer(Exception):  # noqa: N818  see above
    """The certificate of the server is not to be trusted."""


class Wire(httpcore.AsyncNetworkBackend):
    """The network as one exchange sees it.

    Attributes:
        sent: Whether any byte of a request may have left.
    """

    def __init__(self, *, clock: Clock, timeout: timedelta, allow_link_local: bool) -> None:
        self.sent = False
        self._clock = clock
        self._ends_at = clock.elapsed() + timeout
        self._allow_link_local = allow_link_local
        self._network = httpcore.AnyIOBackend()

    def left_s(self) -> float:
        """Return the seconds that are left, zero or less when the time is over."""
        return (self._ends_at - self._clock.elapsed()).total_seconds()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address that answers; each may use its share of the time that is left."""
        addresses = await self._resolve(host, port)
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for index, address in enumerate(addresses):
            share_s = max(self.left_s() / (len(addresses) - index), SOONEST_S)
            try:
                stream = await self._network.connect_tcp(address, port, share_s, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _Stream(stream, self)
        raise failure

    async def sleep(self, seconds: float) -> None:
        """Wait, as httpcore asks for between attempts; it is told to make one."""
        await self._clock.sleep(timedelta(seconds=seconds))

    async def _resolve(self, host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(max(self.left_s(), SOONEST_S)):
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except TimeoutError:
            raise httpcore.ConnectTimeout(f"{host}: the name was not resolved in time") from None
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host}: {error}") from None
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        # The address that was checked is the one that is called: a second look-up could give another.
        if not self._allow_link_local and (refused := next(filter(is_link_local, addresses), None)):
            raise RefusedAddress(f"{host} leads to {refused}, which is link-local; allow_link_local permits it")
        return addresses


class _Stream(httpcore.AsyncNetworkStream):
    """A connection under the deadline of its wire."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, wire: Wire) -> None:
        self._stream = stream
        self._wire = wire

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        if (left_s := self._wire.left_s()) <= 0:
            raise httpcore.ReadTimeout("the time is over")
        return await self._stream.read(max_bytes, left_s)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        if (left_s := self._wire.left_s()) <= 0:
            raise httpcore.WriteTimeout("the time is over")
        self._wire.sent = self._wire.sent or bool(buffer)
        await self._stream.write(buffer, left_s)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        left_s = max(self._wire.left_s(), SOONEST_S)
        try:
            stream = await self._stream.start_tls(ssl_context, server_hostname, left_s)
        except httpcore.ConnectError as error:
            if isinstance(error.__cause__, ssl.SSLCertVerificationError):
                raise UntrustedPeer(error.__cause__.verify_message) from None
            raise
        return _Stream(stream, self._wire)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def is_link_local(address: str) -> bool:
    """Tell whether an address is one of `LINK_LOCAL`."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    return any(parsed in network for network in LINK_LOCAL if network.version == parsed.version)
