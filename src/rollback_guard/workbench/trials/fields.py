"""Define the types of values that test files have, beside those of rule files: notations, times, numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from rollback_guard.config.fields import DURATION, Flaw, LabelText, empty_for_nothing, no_items_for_nothing, refuse
from rollback_guard.config.fields import Duration as BoundedDuration
from rollback_guard.config.problems import quoted
from rollback_guard.config.scalars import Plain
from rollback_guard.core.notation import NotationError, parse_series, parse_values
from rollback_guard.core.units import parse_duration

T = TypeVar("T")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""Where the time of a test begins unless it says otherwise, as promtool's does."""

EARLIEST, LATEST = EPOCH - timedelta(days=25_000), EPOCH + timedelta(days=75_000)
"""A test may begin between 1901 and 2175: Prometheus counts nanoseconds in 63 bits."""


def _values(value: object) -> str:
    """Read a notation; a lone number needs no quotes, as in promtool."""
    return _notation(value, parse_values, "values such as `0+1x10`")


def _cured(value: object) -> str:
    return _notation(value, partial(parse_values, with_last=True), "values such as `last+0x1`")


def _series(value: object) -> str:
    return _notation(value, parse_series, 'a series such as `up{job="api"}`')


def _sample(value: object) -> str:
    """Read the labels of an expected sample, which may have none."""
    text = str(value) if isinstance(value, str) and not _is_nothing(value) else ""
    return "" if NO_LABELS.fullmatch(text) else _notation(value, parse_series, 'labels such as `{job="api"}`')


def _notation(value: object, read: Callable[[str], object], expected: str) -> str:
    if not isinstance(value, str) or _is_nothing(value):
        raise refuse(Flaw("wrong-type", f"expected {expected}", "Write it as one text."))
    try:
        read(value)
    except NotationError as error:
        hint = "docs/testing.md explains the notation."
        raise refuse(Flaw("bad-notation", error.message, hint, offset=error.offset)) from None
    return str(value)


def _is_nothing(value: str) -> bool:
    return isinstance(value, Plain) and value.value is None


def _instant(value: object) -> datetime:
    """Read seconds since 1970, or a time such as 2026-01-02T15:04:05Z."""
    plain = value.value if isinstance(value, Plain) else value
    try:
        if isinstance(plain, int | float) and not isinstance(plain, bool):
            return _in_reach(EPOCH + timedelta(seconds=plain))
        at = datetime.fromisoformat(str(plain))
        return _in_reach(at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC))
    except (ValueError, OverflowError):
        hint = "Write seconds since 1970, or a time between 1902 and 2175 such as `2026-01-02T15:04:05Z`."
        raise refuse(Flaw("bad-value", f"{quoted(value)} is no time", hint)) from None


def _in_reach(at: datetime) -> datetime:
    if not EARLIEST <= at <= LATEST:
        raise ValueError(at)
    return at


def _number(value: object) -> float:
    """Read a sample's value in any spelling that Prometheus has."""
    plain = value.value if isinstance(value, Plain) else value
    try:
        if isinstance(plain, bool):
            raise ValueError  # noqa: TRY004, TRY301  told like any other wrong text
        return float(plain if isinstance(plain, int | float) else str(plain).strip())
    except (ValueError, OverflowError):
        raise refuse(Flaw("wrong-type", f"expected a number, found {quoted(value)}", "Write a number.")) from None


def _no_histogram(value: object) -> str:
    """Refuse a native histogram; an empty text is none, as in promtool."""
    if isinstance(value, str) and (_is_nothing(value) or not value):
        return ""
    hint = "Keep such a test in a file of its own, which only promtool reads."
    raise refuse(Flaw("bad-value", "native histograms are neither played nor compared here", hint))


def _long(value: object) -> object:
    """Read a duration of any length; nobody waits for those of a test."""
    try:
        return parse_duration(str(value)) if isinstance(value, str) else value
    except ValueError:
        return value


def _or_minute(value: timedelta) -> timedelta:
    """Take zero for the default, as promtool does."""
    return value or timedelta(minutes=1)


def _label(value: object) -> object:
    """Take any scalar for its text, as promtool does: here is nothing that it could be mistaken for."""
    return ("" if _is_nothing(value) else str(value)) if isinstance(value, str) else value


NO_LABELS = re.compile(r"\s*(\{\s*\})?\s*")
"""A sample without a name and without labels."""

_TEXT_OR_NUMBER = WithJsonSchema({"type": ["string", "number"]})
_SPAN = WithJsonSchema({"type": ["string", "integer"], "pattern": DURATION})

Values = Annotated[str, BeforeValidator(_values), _TEXT_OR_NUMBER]
CuredValues = Annotated[str, BeforeValidator(_cured), _TEXT_OR_NUMBER]
Title = Annotated[str, BeforeValidator(_label)]
Series = Annotated[str, BeforeValidator(_series)]
SampleLabels = Annotated[str, BeforeValidator(_sample)]
Duration = Annotated[BoundedDuration, BeforeValidator(_long), _SPAN]
Interval = Annotated[Duration, AfterValidator(_or_minute)]
Instant = Annotated[datetime, BeforeValidator(_instant), _TEXT_OR_NUMBER]
Number = Annotated[float, BeforeValidator(_number), _TEXT_OR_NUMBER]
Items = Annotated[list[T], BeforeValidator(no_items_for_nothing)]
NoHistogram = Annotated[str, BeforeValidator(_no_histogram), WithJsonSchema({"type": "string", "const": ""})]
LabelMap = Annotated[dict[str, Annotated[LabelText, BeforeValidator(_label)]], BeforeValidator(empty_for_nothing)]
