"""Format values as Go's fmt package does, so that an alert's text is the same here and in Prometheus.

Go's types stand for Python's: float64 is float, int is int, string is str, bool is bool, a map is a dict, nil is None.
What Go does with a verb that does not fit the value (``%!d(float64=5)``) is part of it.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

MAX_WIDTH = 1_000
"""Wider fields and longer fractions are refused: an annotation is a line of text."""


class FormatError(ValueError):
    """Say that a format asks for more than an annotation needs."""


@dataclass(frozen=True, slots=True)
class Directive:
    """One verb of a format string, with its flags."""

    verb: str
    flags: str = ""
    width: int = 0
    precision: int | None = None

    def has(self, flag: str) -> bool:
        """Say whether a flag is set; a minus makes the zero flag void."""
        return flag in self.flags and not (flag == "0" and "-" in self.flags)


_PLAIN = Directive(verb="v")
_DIRECTIVE = re.compile(
    r"%(?P<flags>[-+# 0]*)(?P<width>[0-9]*)(?P<dot>\.(?P<precision>[0-9]*))?(?P<verb>.?)", re.DOTALL
)


def sprint(*values: Any) -> str:
    """Return the values as ``fmt.Sprint`` does: with a blank between two of them when neither is text."""
    parts: list[str] = []
    for index, value in enumerate(values):
        if index and not isinstance(value, str) and not isinstance(values[index - 1], str):
            parts.append(" ")
        parts.append(format_value(value))
    return "".join(parts)


def sprintf(text: str, *values: Any) -> str:
    """Return the format with its verbs replaced by the values.

    Raises:
        FormatError: A width is out of bounds, or the format uses argument indexes or ``*``.
    """
    parts = list(_pieces(text, values))
    used = sum(1 for match in _DIRECTIVE.finditer(text) if match["verb"] not in {"", "%"})
    if used < len(values):
        rest = ", ".join(
            "<nil>" if value is None else f"{type_name(value)}={format_value(value)}" for value in values[used:]
        )
        parts.append(f"%!(EXTRA {rest})")
    return "".join(parts)


def format_value(value: Any) -> str:
    """Return a value as ``%v`` does."""
    return _formatted(value, _PLAIN)


def type_name(value: Any) -> str:
    """Return the Go type of a value."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "bool"
        case int():
            return "int"
        case float():
            return "float64"
        case str():
            return "string"
        case Mapping():
            return "map[string]string"
    return "struct"


def quote(text: str) -> str:
    """Return text in double quotes with Go's escapes."""
    return '"' + "".join(_escaped(character, '"') for character in text) + '"'


def _pieces(text: str, values: Sequence[Any]) -> Iterator[str]:
    position, following = 0, iter(values)
    for match in _DIRECTIVE.finditer(text):
        yield text[position : match.start()]
        position = match.end()
        directive = _directive(match)
        if directive.verb == "":
            yield "%!(NOVERB)"
        elif directive.verb == "%":
            yield "%"
        else:
            try:
                yield _formatted(next(following), directive)
            except StopIteration:
                yield f"%!{directive.verb}(MISSING)"
    yield text[position:]


def _directive(match: re.Match[str]) -> Directive:
    verb = match["verb"]
    if verb in {"[", "*"}:
        raise FormatError(f'printf: "{verb}" is not supported in a format')
    digits = max(match["width"], match["precision"] or "", key=len)
    if len(digits) > len(str(MAX_WIDTH)) or max(int(match["width"] or 0), int(match["precision"] or 0)) > MAX_WIDTH:
        raise FormatError(f"printf: a width or precision is above {MAX_WIDTH}")
    flags = match["flags"]
    if verb == "v":
        if "#" in flags:
            raise FormatError("printf: %#v is not supported")
        flags = flags.replace("+", "")  # there it means "with field names", which numbers and text have none of
    return Directive(
        verb=verb,
        flags=flags,
        width=int(match["width"] or 0),
        precision=int(match["precision"] or 0) if match["dot"] else None,
    )


def _formatted(value: Any, directive: Directive) -> str:
    if directive.verb == "T":
        return _padded(type_name(value), directive)
    text: str | None
    match value:
        case None:
            text = _padded("<nil>", directive) if directive.verb == "v" else None
        case bool():
            text = _padded("true" if value else "false", directive) if directive.verb in "tv" else None
        case int():
            text = _integer(value, directive)
        case float():
            text = _float(value, directive)
        case str():
            text = _string(value, directive)
        case Mapping():
            inner = " ".join(f"{_formatted(k, directive)}:{_formatted(v, directive)}" for k, v in sorted(value.items()))
            text = f"map[{inner}]"
        case _:
            text = str(value)
    if text is not None:
        return text
    if value is None:
        return f"%!{directive.verb}(<nil>)"
    return f"%!{directive.verb}({type_name(value)}={_formatted(value, replace(directive, verb='v'))})"


def _padded(text: str, directive: Directive) -> str:
    if directive.has("-"):
        return text.ljust(directive.width)
    return text.rjust(directive.width, "0" if directive.has("0") else " ")


def _signed(negative: bool, digits: str, directive: Directive) -> str:
    """Put the sign before the digits and zeros between them."""
    sign = "-" if negative else "+" if directive.has("+") else " " if directive.has(" ") else ""
    if directive.has("0"):
        digits = digits.rjust(directive.width - len(sign), "0")
    return _padded(sign + digits, directive)


_BASES = {"d": "d", "v": "d", "b": "b", "o": "o", "x": "x", "X": "X"}
_PREFIXES = {"x": "0x", "X": "0X", "o": "0", "b": "0b"}


def _integer(value: int, directive: Directive) -> str | None:
    verb = directive.verb
    if verb in _BASES:
        digits = format(abs(value), _BASES[verb])
        if directive.precision is not None:
            digits = digits.rjust(directive.precision, "0")
            directive = replace(directive, flags=directive.flags.replace("0", ""))
        if directive.has("#"):
            digits = _PREFIXES.get(verb, "") + digits
        return _signed(value < 0, digits, directive)
    character = chr(value) if 0 <= value <= sys.maxunicode else "\ufffd"
    match verb:
        case "c":
            return _padded(character, directive)
        case "q":
            return _padded("'" + _escaped(character, "'") + "'", directive)
        case "U":
            return _padded(f"U+{value:04X}", directive)
    return None


def _float(value: float, directive: Directive) -> str | None:
    verb, precision = directive.verb, directive.precision
    if verb not in "vgGeEfFxX":
        return None
    if not math.isfinite(value):
        plain = replace(directive, flags=directive.flags.replace("0", ""))
        if math.isnan(value):
            return _signed(False, "NaN", plain)
        unsigned = not directive.has("+") and not directive.has(" ")
        return _padded("+Inf", plain) if value > 0 and unsigned else _signed(value < 0, "Inf", plain)
    if directive.has("#"):
        raise FormatError("printf: the flag # is not supported for numbers with a fraction")
    size = abs(value)
    if verb in "xX":
        digits = _hexadecimal(size, precision)
        digits = digits.upper() if verb == "X" else digits
    elif verb in "vgG" and precision is None:
        digits = _shortest(size)
        digits = digits.upper() if verb == "G" else digits
    else:
        digits = f"%.{6 if precision is None else precision}{'g' if verb == 'v' else verb}" % size
    return _signed(math.copysign(1.0, value) < 0, digits, directive)


_LARGEST_WITHOUT_EXPONENT = 5
_SMALLEST_WITHOUT_EXPONENT = -4


def _shortest(size: float) -> str:
    """Return the fewest digits that say exactly this number, with an exponent from a million on."""
    _, digits, power = Decimal(repr(size)).normalize().as_tuple()
    figures = "".join(map(str, digits))
    exponent = len(figures) - 1 + int(power)
    if size != 0 and not _SMALLEST_WITHOUT_EXPONENT <= exponent <= _LARGEST_WITHOUT_EXPONENT:
        mantissa = figures[0] + ("." + figures[1:] if len(figures) > 1 else "")
        return f"{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    return format(Decimal(repr(size)).normalize(), "f")


def _hexadecimal(size: float, precision: int | None) -> str:
    if precision is not None:
        raise FormatError("printf: %x with a precision is not supported for numbers with a fraction")
    mantissa, _, exponent = size.hex().removeprefix("0x").partition("p")
    power = int(exponent)
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"0x{mantissa}p{'-' if power < 0 else '+'}{abs(power):02d}"


def _string(value: str, directive: Directive) -> str | None:
    cut = value if directive.precision is None else value[: directive.precision]
    match directive.verb:
        case "s" | "v":
            return _padded(cut, directive)
        case "q":
            return _padded(quote(cut), directive)
        case "x" | "X":
            data = value.encode("utf-8", "surrogatepass")[: directive.precision]
            text = data.hex(" ") if directive.has(" ") else data.hex()
            return _padded(text.upper() if directive.verb == "X" else text, directive)
    return None


_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\"}
_ASCII_END, _PLANE_END = 0x80, 0x10000


def _escaped(character: str, mark: str) -> str:
    if character == mark:
        return "\\" + mark
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    if code < _ASCII_END:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < _PLANE_END else f"\\U{code:08x}"
