"""Take what people and other systems ask for: let them in, read it, hand it to the engine, answer what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC
from typing import TYPE_CHECKING

import structlog
from starlette.requests import Request
from starlette.responses import Response

from rollback_guard.adapters.web import replies
from rollback_guard.adapters.web.access import Access
from rollback_guard.adapters.web.refusal import Refusal, json_response
from rollback_guard.adapters.web.replies import STATUS, AlertsView, DoneView, RefusedView
from rollback_guard.adapters.web.strict import read_json
from rollback_guard.adapters.web.views import View
from rollback_guard.core.model import labels_of
from rollback_guard.core.operations import Operation, Refused, Report
from rollback_guard.core.orders import Signal
from rollback_guard.core.records import Record
from rollback_guard.ports import JournalError
from rollback_guard.secret import redact

if TYPE_CHECKING:
    from rollback_guard.adapters.web.bodies import Alert, Alerts
    from rollback_guard.adapters.web.routes import Endpoint, Handler

log = structlog.get_logger()

BODY_BYTES = 64 * 1024

ALERTS_BYTES = 1024 * 1024

SUMMARY_CHARACTERS = 500

NAMES_SHOWN = 100
"""Ignored alerts that an answer names."""

DIGITS = 20
"""Of a length; h11 lets no more pass either."""

BY, BODY = "rollback_guard.by", "rollback_guard.body"
"""Where a request carries who made it, and what they sent."""


class Control:
    """The handlers of all that changes something.

    Nothing reaches them but through `guarded`, which is made from the same `Endpoint` as the route: a route that is
    not guarded can not be written down.
    """

    def __init__(self, view: View, access: Access) -> None:
        self._view = view
        self._access = access

    def guarded(self, endpoint: Endpoint) -> Handler:
        """Return the handler of a route: who may do something is asked before what they sent is read."""
        if endpoint.needs is None:
            return endpoint.handler
        needs, most, inner = endpoint.needs, endpoint.most, endpoint.handler

        async def handle(request: Request) -> Response:
            claim = self._access.claim(request.scope, needs)
            by = self._access.admit(request.scope, needs) if claim is None else ""
            body = await _whole(request, most)
            request.scope[BY] = by if claim is None else await self._access.verify(request.scope, claim, body)
            request.scope[BODY] = body
            return await inner(request)

        return handle

    def change(self, name: str) -> Handler:
        """Return the handler of one kind of change."""

        async def handle(request: Request) -> Response:
            from rollback_guard.adapters.web import bodies

            body = await asyncio.to_thread(lambda: bodies.read(name, read_json(request.scope[BODY])))
            by: str = request.scope[BY]
            done = await self._operate(body.operation(by))
            if isinstance(done, Refused):
                return refused(done)
            return json_response(DoneView(by=by, did=tuple(map(replies.line, done)), incident=_incident(done)))

        handle.__name__ = name
        return handle

    async def alerts(self, request: Request) -> Response:
        """Take alerts of another system as signals."""
        from rollback_guard.adapters.web import bodies

        body: Alerts = await asyncio.to_thread(lambda: bodies.read("alerts", read_json(request.scope[BODY])))
        by: str = request.scope[BY]
        if body.truncated:
            log.warning("alerts_truncated", by=by, left_out=body.truncated)
        takers = [(alert, self._view.accepts(alert.labels)) for alert in body.alerts]
        signals = tuple(_signal(alert, guard) for alert, guards in takers for guard in guards)
        ignored = tuple(dict.fromkeys(_name(alert) for alert, guards in takers if not guards))[:NAMES_SHOWN]
        if signals:
            done = await self._operate(Report(by=by, signals=signals))
            if isinstance(done, Refused):
                return refused(done)
        if ignored:
            log.info("alerts_ignored", by=by, names=ignored)
        accepted = sum(bool(guards) for _, guards in takers)
        return json_response(AlertsView(by=by, accepted=accepted, ignored=ignored))

    async def _operate(self, operation: Operation) -> Sequence[Record] | Refused:
        try:
            return await self._view.operate(operation)
        except JournalError as error:
            raise Refusal(
                503, f"nothing was changed, for it could not be written down: {redact(str(error))}"
            ) from error


def refused(refused: Refused) -> Response:
    """Answer that something is not done."""
    view = RefusedView(error=refused.detail, refusal=refused.refusal, near=refused.near)
    return json_response(view, STATUS[refused.refusal])


async def _whole(request: Request, most: int) -> bytes:
    """Read the body before anything is done, and refuse a large one.

    Raises:
        ClientDisconnect: The client left in the middle; nobody waits for an answer.
        Refusal: There is more of it than may be.
    """
    declared = request.headers.get("content-length", "0")
    if not (declared.isascii() and declared.isdecimal()) or int(declared[:DIGITS]) > most:
        raise Refusal(413, f"the body is larger than {most} bytes")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise Refusal(413, f"the body is larger than {most} bytes")
    return bytes(body)


def _incident(records: Sequence[Record]) -> str | None:
    return next((each for each in (getattr(record, "incident", None) for record in records) if each), None)


def _name(alert: Alert) -> str:
    return alert.labels.get("alertname", "")


def _signal(alert: Alert, guard: str) -> Signal:
    said = alert.annotations.get("summary") or alert.annotations.get("description", "")
    return Signal(
        guard=guard,
        name=_name(alert),
        labels=labels_of(alert.labels),
        firing=alert.status == "firing",
        starts_at=alert.began.astimezone(UTC),
        summary=said[:SUMMARY_CHARACTERS],
    )
