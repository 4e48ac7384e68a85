"""Compare an answer with what a good one looks like, and say every difference in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from rollback_guard.adapters.probe.exchange import Page
from rollback_guard.core.regex import compile_regex
from rollback_guard.specs import Expectation

SHOWN = 80
"""Characters of a value that are shown; the rest adds nothing for people."""


class _Missing:
    """Nothing stands at the path; not the same as a null."""

    def __repr__(self) -> str:
        return "missing"


MISSING = _Missing()


def problems(expect: Expectation, page: Page, now: datetime) -> tuple[str, ...]:
    """Return what is wrong with the answer; nothing for a good one."""
    return (*_status(expect, page), *_tls(expect, page, now), *_content(expect, page), *_latency(expect, page))


def _status(expect: Expectation, page: Page) -> Iterator[str]:
    fine = page.status in expect.status if expect.status else 200 <= page.status < 300  # noqa: PLR2004  any 2xx
    if not fine:
        yield f"HTTP {page.status}, expected {' or '.join(map(str, expect.status)) or '2xx'}"


def _tls(expect: Expectation, page: Page, now: datetime) -> Iterator[str]:
    if expect.tls_valid_for is None:
        return
    if page.tls_until is None:
        yield "answered without TLS, expected a certificate"
    elif page.tls_until - now < expect.tls_valid_for:
        left = _days(page.tls_until - now)
        yield f"certificate valid for {left} more, expected at least {_days(expect.tls_valid_for)}"


def _latency(expect: Expectation, page: Page) -> Iterator[str]:
    if expect.latency_below is not None and page.took >= expect.latency_below:
        yield f"took {_ms(page.took)}, expected below {_ms(expect.latency_below)}"


def _content(expect: Expectation, page: Page) -> Iterator[str]:
    if expect.body is None and not expect.json:
        return
    if page.encoding not in ("", "identity"):
        yield f"body is encoded as {page.encoding[:SHOWN]} although that was not asked for"
        return
    if page.cut:
        yield f"body is larger than {len(page.body)} bytes"
        return
    if expect.body is not None and not compile_regex(expect.body).found_in(page.body.decode("utf-8", "replace")):
        yield f"body does not match {expect.body!r}"
    if expect.json:
        yield from _json(expect.json, page.body)


def _json(wanted: Sequence[tuple[str, Any]], body: bytes) -> Iterator[str]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        yield "body is not JSON"
        return
    for path, value in wanted:
        found = look_up(document, path)
        if not same(found, value):
            yield f"{path} is {_shown(found)}, expected {_shown(value)}"


def look_up(document: Any, path: str) -> Any:
    """Return what stands at a top-level key, or at a dotted path; numbers in it count through lists."""
    if isinstance(document, dict) and path in document:
        return document[path]
    for part in path.split("."):
        match document:
            case dict() if part in document:
                document = document[part]
            case list() if part.isdecimal() and int(part) < len(document):
                document = document[int(part)]
            case _:
                return MISSING
    return document


def same(found: Any, wanted: Any) -> bool:
    """Compare as JSON does: true is not 1, and 1 is 1.0."""
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    match found, wanted:
        case dict(), dict():
            return found.keys() == wanted.keys() and all(same(found[key], wanted[key]) for key in wanted)
        case list(), list() | tuple():
            return len(found) == len(wanted) and all(map(same, found, wanted))
        case _:
            return bool(found == wanted)


def _shown(value: Any) -> str:
    text = repr(value) if value is MISSING else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


def _ms(span: timedelta) -> str:
    return f"{span / timedelta(milliseconds=1):.0f}ms"


def _days(span: timedelta) -> str:
    return f"{span / timedelta(days=1):.3g}d"
