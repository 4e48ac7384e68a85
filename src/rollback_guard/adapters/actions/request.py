"""Describe an HTTP request with templates and secrets, and make it ready to be sent."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlencode

import httpx
from pydantic import AfterValidator, Field, JsonValue, model_validator

from rollback_guard.adapters.actions import document
from rollback_guard.adapters.actions.exchange import Message
from rollback_guard.adapters.actions.setting import Table, Templated
from rollback_guard.adapters.actions.template import Form, Text
from rollback_guard.ports import Call, PermanentError
from rollback_guard.secret import REFERENCE

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

IDEMPOTENCY_KEY = "Idempotency-Key"

RESERVED = frozenset({"idempotency-key", "content-length", "transfer-encoding", "accept-encoding", "connection"})
"""Set by the guard; another value would break what it relies on."""

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ORIGIN = re.compile(
    rf"(?:https?://(?=[^/?#])|{REFERENCE.pattern})(?P<authority>(?:{REFERENCE.pattern}|[^/?#])*)", re.IGNORECASE
)
"""The part of a URL that says who is called: written out, or behind a reference, whose text is not known yet."""

_ILLEGAL_IN_HEADER = re.compile(r"[\0-\x08\x0a-\x1f\x7f]")


def _header_name(name: str) -> str:
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a header")
    if name.lower() in RESERVED:
        raise ValueError(f"{name}: this header is set by the guard")
    return name


def _url(value: str) -> str:
    match = _ORIGIN.match(value)
    if match is None:
        raise ValueError(f"{value!r} is no URL: it begins with http:// or https:// and a host")
    if "{{" in match["authority"] or "{%" in match["authority"]:
        raise ValueError("the host cannot come from a template: a label must not say where secrets are sent")
    if "@" in match["authority"]:
        raise ValueError("no user and password in a URL: send an Authorization header with ${file:…}")
    Text.parse(value, Form.URL)
    return value


Url = Annotated[str, AfterValidator(_url)]
HeaderName = Annotated[str, AfterValidator(_header_name)]


def _documents(value: JsonValue) -> JsonValue:
    document.compiled(value)
    return value


class Payload(Table):
    """What a request carries."""

    json_: Annotated[JsonValue, AfterValidator(_documents)] = Field(
        default=None, alias="json", description="Body in JSON; templates and secret references allowed in its strings."
    )
    body: Templated | None = Field(default=None, description="Body as it is; templates and secret references allowed.")
    form: dict[str, Templated] | None = Field(
        default=None, description="Body as an HTML form; templates and secret references allowed in its values."
    )

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        given = [
            name
            for name, value in (("json", self.json_), ("body", self.body), ("form", self.form))
            if value is not None
        ]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)}: a request has one body")
        return self


class Request:
    """A request that is made anew for each attempt, so that a rotated secret is used at once."""

    def __init__(self, method: str, url: str, headers: Mapping[str, str], payload: Payload) -> None:
        self._method = method
        self._url = Text.parse(url, Form.URL)
        self._headers = [(name, Text.parse(value, Form.HEADER)) for name, value in headers.items()]
        self._json = document.compiled(payload.json_)
        self._body = None if payload.body is None else Text.parse(payload.body)
        self._form = None if payload.form is None else document.compiled(payload.form)

    def __str__(self) -> str:
        return f"{self._method} {self._url}"

    def message(self, call: Call, *, with_key: bool) -> Message:
        """Return the request for one call.

        Raises:
            PermanentError: A value or a secret is missing, or what came out is no valid request.
        """
        kind, content = self._content(call.context)
        headers = {"User-Agent": "rollback-guard", "Accept": "*/*"} | ({"Content-Type": kind} if kind else {})
        own = [(name, _legal(name, value.fill(call.context))) for name, value in self._headers]
        named = {name.lower() for name, _ in own}
        always = [("Accept-Encoding", "identity"), ("Connection", "close")]
        if with_key:
            always.append((IDEMPOTENCY_KEY, _legal(IDEMPOTENCY_KEY, call.key)))
        defaults = [(name, value) for name, value in headers.items() if name.lower() not in named]
        return Message(
            method=self._method,
            url=_parsed(self._url.fill(call.context)),
            headers=[*defaults, *own, *always],
            content=content,
        )

    def _content(self, context: Mapping[str, Any]) -> tuple[str, bytes]:
        if self._json is not None:
            return "application/json", json.dumps(document.filled(self._json, context)).encode()
        if self._form is not None:
            fields = document.filled(self._form, context)
            return "application/x-www-form-urlencoded", urlencode(fields, errors="replace").encode()
        if self._body is not None:
            return "text/plain; charset=utf-8", self._body.fill(context).encode("utf-8", "replace")
        return "", b""


def _legal(name: str, value: str) -> str:
    if _ILLEGAL_IN_HEADER.search(value):
        raise PermanentError(f"header {name}: its value holds a line break or another control character")
    return value.strip()


def _parsed(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text.strip())
    except (httpx.InvalidURL, UnicodeError):
        url = None
    # The text may be a secret, so it is not repeated.
    if url is None or url.scheme not in {"http", "https"} or not url.host:
        raise PermanentError("the URL is not one that begins with http:// or https:// and a host")
    return url
