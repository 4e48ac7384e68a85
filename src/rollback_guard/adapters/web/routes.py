"""List every route once: what it answers, what it takes, and how the document describes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPMethod
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from rollback_guard.adapters.web.control import ALERTS_BYTES, BODY_BYTES, Control
from rollback_guard.adapters.web.handlers import Handlers
from rollback_guard.adapters.web.replies import AlertsView, DoneView, RefusedView, RolloutsView
from rollback_guard.adapters.web.tokens import Scope
from rollback_guard.adapters.web.views import (
    DecisionsView,
    ErrorView,
    GuardStoryView,
    GuardsView,
    HealthView,
    IncidentsView,
    IncidentView,
    RulesView,
    StatusView,
)
from rollback_guard.core.snapshot import ReloadView

Handler = Callable[[Request], Awaitable[Response]]

HTML, TEXT = "text/html", "text/plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One route.

    Attributes:
        answers: By status the class of the JSON answer, or the media type of another one.
        listed: Whether it takes the parameters of a list.
        needs: What a caller must be allowed to; ``None`` for what changes nothing.
        takes: Name of the body, as `bodies.MODELS` has it.
        most: Bytes that the body may have.
    """

    path: str
    handler: Handler
    answers: dict[int, Any]
    method: HTTPMethod = HTTPMethod.GET
    listed: bool = False
    needs: Scope | None = None
    takes: str | None = None
    most: int = BODY_BYTES

    def __post_init__(self) -> None:
        if (self.needs is None) != (self.method == HTTPMethod.GET):
            raise ValueError(f"{self.method} {self.path}: what changes something needs a scope, and nothing else does")


REFUSED: dict[int, Any] = {
    401: ErrorView,
    403: ErrorView,
    413: ErrorView,
    415: ErrorView,
    429: ErrorView,
}
"""What may be answered where something is changed, whatever it is."""

NOT_DONE: dict[int, Any] = {
    400: ErrorView | RefusedView,
    404: RefusedView,
    409: RefusedView,
    429: ErrorView | RefusedView,
    503: ErrorView,
}

NOT_TOLD: dict[int, Any] = {404: ErrorView, 503: ErrorView}
"""What may be answered in place of a story."""


def endpoints(handle: Handlers, control: Control) -> tuple[Endpoint, ...]:
    """Return all routes but that of the document that describes them."""
    return (
        Endpoint(path="/", handler=handle.overview, answers={200: HTML}),
        Endpoint(path="/metrics", handler=handle.metrics, answers={200: TEXT}),
        Endpoint(path="/-/healthy", handler=handle.healthy, answers={200: HealthView, 503: HealthView}),
        Endpoint(path="/-/ready", handler=handle.ready, answers={200: HealthView, 503: HealthView}),
        Endpoint(
            path="/-/reload",
            handler=handle.reload,
            method=HTTPMethod.POST,
            answers={200: ReloadView, 400: ReloadView, **REFUSED},
            needs=Scope.ADMIN,
        ),
        Endpoint(path="/api/v1/status", handler=handle.status, answers={200: StatusView}),
        _list("/api/v1/rules", handle.rules, RulesView),
        _list("/api/v1/guards", handle.guards, GuardsView),
        Endpoint(path="/api/v1/guards/{id}", handler=handle.guard, answers={200: GuardStoryView, **NOT_TOLD}),
        _list("/api/v1/incidents", handle.incidents, IncidentsView),
        Endpoint(path="/api/v1/incidents/{id}", handler=handle.incident, answers={200: IncidentView, **NOT_TOLD}),
        _list("/api/v1/decisions", handle.decisions, DecisionsView),
        _list("/api/v1/rollouts", handle.rollouts, RolloutsView),
        *_changes(control),
    )


def _changes(control: Control) -> tuple[Endpoint, ...]:
    return (
        _change("/api/v1/pause", "pause", Scope.OPERATE, control),
        _change("/api/v1/resume", "resume", Scope.OPERATE, control),
        _change("/api/v1/veto", "veto", Scope.OPERATE, control),
        _change("/api/v1/extend", "extend", Scope.OPERATE, control),
        _change("/api/v1/approve", "approve", Scope.OPERATE, control),
        _change("/api/v1/ack", "acknowledge", Scope.OPERATE, control),
        _change("/api/v1/trigger", "trigger", Scope.ACT, control),
        _change("/api/v1/undo", "undo", Scope.ACT, control),
        _change("/api/v1/rollouts", "start_rollout", Scope.OPERATE, control),
        _change("/api/v1/rollouts/finish", "finish_rollout", Scope.OPERATE, control),
        Endpoint(
            path="/api/v1/alerts",
            handler=control.alerts,
            method=HTTPMethod.POST,
            answers={200: AlertsView, **REFUSED, **NOT_DONE},
            needs=Scope.ALERT,
            takes="alerts",
            most=ALERTS_BYTES,
        ),
    )


def _change(path: str, takes: str, needs: Scope, control: Control) -> Endpoint:
    return Endpoint(
        path=path,
        handler=control.change(takes),
        method=HTTPMethod.POST,
        answers={200: DoneView, **REFUSED, **NOT_DONE},
        needs=needs,
        takes=takes,
    )


def _list(path: str, handler: Handler, answer: type[Any]) -> Endpoint:
    return Endpoint(path=path, handler=handler, answers={200: answer, 400: ErrorView}, listed=True)
