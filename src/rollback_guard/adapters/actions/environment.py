"""Say what the guard knows in the environment of a command, as ``ROLLBACK_GUARD_*`` variables."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rollback_guard.adapters.actions.template import show
from rollback_guard.ports import Call

PREFIX = "ROLLBACK_GUARD_"
KEY = f"{PREFIX}KEY"
"""Carries the idempotency key, and marks every process of a run, however far it moved away."""

VALUE_BYTES = 64 * 1024
"""The kernel refuses to start a command with a variable above 128 kB, and then nothing would be done at all."""

VARIABLES = 1000
"""All variables together have to fit as well."""

_NO_NAME = re.compile(r"[^A-Z0-9]+")


def variables(call: Call) -> dict[str, str]:
    """Return one variable per value of the context, and the idempotency key.

    Names are the path to the value: ``ROLLBACK_GUARD_INCIDENT_ID``. A list is one variable in JSON, of which the last
    elements are left out when it gets too long, beside its full length in ``…_COUNT``.
    """
    found: dict[str, str] = {}
    for name, value in call.context.items():
        for variable, text in _flatten(f"{PREFIX}{_word(name)}", value):
            if len(found) < VARIABLES:
                found[variable] = text
    found[KEY] = transferable(call.key)
    return found


def transferable(text: str) -> str:
    """Return the text as the kernel can take it: without NUL, and with half a surrogate pair replaced."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")


def _flatten(name: str, value: Any) -> Iterator[tuple[str, str]]:
    match value:
        case Mapping():
            for key, inner in value.items():
                yield from _flatten(f"{name}_{_word(str(key))}", inner)
        case list() | tuple():
            yield name, _json(value)
            yield f"{name}_COUNT", str(len(value))
        case _:
            text = transferable(show(value))
            yield name, text.encode()[:VALUE_BYTES].decode("utf-8", "ignore")


def _json(values: Sequence[Any]) -> str:
    parts: list[str] = []
    size = 2
    for value in values:
        part = transferable(json.dumps(value, ensure_ascii=False, default=str))
        size += len(part.encode()) + 2
        if size > VALUE_BYTES:
            break
        parts.append(part)
    return f"[{', '.join(parts)}]"


def _word(name: str) -> str:
    return _NO_NAME.sub("_", name.upper())
