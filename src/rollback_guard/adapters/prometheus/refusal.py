"""Say why a request got no usable answer, and whether that is the fault of what was asked."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from http.client import HTTPException, IncompleteRead

import requests
import urllib3.exceptions

from rollback_guard.core.observation import Failure, Unknown
from rollback_guard.secret import SecretError, redact

DETAIL_CHARS = 500
"""A server's error text is for people; more than this of it hides the rest of the screen."""

SILENT = frozenset({Unknown.CONNECT, Unknown.TIMEOUT, Unknown.HTTP_ERROR})
"""Reasons that do not prove that the query API is up at all."""

TRANSPORT_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError, OSError, SecretError)
"""All that the road to a server can raise."""

_DISCONNECTS = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)


class Refused(Exception):  # noqa: N818  it is an outcome that is told, not a defect
    """A request ended without an answer that can be used.

    Attributes:
        reason: The word for log, metric and verdict.
        detail: For people; redacted and bounded.
        shared: The cause does not lie with this query, so that asking its parts one by one would only multiply load.
    """

    def __init__(self, reason: Unknown, detail: str, *, shared: bool) -> None:
        self.reason = reason
        self.detail = redact(detail)[:DETAIL_CHARS]
        self.shared = shared
        super().__init__(f"{reason}: {self.detail}")

    @property
    def failure(self) -> Failure:
        """The same as a value for the core."""
        return Failure(self.reason, self.detail)


def refusal_of(error: Exception) -> Refused:
    """Return what an exception of the transport means."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, SecretError):
        return Refused(Unknown.CONNECT, f"credentials: {error}", shared=True)
    if isinstance(error, requests.exceptions.InvalidHeader):
        # The library's own words hold the header's value.
        return Refused(Unknown.CONNECT, "credentials: a header value holds characters that HTTP forbids", shared=True)
    causes = tuple(_causes(error))
    if any(_is_time_out(cause) for cause in causes):
        return Refused(Unknown.TIMEOUT, "no complete answer by the deadline", shared=True)
    if any(isinstance(cause, IncompleteRead | urllib3.exceptions.IncompleteRead) for cause in causes):
        return Refused(Unknown.BAD_RESPONSE, "the answer ended before it was complete", shared=False)
    if any(isinstance(cause, HTTPException) and not isinstance(cause, ConnectionError) for cause in causes):
        return Refused(Unknown.BAD_RESPONSE, f"the answer is not HTTP: {causes[-1]}", shared=True)
    return Refused(Unknown.CONNECT, _words(causes), shared=True)


def is_disconnect(error: Exception) -> bool:
    """Say whether the peer closed the connection, as it may do at any time with an idle one."""
    causes = tuple(_causes(error))
    return any(isinstance(cause, _DISCONNECTS) for cause in causes) and not any(
        isinstance(cause, urllib3.exceptions.NewConnectionError) for cause in causes
    )


def _is_time_out(error: BaseException) -> bool:
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        return False  # a refused connection, which urllib3 counts among the time-outs
    return isinstance(error, TimeoutError | requests.Timeout | urllib3.exceptions.TimeoutError)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and all that it wraps; the libraries keep the cause in arguments as well as in `__cause__`."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        inner = (each.__cause__, each.__context__, getattr(each, "reason", None), *each.args)
        waiting.extend(cause for cause in inner if isinstance(cause, BaseException))


def _words(causes: tuple[BaseException, ...]) -> str:
    """Prefer the operating system's words, which say the most in the fewest."""
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            return f"the name cannot be resolved: {cause.strerror}"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the certificate is not trusted: {cause.verify_message}"
    for cause in causes:
        if isinstance(cause, OSError) and cause.strerror and not isinstance(cause, requests.RequestException):
            return cause.strerror
    return str(causes[-1]) or type(causes[-1]).__name__
