"""Types of the values that people write into an action's table."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from rollback_guard.adapters.actions.template import Form, Text
from rollback_guard.core.regex import RegexError, compile_regex
from rollback_guard.core.units import parse_duration
from rollback_guard.secret import REFERENCE


class Table(BaseModel):
    """A table of the configuration: nothing is accepted and ignored, nothing is guessed into another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _duration(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        return parse_duration(value)
    raise ValueError('a duration is a text with its unit, like "90s" or "1h30m"')


def _above_zero(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("must be more than 0s")
    return value


def _compiles(form: Form) -> AfterValidator:
    def check(value: str) -> str:
        Text.parse(value, form)
        return value

    return AfterValidator(check)


def _without_secret(value: str) -> str:
    if found := REFERENCE.search(value):
        raise ValueError(f"{found[0]}: every user of the machine can read a command's arguments; put it into env")
    return value


def _expression(value: str) -> str:
    try:
        compile_regex(value)
    except RegexError as error:
        raise ValueError(f"not a regular expression (RE2): {error}") from None
    return value


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    AfterValidator(_above_zero),
    WithJsonSchema({"type": "string", "format": "prometheus-duration", "examples": ["90s", "1h30m"]}),
]
Templated = Annotated[str, _compiles(Form.PLAIN)]
Argument = Annotated[str, AfterValidator(_without_secret), _compiles(Form.PLAIN)]
Header = Annotated[str, _compiles(Form.HEADER)]
Pattern = Annotated[str, AfterValidator(_expression), WithJsonSchema({"type": "string", "format": "regex"})]
Undo = Annotated[
    str | None,
    Field(
        min_length=1,
        description="Name of the action that takes this one back; run by `rollback-guard undo` only.",
    ),
]
