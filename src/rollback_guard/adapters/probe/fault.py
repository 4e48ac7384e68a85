"""Tell whose fault it is that a probe got no good answer: the target's, or the guard's own.

The difference decides whether a breach is recorded or nothing is concluded. What the target's side answers (refused,
reset, silent) is evidence. What the guard's own machine answers before a packet reached anybody (no descriptor, no
route, no resolver) says nothing about the target. An error of the operating system that is not known to be the
target's is taken for the guard's own.

Where nothing came back at all it may be the one or the other: the target is gone, or the guard's own network is.
"""

from __future__ import annotations

import errno
import os

from rollback_guard.wire import TARGETS_OWN, certificate_problem, number_of, tls_problem

SILENCE = frozenset({errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN})
"""Errors that a guard without a network gets from every address."""


class _FaultError(Exception):
    """A probe without a good answer.

    Attributes:
        doubtful: Whether the guard's own network, if it is gone, explains it.
    """

    def __init__(self, words: str, *, doubtful: bool = False) -> None:
        super().__init__(words)
        self.doubtful = doubtful


class NotMadeError(_FaultError):
    """The guard itself could not make the probe."""


class UnreachableError(NotMadeError):
    """Nobody is at the address. It may be the road that ends early; where that is ruled out, the target is gone."""


class BadAnswerError(_FaultError):
    """The target did not answer as a healthy one does."""


def told(error: BaseException) -> BadAnswerError | NotMadeError:
    """Return a failed exchange as what it says of the target, with words for people."""
    if (problem := certificate_problem(error)) is not None:
        return BadAnswerError(f"certificate not valid: {problem}")
    if (problem := tls_problem(error)) is not None:
        return BadAnswerError(f"TLS failed: {problem}")
    if (number := number_of(error)) is not None:
        text = os.strerror(number).lower()
        if number == errno.EHOSTUNREACH:
            return UnreachableError(text, doubtful=True)
        return (BadAnswerError if number in TARGETS_OWN else NotMadeError)(text, doubtful=number in SILENCE)
    return BadAnswerError(_words(error))


def _words(error: BaseException) -> str:
    return str(error).strip().rstrip(".").lower() or "connection broken off"
