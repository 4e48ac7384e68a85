"""Say how far an expression looks and what it mentions, without parsing it: whoever asks may be newer than our parser.

Both answers err on the safe side.
"""

from __future__ import annotations

from datetime import timedelta

from rollback_guard.core.promql.tokens import Kind, PromqlError, scan
from rollback_guard.core.units import parse_duration

LOOKBACK = timedelta(minutes=5)
"""How old a sample may be that an instant query still sees, unless the server is told otherwise."""


def reach(expr: str) -> timedelta:
    """Return a bound on how far from its time an expression looks, into the past or the future.

    Ranges, offsets and subqueries may lie within each other, so that all durations of the text count together.

    Raises:
        PromqlError: The text cannot be cut into tokens.
    """
    return LOOKBACK + sum((_duration(token.text) for token in scan(expr) if token.kind is Kind.NUMBER), timedelta(0))


def names(expr: str) -> frozenset[str]:
    """Return all words and quoted texts of an expression; every metric that it asks for is among them.

    Raises:
        PromqlError: The text cannot be cut into tokens.
    """
    tokens = scan(expr)
    words = {token.text for token in tokens if token.kind is Kind.WORD}
    return frozenset(words | {token.text[1:-1] for token in tokens if token.kind is Kind.STRING})


def _duration(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError:  # a number
        return timedelta(0)


__all__ = ["LOOKBACK", "PromqlError", "names", "reach"]
