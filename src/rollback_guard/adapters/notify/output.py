"""Show what a receiver said: bounded, harmless on a terminal, and without the secrets that went to it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote

from rollback_guard.secret import MASK, SHORTEST_REDACTED, redact

EXCERPT_CHARS = 300

_DELIMITERS = re.compile(r"[/:@?&=,;+#\s]+")


def parts_of(url: str) -> tuple[str, ...]:
    """Return what of an Apprise URL may be a secret: every part behind the scheme, as written and unquoted.

    Which part is a token and which a host depends on the service, so all of them count as secret.
    """
    _, _, rest = url.partition("://")
    parts = {url, *_DELIMITERS.split(rest)}
    spellings = parts | {unquote(part) for part in parts} | {part.lower() for part in parts}
    return tuple(sorted((each for each in spellings if len(each) >= SHORTEST_REDACTED), key=len, reverse=True))


def excerpt(text: str, hidden: Iterable[str] = ()) -> str:
    """Return the beginning of what was said, masked before it is cut."""
    text = redact(text)
    for value in hidden:
        text = text.replace(value, MASK)
    text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return text if len(text) <= EXCERPT_CHARS else f"{text[: EXCERPT_CHARS - 1]}…"
