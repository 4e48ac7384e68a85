"""Let in what may come in, and send nothing out without its protective headers.

Every request passes here first, also one that no route knows; every answer passes here last, also an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rollback_guard.adapters.web.access import is_loopback
from rollback_guard.adapters.web.refusal import Refusal
from rollback_guard.ports import Telemetry

log = structlog.get_logger()

READING = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing; all others must not come from another site's page."""

METHODS = READING | {"POST", "PUT", "PATCH", "DELETE"}
"""The names of others are made up by the client, and would make endless time series."""

UNMATCHED = "unmatched"

HSTS = "max-age=31536000"
"""A year. Browsers that were here once over TLS do not come back without it."""


def security_headers(style_hash: str) -> Mapping[str, str]:
    """Return the headers of every answer; the only thing a page may load is the style that stands in it."""
    return {
        "content-security-policy": (
            f"default-src 'none'; style-src 'sha256-{style_hash}'; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'"
        ),
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",
        "cross-origin-resource-policy": "same-origin",
        "cache-control": "no-store",
    }


class Gate:
    """The outermost layer of the application."""

    def __init__(
        self, app: ASGIApp, *, telemetry: Telemetry, headers: Mapping[str, str], routes: Mapping[Any, str]
    ) -> None:
        self._app = app
        self._telemetry = telemetry
        self._headers = headers
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        code = 0

        async def send_guarded(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
                MutableHeaders(scope=message).update(self._headers)
                if scope.get("scheme") == "https":
                    MutableHeaders(scope=message)["strict-transport-security"] = HSTS
            await send(message)

        try:
            _admit(scope)
            await self._app(scope, receive, send_guarded)
        except ClientDisconnect:
            return  # in the middle of the request: nothing was done, and nobody waits for an answer
        except Refusal as refusal:
            await refusal.response()(scope, receive, send_guarded)
        except Exception:
            log.exception("request_failed", method=scope["method"], path=scope["path"])
            if code:
                raise  # half an answer is out; only the connection's end can say that it is not whole
            await Refusal(500, "internal error; the log says more").response()(scope, receive, send_guarded)
        finally:
            method = scope["method"] if scope["method"] in METHODS else "other"
            if code:
                self._telemetry.served(self._routes.get(scope.get("endpoint"), UNMATCHED), method, code)


def _admit(scope: Scope) -> None:
    headers = Headers(scope=scope)
    host = headers.get("host", "")
    if is_loopback(scope.get("server")) and host and not _names_loopback(host):
        raise Refusal(421, f"this address answers to localhost only, not to the name {_name(host)!r}")
    if scope["method"] in READING:
        return
    if not _same_site(headers, host):
        raise Refusal(403, "refused: the request comes from another site's page")
    media_type = headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Refusal(415, "send application/json or no content at all")


def _same_site(headers: Headers, host: str) -> bool:
    """Tell a request of our own page, or of no page at all, from one that another site's page made."""
    if (site := headers.get("sec-fetch-site")) is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is None or _place(origin) == host.lower() != ""


def _place(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _names_loopback(host: str) -> bool:
    """Say whether a Host header names this machine itself: another name was rebound to it by somebody's DNS."""
    name = _name(host)
    return name == "localhost" or is_loopback((name, 0))
