"""Keep what a target said: bounded, without secrets, and harmless on a terminal."""

from __future__ import annotations

from rollback_guard.secret import redact_piece

HEAD_BYTES = 8 * 1024
TAIL_BYTES = 24 * 1024 - 64
"""Kept of each of a command's two streams, with the line between them 64 kB in all; the end says more."""

EXCERPT_CHARS = 500
"""Of an answer or an error output in a message."""


class Capture:
    """Take in any number of bytes, keep the first and the last ones."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._tail = bytearray()
        self._total = 0

    def add(self, data: bytes) -> None:
        """Take in the next bytes."""
        self._total += len(data)
        room = HEAD_BYTES - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        if len(self._tail) > 2 * TAIL_BYTES:
            del self._tail[:-TAIL_BYTES]

    def text(self) -> str:
        """Return what was kept, with a line that says how much was left out."""
        if len(self._head) + len(self._tail) == self._total and len(self._tail) <= TAIL_BYTES:
            return presentable(bytes(self._head + self._tail))
        head = presentable(bytes(self._head), ends_cut=True)
        tail = presentable(bytes(self._tail[-TAIL_BYTES:]), begins_cut=True)
        return f"{head}\n… {self._total - HEAD_BYTES - TAIL_BYTES} bytes left out …\n{tail}"


def presentable(data: bytes | str, *, begins_cut: bool = False, ends_cut: bool = False) -> str:
    """Return it as text, with secrets masked, whole or cut off, and control characters replaced."""
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    text = redact_piece(text, begins_cut=begins_cut, ends_cut=ends_cut)
    # Replaced and not removed: removing could put a secret together that was not there before.
    return "".join(char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in text)


def excerpt(text: str, *, end: bool = False) -> str:
    """Return at most `EXCERPT_CHARS` of a presentable text: its beginning, or its end."""
    text = text.strip()
    if len(text) <= EXCERPT_CHARS:
        return text
    return f"…{text[1 - EXCERPT_CHARS :]}" if end else f"{text[: EXCERPT_CHARS - 1]}…"
