"""Read a file into data and the places of its parts, refusing what is hostile before any parser sees it.

path ── stat ──▶ bytes ── UTF-8, no control characters ──▶ text ── YAML or TOML ──▶ data + places
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rollback_guard.config import masking, tomlfile, yamlfile
from rollback_guard.config.places import LARGEST_FILE, DocumentError, KeyPath, Mark, Parsed, Place
from rollback_guard.config.problems import Level, Problem, excerpt, printable

_LINE_END = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ufeff\ufffe\uffff]")

FARTHEST_CHARACTER = 400
"""Characters of indentation and folding that may lie between two neighbours of a value."""


@dataclass(frozen=True, kw_only=True)
class Document:
    """One file: its text, and its data when it could be parsed."""

    path: str
    text: str = ""
    parsed: Parsed | None = None

    @property
    def data(self) -> Any:
        """The whole content; None where it could not be parsed."""
        return self.parsed.data if self.parsed else None

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(match.end() for match in _LINE_END.finditer(self.text))]

    @cached_property
    def _hidden(self) -> Mapping[int, int]:
        return masking.hidden_from(self.parsed.places) if self.parsed else {}

    @property
    def lines(self) -> int:
        """How many lines there are."""
        return len(self._starts)

    def line(self, number: int) -> str:
        """Return a source line as it is; it may hold secrets."""
        if not 1 <= number <= len(self._starts):
            return ""
        end = self._starts[number] if number < len(self._starts) else len(self.text)
        return self.text[self._starts[number - 1] : end].rstrip("\r\n\x85\u2028\u2029")

    @cached_property
    def _shown(self) -> dict[int, str]:
        return {}

    def shown_line(self, number: int) -> str:
        """Return a source line with its secrets masked; masked once, for a hostile line is long and has many faults."""
        if number not in self._shown:
            self._shown[number] = self._masked(number)
        return self._shown[number]

    def _masked(self, number: int) -> str:
        if self.parsed:
            return masking.mask(self.line(number), self._hidden.get(number))
        above = [self.line(other) for other in range(max(1, number - masking.LINES_LOOKED_BACK), number)]
        return masking.mask_unparsed(self.line(number), above)

    def place(self, path: KeyPath) -> Place:
        """Return the place of a value, or of the nearest thing around it."""
        places = self.parsed.places if self.parsed else {}
        return next((places[path[:n]] for n in range(len(path), -1, -1) if path[:n] in places), Place(Mark()))

    def key_mark(self, path: KeyPath) -> Mark:
        """Return where the key of a value stands; of a list item, where the item begins."""
        place = self.place(path)
        return place.key or place.value

    def value_mark(self, path: KeyPath) -> Mark:
        """Return where a value begins."""
        return self.place(path).value

    def mark_within(self, path: KeyPath, value: str, offset: int) -> Mark:
        """Return the place in the file of one character of a text value.

        Walks value and source side by side, over what folding, indentation and escapes added to the source.
        """
        place = self.place(path)
        at = self._starts[place.value.line - 1] + place.value.column - 1
        if place.block:  # the header ends with its line
            at = self._starts[min(place.value.line, len(self._starts) - 1)]
        for char in value[:offset]:
            at = at if char.isspace() else self._behind(char, at)
        if offset < len(value) and not value[offset].isspace():
            at = max(at, self._behind(value[offset], at) - 1)
        line = bisect_right(self._starts, min(at, len(self.text)))
        return Mark(line, at - self._starts[line - 1] + 1)

    def _behind(self, char: str, at: int) -> int:
        found = self.text.find(char, at, at + FARTHEST_CHARACTER)
        return at if found < 0 else found + 1

    def texts_below(self, top: KeyPath) -> Iterator[tuple[KeyPath, str]]:
        """Yield every text value below a place, with where it stands."""
        data = self.data
        for part in top:
            data = data[part]
        pending: list[tuple[KeyPath, Any]] = [(top, data)]
        while pending:
            path, value = pending.pop()
            if isinstance(value, dict):
                pending.extend(((*path, key), item) for key, item in value.items())
            elif isinstance(value, list):
                pending.extend(((*path, index), item) for index, item in enumerate(value))
            elif isinstance(value, str):
                yield path, value

    def problem(self, id_: str, message: str, mark: Mark, *, hint: str = "", level: Level = Level.ERROR) -> Problem:
        """Return a problem at a place, with its source line as excerpt."""
        line = self.shown_line(mark.line)
        return Problem(
            path=self.path,
            line=mark.line,
            column=mark.column,
            severity=level,
            message=printable(message),
            id=id_,
            hint=hint,
            excerpt=excerpt(line, mark.column) if line.strip() else "",
        )


def read(path: Path) -> bytes:
    """Return a file's bytes; its size is asked for first.

    Raises:
        DocumentError: It cannot be read, is no regular file or is too large.
    """
    try:
        if not path.is_file():
            what = "is a directory" if path.is_dir() else "is no file" if path.exists() else "does not exist"
            raise DocumentError("unreadable-file", f"this {what}", hint="Give a guard.toml or rule files.")
        size = path.stat().st_size
        if size <= LARGEST_FILE:
            with path.open("rb") as file:
                data = file.read(LARGEST_FILE + 1)  # it may have grown since
            size = len(data)
            if size <= LARGEST_FILE:
                return data
    except OSError as error:
        raise DocumentError("unreadable-file", f"this cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # a NUL in the name
        raise DocumentError("unreadable-file", f"this is no file name: {error}") from error
    message = f"the file has {size} bytes, more than {LARGEST_FILE}"
    raise DocumentError("too-large", message, hint="Split it: `rules` in guard.toml takes several files and patterns.")


def decode(data: bytes) -> str:
    """Return the text of a file.

    Raises:
        DocumentError: It is not UTF-8, or holds characters that no text has.
    """
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        mark = Mark(data.count(b"\n", 0, error.start) + 1)
        message = f"byte {error.start} of the file is not UTF-8"
        raise DocumentError("not-text", message, mark=mark, hint="Save the file as UTF-8 text.") from error
    if match := _CONTROL.search(text):
        mark = Mark(text.count("\n", 0, match.start()) + 1, match.start() - text.rfind("\n", 0, match.start()))
        message = f"the control character U+{ord(match[0]):04X} has no place in a text file"
        raise DocumentError("not-text", message, mark=mark, hint="Remove it.")
    return text


def parse(path: str, text: str) -> Document:
    """Return the document of a text: TOML where the path says so, else YAML.

    Raises:
        DocumentError: The text is no acceptable document.
    """
    parsed = tomlfile.load(text) if path.endswith(".toml") else yamlfile.load(text)
    return Document(path=path, text=text, parsed=parsed)
