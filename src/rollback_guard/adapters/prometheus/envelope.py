"""Check an answer of the query API whole, before anything of it counts.

The library takes `data.result` out of whatever came and drops the rest: `warnings` that say that something is missing,
a `resultType` that is no vector, a page of HTML under status 200.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from rollback_guard.adapters.prometheus.refusal import Refused
from rollback_guard.adapters.prometheus.strands import packed
from rollback_guard.core.observation import Unknown

HTTP_OK = 200
MATRIX = "matrix"
QUERY_STATUSES = frozenset({HTTP_OK, 400, 422})
"""Under these an error is about the query; under any other about the server."""

LATE = frozenset({"timeout", "canceled"})
"""Error types by which the server itself says that it ran out of time."""

ABOUT_THE_QUERY = frozenset({"bad_data", "execution"})

SHOWN_CHARS = 80
"""Of a page that is no answer: enough to recognise a login page by."""


def check(status: int, headers: Mapping[str, str], body: bytes, *, result_type: str, max_series: int) -> dict[str, Any]:
    """Return the envelope of a complete, successful answer of the expected type.

    Raises:
        Refused: It is anything else.
    """
    envelope = succeeded(status, headers, body, packs=result_type == MATRIX)
    _check_data(envelope.get("data"), result_type, max_series)
    return envelope


def succeeded(status: int, headers: Mapping[str, str], body: bytes, *, packs: bool = False) -> dict[str, Any]:
    """Return the envelope of a complete, successful answer of any address of the API, whatever it holds.

    Args:
        status: Of HTTP.
        headers: Of the answer.
        body: Its text.
        packs: Whether samples are packed, see `strands`.

    Raises:
        Refused: It is anything else.
    """
    envelope = _parse(status, headers, body, hook=packed if packs else None)
    if envelope is None or envelope.get("status") not in {"success", "error"}:
        if status != HTTP_OK:
            raise Refused(Unknown.HTTP_ERROR, f"HTTP {status}: {_start_of(body)}", shared=True)
        raise Refused(Unknown.BAD_RESPONSE, f"not an answer of the query API: {_start_of(body)}", shared=True)
    if envelope["status"] == "error":
        raise _error(status, envelope)
    if status != HTTP_OK:
        raise Refused(Unknown.HTTP_ERROR, f"HTTP {status} with an answer that says success", shared=True)
    missing = envelope.get("warnings") or (["isPartial"] if envelope.get("isPartial") is True else [])
    if missing:
        words = "; ".join(str(warning) for warning in missing) if isinstance(missing, list) else str(missing)
        raise Refused(Unknown.PARTIAL, words, shared=False)
    return envelope


def _parse(
    status: int, headers: Mapping[str, str], body: bytes, *, hook: Callable[[dict[str, Any]], Any] | None
) -> dict[str, Any] | None:
    """Return the body as a JSON object, or ``None`` where it is none and was not meant to be one."""
    try:
        envelope = json.loads(body, object_hook=hook)
    except (ValueError, RecursionError) as error:
        meant = "json" in headers.get("Content-Type", "").lower()
        if meant and status == HTTP_OK:
            raise Refused(Unknown.BAD_RESPONSE, f"not valid JSON: {error}", shared=False) from error
        return None
    return envelope if isinstance(envelope, dict) else None


def _error(status: int, envelope: Mapping[str, Any]) -> Refused:
    kind = str(envelope.get("errorType", ""))
    words = f"{kind}: {envelope.get('error', '')}"
    if kind in LATE:
        return Refused(Unknown.TIMEOUT, words, shared=True)
    # VictoriaMetrics gives the status for the kind of error.
    about_the_query = kind in ABOUT_THE_QUERY or (kind in ("", str(status)) and status in QUERY_STATUSES)
    return Refused(Unknown.QUERY_ERROR, words, shared=not about_the_query)


def _check_data(data: object, result_type: str, max_series: int) -> None:
    if not isinstance(data, dict) or not isinstance(data.get("result"), list):
        raise Refused(Unknown.BAD_RESPONSE, "the answer has no data", shared=False)
    if data.get("resultType") != result_type:
        words = f"the answer is a {data.get('resultType')}, expected a {result_type}"
        raise Refused(Unknown.BAD_RESPONSE, words, shared=False)
    if len(data["result"]) > max_series:
        words = f"{len(data['result'])} series, allowed are {max_series}"
        raise Refused(Unknown.TOO_LARGE, words, shared=False)


def _start_of(body: bytes) -> str:
    text = body[: 4 * SHOWN_CHARS].decode("utf-8", "replace")
    return repr(" ".join(text.split())[:SHOWN_CHARS])
