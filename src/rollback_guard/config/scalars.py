"""Resolve YAML's plain scalars as YAML 1.2 does, and remember how they were written.

YAML 1.1 reads `no` as false and `12:30:00` as 45000, YAML 1.2 reads both as text. A person may have meant either, so
where it would matter the schema refuses them. It also needs the text of numbers: a label `version: 1.10` is not 1.1.
"""

from __future__ import annotations

import re
from typing import Any, Self

_NULL = re.compile(r"(?:~|null|Null|NULL|)\Z")
_TRUE = re.compile(r"(?:true|True|TRUE)\Z")
_FALSE = re.compile(r"(?:false|False|FALSE)\Z")
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}\Z")
_OCTAL = re.compile(r"0o([0-7]{1,18})\Z")
_HEXADECIMAL = re.compile(r"0x([0-9a-fA-F]{1,15})\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]{1,64}|[0-9]{1,64}(?:\.[0-9]{0,64})?)(?:[eE][-+]?[0-9]{1,4})?\Z")
_INFINITE = re.compile(r"([-+]?)(?:\.inf|\.Inf|\.INF)\Z")
_NAN = re.compile(r"(?:\.nan|\.NaN|\.NAN)\Z")
_TOGGLE = re.compile(r"(?:yes|no|on|off)\Z", re.IGNORECASE)
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?\Z")


class Plain(str):
    """An unquoted scalar that some YAML reads as something else than text.

    Attributes:
        value: What YAML 1.2 makes of it: None, a bool, an int, a float, or the text itself.
        trap: What YAML 1.1 makes of it, in words, where that differs; else empty.
    """

    __slots__ = ("trap", "value")

    value: Any
    trap: str

    def __new__(cls, text: str, value: Any, trap: str = "") -> Self:
        """Wrap the text as it is written."""
        plain = super().__new__(cls, text)
        plain.value = value
        plain.trap = trap
        return plain


def resolve(text: str) -> str:
    """Return a plain scalar's text: a `Plain` where it may be more than text."""
    if text and text[0].isalpha() and text[0] not in "ntfyoNTFYO":
        return text  # the common case: names and expressions
    if _NULL.match(text):
        return Plain(text, None)
    if _TRUE.match(text):
        return Plain(text, value=True)
    if _FALSE.match(text):
        return Plain(text, value=False)
    if _TOGGLE.match(text):
        meant = text.lower() in ("yes", "on")
        return Plain(text, text, f"a boolean ({str(meant).lower()}) to some YAML readers and text to others")
    if _SEXAGESIMAL.match(text):
        return Plain(text, text, "a base-60 number to some YAML readers and text to others")
    number = _number(text)
    return text if number is None else Plain(text, number)


def _number(text: str) -> int | float | None:
    if _INTEGER.match(text):
        return int(text)
    if match := _OCTAL.match(text):
        return int(match[1], 8)
    if match := _HEXADECIMAL.match(text):
        return int(match[1], 16)
    if _FLOAT.match(text):
        return float(text)
    if match := _INFINITE.match(text):
        return float(f"{match[1]}inf")
    return float("nan") if _NAN.match(text) else None


def plain_data(value: Any) -> Any:
    """Return data with every scalar as YAML 1.2 resolves it, for values of any shape."""
    match value:
        case Plain():
            return value.value
        case dict():
            return {str(key): plain_data(item) for key, item in value.items()}
        case list():
            return [plain_data(item) for item in value]
        case _:
            return value
