"""Turn values into JSON, and types into JSON Schema, by the same rules.

Times are ISO 8601 in UTC with ``Z``. A span of time is a number of seconds, and its name gets the unit: ``hold``
becomes ``hold_s``. Labels are an object. JSON has no NaN and no infinity; they are the texts Prometheus writes.
"""

from __future__ import annotations

import json
import math
import types
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from rollback_guard.core.model import Labels

SECONDS = "_s"

Schema = dict[str, Any]

NOT_NUMBERS = ("NaN", "+Inf", "-Inf")


@dataclass(frozen=True, slots=True)
class Member:
    """One field of a class: where it comes from and what it becomes."""

    name: str
    key: str
    type: Any


@cache
def members(cls: type[Any]) -> tuple[Member, ...]:
    """Return the fields of a dataclass as they stand in JSON."""
    hints = get_type_hints(cls)
    return tuple(
        Member(each.name, each.name + SECONDS * _is_span(hints[each.name]), hints[each.name]) for each in fields(cls)
    )


def _is_span(hint: Any) -> bool:
    return hint is timedelta or timedelta in get_args(hint)


def to_json(value: Any) -> bytes:
    """Return a value of frozen dataclasses as JSON."""
    return json.dumps(plain(value), allow_nan=False, separators=(",", ":")).encode()


def plain(value: Any) -> Any:
    """Return a value as what JSON knows."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else _not_a_number(value)
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case timedelta():
            return value.total_seconds()
        case Mapping():
            return {str(key): plain(each) for key, each in value.items()}
        case AbstractSet():
            return sorted(plain(each) for each in value)
        case tuple() | list():
            return [plain(each) for each in value]
        case _ if is_dataclass(value) and not isinstance(value, type):
            return {each.key: _member(getattr(value, each.name), each.type) for each in members(type(value))}
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _member(value: Any, hint: Any) -> Any:
    """Return a value as its type says: of labels alone nobody could tell that they are no list of pairs."""
    if hint == Labels:
        return dict(value)
    arguments = get_args(hint)
    match get_origin(hint):
        case origin if origin is tuple and arguments[-1] is not Ellipsis:
            return [_member(each, of) for each, of in zip(value, arguments, strict=True)]
        case origin if origin is tuple:
            return [_member(each, arguments[0]) for each in value]
    return plain(value)


def _not_a_number(value: float) -> str:
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def schema(hint: Any, known: dict[str, Schema]) -> Schema:
    """Return the JSON Schema of a type; classes are put into `known` and referred to.

    Raises:
        TypeError: The type has no form in JSON.
    """
    if hint == Labels:
        return {"type": "object", "additionalProperties": {"type": "string"}}
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return {"anyOf": [schema(each, known) for each in arguments]}
    if origin is Literal:
        return {"const": arguments[0]}
    if origin is tuple and arguments[-1] is not Ellipsis:
        parts = [schema(each, known) for each in arguments]
        return {"type": "array", "prefixItems": parts, "minItems": len(parts), "maxItems": len(parts)}
    if origin in (tuple, frozenset):
        return {"type": "array", "items": schema(arguments[0], known)}
    if isinstance(hint, type):
        return _of_class(hint, known)
    raise TypeError(f"{hint} has no form in JSON")


PLAIN: Mapping[type, Schema] = {
    type(None): {"type": "null"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    str: {"type": "string"},
    float: {"anyOf": [{"type": "number"}, {"enum": list(NOT_NUMBERS)}]},
    datetime: {"type": "string", "format": "date-time"},
    timedelta: {"type": "number", "description": "seconds"},
}


def _of_class(cls: type[Any], known: dict[str, Schema]) -> Schema:
    if cls in PLAIN:
        return dict(PLAIN[cls])
    if issubclass(cls, StrEnum):
        known[cls.__name__] = {"type": "string", "enum": [each.value for each in cls], "description": _doc(cls)}
    elif is_dataclass(cls):
        if cls.__name__ not in known:
            known[cls.__name__] = {}  # named first, for a class that holds itself
            known[cls.__name__] = {
                "type": "object",
                "description": _doc(cls),
                "properties": {each.key: schema(each.type, known) for each in members(cls)},
                "required": [each.key for each in members(cls)],
                "additionalProperties": False,
            }
    else:
        raise TypeError(f"{cls.__name__} has no form in JSON")
    return {"$ref": f"#/components/schemas/{cls.__name__}"}


def _doc(cls: type[Any]) -> str:
    return (cls.__doc__ or "").strip().partition("\n")[0]
