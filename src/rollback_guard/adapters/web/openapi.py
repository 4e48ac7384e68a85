"""Describe the API as OpenAPI, made from the routes and from the classes they answer with."""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from rollback_guard import __version__
from rollback_guard.adapters.web.codec import PLAIN, Schema, schema
from rollback_guard.adapters.web.query import MOST
from rollback_guard.adapters.web.routes import Endpoint
from rollback_guard.adapters.web.views import ErrorView

DESCRIPTION = (
    "What the guard sees, concludes and did; it only reads, but for the reload. Times are ISO 8601 in UTC. A span of "
    "time is a number of seconds in a member whose name ends in `_s`. NaN and the infinities are the texts that "
    "Prometheus writes."
)

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
        "components": {"schemas": dict(sorted(known.items()))},
    }


def _operation(endpoint: Endpoint, known: dict[str, Schema]) -> dict[str, Any]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", endpoint.path)
    ]
    return {
        "operationId": endpoint.handler.__name__,
        "summary": endpoint.summary,
        "parameters": [*in_path, *(LIST_PARAMETERS if endpoint.listed else ())],
        "responses": {
            **{str(code): _answer(HTTPStatus(code).phrase, what, known) for code, what in endpoint.answers.items()},
            "default": _answer("Not answered: the reason", ErrorView, known),
        },
    }


def _answer(words: str, what: Any, known: dict[str, Schema]) -> dict[str, Any]:
    if isinstance(what, str):
        return {"description": words, "content": {what: {"schema": PLAIN[str]}}}
    described = {"type": "object"} if what is dict else schema(what, known)
    return {"description": words, "content": {"application/json": {"schema": described}}}
