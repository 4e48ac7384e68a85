"""Name places in a file, and the bounds that every file has to keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

LARGEST_FILE = 1_000_000
"""Bytes of one file; some five thousand rules."""

DEEPEST = 32
"""Levels of nesting; a rule file has six."""

MOST_NODES = 100_000
"""Keys and values of one file; a megabyte of ordinary rules has fewer."""

KeyPath = tuple[str | int, ...]
"""Where a value stands in the data: keys and list indexes from the top."""


class Mark(NamedTuple):
    """A position in a file; both numbers begin at 1, columns count characters."""

    line: int = 1
    column: int = 1


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value and its key begin; an item of a list has no key.

    Attributes:
        block: The value is a YAML block scalar: it begins with the header, `|` or `>`.
        scalar: The value is no list and no mapping.
    """

    value: Mark
    key: Mark | None = None
    block: bool = False
    scalar: bool = True


class DocumentError(Exception):
    """Say why a file cannot become data, and where.

    Attributes:
        id: The check that refuses it.
    """

    def __init__(self, id_: str, message: str, *, mark: Mark = Mark(), hint: str = "") -> None:  # noqa: B008  a value
        super().__init__(message)
        self.id = id_
        self.message = message
        self.mark = mark
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Parsed:
    """Data, the place of each of its parts, and the mistakes that did not keep it from being read."""

    data: Any
    places: Mapping[KeyPath, Place]
    flaws: tuple[DocumentError, ...] = ()
