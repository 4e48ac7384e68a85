"""Describe the API as OpenAPI, made from the routes and from the classes they answer with."""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from rollback_guard import __version__
from rollback_guard.adapters.web import bodies
from rollback_guard.adapters.web.codec import PLAIN, Schema, schema
from rollback_guard.adapters.web.query import MOST
from rollback_guard.adapters.web.routes import Endpoint
from rollback_guard.adapters.web.tokens import Scope
from rollback_guard.adapters.web.views import ErrorView
from rollback_guard.wire.signature import HEADER

DESCRIPTION = (
    "What the guard sees, concludes and did, and what people and other systems may ask of it. Whatever changes "
    "something needs a token with the scope named there; where the daemon has no token file, only callers on its own "
    "machine may. Times are ISO 8601 in UTC. A span of time is a number of seconds in a member whose name ends in "
    "`_s`; in what is sent it is a text such as `10m`. NaN and the infinities are the texts that Prometheus writes."
)

SECURITY = {
    "token": {"type": "http", "scheme": "bearer", "description": "a token of the file that [server] token_file names"},
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": HEADER,
        "description": "instead of a token, for alerts: a signature of time and body, made with a shared secret",
    },
}

LIST_PARAMETERS = (
    {"name": "guard", "in": "query", "description": "only of this guard", "schema": {"type": "string"}},
    {
        "name": "limit",
        "in": "query",
        "description": "at most so many",
        "schema": {"type": "integer", "minimum": 1, "maximum": MOST},
    },
)


def document(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """Return the whole document."""
    known: dict[str, Schema] = {}
    paths: dict[str, Any] = {}
    for each in endpoints:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, known)
    return {
        "openapi": "3.1.0",
        "info": {"title": "rollback-guard", "version": __version__, "description": DESCRIPTION},
        "paths": paths,
        "components": {"schemas": dict(sorted(known.items())), "securitySchemes": SECURITY},
    }


def _operation(endpoint: Endpoint, known: dict[str, Schema]) -> dict[str, Any]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", endpoint.path)
    ]
    return {
        "operationId": endpoint.handler.__name__,
        "summary": _summary(endpoint),
        "parameters": [*in_path, *(LIST_PARAMETERS if endpoint.listed else ())],
        **_asked(endpoint, known),
        "responses": {
            **{str(code): _answer(HTTPStatus(code).phrase, what, known) for code, what in endpoint.answers.items()},
            "default": _answer("Not answered: the reason", ErrorView, known),
        },
    }


def _summary(endpoint: Endpoint) -> str:
    """Return the first line of what the body or the handler says of itself."""
    what = endpoint.handler if endpoint.takes is None else bodies.MODELS[endpoint.takes]
    return (what.__doc__ or "").partition("\n")[0]


def _asked(endpoint: Endpoint, known: dict[str, Schema]) -> dict[str, Any]:
    """Return what a caller must send: a body, and who they are."""
    if endpoint.needs is None:
        return {}
    ways = ("token", "signature") if endpoint.needs is Scope.ALERT else ("token",)
    asked: dict[str, Any] = {
        "description": f"Needs a token with the scope `{endpoint.needs}` or `admin`.",
        "security": [{each: []} for each in ways],
    }
    if endpoint.takes is not None:
        content = {"application/json": {"schema": bodies.described(endpoint.takes, known)}}
        asked["requestBody"] = {"required": True, "content": content}
    return asked


def _answer(words: str, what: Any, known: dict[str, Schema]) -> dict[str, Any]:
    if isinstance(what, str):
        return {"description": words, "content": {what: {"schema": PLAIN[str]}}}
    described = {"type": "object"} if what is dict else schema(what, known)
    return {"description": words, "content": {"application/json": {"schema": described}}}
