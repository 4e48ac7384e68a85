"""Reach a goal by one HTTP request, and tell by another whether it is reached."""

from __future__ import annotations

from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Annotated, Literal, Self

import structlog
from pydantic import Field, model_validator

from rollback_guard.adapters.actions.exchange import Answer, exchange
from rollback_guard.adapters.actions.expectation import Expect, Expectation, Finding, Match
from rollback_guard.adapters.actions.request import HeaderName, Method, Payload, Request, Url
from rollback_guard.adapters.actions.setting import Duration, Header, Undo
from rollback_guard.ports import (
    Call,
    Clock,
    Goal,
    GuardError,
    PermanentError,
    Telemetry,
    TransientError,
    UnknownOutcome,
)
from rollback_guard.wire import Deadline, Network, Resolver, Trust, TrustError

log = structlog.get_logger(__name__)

TRY_AGAIN = frozenset({408, 425, 429, 503})
"""Statuses by which a server says that it did nothing and may do it later."""

REFUSALS = frozenset({501, 505, 511})
"""Errors above 499 that say for sure that nothing happened; of the others nobody knows."""

GONE = frozenset({404, 410})
"""What a read of something that does not exist answers: well-formed, where a status was asked for by name."""

LONGEST_PAUSE = timedelta(minutes=5)
"""A server may ask for a day; the people are called long before."""

Headers = Annotated[dict[HeaderName, Header], Field(description="Templates and secret references allowed in values.")]


class Inspection(Payload):
    """Tell by a request whether the goal is reached."""

    method: Method = Field(default="GET", description="A read that changes nothing.")
    url: Url | None = Field(default=None, description="The action's own URL if left out.")
    headers: Headers | None = Field(default=None, description="The action's own headers if left out.")
    expect: Expect = Field(description="What the answer says when the goal is reached.")
    timeout: Duration | None = Field(default=None, description="The action's own time if left out.")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.expect.status or self.expect.json_ or self.expect.body):
            raise ValueError("expect is empty: any answer would mean that the goal is reached")
        return self


class Settings(Payload):
    """Send an HTTP request."""

    type: Literal["http"] = Field(description="Selects this kind of action.")
    method: Method = Field(default="POST", description="Method of the request.")
    url: Url = Field(
        description="Where to. Templates are allowed behind the host and are percent-encoded; secret references too."
    )
    headers: Headers = Field(default_factory=dict)
    expect: Expect = Field(default_factory=Expect, description="What the answer says when it was done.")
    timeout: Duration = Field(
        default=timedelta(seconds=10),
        description="For all attempts together; of each, from looking up the name to the last byte of the answer.",
    )
    idempotent: bool = Field(
        default=False, description="Whether repeating the request is harmless when its outcome is not known."
    )
    inspect: Inspection | None = Field(default=None, description="How to tell whether the goal is reached.")
    ca_file: str | None = Field(default=None, description="Certificates to trust, in place of the system's.")
    cert_file: str | None = Field(default=None, description="Client certificate.")
    key_file: str | None = Field(default=None, description="Its key, where it is not in the same file.")
    allow_link_local: bool = Field(
        default=False, description="Whether link-local addresses may be called, where clouds keep credentials."
    )
    undo: Undo = None

    @model_validator(mode="after")
    def _key_has_certificate(self) -> Self:
        if self.key_file and not self.cert_file:
            raise ValueError("key_file without cert_file")
        return self


class Http:
    """One `http` action; see `ports.Action`."""

    def __init__(
        self, name: str, settings: Settings, *, clock: Clock, telemetry: Telemetry, directory: Path = Path()
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._request = Request(settings.method, settings.url, settings.headers, settings)
        self._expectation = Expectation(settings.expect)
        self._inspection = _inspection(settings, settings.inspect) if settings.inspect else None
        self._resolver = Resolver()
        ca, cert, key = (
            file and directory / file for file in (settings.ca_file, settings.cert_file, settings.key_file)
        )
        self._trust = Trust(ca, cert=cert, key=key)
        if ca or cert:
            self._warn_about_files(name)

    @property
    def timeout(self) -> timedelta:
        """Bound of one `execute`."""
        return self._settings.timeout

    @property
    def idempotent(self) -> bool:
        """Whether people declared that repeating it is harmless."""
        return self._settings.idempotent

    @property
    def inspectable(self) -> bool:
        """Whether there is an inspection request."""
        return self._inspection is not None

    @property
    def lingers(self) -> bool:
        """A request that was sent goes on at its target."""
        return True

    @property
    def goal(self) -> str:
        """The request as it was written."""
        return str(self._request)

    async def execute(self, call: Call) -> str:
        """Send the request; see `ports.Action.execute`."""
        answer, finding = await self._ask(self._request, self._expectation, call, self.timeout, with_key=True)
        match finding.match:
            case Match.MET:
                return finding.detail
            case Match.STATUS:
                raise self._refused(answer, finding)
            case Match.UNREAD:
                raise UnknownOutcome(finding.detail)
            case Match.DIFFERS | Match.UNCLEAR:
                raise PermanentError(finding.detail)

    async def inspect(self, call: Call) -> tuple[Goal, str]:
        """Send the inspection request; see `ports.Action.inspect`."""
        if self._inspection is None:
            return Goal.CANNOT_TELL, "no inspection request"
        request, expectation, timeout = self._inspection
        try:
            answer, finding = await self._ask(request, expectation, call, timeout, with_key=False)
        except GuardError as error:
            return Goal.CANNOT_TELL, str(error)
        match finding.match:
            case Match.MET:
                return Goal.REACHED, finding.detail
            case Match.DIFFERS:
                return Goal.NOT_REACHED, finding.detail
            case Match.STATUS if expectation.status and (200 <= answer.status < 300 or answer.status in GONE):  # noqa: PLR2004  2xx
                return Goal.NOT_REACHED, finding.detail
            case _:
                return Goal.CANNOT_TELL, finding.detail

    async def sweep(self, call: Call) -> None:
        """End nothing: a request does not outlive the guard."""

    async def close(self) -> None:
        """Release nothing: a connection is used once."""

    async def _ask(
        self, request: Request, expectation: Expectation, call: Call, span: timedelta, *, with_key: bool
    ) -> tuple[Answer, Finding]:
        deadline = Deadline(self._clock, span)
        network = Network(self._resolver, self._trust, deadline, allow_link_local=self._settings.allow_link_local)
        message = request.message(call, with_key=with_key)
        expected = expectation.values(call.context)
        answer = await exchange(message, network)
        return answer, expectation.judge(answer, expected)

    def _warn_about_files(self, name: str) -> None:
        try:
            self._trust.context()
        except TrustError as error:
            log.warning("tls_files_unusable", action=name, problem=str(error))

    def _refused(self, answer: Answer, finding: Finding) -> GuardError:
        if answer.status in TRY_AGAIN:
            return TransientError(finding.detail, retry_after=self._retry_after(answer))
        if answer.status >= 500 and answer.status not in REFUSALS:  # noqa: PLR2004  5xx
            return UnknownOutcome(finding.detail)
        unfollowed = "; redirects are not followed" if "location" in answer.headers else ""
        return PermanentError(f"{finding.detail}{unfollowed}")

    def _retry_after(self, answer: Answer) -> timedelta | None:
        value = answer.headers.get("retry-after", "").strip()
        if value.isascii() and value.isdecimal():
            return timedelta(seconds=min(int(value[:9]), LONGEST_PAUSE.total_seconds()))
        try:
            at = parsedate_to_datetime(value)
        except (ValueError, OverflowError):
            return None
        pause = (at if at.tzinfo else at.replace(tzinfo=UTC)) - self._clock.now()
        return min(max(pause, timedelta(0)), LONGEST_PAUSE)


def _inspection(settings: Settings, inspect: Inspection) -> tuple[Request, Expectation, timedelta]:
    headers = settings.headers if inspect.headers is None else inspect.headers
    request = Request(inspect.method, inspect.url or settings.url, headers, inspect)
    return request, Expectation(inspect.expect), inspect.timeout or settings.timeout
