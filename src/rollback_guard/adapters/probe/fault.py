"""Tell whose fault it is that a probe got no good answer: the target's, or the guard's own.

The difference decides whether a breach is recorded or nothing is concluded. What the target's side answers (refused,
reset, silent) is evidence. What the guard's own machine answers before a packet reached anybody (no descriptor, no
route, no resolver) says nothing about the target. An error of the operating system that is not known to be the
target's is taken for the guard's own.
"""

from __future__ import annotations

import errno
import os
import ssl
from collections.abc import Iterator

TARGETS_OWN = frozenset(
    {errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE, errno.ETIMEDOUT, errno.EPROTO}
)
"""Errors that only the other side can cause."""

CHAIN_LENGTH = 10
"""No library wraps deeper; bounds the walk should an exception ever be its own cause."""


class NotMadeError(Exception):
    """The guard itself could not make the probe."""


class BadAnswerError(Exception):
    """The target did not answer as a healthy one does."""


def told(error: BaseException) -> Exception:
    """Return a failed exchange as what it says of the target, with words for people."""
    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                return BadAnswerError(f"certificate not valid: {cause.verify_message}")
            case ssl.SSLError():
                return BadAnswerError(f"TLS failed: {cause.reason or 'handshake broken off'}")
            case OSError(errno=int() as number):
                text = os.strerror(number).lower()
                return BadAnswerError(text) if number in TARGETS_OWN else NotMadeError(text)
    return BadAnswerError(_words(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    for _ in range(CHAIN_LENGTH):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__ or cause.__context__


def _words(error: BaseException) -> str:
    return str(error).strip().rstrip(".").lower() or "connection broken off"
