"""Say why a Prometheus of our own can not be had, or does not do what is asked.

EphemeralError
├── PrometheusMissing   there is no such program
├── StartFailed         it did not get ready
├── WriteRefused        it does not take these samples
└── QueryRefused        it can not answer this query
"""

from __future__ import annotations

from rollback_guard.ports import GuardError


class EphemeralError(GuardError):
    """Say what went wrong.

    Attributes:
        message: What happened, in one sentence, with the server's own words where it had any.
        hint: What to do about it; empty where nobody knows.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class PrometheusMissing(EphemeralError):  # noqa: N818  it says what is missing
    """Say that there is no `prometheus` program."""


class StartFailed(EphemeralError):  # noqa: N818  it says what failed
    """Say that the server did not get ready."""


class WriteRefused(EphemeralError):  # noqa: N818  it says what was refused
    """Say that the server does not take some samples; those of earlier requests are there."""


class QueryRefused(EphemeralError):  # noqa: N818  it says what was refused
    """Say that the server can not answer a query, or not with samples."""
