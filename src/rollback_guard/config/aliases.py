"""Write out YAML's aliases and merge keys, for files of other tools that have them.

What is written out is handed on piece by piece, so that whoever counts nodes and levels refuses a bomb at its bounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from rollback_guard.config.places import DEEPEST, DocumentError, Mark
from rollback_guard.config.problems import quoted

MERGE = "<<"

MOST_MERGES = 1000
"""Mappings that are merged into others, in one file."""


@dataclass(slots=True)
class _Node:
    """A scalar, a list or a mapping: how it begins, what it holds, how it ends."""

    first: Any
    inner: list[_Node] = field(default_factory=list)
    last: Any = None
    pairs: list[tuple[_Node, _Node]] | None = None


def written_out(events: Iterable[Any]) -> Iterator[Any]:
    """Yield events without aliases and merge keys; a place is that where something is written.

    Raises:
        DocumentError: An alias names what was not written before it, or a merge key something else than mappings.
    """
    anchors: dict[str, _Node] = {}
    stack: list[_Node] = []
    merges = 0
    for event in events:
        merges += isinstance(event, yaml.ScalarEvent) and event.value == MERGE
        if merges > MOST_MERGES:
            raise _refused(f"more than {MOST_MERGES} merge keys in one file", event, "Write the keys out.")
        match event:
            case yaml.ScalarEvent() | yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                node = _Node(event)
            case yaml.AliasEvent():
                node = _known(event, anchors)
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                node = stack.pop()
                node.last = event
            case _:
                yield event
                continue
        if not isinstance(event, yaml.NodeEvent) or isinstance(event, yaml.ScalarEvent | yaml.AliasEvent):
            _remember(node, anchors)
            if stack:
                stack[-1].inner.append(node)
            else:
                yield from _events_of(node)
        else:
            stack.append(node)
            if len(stack) > DEEPEST:
                message = f"nested deeper than {DEEPEST} levels"
                raise DocumentError("too-deep", message, mark=_mark(event), hint="Nothing needs more than a dozen.")


def _known(event: Any, anchors: dict[str, _Node]) -> _Node:
    node = anchors.get(event.anchor)
    if node is None:
        message = f"nothing above has the anchor {quoted(event.anchor)}"
        raise _refused(message, event, "Write the anchor before its aliases.")
    return node


def _refused(message: str, event: Any, hint: str) -> DocumentError:
    return DocumentError("yaml-alias", message, mark=_mark(event), hint=hint)


def _mark(event: Any) -> Mark:
    return Mark(event.start_mark.line + 1, event.start_mark.column + 1)


def _remember(node: _Node, anchors: dict[str, _Node]) -> None:
    if node.first.anchor is not None:
        anchors[node.first.anchor] = node
        node.first.anchor = None


def _events_of(node: _Node) -> Iterator[Any]:
    yield node.first
    if isinstance(node.first, yaml.MappingStartEvent):
        for key, value in _pairs(node):
            yield from _events_of(key)
            yield from _events_of(value)
    else:
        for each in node.inner:
            yield from _events_of(each)
    if node.last is not None:
        yield node.last


def _pairs(node: _Node) -> list[tuple[_Node, _Node]]:
    """Return keys with their values; those that are merged come last, and not where the key is there already."""
    if node.pairs is not None:
        return node.pairs
    pairs = list(zip(node.inner[::2], node.inner[1::2], strict=True))
    found = [pair for pair in pairs if not _is_merge(pair[0])]
    known = {_text(key) for key, _ in found}
    for key, value in pairs:
        if not _is_merge(key):
            continue
        others = value.inner if isinstance(value.first, yaml.SequenceStartEvent) else [value]
        if not all(isinstance(other.first, yaml.MappingStartEvent) for other in others):
            raise _refused("only mappings can be merged", key.first, "Write the alias of one.")
        for other in others:
            fresh = [pair for pair in _pairs(other) if _text(pair[0]) not in known]
            known.update(_text(its_key) for its_key, _ in fresh)
            found += fresh
    node.pairs = found
    return found


def _is_merge(key: _Node) -> bool:
    return _text(key) == MERGE and not key.first.style


def _text(key: _Node) -> str | None:
    return key.first.value if isinstance(key.first, yaml.ScalarEvent) else None
