"""Put the web application together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from rollback_guard.adapters.web.access import Access
from rollback_guard.adapters.web.control import Control
from rollback_guard.adapters.web.gate import Gate, security_headers
from rollback_guard.adapters.web.handlers import Handlers
from rollback_guard.adapters.web.page import STYLE_HASH
from rollback_guard.adapters.web.refusal import json_response
from rollback_guard.adapters.web.routes import Endpoint, endpoints
from rollback_guard.adapters.web.tokens import TokenFile
from rollback_guard.adapters.web.views import ErrorView, View

OPENAPI = "/api/v1/openapi.json"


def create_app(view: View, *, tokens: TokenFile | None = None) -> Starlette:
    """Return the application over what the daemon lets it see.

    Args:
        view: The daemon, as far as the web may see and ask it.
        tokens: Who may change something; without it only callers on this machine may.
    """
    control = Control(view, Access(tokens, view.telemetry))
    routes = _with_document(endpoints(Handlers(view), control))
    handlers = [(each, control.guarded(each)) for each in routes]
    app = Starlette(
        routes=[Route(_pattern(each.path), handler, methods=[each.method]) for each, handler in handlers],
        middleware=[
            Middleware(
                Gate,
                telemetry=view.telemetry,
                headers=security_headers(STYLE_HASH),
                routes={handler: each.path for each, handler in handlers},
            )
        ],
        exception_handlers={HTTPException: _refused},
    )
    app.router.redirect_slashes = False
    return app


def _pattern(path: str) -> str:
    """Let an id hold slashes, as the name of its guard may."""
    return path.replace("{id}", "{id:path}")


def _with_document(described: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    """Add the document's own route, which it describes too."""

    async def openapi(request: Request) -> Response:
        """Answer with this document."""
        from rollback_guard.adapters.web.openapi import document  # hardly anybody asks, and nobody twice

        return await asyncio.to_thread(lambda: json_response(document(routes)))

    routes = (*described, Endpoint(path=OPENAPI, handler=openapi, answers={200: dict}))
    return routes


async def _refused(request: Request, error: Exception) -> Response:
    """Answer as JSON what no route answers, such as 404 and 405."""
    assert isinstance(error, HTTPException)  # noqa: S101  registered for nothing else
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        # Starlette names the methods of one route only, and a path may have one that reads and one that changes.
        headers["Allow"] = ", ".join(sorted(_methods(request)))
    return json_response(ErrorView(error=error.detail.lower()), error.status_code, headers)


def _methods(request: Request) -> Iterator[str]:
    for route in request.app.routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            yield from route.methods
