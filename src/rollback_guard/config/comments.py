"""Find the comments of a file that speak to `check`.

Neither parser tells of comments, and a `#` may as well stand in a text: in a block scalar, in quotes, in a colour. So
the parser is asked once more where the texts are, and only a `#` outside of them counts.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from rollback_guard.config import tomlfile
from rollback_guard.config.document import Document
from rollback_guard.config.places import KeyPath, Mark
from rollback_guard.config.yamlfile import events

ADDRESS = "rollback-guard:"
"""How a comment begins that is meant for the guard."""

EXPRESSIONS = frozenset({"expr", "when"})
"""Keys of a rule whose text has comments of its own."""

_BURIED = re.compile(r"(?P<before>.*?)(?<!\S)\#[ \t]*" + ADDRESS + r"[ \t]*(?P<text>.*)")
_COMMENT = re.compile(r"(?P<before>[^#]*)(?<!\S)\#[ \t]*" + ADDRESS + r"[ \t]*(?P<text>.*)")
"""Behind the last text of a line all but comments is punctuation: brackets, colons, dashes, a block's header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    """One comment that speaks to `check`.

    Attributes:
        text: Behind `rollback-guard:`.
        alone: Nothing else stands on its line.
        buried: It stands in the text of an expression, for whose language it is a comment, and not for the file's.
    """

    mark: Mark
    text: str
    alone: bool
    buried: bool = False


def comments_of(document: Document) -> Iterator[Comment]:
    """Yield the comments of a file that was parsed, in its order."""
    if document.parsed is None or ADDRESS not in document.text:
        return
    candidates = [number for number in range(1, document.lines + 1) if ADDRESS in document.line(number)]
    if document.path.endswith(".toml"):
        free, buried = _free_of_toml(document), set[int]()
    else:
        free, buried = _free_of_yaml(document, candidates)
    for number in candidates:
        if number in free or number in buried:
            line = document.line(number)
            found = _COMMENT.match(line, free[number]) if number in free else _BURIED.match(line)
            if found:
                begins = found.end("before")
                mark, alone = Mark(number, begins + 1), not line[:begins].strip()
                yield Comment(mark=mark, text=found["text"].strip(), alone=alone, buried=number not in free)


def _free_of_yaml(document: Document, candidates: list[int]) -> tuple[dict[int, int], set[int]]:
    """Return the lines that are not inside of a text, each with where its last text ends; and those of expressions."""
    free, buried = dict.fromkeys(candidates, 0), set[int]()
    expressions = _expressions(document)
    for event in events(document.text):
        if not isinstance(event, yaml.ScalarEvent):
            continue
        start, stop = event.start_mark, event.end_mark
        if start is None or stop is None:
            continue
        first, last = start.line + 1, stop.line + 1
        is_expression = first in expressions
        if bisect_left(candidates, first) == bisect_right(candidates, last):
            continue
        if event.style in ("|", ">"):
            first, last, end = _block(document, event)
        else:
            end = stop.column
        for number in candidates[bisect_left(candidates, first) : bisect_left(candidates, last)]:
            free.pop(number, None)
            if is_expression and event.style in ("|", ">"):
                buried.add(number)
        if last in free:
            free[last] = max(free[last], end)
    return free, buried


def _expressions(document: Document) -> set[int]:
    """Return the lines on which the block of a rule's expression begins."""
    places = document.parsed.places if document.parsed else {}
    return {place.value.line for path, place in places.items() if place.block and _is_expression(path)}


def _is_expression(path: KeyPath) -> bool:
    match path:
        case ("groups", int(), "rules", int(), str(key)):
            return key in EXPRESSIONS
    return False


def _block(document: Document, event: Any) -> tuple[int, int, int]:
    """Return the first line of a block's content, the line behind it, and 0.

    The parser says that a block ends where the next thing begins, with all comments between the two.
    """
    first = number = event.start_mark.line + 2
    indent = 0
    while number <= event.end_mark.line + 1:
        line = document.line(number)
        depth = len(line) - len(line.lstrip(" "))
        if line.strip():
            indent = indent or depth
            if depth < indent:
                break
        number += 1
    return first, number, 0


def _free_of_toml(document: Document) -> dict[int, int]:
    """Return the lines that hold a comment, each with where it begins."""
    return {mark.line: mark.column - 1 for mark in tomlfile.comments(document.text)}
