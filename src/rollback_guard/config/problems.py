"""Say what is wrong in a file, where, and what to do: one `Problem` per mistake."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

WIDEST_EXCERPT = 160
"""Characters of a source line that are shown; a longer line is shown around its caret."""

LONGEST_QUOTE = 60
"""Characters of a mistaken value that a message repeats."""

SHORT = 4
NEAR, NEAR_IF_SHORT = 0.7, 0.65
"""How alike words have to be for a question; of three letters that two are swapped leaves two thirds."""

ELSEWHERE_NAMED = 5
"""Other places of the same problem that people are told by name; programs are told all of them."""


class Level(StrEnum):
    """How much a problem matters: an error refuses the configuration."""

    ERROR = "error"
    WARNING = "warning"
    NOTICE = "notice"


class Elsewhere(NamedTuple):
    """Another rule of which the same is to be said, and where."""

    rule: str
    path: str
    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake.

    Attributes:
        path: The file, as the person named it.
        id: The check that found it; `docs/rules.md` explains each.
        hint: One sentence on what to do; may be empty.
        excerpt: The source line and a caret below it, free of secrets and control characters; may be empty.
        also: The other rules that have it, where it is told once for all of them.
    """

    path: str
    line: int
    column: int
    severity: Level
    message: str
    id: str
    hint: str = ""
    excerpt: str = ""
    also: tuple[Elsewhere, ...] = ()

    @property
    def advice(self) -> str:
        """What to do, and which other rules have it."""
        return " ".join(part for part in (self.hint, self._also()) if part)

    def render(self) -> str:
        """Return the problem as people read it."""
        head = f"{_plain(self.path)}:{self.line}:{self.column}: {self.severity}: {self.message} ({self.id})"
        return "\n".join(part for part in (head, self.excerpt, f"  {self.advice}" if self.advice else "") if part)

    def _also(self) -> str:
        if not self.also:
            return ""
        others = "1 other rule" if len(self.also) == 1 else f"{len(self.also)} other rules"
        named = ", ".join(f"{quoted(it.rule)} ({self._where(it)})" for it in self.also[:ELSEWHERE_NAMED])
        rest = len(self.also) - ELSEWHERE_NAMED
        return f"The same in {others}: {named}{f' and {rest} more' if rest > 0 else ''}."

    def _where(self, other: Elsewhere) -> str:
        return f"line {other.line}" if other.path == self.path else f"{_plain(other.path)}:{other.line}"


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return the problems as they stand in the files, each once."""
    return tuple(sorted(set(problems), key=lambda it: (it.path, it.line, it.column, it.id, it.message)))


def _plain(path: str) -> str:
    """Return a path as people read it: `deploy/../rules/a.yaml` is what a pattern of guard.toml comes to."""
    return printable(os.path.normpath(path))


def printable(text: str) -> str:
    """Return the text on one line, with what a terminal would obey written out."""
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    # A tab is one column in a file and must stay one below the caret's line.
    return " " if char == "\t" else char.encode("unicode_escape", "backslashreplace").decode()


def quoted(text: object) -> str:
    """Return a value as messages show it: one line, bounded, in backquotes."""
    line = printable(str(text))
    return f"`{line}`" if len(line) <= LONGEST_QUOTE else f"`{line[:LONGEST_QUOTE]}…`"


def excerpt(line: str, column: int) -> str:
    """Return a source line with a caret below the column."""
    at = min(max(column, 1), len(line) + 1) - 1
    start = max(0, at - WIDEST_EXCERPT * 3 // 4) if len(line) > WIDEST_EXCERPT else 0
    before = printable(line[start:at])
    after = printable(line[at : start + WIDEST_EXCERPT])
    lead, trail = ("…" if start else ""), ("…" if len(line) > start + WIDEST_EXCERPT else "")
    return f"    {lead}{before}{after}{trail}".rstrip() + f"\n    {' ' * len(lead + before)}^"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a question that names the nearest known word, or nothing."""
    cutoff = NEAR_IF_SHORT if len(word) <= SHORT else NEAR
    near = difflib.get_close_matches(word[:LONGEST_QUOTE], list(known), n=1, cutoff=cutoff)
    return f"Did you mean `{near[0]}`?" if near else ""
