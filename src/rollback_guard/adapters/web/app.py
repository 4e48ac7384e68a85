"""Put the web application together."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from rollback_guard.adapters.web.gate import Gate, json_response, security_headers
from rollback_guard.adapters.web.handlers import Handlers
from rollback_guard.adapters.web.openapi import document
from rollback_guard.adapters.web.page import STYLE_HASH
from rollback_guard.adapters.web.routes import Endpoint, endpoints
from rollback_guard.adapters.web.views import ErrorView, View

OPENAPI = "/api/v1/openapi.json"


def create_app(view: View) -> Starlette:
    """Return the application over what the daemon lets it see."""
    routes = _with_document(endpoints(Handlers(view)))
    app = Starlette(
        routes=[Route(_pattern(each.path), each.handler, methods=[each.method]) for each in routes],
        middleware=[
            Middleware(
                Gate,
                telemetry=view.telemetry,
                headers=security_headers(STYLE_HASH),
                routes={each.handler: each.path for each in routes},
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
        return json_response(text)

    routes = (*described, Endpoint(path=OPENAPI, handler=openapi, answers={200: dict}))
    text = document(routes)
    return routes


async def _refused(request: Request, error: Exception) -> Response:
    """Answer as JSON what no route answers, such as 404 and 405."""
    assert isinstance(error, HTTPException)  # noqa: S101  registered for nothing else
    return json_response(ErrorView(error=error.detail.lower()), error.status_code, error.headers)
