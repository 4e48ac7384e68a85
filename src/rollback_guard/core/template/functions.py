"""Provide the functions of Prometheus' templates: those of Go's text/template and those that Prometheus adds.

Functions that query a data source are missing on purpose: an alert's text must not depend on a second answer.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote_plus

from rollback_guard.core.regex import compile_regex
from rollback_guard.core.template.format import format_value, sprint, sprintf, type_name
from rollback_guard.core.template.lexer import TemplateError
from rollback_guard.core.units import parse_duration


@dataclass(frozen=True, slots=True)
class Function:
    """A function and what it takes.

    Attributes:
        takes: Type of each argument: ``text``, ``int`` or ``any``.
        rest: Type of any further arguments, if it takes them.
    """

    call: Callable[..., Any]
    takes: tuple[str, ...] = ("any",)
    rest: str | None = None


class Arguments(dict[str, Any]):
    """What ``args`` makes: a map in which a missing key is nothing, not empty text."""


_NUMBER = re.compile(
    r"[+-]?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf(?:inity)?)|nan"
    r"|(?P<hexadecimal>[+-]?0x(?:[0-9a-f]+(?:\.[0-9a-f]*)?|\.[0-9a-f]+)p[+-]?[0-9]{1,5})",
    re.IGNORECASE | re.ASCII,
)


def _number(value: Any) -> float:
    match value:
        case bool() | None:
            pass
        case int() | float():
            return float(value)
        case str():
            match = _NUMBER.fullmatch(value)
            if match is None:
                raise TemplateError(f"{format_value(value)[:80]!r} is not a number")
            number = float.fromhex(value) if match["hexadecimal"] else float(value)
            if math.isinf(number) and "inf" not in value.lower():
                raise TemplateError(f"{value[:80]!r} is out of range")
            return number
    raise TemplateError(f"can't convert {type_name(value)} to float")


_LARGE = ("k", "M", "G", "T", "P", "E", "Z", "Y")
_SMALL = ("m", "u", "n", "p", "f", "a", "z", "y")


def humanize(value: Any) -> str:
    """Return a number with four digits and a metric prefix."""
    number = _number(value)
    if number == 0 or not math.isfinite(number):
        return sprintf("%.4g", number)
    return _scaled(number, _LARGE, 1000) if abs(number) >= 1 else _scaled_up(number, "")


def humanize_1024(value: Any) -> str:
    """Return a number with four digits and a binary prefix."""
    number = _number(value)
    if abs(number) <= 1 or not math.isfinite(number):
        return sprintf("%.4g", number)
    return _scaled(number, tuple(f"{prefix}i" for prefix in ("k", *_LARGE[1:])), 1024)


def _scaled(number: float, prefixes: Sequence[str], step: int) -> str:
    chosen = ""
    for prefix in prefixes:
        if abs(number) < step:
            break
        chosen, number = prefix, number / step
    return sprintf("%.4g%s", number, chosen)


def _scaled_up(number: float, unit: str) -> str:
    chosen = ""
    for prefix in _SMALL:
        if abs(number) >= 1:
            break
        chosen, number = prefix, number * 1000
    return sprintf("%.4g%s%s", number, chosen, unit)


_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def humanize_duration(value: Any) -> str:
    """Return a number of seconds as days, hours, minutes and seconds."""
    number = _number(value)
    if not math.isfinite(number):
        return sprintf("%.4g", number)
    if number == 0:
        return sprintf("%.4gs", number)
    if abs(number) < 1:
        return _scaled_up(number, "s")
    sign, number = ("-" if number < 0 else ""), abs(number)
    seconds = int(number)
    days, hours, minutes = seconds // _DAY, seconds // _HOUR % 24, seconds // _MINUTE % 60
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {seconds % 60}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {seconds % 60}s"
    if minutes:
        return f"{sign}{minutes}m {seconds % 60}s"
    return sprintf("%s%.4gs", sign, number)


def humanize_percentage(value: Any) -> str:
    """Return a ratio as a percentage."""
    return sprintf("%.4g%%", _number(value) * 100)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INT64 = 2**63


def humanize_timestamp(value: Any) -> str:
    """Return Unix seconds as a time in UTC."""
    number = _number(value)
    if not math.isfinite(number):
        return sprintf("%.4g", number)
    if not -_INT64 <= number * 1e9 < _INT64:
        raise TemplateError(f"{format_value(number)} is no time that can be written")
    nanoseconds = int(number * 1e9)
    milliseconds = abs(nanoseconds) // 1_000_000 * (-1 if nanoseconds < 0 else 1)
    at = _EPOCH + timedelta(milliseconds=milliseconds)
    fraction = f".{at.microsecond // 1000:03d}".rstrip("0").rstrip(".")
    return f"{at:%Y-%m-%d %H:%M:%S}{fraction} +0000 UTC"


def title(text: str) -> str:
    """Return the text with the first letter of each word in upper case."""
    parts, before = [], " "
    for character in text:
        separated = not (before.isalnum() or before == "_") if before.isascii() else before.isspace()
        upper = character.title() if separated else character
        parts.append(upper if len(upper) == 1 else character)
        before = character
    return "".join(parts)


def _by_character(change: Callable[[str], str]) -> Callable[[str], str]:
    """Change case as Go does: one character for one character."""

    def changed(text: str) -> str:
        return "".join(one if len(one) == 1 else old for old in text for one in (change(old),))

    return changed


def _replace_all(pattern: str, replacement: str, text: str) -> str:
    return compile_regex(pattern).replace_all(text, replacement)


def _match(pattern: str, text: str) -> bool:
    return compile_regex(pattern).found_in(text)


_HOST_PORT = re.compile(r"(?:\[(?P<quoted>[^\[\]]*)\]|(?P<host>[^:\[\]]*)):(?P<port>[^:\[\]]*)", re.DOTALL)


def strip_port(address: str) -> str:
    """Return the host of ``host:port``, or the text where it is none."""
    match = _HOST_PORT.fullmatch(address)
    return address if match is None else match["host"] if match["quoted"] is None else match["quoted"]


def strip_domain(address: str) -> str:
    """Return ``host.domain:port`` without its domain; an IP address stays."""
    match = _HOST_PORT.fullmatch(address)
    host, port = (strip_port(address), match["port"]) if match else (address, "")
    if "%" not in host:
        try:
            ipaddress.ip_address(host)
        except ValueError:
            pass
        else:
            return address
    name = host.partition(".")[0]
    if not port:
        return name
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def _parse_duration(text: str) -> float:
    return parse_duration(text).total_seconds()


def _arguments(*values: Any) -> Arguments:
    return Arguments({f"arg{index}": value for index, value in enumerate(values)})


def _link(tab: int) -> Callable[[str], str]:
    return lambda expr: f"/graph?g0.expr={quote_plus(expr)}&g0.tab={tab}"


def _text_of(values: Sequence[Any]) -> str:
    return values[0] if len(values) == 1 and isinstance(values[0], str) else sprint(*values)


_HTML = str.maketrans({"\0": "\ufffd", '"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;"})


def _length(value: Any) -> int:
    match value:
        case str():
            return len(value.encode("utf-8", "surrogatepass"))
        case Mapping():
            return len(value)
    raise TemplateError(f"len of type {type_name(value)}")


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        match value, key:
            case Mapping(), str():
                value = value.get(key, None if isinstance(value, Arguments) else "")
            case Mapping(), _:
                raise TemplateError(f"value has type {type_name(key)}; should be string")
            case str(), int() if not isinstance(key, bool):
                data = value.encode("utf-8", "surrogatepass")
                if not 0 <= key < len(data):
                    raise TemplateError(f"index out of range: {key}")
                value = data[key]
            case _:
                raise TemplateError(f"can't index item of type {type_name(value)}")
    return value


def _slice(text: str, *bounds: int) -> str:
    data = text.encode("utf-8", "surrogatepass")
    start, end = (*bounds, *(0, len(data))[len(bounds) :])[:2]
    if len(bounds) > len(("start", "end")) or not 0 <= start <= end <= len(data):
        raise TemplateError("slice bounds out of range")
    return data[start:end].decode("utf-8", "replace")


def is_true(value: Any) -> bool:
    """Say whether Go's templates take a value for true: not zero and not empty."""
    return bool(value)


def _equal(first: Any, *others: Any) -> bool:
    if not others:
        raise TemplateError("missing argument for comparison")
    results = []
    for other in others:
        if isinstance(first, Mapping) or isinstance(other, Mapping):
            raise TemplateError("non-comparable type map[string]string")
        if first is not None and other is not None and type_name(first) != type_name(other):
            raise _incompatible(first, other)
        results.append(first == other)
        if results[-1]:
            return True
    return False


def _less(left: Any, right: Any) -> bool:
    for value in (left, right):
        if isinstance(value, bool | Mapping) or value is None:
            raise TemplateError("invalid type for comparison")
    if type_name(left) != type_name(right):
        raise _incompatible(left, right)
    if isinstance(left, str):
        return bool(left.encode("utf-8", "surrogatepass") < right.encode("utf-8", "surrogatepass"))
    return bool(left < right)


def _incompatible(left: Any, right: Any) -> TemplateError:
    types = {type_name(left), type_name(right)}
    hint = ": write the number with a fraction, such as 5.0" if types == {"int", "float64"} else ""
    return TemplateError(f"incompatible types for comparison, {type_name(left)} and {type_name(right)}{hint}")


FUNCTIONS: Mapping[str, Function] = {
    "args": Function(_arguments, (), "any"),
    "eq": Function(_equal, ("any",), "any"),
    "ge": Function(lambda left, right: not _less(left, right), ("any", "any")),
    "graphLink": Function(_link(0), ("text",)),
    "gt": Function(lambda left, right: not _less(left, right) and not _equal(left, right), ("any", "any")),
    "html": Function(lambda *values: _text_of(values).translate(_HTML), (), "any"),
    "humanize": Function(humanize),
    "humanize1024": Function(humanize_1024),
    "humanizeDuration": Function(humanize_duration),
    "humanizePercentage": Function(humanize_percentage),
    "humanizeTimestamp": Function(humanize_timestamp),
    "index": Function(_index, ("any",), "any"),
    "le": Function(lambda left, right: _less(left, right) or _equal(left, right), ("any", "any")),
    "len": Function(_length),
    "lt": Function(_less, ("any", "any")),
    "match": Function(_match, ("text", "text")),
    "ne": Function(lambda left, right: not _equal(left, right), ("any", "any")),
    "not": Function(lambda value: not is_true(value)),
    "parseDuration": Function(_parse_duration, ("text",)),
    "print": Function(sprint, (), "any"),
    "printf": Function(sprintf, ("text",), "any"),
    "println": Function(lambda *values: " ".join(map(format_value, values)) + "\n", (), "any"),
    "reReplaceAll": Function(_replace_all, ("text", "text", "text")),
    "safeHtml": Function(str, ("text",)),
    "slice": Function(_slice, ("text",), "int"),
    "stripDomain": Function(strip_domain, ("text",)),
    "stripPort": Function(strip_port, ("text",)),
    "tableLink": Function(_link(1), ("text",)),
    "title": Function(title, ("text",)),
    "toLower": Function(_by_character(str.lower), ("text",)),
    "toUpper": Function(_by_character(str.upper), ("text",)),
    "urlQueryEscape": Function(quote_plus, ("text",)),
    "urlquery": Function(lambda *values: quote_plus(_text_of(values)), (), "any"),
}

QUERYING = frozenset({"query", "first", "value", "label", "strvalue", "sortByLabel"})
"""Functions that run a query or look at the answer of one."""

UNSUPPORTED = frozenset({"call", "js", "now", "toTime", "toDuration"})
"""Functions of Go or of newer versions of Prometheus that rollback-guard does not have."""
