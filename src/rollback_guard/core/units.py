"""Read and write durations and ratios the way Prometheus and people write them.

Every text that is refused says what to write instead.
"""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS_MS: dict[str, int] = {
    "y": 365 * 24 * 3600 * 1000,
    "w": 7 * 24 * 3600 * 1000,
    "d": 24 * 3600 * 1000,
    "h": 3600 * 1000,
    "m": 60 * 1000,
    "s": 1000,
    "ms": 1,
}
"""Milliseconds of each unit, largest first: the order in which Prometheus wants them."""

_DURATION = re.compile("".join(rf"(?:([0-9]+){unit})?" for unit in _UNITS_MS))

_WHOLE_ONLY = frozenset({"y", "w"})
"""Written only where nothing remains: 90d is easier to read than 12w6d."""

LONGEST_MS = (2**63 - 1) // 1_000_000
"""Prometheus counts nanoseconds in 63 bits, which ends at 292 years."""

_MILLISECOND = timedelta(milliseconds=1)
_DIGITS_SHOWN = 40

_LONGEST_TEXT = 200
"""Characters; seven numbers with their units need fewer than half of that."""


def parse_duration(text: str) -> timedelta:
    """Return the duration that a text such as ``1h30m`` says.

    Args:
        text: Numbers with the units y w d h m s ms, in that order and each at most once; or ``0``.

    Raises:
        ValueError: The text is not a duration; the message says what to write.
    """
    if text == "0":
        return timedelta(0)
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise ValueError(_duration_help(text))
    # int() of more digits than this is slow, then refused by Python itself with a text about Python.
    if any(len(digits) > len(str(LONGEST_MS)) for digits in match.groups(default="")):
        raise ValueError(_too_long(text))
    total_ms = sum(int(digits) * ms for digits, ms in zip(match.groups("0"), _UNITS_MS.values(), strict=True))
    if total_ms > LONGEST_MS:
        raise ValueError(_too_long(text))
    return timedelta(milliseconds=total_ms)


def format_duration(duration: timedelta) -> str:
    """Return a duration as Prometheus writes it, ``1h30m``; what is below a millisecond is cut off."""
    rest_ms = abs(duration) // _MILLISECOND
    if rest_ms == 0:
        return "0s"
    parts = ["-"] if duration < timedelta(0) else []
    for unit, ms in _UNITS_MS.items():
        if unit in _WHOLE_ONLY and rest_ms % ms:
            continue
        count, rest_ms = divmod(rest_ms, ms)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def _duration_help(text: str) -> str:
    shown = _shortened(text)
    if not text.strip():
        return "empty duration: write a number with a unit, such as 30s, 5m or 1h30m"
    if text.isdecimal() and text.isascii():
        return f'duration "{shown}" has no unit: write {shown}s, {shown}m or {shown}h'
    if text.startswith("-"):
        return f'duration "{shown}" is negative: write it without the minus sign'
    if "." in text:
        return f'duration "{shown}" has a fraction: write whole numbers, such as 1m30s for a minute and a half'
    # What is longer is not looked at more closely, for that would take quadratic time.
    compact = text.replace(" ", "") if len(text) <= _LONGEST_TEXT else ""
    pieces = re.findall(r"([0-9]+)(ms|[ywdhms])", compact)
    joined = "".join(number + unit for number, unit in pieces)
    if joined and joined == compact:
        ordered = sorted(pieces, key=lambda piece: list(_UNITS_MS).index(piece[1]))
        if len({unit for _, unit in pieces}) == len(pieces):
            return f'duration "{shown}" is not in order: write {"".join(n + u for n, u in ordered)}'
        return f'duration "{shown}" names a unit twice: write each of y w d h m s ms at most once'
    return f'"{shown}" is not a duration: write numbers with the units y w d h m s ms, such as 30s, 5m or 1h30m'


def _too_long(text: str) -> str:
    return f'duration "{_shortened(text)}" is too long: the longest is 292y'


def _shortened(text: str) -> str:
    return text if len(text) <= _DIGITS_SHOWN else text[:_DIGITS_SHOWN] + "…"
