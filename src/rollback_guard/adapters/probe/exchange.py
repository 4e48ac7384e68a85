"""Make one HTTP exchange within a deadline and a size, and bring home what is judged."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpcore
import httpx

from rollback_guard import __version__
from rollback_guard.adapters.probe.fault import BadAnswerError, NotMadeError, told
from rollback_guard.secret import SecretError
from rollback_guard.specs import ProbeSpec
from rollback_guard.wire import Deadline, Network, ResolveError, Resolver, Trust, TrustError, fresh_client

MAX_REDIRECTS = 5

DEFAULT_HEADERS = (
    (b"accept", b"*/*"),
    (b"accept-encoding", b"identity"),
    (b"connection", b"close"),
    (b"user-agent", f"rollback-guard/{__version__}".encode()),
)
"""Sent unless a probe names the same header itself. Encoded bodies are not asked for: a small one may unpack to many
hundred megabytes."""

STALL = timedelta(seconds=1)
"""A time-out noticed this much too late says that the guard was held up, not that the target was slow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What the target answered.

    Attributes:
        body: As it came, at most `max_body_bytes`.
        cut: Whether there was more of it.
        encoding: Content-Encoding that came although `identity` was asked for.
        took: To the last byte, without the look-up of the name: that is the resolver's time.
        tls_until: End of the certificate's validity; ``None`` without TLS.
    """

    status: int
    body: bytes
    cut: bool
    encoding: str
    took: timedelta
    tls_until: datetime | None


class Road(Network):
    """The network of one exchange, which knows how far the exchange came.

    Attributes:
        connected: Whether an address took a connection.
    """

    def __init__(self, resolver: Resolver, trust: Trust, deadline: Deadline) -> None:
        super().__init__(resolver, trust, deadline)
        self.connected = False

    async def connect_tcp(self, *args: Any, **options: Any) -> httpcore.AsyncNetworkStream:
        """Connect, and take note of it."""
        stream = await super().connect_tcp(*args, **options)
        self.connected = True
        return stream


async def exchange(spec: ProbeSpec, network: Road) -> Page:
    """Ask the target once.

    Raises:
        BadAnswerError: It gave no answer, or none that is HTTP.
        NotMadeError: The guard could not ask.
    """
    deadline = network.deadline
    try:
        async with fresh_client(network) as client:
            return await _follow(client, _request(client, spec), spec, deadline)
    except ResolveError as error:
        raise NotMadeError(str(error), doubtful=True) from error
    except TrustError as error:
        raise NotMadeError(str(error)) from error
    except httpx.PoolTimeout as error:
        raise NotMadeError("no connection slot left in the guard") from error
    except httpx.TimeoutException as error:
        raise _late(error, network) from error
    except (httpx.LocalProtocolError, httpx.UnsupportedProtocol) as error:
        # The library's words quote the header that it refused, and a header may be a secret.
        raise NotMadeError("the request can not be written as HTTP") from error
    except (httpx.TransportError, OSError) as error:
        raise told(error) from error


def _late(error: httpx.TimeoutException, network: Road) -> Exception:
    deadline = network.deadline
    span_s = deadline.span.total_seconds()
    if deadline.taken > deadline.span + STALL:
        return NotMadeError(f"the guard itself was held up for {deadline.taken.total_seconds():.1f}s")
    if deadline.looking_up > deadline.span / 2:
        return NotMadeError(
            f"the resolver took {deadline.looking_up.total_seconds():.1f}s of {span_s:g}s", doubtful=True
        )
    what = "connection" if isinstance(error, httpx.ConnectTimeout) else "complete answer"
    return BadAnswerError(f"no {what} within {span_s:g}s", doubtful=not network.connected)


def _request(client: httpx.AsyncClient, spec: ProbeSpec) -> httpx.Request:
    try:
        headers = [(name.lower().encode(), value.reveal().encode()) for name, value in spec.headers]
        named = {name for name, _ in headers}
        headers += [(name, value) for name, value in DEFAULT_HEADERS if name not in named]
        return client.build_request(spec.method, spec.url, headers=headers)
    except (SecretError, httpx.InvalidURL) as error:
        raise NotMadeError(str(error)) from error


async def _follow(client: httpx.AsyncClient, request: httpx.Request, spec: ProbeSpec, deadline: Deadline) -> Page:
    for _ in range(MAX_REDIRECTS + 1):
        response = await client.send(request, stream=True)
        try:
            onward = response.next_request
            if onward is None or response.status_code in spec.expect.status:
                return await _page(response, spec, deadline)
        finally:
            await response.aclose()
        _refuse_other_place(request.url, onward.url)
        request = onward
    raise BadAnswerError(f"more than {MAX_REDIRECTS} redirects")


def _refuse_other_place(origin: httpx.URL, target: httpx.URL) -> None:
    """Follow only to the same host and port, or from HTTP to HTTPS there; credentials go along."""
    if origin.host == target.host and (
        (origin.scheme, _port(origin)) == (target.scheme, _port(target))
        or (origin.scheme, target.scheme) == ("http", "https")
    ):
        return
    raise BadAnswerError(f"redirected to another place: {target.scheme}://{target.netloc.decode('ascii', 'replace')}")


def _port(url: httpx.URL) -> int | None:
    return url.port or {"http": 80, "https": 443}.get(url.scheme)


async def _page(response: httpx.Response, spec: ProbeSpec, deadline: Deadline) -> Page:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > spec.max_body_bytes:
            break
    return Page(
        status=response.status_code,
        body=bytes(body[: spec.max_body_bytes]),
        cut=len(body) > spec.max_body_bytes,
        encoding=response.headers.get("content-encoding", "identity").strip().lower(),
        took=deadline.taken - deadline.looking_up,
        tls_until=_tls_until(response),
    )


def _tls_until(response: httpx.Response) -> datetime | None:
    stream = response.extensions.get("network_stream")
    ssl_object = stream.get_extra_info("ssl_object") if stream is not None else None
    certificate = ssl_object.getpeercert() if ssl_object is not None else None
    if not certificate:
        return None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), tz=UTC)
