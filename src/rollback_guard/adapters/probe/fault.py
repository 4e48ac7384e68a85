"""Tell whose fault it is that a probe got no good answer: the target's, or the guard's own.

The difference decides whether a breach is recorded or nothing is concluded. What the target's side answers (refused,
reset, silent) is evidence. What the guard's own machine answers before a packet reached anybody (no descriptor, no
route, no resolver) says nothing about the target. An error of the operating system that is not known to be the
target's is taken for the guard's own.
"""

from __future__ import annotations

import os

from rollback_guard.wire import TARGETS_OWN, certificate_problem, number_of, tls_problem


class NotMadeError(Exception):
    """The guard itself could not make the probe."""


class BadAnswerError(Exception):
    """The target did not answer as a healthy one does."""


def told(error: BaseException) -> Exception:
    """Return a failed exchange as what it says of the target, with words for people."""
    if (problem := certificate_problem(error)) is not None:
        return BadAnswerError(f"certificate not valid: {problem}")
    if (problem := tls_problem(error)) is not None:
        return BadAnswerError(f"TLS failed: {problem}")
    if (number := number_of(error)) is not None:
        text = os.strerror(number).lower()
        return BadAnswerError(text) if number in TARGETS_OWN else NotMadeError(text)
    return BadAnswerError(_words(error))


def _words(error: BaseException) -> str:
    return str(error).strip().rstrip(".").lower() or "connection broken off"
