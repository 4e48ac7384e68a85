"""Keep secrets out of excerpts: a problem may stand on the very line that holds one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from rollback_guard.config.places import KeyPath, Place
from rollback_guard.secret import MASK

_SECRETIVE = r"authorization|passw|passphrase|secret|token|api[-_]?key|private[-_]?key|-key|credential|cookie"
_NAME = re.compile(_SECRETIVE, re.IGNORECASE)
_WRITTEN = re.compile(rf"""(?:{_SECRETIVE})[\w.-]{{0,64}}["']?\s{{0,16}}[:=]""", re.IGNORECASE)
_HEADERS = re.compile(r"""headers["']?\s*[:=]|^\s*\[.*headers|^\s*\[?\s*["']?(notify|dead_man)\b""")
_USERINFO = re.compile(r"(?<=//)[^/@\s\"']+@")
_SEPARATOR = re.compile(r"[:=]\s*")

ADDRESSED = (("notify",), ("dead_man",))
"""Tables of guard.toml in which the whole `url` may be a secret: who knows it can write to people."""

LINES_LOOKED_BACK = 30
"""In a file that does not parse: how far above a line the name of a secret makes it suspect."""


def is_secretive(name: str) -> bool:
    """Say whether a key's name lets expect a secret in its value; a `…_file` only names where one is."""
    return _NAME.search(name) is not None and not name.endswith("_file")


def holds_secret(path: KeyPath) -> bool:
    """Say whether the value at this path may be a secret: any header may, and so may the address of a channel."""
    if path[:1] in ADDRESSED and path[-1] == "url":
        return True
    return "headers" in path[:-1] or any(isinstance(part, str) and is_secretive(part) for part in path)


def hidden_from(places: Mapping[KeyPath, Place]) -> Mapping[int, int]:
    """Return the lines that hold secrets, each with the column from which on it is masked."""
    hidden: dict[int, int] = {}
    in_order = sorted(places.items(), key=lambda item: item[1].key or item[1].value)
    for number, (path, place) in enumerate(in_order):
        if not (place.scalar and holds_secret(path)):
            continue
        hidden[place.value.line] = min(place.value.column, hidden.get(place.value.line, place.value.column))
        after = in_order[number + 1][1] if number + 1 < len(in_order) else None
        end = (after.key or after.value).line if after else place.value.line + LINES_LOOKED_BACK
        for line in range(place.value.line + 1, end):  # a text over several lines goes on until the next key
            hidden[line] = 1
    return hidden


def mask(line: str, column: int | None = None) -> str:
    """Return a source line without secrets.

    Args:
        line: As it stands in the file.
        column: From where on it is known to be secret.
    """
    if column is not None:
        line = line[: column - 1] + MASK if line[: column - 1].strip() else MASK
    line = _USERINFO.sub(f"{MASK}@", line)
    for match in _WRITTEN.finditer(line):
        name = match[0].rstrip(":= \t\"'")
        if not name.endswith("_file"):
            return line[: match.end()] + f" {MASK}"
    return line


def mask_unparsed(line: str, above: Sequence[str]) -> str:
    """Return a source line of a file that did not parse; under the name of a secret all values are suspect."""
    if any(_suspect(other) for other in (*above[-LINES_LOOKED_BACK:], line)):
        match = _SEPARATOR.search(line)
        return line[: match.end()] + MASK if match else MASK
    return mask(line)


def _suspect(line: str) -> bool:
    return any(not match[0].rstrip(":= \t\"'").endswith("_file") for match in _WRITTEN.finditer(line)) or bool(
        _HEADERS.search(line)
    )
