"""Print plain tables: readable in a terminal, in a pipe and in a log."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import click

GOOD, DOUBTFUL, BAD = "green", "yellow", "red"

COLOURS = {
    "firing": BAD,
    "handed_over": BAD,
    "acting": BAD,
    "pending": DOUBTFUL,
    "blind": DOUBTFUL,
    "starting": DOUBTFUL,
    "unable": DOUBTFUL,
    "holding": DOUBTFUL,
    "waiting": DOUBTFUL,
    "paused": DOUBTFUL,
    "maintenance": DOUBTFUL,
    "not_armed": DOUBTFUL,
    "storm": BAD,
    "verifying": DOUBTFUL,
    "fine": GOOD,
    "inactive": GOOD,
    "watching": GOOD,
}
"""Words that are states; the word itself says everything, the colour only makes it quicker to find."""


def plain(text: object) -> str:
    """Return a text without what could steer a terminal: labels and targets' words are not ours."""
    return "".join(each if each.isprintable() else " " for each in str(text))


def coloured() -> bool:
    """Say whether colours are wanted: on a terminal, unless it or the user says no."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def state(word: str) -> str:
    """Return a state's word, coloured where that is wanted."""
    return click.style(word, fg=COLOURS[word], bold=True) if coloured() and word in COLOURS else word


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return rows under their heads, columns aligned; the words of states are coloured where that is wanted."""
    cells = [list(head), *([plain(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = []
    for row in cells:
        padded = [state(cell) + " " * (width - len(cell)) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def instant(text: str) -> datetime:
    """Read a time of the API."""
    return datetime.fromisoformat(text)


def clock(text: str) -> str:
    """Return a time of the API for people."""
    return f"{instant(text):%Y-%m-%d %H:%M:%S} UTC"


def seconds(count: float) -> timedelta:
    """Read a span of the API."""
    return timedelta(seconds=count)
