"""Keep what a target said: bounded, without secrets, and harmless on a terminal."""

from __future__ import annotations

from rollback_guard.secret import redact

HEAD_BYTES = 8 * 1024
TAIL_BYTES = 24 * 1024
"""Kept of each of a command's two streams, 64 kB in all; the end says more than the beginning."""

LONGEST_SECRET = 4 * 1024
"""Cut off at both sides of a gap that is not between two lines, so that half a secret is never shown."""

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
        head, tail = _whole_lines_before(bytes(self._head)), _whole_lines_after(bytes(self._tail[-TAIL_BYTES:]))
        gap = self._total - len(head) - len(tail)
        return f"{presentable(head)}\n… {gap} bytes left out …\n{presentable(tail)}"


def presentable(data: bytes | str) -> str:
    """Return it as text, with secrets masked and control characters replaced."""
    text = redact(data.decode("utf-8", "replace") if isinstance(data, bytes) else data)
    # Replaced and not removed: removing could put a secret together that was not there before.
    return "".join(char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in text)


def excerpt(text: str, *, end: bool = False) -> str:
    """Return at most `EXCERPT_CHARS` of a presentable text: its beginning, or its end."""
    text = text.strip()
    if len(text) <= EXCERPT_CHARS:
        return text
    return f"…{text[1 - EXCERPT_CHARS :]}" if end else f"{text[: EXCERPT_CHARS - 1]}…"


def _whole_lines_before(head: bytes) -> bytes:
    end = head.rfind(b"\n")
    return head[: end + 1] if end >= 0 else head[:-LONGEST_SECRET]


def _whole_lines_after(tail: bytes) -> bytes:
    start = tail.find(b"\n")
    return tail[start + 1 :] if start >= 0 else tail[LONGEST_SECRET:]
