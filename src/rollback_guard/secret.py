"""Hold texts that refer to secrets, and keep the secrets out of everything that is shown.

A text such as ``Bearer ${file:/run/secrets/flags}`` stays as written until the moment it is sent. What was revealed is
remembered, so that `redact` can take it out of any output, whoever produced it.
"""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

REFERENCE = re.compile(r"\$\{(file|env):([^}]+)\}")
MASK = "<secret>"

REMEMBERED = 256
"""Revealed values kept for redaction; rotation may bring new ones, so the oldest go first."""

SHORTEST_REDACTED = 4
"""A shorter secret would mask ordinary words all over the log."""

SECRET_BYTES = 64 * 1024
"""A secret file larger than this is a mistake in the path."""

_revealed: OrderedDict[str, None] = OrderedDict()


class SecretError(Exception):
    """A referred secret is not there. The message names the reference, never a value."""


@dataclass(frozen=True, slots=True)
class SecretText:
    """A text with references; `str` and `repr` show the references only."""

    text: str

    def reveal(self) -> str:
        """Return the text with every reference replaced by what it refers to now.

        Raises:
            SecretError: A file cannot be read, is too large or a variable is not set.
        """
        return REFERENCE.sub(lambda match: _look_up(match[1], match[2]), self.text)

    def __str__(self) -> str:
        return self.text


def _look_up(kind: str, name: str) -> str:
    value = _read(name) if kind == "file" else os.environ.get(name)
    if value is None:
        raise SecretError(f"${{env:{name}}}: the environment variable is not set")
    remember(value)
    return value


def _read(name: str) -> str:
    try:
        with Path(name).open("rb") as file:
            data = file.read(SECRET_BYTES + 1)
        if len(data) > SECRET_BYTES:
            raise SecretError(f"${{file:{name}}}: larger than {SECRET_BYTES} bytes")
        return data.decode().strip()
    except OSError as error:
        raise SecretError(f"${{file:{name}}}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SecretError(f"${{file:{name}}}: not UTF-8 text") from error


def remember(value: str) -> None:
    """Have `redact` mask this value from now on, each line of it."""
    for line in value.splitlines():
        part = line.strip()
        if len(part) >= SHORTEST_REDACTED:
            _revealed[part] = None
            _revealed.move_to_end(part)
    while len(_revealed) > REMEMBERED:
        _revealed.popitem(last=False)


def redact(text: str) -> str:
    """Return the text with every revealed secret masked, longest first."""
    for value in sorted(_revealed, key=len, reverse=True):
        if value in text:
            text = text.replace(value, MASK)
    return text


def redact_piece(text: str, *, begins_cut: bool = False, ends_cut: bool = False) -> str:
    """Mask secrets in a piece of a longer text, and leave out what may be half of one at an end that was cut off."""
    text = redact(text)
    for value in _revealed:
        if ends_cut:
            text = text[: len(text) - _overlap(text, value)]
        if begins_cut:
            text = text[_overlap(value, text) :]
    return text


def _overlap(left: str, right: str) -> int:
    """Return how many characters at the end of the one are a beginning of the other, but not the whole of it."""
    longest = min(len(left), len(right))
    return next((size for size in range(longest, 0, -1) if left.endswith(right[:size])), 0)
