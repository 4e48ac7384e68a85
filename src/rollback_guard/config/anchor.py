"""Make the paths in a configuration independent of where the process was started."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rollback_guard.secret import REFERENCE, SecretText

PATH_KEYS = frozenset({"ca_file", "cert_file", "key_file", "password_file", "bearer_token_file"})
"""Keys of actions whose value is a path."""

FREE_TABLES = frozenset({"env", "headers", "json", "labels"})
"""Tables of actions whose keys are a person's own words."""


def anchored_path(base: Path, name: str) -> str:
    """Return a path, absolute; a relative one is taken from the base."""
    return os.path.abspath(base / name)  # noqa: PTH100  `Path.resolve` would follow the links that rotate secrets


def anchored_text(base: Path, text: str) -> str:
    """Return a text with the path of each ``${file:…}`` absolute."""
    return REFERENCE.sub(
        lambda match: f"${{file:{anchored_path(base, match[2])}}}" if match[1] == "file" else match[0], text
    )


def secret_of(base: Path, text: str) -> SecretText:
    """Return a text whose references can be followed from anywhere."""
    return SecretText(anchored_text(base, text))


def secret_in(base: Path, name: str) -> SecretText:
    """Return the text that refers to all of a file."""
    return SecretText(f"${{file:{anchored_path(base, name)}}}")


def headers_of(base: Path, headers: Mapping[str, str]) -> tuple[tuple[str, SecretText], ...]:
    """Return headers whose references can be followed from anywhere."""
    return tuple((name, secret_of(base, value)) for name, value in headers.items())


def anchored_data(base: Path, value: Any, *, free: bool = False) -> Any:
    """Return an action's settings with every path in them absolute."""
    match value:
        case str():
            return anchored_text(base, value)
        case list():
            return [anchored_data(base, item, free=free) for item in value]
        case dict():
            return {key: _entry(base, key, item, free=free) for key, item in value.items()}
        case _:
            return value


def _entry(base: Path, key: str, value: Any, *, free: bool) -> Any:
    if isinstance(value, str) and not free and key in PATH_KEYS and not REFERENCE.search(value):
        return anchored_path(base, value)
    return anchored_data(base, value, free=free or key in FREE_TABLES)
