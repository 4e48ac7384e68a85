"""Hold every step of an exchange to one deadline: name, connection, TLS, request, headers, body, redirects.

httpx has a time-out for each read and none for the whole, so a peer that drips one byte at a time is never too slow;
and cancelling a request from outside leaks its slot in the pool. Here each operation on the socket gets no more time
than the deadline leaves, as the client's own time-out, so nothing is ever cancelled.
"""

from __future__ import annotations

import errno
import ipaddress
import ssl
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

import httpcore
import httpx

from rollback_guard.ports import Clock
from rollback_guard.wire.resolver import ResolveError, Resolver
from rollback_guard.wire.trust import Trust, TrustError

LINK_LOCAL = tuple(
    ipaddress.ip_network(network)
    for network in (
        "169.254.0.0/16",
        "fe80::/10",
        "fd00:ec2::254/128",
        "::ffff:169.254.0.0/112",
        "::169.254.0.0/112",
        "64:ff9b::a9fe:0/112",
        "2002:a9fe::/32",
    )
)
"""Where clouds answer with the credentials of the machine; the last four are ways to write the first in IPv6."""

TARGETS_OWN = frozenset(
    {errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE, errno.ETIMEDOUT, errno.EPROTO}
)
"""Errors that only the other side can cause."""

CHAIN_LENGTH = 10
"""No library wraps deeper; bounds the walk should an exception ever be its own cause."""


_NO_TRUST = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts nobody. It stands where the libraries would otherwise load all authorities of the system for plain HTTP."""


class RefusedAddressError(ResolveError):
    """A name leads to an address that may not be called: as far as we are concerned it has none."""


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


class _Stream(httpcore.AsyncNetworkStream):
    """A connection whose operations end with the deadline."""

    def __init__(self, inner: httpcore.AsyncNetworkStream, network: Network) -> None:
        self._inner = inner
        self._network = network
        self._deadline = network.deadline

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109  httpcore's own
        """Read some bytes."""
        if not (left_s := self._deadline.left_s()):
            raise httpcore.ReadTimeout
        return await self._inner.read(max_bytes, left_s)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Write all bytes."""
        if not (left_s := self._deadline.left_s()):
            raise httpcore.WriteTimeout
        self._network.sent = self._network.sent or bool(buffer)
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
        try:
            context = self._network.trust.context()
        except TrustError:
            await self.aclose()  # httpcore knows nothing of this error and would leave the connection open
            raise
        return _Stream(await self._inner.start_tls(context, server_hostname, left_s), self._network)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._inner.aclose()

    def get_extra_info(self, info: str) -> Any:
        """Return what the connection knows of itself."""
        return self._inner.get_extra_info(info)


class Network(httpcore.AsyncNetworkBackend):
    """The network as one exchange sees it: resolve, check, connect.

    Attributes:
        deadline: The end of the whole exchange.
        trust: Asked when TLS is spoken, and only then.
        sent: Whether any byte of a request may have left.
    """

    def __init__(self, resolver: Resolver, trust: Trust, deadline: Deadline, *, allow_link_local: bool = False) -> None:
        self.deadline = deadline
        self.trust = trust
        self.sent = False
        self._resolver = resolver
        self._allow_link_local = allow_link_local
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
            ResolveError: The name has no addresses.
            RefusedAddressError: It leads to one that may not be called.
            httpcore.ConnectError: No address took the connection; of several failures one that a target caused.
            httpcore.ConnectTimeout: No address answered in time.
        """
        addresses = await self._resolve(host, port)
        failures: list[Exception] = []
        for index, address in enumerate(addresses):
            share_s = self.deadline.left_s() / (len(addresses) - index)
            try:
                stream = await self._network.connect_tcp(address, port, share_s)
            except (httpcore.ConnectTimeout, httpcore.ConnectError) as error:
                failures.append(error)
            else:
                return _Stream(stream, self)
        raise min(failures, key=_is_own, default=ResolveError(f"{host} has no address"))

    async def _resolve(self, host: str, port: int) -> tuple[str, ...]:
        before = self.deadline.taken
        try:
            addresses = await self._resolver.resolve(host, port, self.deadline.left_s())
        finally:
            self.deadline.looking_up += self.deadline.taken - before
        # The address that was checked is the one that is called: a second look-up could give another.
        if not self._allow_link_local and (refused := next(filter(is_link_local, addresses), None)):
            raise RefusedAddressError(
                f"{host} leads to {refused}, which is link-local, where clouds keep credentials; "
                "only an HTTP action with allow_link_local = true calls it"
            )
        return addresses

    async def sleep(self, seconds: float) -> None:
        """Wait; httpcore does so between retries, of which there are none."""
        await self._network.sleep(seconds)


class _FreshTransport(httpx.AsyncHTTPTransport):
    """Connect anew for every request.

    A health check must test connecting too, and a connection kept from the last check would hide that the target takes
    no new ones. Of an action nobody could tell, on a kept connection that the server has just closed, a request that
    was lost from one that took effect. And nothing survives an exchange that could be exhausted.
    """

    def __init__(self, network: Network) -> None:
        super().__init__(verify=_NO_TRUST, trust_env=False)
        # httpx has no argument for the network backend; its pool is replaced before it was ever used.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=_NO_TRUST, max_connections=1, max_keepalive_connections=0, network_backend=network
        )


def fresh_client(network: Network) -> httpx.AsyncClient:
    """Return a client for one exchange: no redirects, no proxy, every operation under the network's deadline."""
    transport = _FreshTransport(network)
    return httpx.AsyncClient(transport=transport, trust_env=False, timeout=network.deadline.span.total_seconds())


def number_of(error: BaseException) -> int | None:
    """Return the error number of the operating system that lies behind an error, ``None`` if there is none."""
    return next((cause.errno for cause in _causes(error) if isinstance(cause, OSError) and cause.errno), None)


def certificate_problem(error: BaseException) -> str | None:
    """Return why the peer's certificate was not trusted, ``None`` if that is not what happened."""
    wrong = (cause for cause in _causes(error) if isinstance(cause, ssl.SSLCertVerificationError))
    return next((str(cause.verify_message) for cause in wrong), None)


def tls_problem(error: BaseException) -> str | None:
    """Return why TLS failed, ``None`` if that is not what happened."""
    wrong = (cause for cause in _causes(error) if isinstance(cause, ssl.SSLError))
    return next((cause.reason or "handshake broken off" for cause in wrong), None)


def is_link_local(address: str) -> bool:
    """Tell whether an address is one of `LINK_LOCAL`."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    return any(parsed in network for network in LINK_LOCAL if network.version == parsed.version)


def _is_own(error: Exception) -> bool:
    """Say whether a failure is of our own machine; a target's is told rather than that."""
    number = number_of(error)
    return number is not None and number not in TARGETS_OWN


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    for _ in range(CHAIN_LENGTH):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__ or cause.__context__
