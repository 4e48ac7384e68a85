"""Define the types of values that people write: each reads one notation and says in plain words what it refuses.

Values come from TOML with their types, and from YAML as text with a memory of how it was written (`scalars.Plain`).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import PydanticCustomError, core_schema

from rollback_guard.config.problems import Level, did_you_mean, quoted
from rollback_guard.config.scalars import Plain, plain_data
from rollback_guard.core.regex import RegexError, compile_regex
from rollback_guard.core.units import parse_duration

DURATION = r"^(0|([0-9]+(y|w|d|h|m|s|ms))+)$"
"""What an editor can check; the loader also wants the units in falling order."""

URL = "^https?://"
"""What an editor can check of a URL."""

LONGEST = timedelta(days=366)
"""A longer span is a mistake: nothing of this guard waits for years."""


class Section(BaseModel):
    """A part of a file; a key that it does not know is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, populate_by_name=False)


class Flaw(NamedTuple):
    """One mistake in a value; `offset` points into a text."""

    id: str
    message: str
    hint: str = ""
    offset: int | None = None
    level: Level = Level.ERROR


def refuse(*flaws: Flaw) -> PydanticCustomError:
    """Return the error that carries these mistakes to the place of their value."""
    return PydanticCustomError("flaws", "{message}", {"message": flaws[0].message, "flaws": flaws})


def described(value: object) -> str:
    """Return what a value is, for people."""
    match value:
        case Plain(value=None) | None:
            return "nothing"
        case Plain(value=bool()) | bool():
            return f"the boolean {str(value).lower()}"
        case Plain(value=int() | float()) | int() | float():
            return f"the number {value}"
        case str():
            return "a text"
        case list():
            return "a list"
        case dict():
            return "a table of keys"
        case _:
            return "a date or time"


def _wrong(expected: str, value: object, hint: str = "") -> PydanticCustomError:
    what = f"expected {expected}, found {described(value)}"
    return refuse(Flaw("wrong-type", what, hint or f"Write {expected} here."))


def _trap(value: object) -> None:
    if isinstance(value, Plain) and value.trap:
        raise refuse(Flaw("yaml-bool", f"{quoted(value)} is {value.trap}", f'Put it in quotes: "{value}".'))


def _text(value: object) -> str:
    _trap(value)
    if isinstance(value, Plain) and value.value is None:
        raise _wrong("a text", value)
    if not isinstance(value, str):
        raise _wrong("a text", value, "" if isinstance(value, list | dict) else "Put it in quotes.")
    return str(value)


def _label_text(value: object) -> str:
    return "" if isinstance(value, Plain) and value.value is None else _text(value)


def _name(value: str) -> str:
    if not value.strip():
        raise refuse(Flaw("bad-value", "a name must not be empty", "Give it one."))
    return value


def _flag(value: object) -> bool:
    if isinstance(value, Plain):
        if value.trap:
            hint = f"Write {'true' if value.lower() in ('yes', 'on') else 'false'}."
            raise refuse(Flaw("yaml-bool", f"{quoted(value)} is {value.trap}", hint))
        value = value.value
    if not isinstance(value, bool):
        raise _wrong("true or false", value)
    return value


def _integer(value: object) -> int:
    plain = value.value if isinstance(value, Plain) else value
    if isinstance(plain, bool) or not isinstance(plain, int):
        raise _wrong("a whole number", value)
    return plain


def _duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    _trap(value)
    plain = value.value if isinstance(value, Plain) else value
    if isinstance(plain, int | float) and not isinstance(plain, bool):
        if plain == 0:
            return timedelta(0)
        finite = f"{plain}s" if math.isfinite(plain) and plain > 0 else "30s"
        raise refuse(Flaw("duration-unit", f"the duration {value} has no unit", f"Write `{finite}` for seconds."))
    if not isinstance(plain, str):
        raise _wrong("a duration such as `90s`", value)
    try:
        span = parse_duration(plain)
    except ValueError as error:
        what, _, hint = str(error).partition(": ")
        id_ = "duration-unit" if plain.isdecimal() else "bad-duration"
        raise refuse(Flaw(id_, what, f"{hint[:1].upper()}{hint[1:]}." if hint else "")) from None
    if span > LONGEST:
        raise refuse(Flaw("bad-duration", f"{quoted(plain)} is longer than a year", "Write a shorter one."))
    return span


def _above_zero(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise refuse(Flaw("bad-duration", "this duration must be longer than zero", "Write for example `30s`."))
    return value


def _interval(value: timedelta) -> timedelta:
    if value < timedelta(milliseconds=100):
        raise refuse(Flaw("bad-duration", "an interval must be 100ms or longer", "Write for example `15s`."))
    return value


def url_problem(value: str) -> Flaw | None:
    """Return why a text is no URL that may stand in a file and be shown."""
    whole = "Write it in full: `http://host:port/path`."
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        return Flaw("bad-url", f"this is no URL: {error}", whole)
    if parts.scheme not in ("http", "https") or not host or re.search(r"\s", value):
        return Flaw("bad-url", "this is no http or https URL", whole)
    if "@" in parts.netloc:
        hint = "Use `basic_auth` or a header with `${file:…}`: URLs are shown."
        return Flaw("secret-in-url", "the URL holds a user name or password", hint)
    return None


def _url(value: str) -> str:
    if flaw := url_problem(value):
        raise refuse(flaw)
    return value


def _regex(value: str) -> str:
    try:
        compile_regex(value)
    except RegexError as error:
        hint = "Write it in RE2's syntax, as in Prometheus: without look-around and back references."
        raise refuse(Flaw("bad-regex", f"the regular expression is not valid: {error}", hint)) from None
    return value


@dataclass(frozen=True, slots=True)
class Between:
    """A whole number between two bounds, both allowed."""

    low: int
    high: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Check before pydantic would guess."""
        return core_schema.no_info_before_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Tell editors the bounds."""
        return {"type": "integer", "minimum": self.low, "maximum": self.high}

    def _check(self, value: object) -> int:
        number = _integer(value)
        if not self.low <= number <= self.high:
            raise refuse(
                Flaw("bad-value", f"{number} is not between {self.low} and {self.high}", "Write a number between them.")
            )
        return number


@dataclass(frozen=True, slots=True, init=False)
class OneOf:
    """A text that is one of a few words."""

    words: tuple[str, ...]

    def __init__(self, *words: str) -> None:
        object.__setattr__(self, "words", words)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Check before pydantic would guess."""
        return core_schema.no_info_before_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Tell editors the words."""
        return {"type": "string", "enum": list(self.words)}

    def _check(self, value: object) -> str:
        text = _text(value)
        if text in self.words:
            return text
        expected = " or ".join(f"`{word}`" for word in self.words)
        raise refuse(
            Flaw(
                "bad-value",
                f"expected {expected}, found {quoted(text)}",
                did_you_mean(text, self.words) or "Write one of these.",
            )
        )


def empty_for_nothing(value: object) -> object:
    """Read a key without a value as an empty table, as Prometheus does."""
    return {} if isinstance(value, Plain) and value.value is None else value


def no_items_for_nothing(value: object) -> object:
    """Read a key without a value as an empty list, as Prometheus does."""
    return [] if isinstance(value, Plain) and value.value is None else value


_SPAN = WithJsonSchema({"type": "string", "pattern": DURATION})
_ANY_SCALAR = WithJsonSchema({"type": ["string", "number", "boolean"]})

Text = Annotated[str, BeforeValidator(_text)]
Name = Annotated[str, BeforeValidator(_text), AfterValidator(_name), WithJsonSchema({"type": "string", "minLength": 1})]
LabelText = Annotated[str, BeforeValidator(_label_text), _ANY_SCALAR]
Flag = Annotated[bool, BeforeValidator(_flag)]
Duration = Annotated[timedelta, BeforeValidator(_duration), _SPAN]
PositiveDuration = Annotated[timedelta, BeforeValidator(_duration), AfterValidator(_above_zero), _SPAN]
Interval = Annotated[timedelta, BeforeValidator(_duration), AfterValidator(_interval), _SPAN]
Url = Annotated[str, BeforeValidator(_text), AfterValidator(_url), WithJsonSchema({"type": "string", "pattern": URL})]
Regex = Annotated[str, BeforeValidator(_text), AfterValidator(_regex)]
Json = Annotated[dict[str, Any], BeforeValidator(plain_data)]
