"""Read JSON as strictly as RFC 8259 allows: what two readers could understand differently is refused."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from rollback_guard.adapters.web.refusal import Refusal

DEEPEST = 16
"""No body has more than five levels."""

_MARKS = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[{]|[\]}]', re.DOTALL)


def read_json(body: bytes) -> Any:
    """Return what a body says.

    Raises:
        Refusal: It is no JSON, or JSON that has no one meaning.
    """
    if not body.strip():
        raise Refusal(400, "the body is empty: send a JSON object")
    _measure(body)
    try:
        data = json.loads(body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_number)
        json.dumps(data, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except UnicodeDecodeError:
        raise Refusal(400, "the body is no UTF-8 text") from None
    except UnicodeEncodeError:
        raise Refusal(400, "the body holds half a surrogate pair, which is no text") from None
    except json.JSONDecodeError as error:
        raise Refusal(400, f"the body is no JSON: {error.msg}, at line {error.lineno} column {error.colno}") from None
    except ValueError:
        raise Refusal(400, "the body holds a number that is too long") from None
    return data


def _measure(body: bytes) -> None:
    """Refuse deep nesting before anything follows it."""
    depth = 0
    for mark in _MARKS.finditer(body):
        match mark[0]:
            case b"[" | b"{":
                depth += 1
                if depth > DEEPEST:
                    raise Refusal(400, f"the body is nested more than {DEEPEST} levels deep")
            case b"]" | b"}":
                depth -= 1


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise Refusal(400, f"the key {key[:100]!r} is there twice")
        found[key] = value
    return found


def _no_number(word: str) -> NoReturn:
    raise Refusal(400, f"{word} is no number in JSON")
