"""Hold every step of an exchange to one deadline: name, connection, TLS, request, headers, body, redirects.

httpx has a time-out for each read and none for the whole, so a peer that drips one byte at a time is never too slow;
and cancelling a request from outside leaks its slot in the pool. Here each operation on the socket gets no more time
than the deadline leaves, as the client's own time-out, so nothing is ever cancelled.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import httpcore
import httpx

from rollback_guard.adapters.probe.fault import NotMadeError, told
from rollback_guard.adapters.probe.resolver import Resolver
from rollback_guard.ports import Clock


class Deadline:
    """The end of one exchange, on a clock that never steps.

    Attributes:
        looking_up: The part of the time that went to resolving names.
    """

    def __init__(self, clock: Clock, span: timedelta) -> None:
        self.looking_up = timedelta(0)
        self._clock = clock
        self._begun = clock.elapsed()
        self.span = span

    @property
    def taken(self) -> timedelta:
        """Time since the beginning."""
        return self._clock.elapsed() - self._begun

    def left_s(self) -> float:
        """Return the seconds that are left, never below zero."""
        return max(0.0, (self.span - self.taken).total_seconds())


class DeadlineStream(httpcore.AsyncNetworkStream):
    """A connection whose operations end with the deadline."""

    def __init__(self, inner: httpcore.AsyncNetworkStream, deadline: Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109  httpcore's own
        """Read some bytes."""
        if not (left_s := self._deadline.left_s()):
            raise httpcore.ReadTimeout
        return await self._inner.read(max_bytes, left_s)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Write all bytes."""
        if not (left_s := self._deadline.left_s()):
            raise httpcore.WriteTimeout
        await self._inner.write(buffer, left_s)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        """Negotiate TLS."""
        if not (left_s := self._deadline.left_s()):
            raise httpcore.ConnectTimeout
        return DeadlineStream(await self._inner.start_tls(ssl_context, server_hostname, left_s), self._deadline)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._inner.aclose()

    def get_extra_info(self, info: str) -> Any:
        """Return what the connection knows of itself."""
        return self._inner.get_extra_info(info)


class Dialer(httpcore.AsyncNetworkBackend):
    """Resolve and connect, telling the guard's own failures from the target's."""

    def __init__(self, resolver: Resolver, deadline: Deadline) -> None:
        self._resolver = resolver
        self._deadline = deadline
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address that answers; a silent one leaves time for those after it.

        Raises:
            BadAnswerError: An address refused or broke off.
            NotMadeError: The name could not be resolved, or no address could even be tried.
            httpcore.ConnectTimeout: No address answered in time.
        """
        addresses = await self._resolve(host, port)
        failures: list[Exception] = []
        for index, address in enumerate(addresses):
            share_s = self._deadline.left_s() / (len(addresses) - index)
            try:
                return DeadlineStream(await self._network.connect_tcp(address, port, share_s), self._deadline)
            except httpcore.ConnectTimeout as error:
                failures.append(error)
            except httpcore.ConnectError as error:
                failures.append(told(error))
        evidence = (failure for failure in failures if not isinstance(failure, NotMadeError))
        raise next(evidence, failures[0] if failures else NotMadeError(f"{host} has no address"))

    async def _resolve(self, host: str, port: int) -> tuple[str, ...]:
        before = self._deadline.taken
        try:
            return await self._resolver.resolve(host, port, self._deadline.left_s())
        finally:
            self._deadline.looking_up += self._deadline.taken - before

    async def sleep(self, seconds: float) -> None:
        """Wait; httpcore does so between retries, of which there are none."""
        await self._network.sleep(seconds)


class FreshTransport(httpx.AsyncHTTPTransport):
    """Connect anew for every request.

    A health check must test connecting too, and a connection kept from the last check would hide that the target takes
    no new ones. It also means that nothing survives a check that could be exhausted.
    """

    def __init__(self, context: ssl.SSLContext, dialer: Dialer) -> None:
        super().__init__(verify=context, trust_env=False)
        # httpx has no argument for the network backend; its pool is replaced before it was ever used.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context, max_connections=1, max_keepalive_connections=0, network_backend=dialer
        )
