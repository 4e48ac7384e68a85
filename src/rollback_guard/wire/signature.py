"""Sign a body, so that its reader knows who wrote it and when, and check such a signature.

The value of the header names the time and one or more codes: ``t=1772359200,v1=5257a8…``. A code is the HMAC-SHA256 of
the time as written, a dot, and the body. The time is part of it, so an old request cannot be given a new date; what is
still young enough is remembered, so that it counts once only.
"""

from __future__ import annotations

import hashlib
import heapq
import hmac
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

HEADER = "Rollback-Guard-Signature"

TOLERANCE = timedelta(minutes=5)
"""Clocks differ and requests wait; what is older, or of a later time, is refused."""

REMEMBERED = 10_000
"""Requests of one tolerance; more within it are refused rather than forgotten, for only keys can make them."""

_VALUE = re.compile(r"t=([0-9]{1,11})((?:,v1=[0-9a-f]{64}){1,4})", re.ASCII)
"""Several codes are those of a writer who changes the key."""


class SignatureError(Exception):
    """A signature does not hold. The message says why and repeats nothing of the request."""


class ReplayCache:
    """Remember what was accepted for as long as its time would be accepted again."""

    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._seen: set[bytes] = set()
        self._until: list[tuple[datetime, bytes]] = []

    @property
    def size(self) -> int:
        """How many requests are remembered."""
        return len(self._seen)

    def take(self, digest: bytes, *, until: datetime, now: datetime) -> None:
        """Remember a request.

        Raises:
            SignatureError: It was there before, or there are too many of them.
        """
        while self._until and self._until[0][0] < now:
            self._seen.discard(heapq.heappop(self._until)[1])
        if digest in self._seen:
            raise SignatureError("this request was accepted before")
        if len(self._seen) >= self._most:
            raise SignatureError("too many signed requests at once")
        self._seen.add(digest)
        heapq.heappush(self._until, (until, digest))


def sign(body: bytes, secret: bytes, at: datetime) -> str:
    """Return the value of the header for a body."""
    seconds = str(int(at.timestamp()))
    return f"t={seconds},v1={_code(seconds, body, secret)}"


def verify(
    header: str | None,
    body: bytes,
    secrets: Sequence[bytes],
    now: datetime,
    *,
    seen: ReplayCache,
    tolerance: timedelta = TOLERANCE,
) -> bytes:
    """Check that one of the keys signed exactly this body, lately, and that it comes for the first time.

    Args:
        header: As it arrived, or ``None``.
        body: As it arrived, before anything was read out of it.
        secrets: Every key that counts: two while a key is being changed. An empty one never does.
        now: Aware UTC.
        seen: What was accepted already.
        tolerance: How far the time in it may be from `now`, both ways.

    Returns:
        The key that it was.

    Raises:
        SignatureError: It does not hold.
    """
    if not header:
        raise SignatureError("there is no signature")
    parts = _VALUE.fullmatch(header)
    if parts is None:
        raise SignatureError("the signature is not of the form t=…,v1=…")
    seconds, codes = parts[1], [code.partition("=")[2] for code in parts[2].split(",") if code]
    matches = [
        secret
        for secret in secrets
        if secret and any(hmac.compare_digest(code, _code(seconds, body, secret)) for code in codes)
    ]
    if not matches:
        raise SignatureError("no known key made this signature")
    at = datetime.fromtimestamp(int(seconds), UTC)
    if abs(now - at) > tolerance:
        raise SignatureError(f"the signature is not of the last {tolerance.total_seconds():.0f} seconds")
    # Not the code: of a body that two keys signed, either code alone would be a new one.
    seen.take(hashlib.sha256(_signed(seconds, body)).digest(), until=at + tolerance, now=now)
    return matches[0]


def _code(seconds: str, body: bytes, secret: bytes) -> str:
    return hmac.new(secret, _signed(seconds, body), hashlib.sha256).hexdigest()


def _signed(seconds: str, body: bytes) -> bytes:
    return f"{seconds}.".encode() + body
