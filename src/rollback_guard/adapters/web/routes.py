"""List every route once: what it answers, what it takes, and how the document describes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPMethod
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from rollback_guard.adapters.web.handlers import Handlers
from rollback_guard.adapters.web.views import (
    DecisionsView,
    ErrorView,
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
    """

    path: str
    handler: Handler
    answers: dict[int, Any]
    method: HTTPMethod = HTTPMethod.GET
    listed: bool = False

    @property
    def summary(self) -> str:
        """The first line of what the handler says of itself."""
        return (self.handler.__doc__ or "").partition("\n")[0]


def endpoints(handle: Handlers) -> tuple[Endpoint, ...]:
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
            answers={200: ReloadView, 400: ReloadView, 403: ErrorView, 415: ErrorView},
        ),
        Endpoint(path="/api/v1/status", handler=handle.status, answers={200: StatusView}),
        _list("/api/v1/rules", handle.rules, RulesView),
        _list("/api/v1/guards", handle.guards, GuardsView),
        _list("/api/v1/incidents", handle.incidents, IncidentsView),
        Endpoint(path="/api/v1/incidents/{id}", handler=handle.incident, answers={200: IncidentView, 404: ErrorView}),
        _list("/api/v1/decisions", handle.decisions, DecisionsView),
    )


def _list(path: str, handler: Handler, answer: type[Any]) -> Endpoint:
    return Endpoint(path=path, handler=handler, answers={200: answer, 400: ErrorView}, listed=True)
