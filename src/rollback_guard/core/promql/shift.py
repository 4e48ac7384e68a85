"""Move an expression in time: asked so much later, it answers what it answered before.

PromQL counts time backwards from the moment it is asked for, but for the few words that say what time it is. Only those
are changed, in the text as it was written.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal, InvalidOperation

from rollback_guard.core.promql.tokens import Kind, PromqlError, Token, scan
from rollback_guard.core.units import format_duration, parse_duration

TIMES = frozenset(
    {
        "time",
        "timestamp",
        "ts_of_first_over_time",
        "ts_of_last_over_time",
        "ts_of_max_over_time",
        "ts_of_min_over_time",
    }
)
"""Functions whose value is a time."""

CALENDAR = frozenset({"day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute", "month", "year"})
"""Functions that without an argument are about the present."""

_MILLISECOND = timedelta(milliseconds=1)


def shifted(expr: str, by: timedelta) -> str:
    """Return an expression that gives, asked at ``t + by``, what the expression gives at ``t``.

    The values of times are equal to the bit for whole seconds; a fraction of a second may lose its seventh digit.

    Args:
        expr: PromQL.
        by: Whole milliseconds, and a multiple of the step of each subquery, whose instants are multiples of its step
            whenever it is asked; `alignment` finds such a span.

    Raises:
        PromqlError: The text can not be cut into tokens.
        ValueError: ``by`` is not such a span.
    """
    if not by:
        return expr
    if by % _MILLISECOND:
        raise ValueError(f"{by} is no whole number of milliseconds")
    tokens = scan(expr)
    for step in _steps(tokens):
        if by % step:
            raise ValueError(f"{by} is no multiple of {format_duration(step)}, the step of a subquery")
    return _edited(expr, _moves(tokens, by))


def with_default_step(expr: str, step: timedelta) -> str:
    """Return an expression whose subqueries without a step, such as ``[1h:]``, have this one.

    Raises:
        PromqlError: The text can not be cut into tokens.
    """
    text = format_duration(step)
    missing = (_Edit(start=each.end, text=text) for each in _subqueries(scan(expr)) if not each.step)
    return _edited(expr, missing)


def alignment(expressions: Iterable[str], unit: timedelta) -> timedelta:
    """Return the shortest span, whole units long, by multiples of which all these expressions can be shifted.

    Raises:
        PromqlError: A text can not be cut into tokens.
    """
    steps = {step for expr in expressions for step in _steps(scan(expr))} | {unit}
    return math.lcm(*(step // _MILLISECOND for step in steps)) * _MILLISECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class _Edit:
    """Put a text in the place of some characters."""

    start: int
    text: str
    length: int = 0


def _edited(text: str, edits: Iterator[_Edit]) -> str:
    pieces: list[str] = []
    position = 0
    for edit in sorted(edits, key=lambda each: each.start):
        pieces += (text[position : edit.start], edit.text)
        position = edit.start + edit.length
    return "".join((*pieces, text[position:]))


def _moves(tokens: Sequence[Token], by: timedelta) -> Iterator[_Edit]:
    seconds = Decimal(by // _MILLISECOND) / 1000
    sign, amount = "-" if seconds > 0 else "+", f"{abs(seconds):f}"
    for place, token in enumerate(tokens[:-1]):
        after = tokens[place + 1]
        if token.braces:
            continue
        if token.text == "@":
            yield from _fixed(tokens[place + 1 : place + 3], seconds)
        elif token.kind is Kind.WORD and after.text == "(" and token.text in TIMES:
            yield _Edit(start=token.start, text="(")
            yield _Edit(start=_closing(tokens, place + 1).start + 1, text=f" {sign} {amount})")
        elif token.text in CALENDAR and after.text == "(" and tokens[place + 2].text == ")":
            yield _Edit(start=after.start + 1, text=f"vector(time() {sign} {amount})")


def _closing(tokens: Sequence[Token], opening: int) -> Token:
    """Return the bracket that closes another one; `scan` lets no text pass in which there is none."""
    depth = tokens[opening].depth
    return next(token for token in tokens[opening:] if token.kind is Kind.CLOSE and token.depth == depth)


def _fixed(tokens: Sequence[Token], by: Decimal) -> Iterator[_Edit]:
    """Move the number behind an ``@``; what else may stand there is about the query, and moves with it."""
    signed = tokens[0].text in {"-", "+"}
    number = tokens[1] if signed and len(tokens) > 1 else tokens[0]
    if number.kind is not Kind.NUMBER:
        return
    value = _value(number)
    moved = (-value if tokens[0].text == "-" else value) + by
    start = tokens[0].start
    yield _Edit(start=start, text=f"{moved:f}", length=number.start + len(number.text) - start)


def _value(number: Token) -> Decimal:
    text = number.text
    if text.isdecimal() or text[:2] in {"0x", "0X"}:
        # As in Go, a leading zero makes a whole number octal, if it can be.
        for base in (16,) if text[1:2] in "xX" else (8, 10) if text.startswith("0") else (10,):
            try:
                return Decimal(int(text, base))
            except ValueError:
                continue
    try:
        return Decimal(text)
    except InvalidOperation:
        pass
    try:
        return Decimal(parse_duration(text) // _MILLISECOND) / 1000
    except ValueError:
        raise PromqlError("expected a time in seconds after @", number.start) from None


def _steps(tokens: Sequence[Token]) -> Iterator[timedelta]:
    for subquery in _subqueries(tokens):
        try:
            step = parse_duration(subquery.step or "0")
        except ValueError as error:
            raise PromqlError(str(error), subquery.end) from None
        # No step has to be aligned to nothing, and a step of 0 is refused by the server in its own words.
        if step:
            yield step


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subquery:
    """What stands in the brackets of a subquery behind the colon, and where the brackets close."""

    step: str
    end: int


def _subqueries(tokens: Sequence[Token]) -> Iterator[_Subquery]:
    for place, token in enumerate(tokens):
        if token.text == "[":
            end = _closing(tokens, place)
            # A colon before letters is read as the beginning of a name.
            inner = "".join(each.text for each in tokens[place + 1 :] if each.start < end.start)
            if ":" in inner:
                yield _Subquery(step=inner.partition(":")[2], end=end.start)
