"""Fill JSON documents whose strings may hold templates and secret references, and compare and search them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollback_guard.adapters.actions.template import Text


class Absent:
    """Nothing stands at a path; not even null."""


ABSENT = Absent()


def compiled(value: Any) -> Any:
    """Return the document with each of its strings as a `Text`; names stay as they are.

    Raises:
        TemplateProblem: One of them cannot be used.
    """
    match value:
        case str():
            return Text.parse(value)
        case Mapping():
            return {name: compiled(inner) for name, inner in value.items()}
        case list() | tuple():
            return [compiled(inner) for inner in value]
        case _:
            return value


def filled(value: Any, context: Mapping[str, Any]) -> Any:
    """Return a compiled document with its texts filled.

    Raises:
        PermanentError: A value or a secret is missing.
    """
    match value:
        case Text():
            return value.fill(context)
        case Mapping():
            return {name: filled(inner, context) for name, inner in value.items()}
        case list():
            return [filled(inner, context) for inner in value]
        case _:
            return value


def found(document: Any, path: str) -> Any:
    """Return what stands at a top-level name or a dotted path (``items.0.name``), or `ABSENT`."""
    if isinstance(document, Mapping) and path in document:
        return document[path]
    for name in path.split("."):
        if isinstance(document, Mapping) and name in document:
            document = document[name]
        elif isinstance(document, list) and name.isdecimal() and int(name) < len(document):
            document = document[int(name)]
        else:
            return ABSENT
    return document


def same(left: Any, right: Any) -> bool:
    """Tell whether two documents say the same; unlike in Python, true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(same(left[name], right[name]) for name in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)
