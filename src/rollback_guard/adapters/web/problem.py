"""Say in words what is wrong with data from outside, and what may have been meant; never what the data was."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

SHOWN = 10
"""Problems told at once; ten thousand of them help nobody."""

KEY_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Problems:
    """What is wrong, one sentence each, and the keys that were perhaps meant."""

    words: tuple[str, ...]
    near: tuple[str, ...]


def problems(error: ValidationError, model: type[BaseModel]) -> Problems:
    """Return what a model said about the data that it was given."""
    known = [each.alias or name for name, each in model.model_fields.items()]
    words, near = [], []
    for each in error.errors(include_url=False, include_input=False)[:SHOWN]:
        words.append(_words(each["type"], each["loc"], each["msg"]))
        if each["type"] == "extra_forbidden":
            near += difflib.get_close_matches(str(each["loc"][-1]), known, n=1)
    return Problems(tuple(words), tuple(dict.fromkeys(near)))


def _words(kind: str, place: tuple[Any, ...], message: str) -> str:
    name = ".".join(str(part)[:KEY_SHOWN] for part in place)
    match kind:
        case "missing":
            return f"{name} is missing"
        case "extra_forbidden":
            return f"unknown key {name!r}"
        case "value_error":
            said = message.removeprefix("Value error, ")
            return f"{name}: {said}" if name else said
    said = message[:1].lower() + message[1:]
    return f"{name}: {said}" if name else said
