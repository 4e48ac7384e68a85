"""Match regular expressions as Go's regexp does, in time linear in the text.

Python's own engine takes exponential time for patterns such as ``(a+)+$``. Templates run beside decisions, on label
values that anybody may have written, so that a slow match could hold up a rollback.

Source: R. Cox, "Regular Expression Matching: the Virtual Machine Approach" (Pike's simulation).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from rollback_guard.core.regex_syntax import (
    Assertion,
    CharacterSet,
    Choice,
    Group,
    RegexError,
    Repeat,
    Sequence,
    Tree,
    parse,
)

__all__ = ["Regex", "RegexError", "compile_regex"]

MAX_STEPS = 500_000
"""Steps of one search, about a third of a second; a label value with an everyday pattern needs a few thousand."""

MAX_INSTRUCTIONS = 5_000

_SLOTS_PER_STEP = 16
"""Copying this many captures takes about as long as a step."""


@dataclass(frozen=True, slots=True)
class _Split:
    preferred: int
    other: int


@dataclass(frozen=True, slots=True)
class _Save:
    slot: int


_Instruction = CharacterSet | Assertion | _Split | _Save | None
_Captures = tuple[int, ...]


class Regex:
    """A compiled pattern."""

    def __init__(self, pattern: str) -> None:
        parsed = parse(pattern)
        self._names = parsed.names
        self._groups = parsed.groups
        self._program: list[_Instruction] = []
        self._emitted = 0
        self._emit_group(0, parsed.tree)
        self._program.append(None)  # the end: a match

    def found_in(self, text: str) -> bool:
        """Say whether the pattern matches anywhere in the text."""
        return _Search(self._program, text).run(0, 2 * (self._groups + 1)) is not None

    def replace_all(self, text: str, replacement: str) -> str:
        """Return the text with every match replaced; ``$1`` and ``${name}`` stand for what groups captured."""
        search, parts, position, copied = _Search(self._program, text), [], 0, 0
        while position <= len(text):
            captures = search.run(position, 2 * (self._groups + 1))
            if captures is None:
                break
            start, end = captures[0], captures[1]
            parts.append(text[copied:start])
            # An empty match right behind the last one is none of its own.
            if end > copied or start == 0:
                parts.append(self._expand(replacement, text, captures))
            copied = end
            position = max(end, position + 1)
        return "".join([*parts, text[copied:]])

    def _expand(self, replacement: str, text: str, captures: _Captures) -> str:
        def captured(match: re.Match[str]) -> str:
            name = match[1] or match[2]
            if not name:
                return "$"
            index = int(name[:9]) if name.isdecimal() else self._names.get(name, -1)
            if not 0 <= index <= self._groups or captures[2 * index] < 0:
                return ""
            return text[captures[2 * index] : captures[2 * index + 1]]

        return _REFERENCE.sub(captured, replacement)

    def _emit_group(self, index: int, tree: Tree) -> None:
        self._add(_Save(2 * index))
        self._emit(tree)
        self._add(_Save(2 * index + 1))

    def _add(self, instruction: _Instruction) -> int:
        self._program.append(instruction)
        if len(self._program) > MAX_INSTRUCTIONS:
            raise RegexError("the pattern is too large")
        return len(self._program) - 1

    def _emit(self, tree: Tree) -> None:
        # Counted besides the instructions, for a repetition of nothing adds none and takes time.
        self._emitted += 1
        if self._emitted > MAX_INSTRUCTIONS:
            raise RegexError("the pattern is too large")
        match tree:
            case CharacterSet() | Assertion():
                self._add(tree)
            case Group(index, inner):
                self._emit_group(index, inner)
            case Sequence(parts):
                for part in parts:
                    self._emit(part)
            case Choice(options):
                self._emit_choice(options)
            case Repeat():
                self._emit_repeat(tree)

    def _emit_choice(self, options: tuple[Tree, ...]) -> None:
        ends = []
        for option in options[:-1]:
            split = self._add(None)
            self._emit(option)
            ends.append(self._add(None))
            self._program[split] = _Split(split + 1, len(self._program))
        self._emit(options[-1])
        for end in ends:
            self._program[end] = _Split(len(self._program), len(self._program))

    def _emit_repeat(self, repeat: Repeat) -> None:
        for _ in range(repeat.least):
            self._emit(repeat.inner)
        if repeat.most is None:
            split = self._add(None)
            self._emit(repeat.inner)
            self._add(_Split(split, split))
            self._program[split] = self._branch(split + 1, len(self._program), greedy=repeat.greedy)
            return
        splits = []
        for _ in range(repeat.most - repeat.least):
            splits.append(self._add(None))
            self._emit(repeat.inner)
        for split in splits:
            self._program[split] = self._branch(split + 1, len(self._program), greedy=repeat.greedy)

    @staticmethod
    def _branch(inside: int, outside: int, *, greedy: bool) -> _Split:
        return _Split(inside, outside) if greedy else _Split(outside, inside)


_REFERENCE = re.compile(r"\$(?:\$|\{(\w+)\}|(\w+))?")


class _Search:
    """Run a program over a text, all alternatives at once; those further ahead in the list are preferred."""

    def __init__(self, program: list[_Instruction], text: str) -> None:
        self._program = program
        self._text = text
        self._steps = 0

    def run(self, start: int, slots: int) -> _Captures | None:
        """Return the captures of the first match that begins at `start` or later."""
        threads: dict[int, _Captures] = {}
        matched: _Captures | None = None
        for position in range(start, len(self._text) + 1):
            if matched is None:
                self._follow(threads, 0, position, (-1,) * slots)
            if not threads:
                break
            following: dict[int, _Captures] = {}
            for place, captures in threads.items():
                instruction = self._program[place]
                if instruction is None:
                    matched = captures
                    break
                if (
                    position < len(self._text)
                    and isinstance(instruction, CharacterSet)
                    and instruction.has(self._text[position])
                ):
                    self._follow(following, place + 1, position + 1, captures)
            threads = following
        return matched

    def _follow(self, threads: dict[int, _Captures], place: int, position: int, captures: _Captures) -> None:
        """Add what is reached without reading a character, most preferred first."""
        pending = [(place, captures)]
        while pending:
            place, captures = pending.pop()
            if place in threads:
                continue
            threads[place] = captures
            self._steps += 1 + len(captures) // _SLOTS_PER_STEP
            if self._steps > MAX_STEPS:
                raise RegexError("the match takes too long")
            match self._program[place]:
                case _Split(preferred, other):
                    pending += [(other, captures), (preferred, captures)]
                case _Save(slot):
                    pending.append((place + 1, (*captures[:slot], position, *captures[slot + 1 :])))
                case Assertion(kind):
                    if self._holds(kind, position):
                        pending.append((place + 1, captures))

    def _holds(self, kind: str, position: int) -> bool:
        before, after = self._text[position - 1 : position] if position else "", self._text[position : position + 1]
        match kind:
            case "begin":
                return position == 0
            case "end":
                return position == len(self._text)
            case "line begin":
                return before in {"", "\n"}
            case "line end":
                return after in {"", "\n"}
        boundary = bool(_WORD.fullmatch(before)) is not bool(_WORD.fullmatch(after))
        return boundary if kind == "boundary" else not boundary


_WORD = re.compile(r"\w", re.ASCII)


@lru_cache(maxsize=256)
def compile_regex(pattern: str) -> Regex:
    """Return the compiled pattern.

    Raises:
        RegexError: It is not RE2, or beyond our limits.
    """
    return Regex(pattern)
