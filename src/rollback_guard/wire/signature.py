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
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Claim:
    """What a header says, as far as it can be checked without the body: its form and its time."""

    seconds: str
    codes: tuple[str, ...]
    until: datetime


def read_claim(header: str | None, now: datetime, *, tolerance: timedelta = TOLERANCE) -> Claim:
    """Read a header, which costs next to nothing.

    Args:
        header: As it arrived, or ``None``.
        now: Aware UTC.
        tolerance: How far the time in it may be from `now`, both ways.

    Raises:
        SignatureError: It has another form, or another time.
    """
    if not header:
        raise SignatureError("there is no signature")
    parts = _VALUE.fullmatch(header)
    if parts is None:
        raise SignatureError("the signature is not of the form t=…,v1=…")
    at = datetime.fromtimestamp(int(parts[1]), UTC)
    if abs(now - at) > tolerance:
        raise SignatureError(f"the signature is not of the last {tolerance.total_seconds():.0f} seconds")
    codes = tuple(code.partition("=")[2] for code in parts[2].split(",") if code)
    return Claim(parts[1], codes, at + tolerance)


def key_of(claim: Claim, body: bytes, secrets: Sequence[bytes]) -> bytes:
    """Return the key that signed exactly this body: one pass over it for each key, however many codes there are.

    Raises:
        SignatureError: None of them did.
    """
    for secret in secrets:
        if secret:
            code = _code(claim.seconds, body, secret)
            if any(hmac.compare_digest(each, code) for each in claim.codes):
                return secret
    raise SignatureError("no known key made this signature")


def digest_of(claim: Claim, body: bytes) -> bytes:
    """Return by what a request is known again: not its code, for of a body that two keys signed there are two."""
    digest = hashlib.sha256(f"{claim.seconds}.".encode())
    digest.update(body)
    return digest.digest()


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
    claim = read_claim(header, now, tolerance=tolerance)
    key = key_of(claim, body, secrets)
    seen.take(digest_of(claim, body), until=claim.until, now=now)
    return key


def _code(seconds: str, body: bytes, secret: bytes) -> str:
    # In two parts: a body of a megabyte is not copied to stand behind its time.
    mac = hmac.new(secret, f"{seconds}.".encode(), hashlib.sha256)
    mac.update(body)
    return mac.hexdigest()
