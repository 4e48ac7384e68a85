"""Load TOML, with the place of every key.

`tomllib` reads the data and is the judge of what is TOML; it tells no places, and takes quadratic time over a long
dotted key. So a scanner of ours walks the tokens first: it bounds depth, keys and dots, and notes where each key and
value begins. What the scanner does not understand it leaves to `tomllib` to refuse.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from rollback_guard.config.places import DEEPEST, DocumentError, KeyPath, Mark, Parsed, Place
from rollback_guard.config.problems import quoted

MOST_TOKENS = 100_000
"""Tokens of one file; a guard.toml of a hundred actions has some ten thousand."""

_TOKEN = re.compile(
    r"""
    (?P<blank>[ \t\r]+|\#[^\n]*)
  | (?P<newline>\n)
  | (?P<text>\"{3}(?:[^"\\]|\\.|\"(?!\"\"))*+\"{3,5}|'{3}(?:[^']|'(?!''))*+'{3,5}|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')
  | (?P<mark>\[|\]|\{|\}|,|=|\.)
  | (?P<bare>[^\s\[\]{},=."'\#]+)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_TOLD = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def load(text: str) -> Parsed:
    """Return the data of a TOML text.

    Raises:
        DocumentError: It is no TOML, or more of it than a guard.toml may use.
    """
    starts = [0, *(match.end() for match in re.finditer("\n", text))]
    tokens = _tokens(text, starts)
    places = _Scanner(tokens).places()
    try:
        return Parsed(tomllib.loads(text), places)
    except tomllib.TOMLDecodeError as error:
        told = _TOLD.search(str(error))
        mark = Mark(int(told[1]), int(told[2])) if told and told[1] else Mark(len(starts), len(text) - starts[-1] + 1)
        hint = "Tables are `[name]`, values `key = value`, texts stand in quotes."
        raise DocumentError("toml-syntax", _TOLD.sub("", str(error)), mark=mark, hint=hint) from error
    except (RecursionError, ValueError) as error:  # ValueError: a number of more digits than Python reads
        raise DocumentError("toml-syntax", "not TOML: a value is too large", hint="Shorten it.") from error


def comments(text: str) -> Iterator[Mark]:
    """Yield where each comment of a TOML text begins."""
    starts = [0, *(match.end() for match in re.finditer("\n", text))]
    for match in _TOKEN.finditer(text):
        if match[0].startswith("#"):
            line = bisect_right(starts, match.start())
            yield Mark(line, match.start() - starts[line - 1] + 1)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    mark: Mark


def _tokens(text: str, starts: list[int]) -> list[_Token]:
    tokens: list[_Token] = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "other"
        if kind == "blank":
            continue
        line = bisect_right(starts, match.start())
        mark = Mark(line, match.start() - starts[line - 1] + 1)
        if len(tokens) >= MOST_TOKENS:
            message = f"more than {MOST_TOKENS} words and marks in one file"
            raise DocumentError("too-large", message, mark=mark, hint="Remove what is not needed.")
        tokens.append(_Token(match[0] if kind == "mark" else kind, match[0], mark))
    tokens.append(_Token("newline", "\n", Mark(len(starts))))
    return tokens


class _Scanner:
    """Walk the tokens once, with the open brackets on a stack."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._places: dict[KeyPath, Place] = {(): Place(Mark(), scalar=False)}
        self._arrays: dict[KeyPath, int] = {}
        self._pending: tuple[KeyPath, Mark | None] = ((), None)

    def places(self) -> dict[KeyPath, Place]:
        """Return the place of every key and list item that could be told."""
        table: KeyPath = ()
        while (token := self._peek()) is not None:
            if token.kind == "[":
                table = self._header()
            elif token.kind in ("bare", "text"):
                self._entry(table)
            self._skip_line()
        return self._places

    def _peek(self) -> _Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _next(self) -> _Token:
        token = self._tokens[min(self._at, len(self._tokens) - 1)]
        self._at += 1
        return token

    def _skip_line(self) -> None:
        while self._at < len(self._tokens) and self._next().kind != "newline":
            pass

    def _key(self) -> tuple[tuple[str, ...], Mark] | None:
        """Read a dotted key; None where the next token begins none."""
        parts: list[str] = []
        mark = self._tokens[min(self._at, len(self._tokens) - 1)].mark
        while (token := self._peek()) is not None and token.kind in ("bare", "text"):
            self._at += 1
            parts.append(_unquoted(token))
            if len(parts) > DEEPEST:
                raise DocumentError("too-deep", f"a key of more than {DEEPEST} parts", mark=mark, hint="Use fewer.")
            if (dot := self._peek()) is None or dot.kind != ".":
                break
            self._at += 1
        return (tuple(parts), mark) if parts else None

    def _header(self) -> KeyPath:
        start = self._next().mark
        array = (token := self._peek()) is not None and token.kind == "["
        self._at += array
        found = self._key()
        if found is None:
            return ()
        for length in range(1, len(found[0])):
            self._places.setdefault(self._below((), found[0][:length]), Place(start, found[1], scalar=False))
        path: KeyPath = (*self._below((), found[0][:-1]), found[0][-1])
        if array:
            self._arrays[path] = self._arrays.get(path, -1) + 1
            self._places.setdefault(path, Place(start, found[1], scalar=False))
            path = (*path, self._arrays[path])
        else:
            path = self._below((), found[0])
        self._places[path] = Place(start, found[1], scalar=False)
        return path

    def _below(self, table: KeyPath, parts: tuple[str, ...]) -> KeyPath:
        for part in parts:
            table = (*table, part)
            if table in self._arrays:
                table = (*table, self._arrays[table])
        return table

    def _entry(self, table: KeyPath) -> None:
        """Read `key = value`; the value may hold further entries."""
        self._assignment(table)
        open_: list[tuple[KeyPath, int]] = []  # a list counts its items; a table has -1
        self._value(open_)
        while open_ and (token := self._peek()) is not None:
            path, count = open_[-1]
            if token.kind in ("newline", ","):
                self._at += 1
                if token.kind == "," and count >= 0:
                    open_[-1] = (path, count + 1)
            elif token.kind in ("]", "}"):
                self._at += 1
                open_.pop()
            elif count < 0:
                if not self._assignment(path):
                    return  # tomllib will say what is wrong
                self._value(open_)
            else:
                self._pending = ((*path, count), None)
                self._value(open_)

    def _assignment(self, table: KeyPath) -> bool:
        found = self._key()
        if found is None or (token := self._peek()) is None or token.kind != "=":
            self._pending = (table, None)
            return False
        self._at += 1
        path = self._below(table, found[0])
        if path in self._places:
            message = f"{quoted(found[0][-1])} is there twice; it first stands in line {self._places[path].value.line}"
            raise DocumentError("duplicate-key", message, mark=found[1], hint="Keep one of the two.")
        self._pending = (path, found[1])
        for length in range(1, len(found[0])):
            self._places.setdefault(self._below(table, found[0][:length]), Place(found[1], found[1], scalar=False))
        return True

    def _value(self, open_: list[tuple[KeyPath, int]]) -> None:
        """Note where the pending value begins; a bracket opens it, anything else is passed over."""
        path, key = self._pending
        token = self._next()
        self._places[path] = Place(token.mark, key, scalar=token.kind not in ("[", "{"))
        if token.kind in ("[", "{"):
            open_.append((path, 0 if token.kind == "[" else -1))
            if len(open_) > DEEPEST:
                message = f"nested deeper than {DEEPEST} levels"
                raise DocumentError("too-deep", message, mark=token.mark, hint="A guard.toml needs five.")
            return
        while (rest := self._peek()) is not None and rest.kind in ("bare", ".", "other"):
            self._at += 1  # a date or a fraction is several tokens


def _unquoted(token: _Token) -> str:
    if token.kind == "bare":
        return token.text
    try:
        return next(iter(tomllib.loads(f"{token.text} = 0")))
    except tomllib.TOMLDecodeError:
        return token.text
