"""Deliver by one HTTP request: JSON, signed, with the notice's id as its idempotency key."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

import httpx

from rollback_guard import __version__
from rollback_guard.adapters.notify.output import excerpt
from rollback_guard.adapters.notify.text import Wording, names
from rollback_guard.core.notice import Notice
from rollback_guard.core.units import parse_duration
from rollback_guard.ports import Clock, GuardError, PermanentError, TransientError, UnknownOutcome
from rollback_guard.secret import SecretError
from rollback_guard.specs import ChannelSpec
from rollback_guard.wire import Deadline, Network, RefusedAddressError, Resolver, Trust, TrustError, fresh_client
from rollback_guard.wire.signature import HEADER, sign

ANSWER_BYTES = 16 * 1024
"""Of an answer; only its beginning is ever shown."""

AGAIN = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
AGAIN_TOO = frozenset({HTTPStatus.SERVICE_UNAVAILABLE})
"""Answers of a server that did nothing and may do it later."""

_SECONDS = re.compile(r"[0-9]{1,6}", re.ASCII)

FORMAT = 1
"""Of the body; a change that would break a reader has another number."""


class WebhookChannel:
    """A channel behind one HTTP endpoint."""

    def __init__(self, spec: ChannelSpec, *, clock: Clock, directory: Path) -> None:
        self._spec = spec
        self._clock = clock
        self._wording = Wording(spec)
        self._resolver = Resolver()
        self._trust = Trust(None if spec.ca_file is None else directory / spec.ca_file)

    async def send(self, notice: Notice) -> None:
        """Deliver one notice.

        Raises:
            EmptyTextError: There is nothing to deliver.
            TransientError: It did not arrive, or the receiver asks to come again.
            PermanentError: The receiver refuses it.
            UnknownOutcome: It may have arrived.
        """
        title, body = self._wording.of(notice)
        content = json.dumps({"version": FORMAT, **names(notice), "title": title, "body": body}).encode()
        try:
            url, headers = self._spec.url.reveal(), self._headers(notice, content)
        except SecretError as error:
            raise TransientError(str(error)) from error
        network = Network(
            self._resolver, self._trust, Deadline(self._clock, self._spec.timeout), allow_link_local=False
        )
        status, said, retry_after = await _exchange(url, headers, content, network)
        _judge(status, said, retry_after)

    async def close(self) -> None:
        """Nothing outlives an exchange."""

    def _headers(self, notice: Notice, content: bytes) -> list[tuple[bytes, bytes]]:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"rollback-guard/{__version__}",
            "Accept-Encoding": "identity",
            "Idempotency-Key": quote(notice.id, safe="/:.-_"),
        }
        if self._spec.secret is not None:
            headers[HEADER] = sign(content, self._spec.secret.reveal().encode(), self._clock.now())
        given = {name: value.reveal() for name, value in self._spec.headers}
        own = {name.lower() for name in given}
        headers = {name: value for name, value in headers.items() if name.lower() not in own}
        return [
            (name.encode(), value.encode("utf-8", "surrogateescape"))
            for name, value in (*headers.items(), *given.items())
        ]


async def _exchange(
    url: str, headers: list[tuple[bytes, bytes]], content: bytes, network: Network
) -> tuple[int, str, str]:
    try:
        async with fresh_client(network) as client:
            request = httpx.Request("POST", url, headers=headers, content=content)
            response = await client.send(request, stream=True)
            try:
                return response.status_code, await _beginning(response), response.headers.get("retry-after", "")
            finally:
                await response.aclose()
    except RefusedAddressError as error:
        failure: GuardError = PermanentError(f"not sent: {error}")
    except (httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.InvalidURL):
        # Their words repeat the header or URL in question, with its secrets.
        failure = PermanentError("not sent: the request would not be valid HTTP")
    except TrustError as error:
        failure = TransientError(f"not sent: {error}")
    except (httpx.TransportError, OSError) as error:
        slow = isinstance(error, httpx.TimeoutException)
        reason = excerpt(str(error)) or ("the time is over" if slow else type(error).__name__)
        if network.sent:
            failure = UnknownOutcome(f"sent, but no whole answer: {reason}")
        else:
            failure = TransientError(f"not sent: {reason}")
    # Raised out here, so that the exception below, which may quote the request, is not chained to it.
    raise failure


async def _beginning(response: httpx.Response) -> str:
    """Return how an answer begins; what it goes on with changes nothing."""
    data = bytearray()
    async for chunk in response.aiter_raw():
        data += chunk
        if len(data) >= ANSWER_BYTES:
            break
    return excerpt(bytes(data[:ANSWER_BYTES]).decode("utf-8", "replace"))


def _judge(status: int, said: str, retry_after: str) -> None:
    answer = f"HTTP {status}: {said}" if said else f"HTTP {status}"
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return
    if status in AGAIN | AGAIN_TOO:
        asked = parse_duration(f"{retry_after}s") if _SECONDS.fullmatch(retry_after) else None
        raise TransientError(answer, retry_after=asked)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise UnknownOutcome(answer)
    raise PermanentError(answer)
