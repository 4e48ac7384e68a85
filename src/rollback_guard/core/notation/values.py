"""Write the values of a series out of promtool's shorthand: ``0+5x20 _ stale``.

Sums are built step by step as promtool builds them, so that both have the same rounding errors.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate, repeat

from rollback_guard.core.notation.failure import NotationError

MAX_VALUES = 1_000_000
"""Of one series; half a year of samples every 15 seconds."""

_STALE_BITS = (0x7FF0000000000002).to_bytes(8, "little")

STALE: float = struct.unpack("<d", _STALE_BITS)[0]
"""Prometheus' mark that a series has ended: one NaN among many, which only its bits tell from the others."""


def is_stale(value: float) -> bool:
    """Say whether a value is the mark that the series has ended."""
    return value != value and struct.pack("<d", value) == _STALE_BITS  # noqa: PLR0124  only NaN differs from itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One piece of the shorthand.

    Attributes:
        value: The first value; ``None`` for missing samples, and where ``from_last``.
        step: What each value adds to the one before; ``None`` repeats it, which is not the same for a stale marker.
        count: How many values it stands for.
        from_last: Whether the first value is the one that the series had before.
        offset: Character of the text at which it begins.
    """

    value: float | None
    step: float | None = None
    count: int = 1
    from_last: bool = False
    offset: int = 0

    def values(self) -> Iterator[float | None]:
        """Yield what it stands for."""
        if self.value is None or self.step is None:
            return repeat(self.value, self.count)
        return accumulate(repeat(self.step, self.count - 1), initial=self.value)

    def starting_at(self, last: float | None) -> Item:
        """Return the item with a number in the place of ``last``.

        Raises:
            NotationError: There was no value before.
        """
        if not self.from_last:
            return self
        if last is None:
            raise NotationError("last stands for nothing: the series has no value before this moment", self.offset)
        return replace(self, value=float(last), from_last=False)

    def prolonged(self, count: int) -> Item:
        """Return the item going on for at least so many values; after a stale marker there is nothing."""
        if self.value is not None and is_stale(self.value) and self.step is None:
            return Item(value=None, count=count, offset=self.offset)
        return replace(self, count=max(self.count, count))


def expand(text: str) -> list[float | None]:
    """Return the values a text stands for; ``None`` is a sample that is missing.

    Raises:
        NotationError: The text is no such notation, or stands for more than `MAX_VALUES`.
    """
    return [value for item in parse_values(text) for value in item.values()]


def cured(text: str, last: float | None, count: int) -> list[float | None]:
    """Return the ``count`` values with which a series goes on from the moment in which it is cured.

    Args:
        text: The notation, in which ``last`` may stand for a first value: ``last+0x1``, ``last-5x3``, ``last``.
        last: The value that the series had before; ``None`` if it had none.
        count: How many values to return; the last item is prolonged, with its step, until they are there.

    Raises:
        NotationError: The text is no such notation, or asks for a last value where there is none.
    """
    if count > MAX_VALUES:
        raise NotationError(f"one series may have {MAX_VALUES:,} values", 0)
    items = [item.starting_at(last) for item in parse_values(text, with_last=True)]
    if not items:
        raise NotationError("expected a value, such as last+0x1", 0)
    values = [value for item in items[:-1] for value in item.values()]
    end = items[-1]
    values.extend(end.values())
    if len(values) < count:
        # One more than is missing, for a stale marker already stands there.
        beyond = list(end.prolonged(end.count + count - len(values)).values())
        values.extend(beyond[end.count :])
    return values[:count]


def parse_values(text: str, *, with_last: bool = False) -> tuple[Item, ...]:
    """Return the pieces of a shorthand.

    Args:
        text: Pieces between blanks: ``a``, ``axN``, ``a+bxN``, ``a-bxN``, ``_``, ``_xN``, ``stale``.
        with_last: Whether ``last`` may stand for a first value.

    Raises:
        NotationError: A piece is none of these, or there are more than `MAX_VALUES` values.
    """
    items, total = [], 0
    for match in _PIECE.finditer(text):
        item = _item(match.group(), match.start(), with_last=with_last)
        total += item.count
        if total > MAX_VALUES:
            raise NotationError(f"one series may have {MAX_VALUES:,} values", match.start())
        items.append(item)
    return tuple(items)


_PIECE = re.compile(r"[^ \t\r\n]+")
_NUMBER = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|(?i:inf|nan)"
_ITEM = re.compile(
    rf"""
    (?P<start>  _ | stale | last | (?P<sign>[+-])?(?P<number>{_NUMBER}) )
    (?: (?P<slope>[+-])(?P<step>{_NUMBER}) )?
    (?: x(?P<times>[0-9]+) )?
    """,
    re.VERBOSE | re.ASCII,
)
_LONGEST_NUMBER = 400
"""Characters; the longest double has 309 digits before the point."""

_MANY = 10
"""Digits of a repetition; no number with more is allowed."""


def _item(piece: str, offset: int, *, with_last: bool) -> Item:
    match = _ITEM.match(piece)
    if match is None or match.end() < len(piece) or not _is_item(match, with_last=with_last):
        raise _unreadable(piece, offset, match, with_last=with_last)
    times, slope = match["times"], match["slope"]
    step = None if slope is None else _signed(slope, match["step"], offset + match.start("step"))
    if match["start"] == "_":
        return Item(value=None, count=1 if times is None else _times(times), offset=offset)
    count = 1 if times is None else _times(times) + 1
    if match["start"] == "last":
        return Item(value=None, step=step, count=count, from_last=True, offset=offset)
    value = STALE if match["start"] == "stale" else _signed(match["sign"], match["number"], offset)
    return Item(value=value, step=step, count=count, offset=offset)


def _is_item(match: re.Match[str], *, with_last: bool) -> bool:
    """Say whether what looks like an item means something to promtool, or is ours."""
    start, slope, times = match["start"], match["slope"], match["times"]
    if (slope is None) != (match["step"] is None) or (slope is not None and times is None):
        return False
    if start == "_":
        return slope is None
    if start == "last":
        return with_last
    # promtool takes the x after a word for a part of the word.
    word = match["step"] if slope is not None else start
    return times is None or not word[-1].isalpha()


def _times(digits: str) -> int:
    digits = digits.lstrip("0")
    return MAX_VALUES + 1 if len(digits) > _MANY else int(digits or "0")


def _signed(sign: str | None, digits: str, offset: int) -> float:
    number = _unsigned(digits) if len(digits) <= _LONGEST_NUMBER else math.inf
    if math.isinf(number) and digits.lower() != "inf":
        raise NotationError("the number is too large", offset)
    return -number if sign == "-" else number


def _unsigned(digits: str) -> float:
    if digits.isdecimal() and digits.startswith("0"):
        # As in Go, a leading zero makes a whole number octal, if it can be.
        try:
            octal = int(digits, 8)
        except ValueError:
            return float(digits)
        return float(octal) if octal < 1 << 63 else float(digits)
    return float(digits)


_FORMS = "a number, axN, a+bxN, a-bxN, _, _xN or stale"


def _unreadable(piece: str, offset: int, match: re.Match[str] | None, *, with_last: bool) -> NotationError:
    """Return what to write instead."""
    if piece.startswith("{"):
        words = "native histograms, promtool 3's {{...}}, are not played: write the _bucket series of a classic one"
        return NotationError(words, offset)
    if not with_last and (piece == "last" or piece.startswith(("last+", "last-", "lastx"))):
        return NotationError("last is known only in cured", offset)
    forms = f"{_FORMS}, with last for a" if with_last else _FORMS
    if match is None:
        return NotationError(f"expected {forms}", offset)
    rest, place = piece[match.end() :], offset + match.end()
    word = match["step"] or match["start"]
    if word[-1].isalpha() and word != "last" and (match["times"] or rest.startswith("x")):
        wanted = "stale once for each sample" if word == "stale" else f"{match['start']}+0xN"
        return NotationError(f"{word} can not be followed by x: write {wanted}", offset)
    if match["start"] == "_" and match["slope"]:
        return NotationError("missing samples have no value to add to: write _xN", offset)
    if match["slope"] and not rest:
        return NotationError("expected x and how often the step is made, as in 0+5x20", place)
    if match["times"] or rest.startswith("x"):
        place = offset + (match.start("times") if match["times"] else match.end() + 1)
        return NotationError("expected a whole number after x", place)
    return NotationError(f"expected a blank: a piece is {forms}", place)
