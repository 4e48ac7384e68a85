"""Let in what may come in, and send nothing out without its protective headers.

Every request passes here first, also one that no route knows; every answer passes here last, also an error.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rollback_guard.adapters.web.codec import to_json
from rollback_guard.adapters.web.views import ErrorView
from rollback_guard.ports import Telemetry

log = structlog.get_logger()

MAX_BODY_BYTES = 64 * 1024

READING = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing; all others must not come from another site's page."""

METHODS = READING | {"POST", "PUT", "PATCH", "DELETE"}
"""The names of others are made up by the client, and would make endless time series."""

UNMATCHED = "unmatched"


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


class Refusal(Exception):  # noqa: N818  it is an answer, no error
    """A request is answered with this status and these words instead of what it asked for."""

    def __init__(self, status: int, error: str, *, near: tuple[str, ...] = ()) -> None:
        super().__init__(error)
        self.status = status
        self.near = near

    def response(self) -> Response:
        """Return it as JSON."""
        return json_response(ErrorView(error=str(self), near=self.near), self.status)


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a value of frozen dataclasses as an answer."""
    return Response(to_json(value), status, headers, media_type="application/json")


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
            await send(message)

        try:
            _admit(scope)
            if (whole := await _whole(scope, receive)) is not None:
                await self._app(scope, whole, send_guarded)
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
    if _is_loopback(scope.get("server")) and host and not _names_loopback(host):
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
    return origin is None or urlsplit(origin).netloc.lower() == host.lower() != ""


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _names_loopback(host: str) -> bool:
    """Say whether a Host header names this machine itself: another name was rebound to it by somebody's DNS."""
    name = _name(host)
    return name == "localhost" or _is_loopback((name, 0))


def _is_loopback(address: Any) -> bool:
    try:
        return ipaddress.ip_address(address[0]).is_loopback
    except (TypeError, ValueError):
        return False


def is_local(scope: Scope) -> bool:
    """Say whether a request was made on this machine, and not passed on by a proxy for somebody else."""
    headers = Headers(scope=scope)
    passed_on = any(name in headers for name in ("forwarded", "x-forwarded-for", "x-real-ip", "via"))
    return _is_loopback(scope.get("client")) and not passed_on


async def _whole(scope: Scope, receive: Receive) -> Receive | None:
    """Read the body before anything is done, and refuse a large one; ``None`` if the client left in the middle."""
    declared = Headers(scope=scope).get("content-length", "0")
    if not declared.isdecimal() or int(declared) > MAX_BODY_BYTES:
        raise Refusal(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise Refusal(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
        if not message.get("more_body", False):
            break
    left: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

    async def replay() -> Message:
        return left.pop() if left else await receive()

    return replay
