"""Send one request and read its answer: one connection, one deadline, a bounded body, no redirect, no proxy.

A connection is used once. An action runs seldom, and on a kept connection that the server has just closed nobody could
tell a request that was lost from one that took effect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

import httpx

from rollback_guard.adapters.actions.output import excerpt, presentable
from rollback_guard.ports import GuardError, PermanentError, TransientError, UnknownOutcome
from rollback_guard.wire import Network, RefusedAddressError, TrustError, certificate_problem, fresh_client

BODY_BYTES = 1024 * 1024
"""More of an answer is not read."""

_PHRASES = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One request, ready to be sent; it holds revealed secrets and so has no `repr` of them."""

    method: str
    url: httpx.URL = field(repr=False)
    headers: Sequence[tuple[str, str]] = field(repr=False)
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server said.

    Attributes:
        headers: By name in lower case; of a repeated one the last.
        body: As text, not redacted yet.
        unread: Why the body was not read, if it was not.
    """

    status: int
    headers: Mapping[str, str]
    body: str = field(default="", repr=False)
    unread: str = ""

    def __str__(self) -> str:
        """Return the answer for people: bounded and without secrets."""
        line = f"{self.status} {_PHRASES.get(self.status, '')}".strip()
        said = f"body not read: {self.unread}" if self.unread else excerpt(presentable(self.body))
        return f"{line}: {said}" if said else line


async def exchange(message: Message, network: Network) -> Answer:
    """Send a request and return the answer, whatever its status.

    Raises:
        TransientError: Nothing was sent, and trying again may help.
        PermanentError: Nothing was sent, and trying again will not help.
        UnknownOutcome: Something was sent and no whole answer came back.
    """
    try:
        return await _talk(message, network)
    except (RefusedAddressError, TrustError) as error:
        failure: GuardError = PermanentError(f"not sent: {error}")
    except (httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.InvalidURL):
        # Their words repeat the header or URL in question, with its secrets.
        failure = PermanentError("not sent: the request would not be valid HTTP")
    except (httpx.TransportError, OSError) as error:
        failure = _failed(error, sent=network.sent)
    # Raised out here, so that the exception below, which may quote the request, is not chained to it.
    raise failure


async def _talk(message: Message, network: Network) -> Answer:
    async with fresh_client(network) as client:
        # As bytes: httpx takes text for ASCII, and a variable of the environment may hold what is no text at all.
        headers = [(name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in message.headers]
        request = httpx.Request(message.method, message.url, headers=headers, content=message.content)
        response = await client.send(request, stream=True)
        try:
            return await _read(response)
        finally:
            await response.aclose()


async def _read(response: httpx.Response) -> Answer:
    status, headers = response.status_code, dict(response.headers)
    # Decoding could turn a few bytes into any amount of memory, so what was not asked for is not decoded.
    if headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
        return Answer(status=status, headers=headers, unread="it is encoded, though that was not asked for")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > BODY_BYTES:
            return Answer(status=status, headers=headers, unread=f"it is longer than {BODY_BYTES} bytes")
    return Answer(status=status, headers=headers, body=body.decode("utf-8-sig", "replace"))


def _failed(error: Exception, *, sent: bool) -> GuardError:
    if (untrusted := certificate_problem(error)) is not None:
        return PermanentError(f"not sent: {untrusted}")
    slow = isinstance(error, httpx.TimeoutException)
    reason = excerpt(presentable(str(error))) or ("the time is over" if slow else type(error).__name__)
    if sent:
        return UnknownOutcome(f"sent, but no whole answer: {reason}")
    return TransientError(f"not sent: {reason}")
