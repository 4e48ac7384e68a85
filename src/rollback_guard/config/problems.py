"""Say what is wrong in a file, where, and what to do: one `Problem` per mistake."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

WIDEST_EXCERPT = 160
"""Characters of a source line that are shown; a longer line is shown around its caret."""

LONGEST_QUOTE = 60
"""Characters of a mistaken value that a message repeats."""


class Level(StrEnum):
    """How much a problem matters: an error refuses the configuration."""

    ERROR = "error"
    WARNING = "warning"
    NOTICE = "notice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake.

    Attributes:
        path: The file, as the person named it.
        id: The check that found it; `docs/rules.md` explains each.
        hint: One sentence on what to do; may be empty.
        excerpt: The source line and a caret below it, free of secrets and control characters; may be empty.
    """

    path: str
    line: int
    column: int
    severity: Level
    message: str
    id: str
    hint: str = ""
    excerpt: str = ""

    def render(self) -> str:
        """Return the problem as people read it."""
        head = f"{printable(self.path)}:{self.line}:{self.column}: {self.severity}: {self.message} ({self.id})"
        return "\n".join(part for part in (head, self.excerpt, f"  {self.hint}" if self.hint else "") if part)


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return the problems as they stand in the files, each once."""
    return tuple(sorted(set(problems), key=lambda it: (it.path, it.line, it.column, it.id, it.message)))


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
    near = difflib.get_close_matches(word[:LONGEST_QUOTE], list(known), n=1, cutoff=0.7)
    return f"Did you mean `{near[0]}`?" if near else ""
