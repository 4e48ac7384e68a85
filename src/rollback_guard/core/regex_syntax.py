r"""Read a regular expression in the syntax of Go's regexp (RE2) into a tree.

What RE2 does not have, such as look-around and back-references, is refused, so that a template that works here works
in Prometheus too. ``\p{…}`` is refused as well: it needs tables that Python does not give away.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

MAX_PATTERN = 1_000
"""Characters of one pattern."""

MAX_REPEAT = 1_000
"""RE2's own bound for counted repetition."""

MAX_GROUPS_DEEP = 50


class RegexError(ValueError):
    """Say why a pattern is refused."""


Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class CharacterSet:
    """One character out of some; `fold` looks at its other case too."""

    ranges: Ranges
    negated: bool = False
    fold: bool = False

    def has(self, character: str) -> bool:
        """Say whether the character is one of them."""
        cases = {character, character.lower(), character.upper()} if self.fold else {character}
        found = any(low <= ord(one) <= high for one in cases if len(one) == 1 for low, high in self.ranges)
        return found is not self.negated


@dataclass(frozen=True, slots=True)
class Assertion:
    """A place between characters: ``begin``, ``end``, ``line begin``, ``line end``, ``boundary``, ``no boundary``."""

    kind: str


@dataclass(frozen=True, slots=True)
class Repeat:
    """The same thing several times; `most` is ``None`` for any number of times."""

    inner: Tree
    least: int
    most: int | None
    greedy: bool


@dataclass(frozen=True, slots=True)
class Group:
    """A capture by its number."""

    index: int
    inner: Tree


@dataclass(frozen=True, slots=True)
class Sequence:
    """One thing after another."""

    parts: tuple[Tree, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """The first of several things that matches."""

    options: tuple[Tree, ...]


Tree = CharacterSet | Assertion | Repeat | Group | Sequence | Choice


@dataclass(frozen=True, slots=True)
class Pattern:
    """A parsed pattern: its tree, how many groups it captures, and the names of those that have one."""

    tree: Tree
    groups: int
    names: dict[str, int]


def parse(pattern: str) -> Pattern:
    """Return the pattern's tree.

    Raises:
        RegexError: It is not RE2, or beyond our limits.
    """
    if len(pattern) > MAX_PATTERN:
        raise RegexError(f"the pattern is longer than {MAX_PATTERN} characters")
    return _Parser(pattern).pattern()


@dataclass(frozen=True, slots=True)
class _Flags:
    i: bool = False
    m: bool = False
    s: bool = False
    U: bool = False


_DIGIT: Ranges = ((48, 57),)
_WORD: Ranges = ((48, 57), (65, 90), (95, 95), (97, 122))
_SPACE: Ranges = ((9, 10), (12, 13), (32, 32))
_CLASSES: dict[str, Ranges] = {"d": _DIGIT, "w": _WORD, "s": _SPACE}
_ALPHA: Ranges = ((65, 90), (97, 122))
_PUNCT: Ranges = ((33, 47), (58, 64), (91, 96), (123, 126))
_NAMED: dict[str, Ranges] = {
    "alnum": (*_DIGIT, *_ALPHA), "alpha": _ALPHA, "ascii": ((0, 127),), "blank": ((9, 9), (32, 32)),
    "cntrl": ((0, 31), (127, 127)), "digit": _DIGIT, "graph": ((33, 126),), "lower": ((97, 122),),
    "print": ((32, 126),), "punct": _PUNCT, "space": ((9, 13), (32, 32)), "upper": ((65, 90),), "word": _WORD,
    "xdigit": ((48, 57), (65, 70), (97, 102)),
}  # fmt: skip
_CONTROLS = {"a": 7, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}
_ASSERTIONS = {"A": "begin", "z": "end", "b": "boundary", "B": "no boundary"}
_COUNT = re.compile(r"\{([0-9]{1,5})(,([0-9]{0,5}))?\}", re.ASCII)
_CODE = re.compile(r"x([0-9a-fA-F]{2})|x\{([0-9a-fA-F]{1,6})\}|([0-7]{3}|0[0-7]{0,2})")
_GROUP_NAME = re.compile(r"\?P?<(\w+)>", re.ASCII)
_GROUP_FLAGS = re.compile(r"\?([imsU]*)(?:-([imsU]+))?([:)])")
_LAST = 0x10FFFF


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._flags = _Flags()
        self._groups = 0
        self._names: dict[str, int] = {}
        self._depth = 0

    def pattern(self) -> Pattern:
        tree = self._choice()
        if self._position < len(self._text):
            raise RegexError("unexpected )")
        return Pattern(tree=tree, groups=self._groups, names=self._names)

    def _eat(self, text: str) -> bool:
        found = self._text.startswith(text, self._position)
        self._position += len(text) if found else 0
        return found

    def _match(self, expected: re.Pattern[str]) -> re.Match[str] | None:
        match = expected.match(self._text, self._position)
        self._position = match.end() if match else self._position
        return match

    def _next(self) -> str:
        if self._position >= len(self._text):
            raise RegexError("the pattern ends too early")
        self._position += 1
        return self._text[self._position - 1]

    def _choice(self) -> Tree:
        options = [self._sequence()]
        while self._eat("|"):
            options.append(self._sequence())
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def _sequence(self) -> Tree:
        parts: list[Tree] = []
        while self._position < len(self._text) and self._text[self._position] not in "|)":
            if self._eat("\\Q"):
                literal, _, _ = self._text[self._position :].partition("\\E")
                self._position = min(self._position + len(literal) + 2, len(self._text))
                parts.extend(self._character(ord(character)) for character in literal)
                parts[-1:] = [self._repeated(parts[-1])] if literal else parts[-1:]
                continue
            atom = self._atom()
            parts.append(self._repeated(atom))
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def _repeated(self, atom: Tree) -> Tree:
        bounds = self._bounds()
        if bounds is None:
            return atom
        least, most = bounds
        if max(least, most or 0) > MAX_REPEAT or (most is not None and most < least):
            raise RegexError("invalid repeat count")
        lazy = self._eat("?")
        if self._bounds() is not None:
            raise RegexError("invalid nested repetition operator")
        return Repeat(atom, least, most, greedy=lazy is self._flags.U)

    def _bounds(self) -> tuple[int, int | None] | None:
        for sign, bounds in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._eat(sign):
                return bounds
        count = self._match(_COUNT)
        if count is None:
            return None
        least = int(count[1])
        return least, least if count[2] is None else int(count[3]) if count[3] else None

    def _atom(self) -> Tree:
        character = self._next()
        match character:
            case "(":
                return self._group()
            case "[":
                return self._class()
            case ".":
                return CharacterSet(() if self._flags.s else ((10, 10),), negated=True)
            case "^":
                return Assertion("line begin" if self._flags.m else "begin")
            case "$":
                return Assertion("line end" if self._flags.m else "end")
            case "\\":
                return self._escape()
            case "*" | "+" | "?":
                raise RegexError(f"missing argument to repetition operator: {character}")
        return self._character(ord(character))

    def _character(self, code: int) -> CharacterSet:
        return CharacterSet(((code, code),), fold=self._flags.i)

    @contextmanager
    def _inside(self) -> Iterator[None]:
        """Keep flags that are set inside of a group inside of it, and bound nesting."""
        flags = self._flags
        self._depth += 1
        if self._depth > MAX_GROUPS_DEEP:
            raise RegexError("the pattern is nested too deeply")
        yield
        if not self._eat(")"):
            raise RegexError("missing closing )")
        self._depth -= 1
        self._flags = flags

    def _group(self) -> Tree:
        index = 0
        name = self._match(_GROUP_NAME)
        flags = None if name else self._match(_GROUP_FLAGS)
        if flags:
            changed = replace(
                self._flags,
                **dict.fromkeys(flags[1], True),
                **dict.fromkeys(set(flags[2] or "") - set(flags[1]), False),
            )
            if flags[3] == ")":
                self._flags = changed
                return Sequence()
        elif not name and self._text.startswith("?", self._position):
            raise RegexError("invalid or unsupported group syntax: (?")
        else:
            self._groups += 1
            index = self._groups
        if name:
            if name[1] in self._names:
                raise RegexError(f"duplicate group name: {name[1]}")
            self._names[name[1]] = index
        with self._inside():
            self._flags = changed if flags else self._flags
            inner = self._choice()
        return Group(index, inner) if index else inner

    def _escape(self) -> Tree:
        code = self._code()
        if code is not None:
            return self._character(code)
        character = self._next()
        if character in _ASSERTIONS:
            return Assertion(_ASSERTIONS[character])
        if character.lower() in _CLASSES:
            return CharacterSet(_CLASSES[character.lower()], negated=character.isupper())
        return self._character(_literal(character))

    def _code(self) -> int | None:
        match = self._match(_CODE)
        if match is None:
            return None
        code = int(match[1] or match[2], 16) if match[1] or match[2] else int(match[3], 8)
        if code > _LAST:
            raise RegexError("invalid escape sequence")
        return code

    def _class(self) -> CharacterSet:
        negated = self._eat("^")
        ranges: list[tuple[int, int]] = []
        first = True
        while first or not self._eat("]"):
            ranges.extend(self._class_item())
            first = False
        return CharacterSet(tuple(ranges), negated=negated, fold=self._flags.i)

    def _class_item(self) -> Ranges:
        if self._eat("[:"):
            name, closed, _ = self._text[self._position :].partition(":]")
            known = _NAMED.get(name.removeprefix("^"))
            if not closed or known is None:
                raise RegexError("invalid character class range")
            self._position += len(name) + 2
            return _others(known) if name.startswith("^") else known
        low = self._class_character()
        if isinstance(low, tuple):
            return low
        if not self._text.startswith("-", self._position) or self._text.startswith("-]", self._position):
            return ((low, low),)
        self._position += 1
        high = self._class_character()
        if isinstance(high, tuple) or high < low:
            raise RegexError("invalid character class range")
        return ((low, high),)

    def _class_character(self) -> int | Ranges:
        character = self._next()
        if character != "\\":
            return ord(character)
        code = self._code()
        if code is not None:
            return code
        character = self._next()
        if character.lower() in _CLASSES:
            known = _CLASSES[character.lower()]
            return _others(known) if character.isupper() else known
        return _literal(character)


def _literal(character: str) -> int:
    """Return what an escaped character stands for: itself, unless it is a letter or digit."""
    if character in _CONTROLS:
        return _CONTROLS[character]
    if character in "pP":
        raise RegexError(f"\\{character} is not supported")
    if character.isalnum() or not character.isascii():
        raise RegexError(f"invalid escape sequence: \\{character}")
    return ord(character)


def _others(ranges: Ranges) -> Ranges:
    """Return every character that is not in the ranges, which are sorted."""
    edges = [-1, *(edge for pair in ranges for edge in pair), _LAST + 1]
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return tuple((before + 1, after - 1) for before, after in pairs if before + 1 <= after - 1)
