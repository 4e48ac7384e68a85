"""Say how far an expression looks and what it may read, without parsing it: whoever asks may be newer than our parser.

All answers err on the safe side.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta

from rollback_guard.core.promql.tokens import Kind, PromqlError, Token, scan
from rollback_guard.core.units import parse_duration

LOOKBACK = timedelta(minutes=5)
"""How old a sample may be that an instant query still sees, unless the server is told otherwise."""

NAME = "__name__"

NOT_NAMES = frozenset(
    {"and", "or", "unless", "atan2", "bool", "on", "ignoring", "group_left", "group_right", "by", "without", "offset"}
)
"""Words before a brace that do not name the metric of its selector."""


def reach(expr: str) -> timedelta:
    """Return a bound on how far from its time an expression looks, into the past or the future.

    Ranges, offsets and subqueries may lie within each other, so that all durations of the text count together.

    Raises:
        PromqlError: The text cannot be cut into tokens.
        OverflowError: A duration is longer than can be counted.
    """
    return LOOKBACK + sum(_spans(scan(expr)), timedelta(0))


def may_read(expr: str, metrics: AbstractSet[str]) -> bool:
    """Say whether an expression may read one of these metrics: it names it, or has a selector without a name.

    Raises:
        PromqlError: The text cannot be cut into tokens.
    """
    if not metrics:
        return False
    tokens = scan(expr)
    if any(token.kind is Kind.WORD and token.text in metrics for token in tokens):
        return True
    if any(token.kind is Kind.STRING and token.text[1:-1] in metrics for token in tokens):
        return True
    return any(token.text == "{" and _is_nameless(tokens, place) for place, token in enumerate(tokens))


def looks_ahead(expr: str) -> bool:
    """Say whether an expression may see what is later than its time, or asks for a time by a word of its own.

    A live server has no samples of the future; a test has them all.

    Raises:
        PromqlError: The text cannot be cut into tokens.
    """
    tokens = [token for token in scan(expr) if not token.braces]
    return any(
        token.text == "@"
        or (token.kind is Kind.WORD and token.word == "offset" and not (after and after[0].kind is Kind.NUMBER))
        for place, token in enumerate(tokens)
        for after in (tokens[place + 1 : place + 2],)
    )


def _is_nameless(tokens: Sequence[Token], opening: int) -> bool:
    """Say whether the selector whose brace this is leaves open which metric it reads."""
    before = tokens[opening - 1] if opening else None
    if before is not None and before.kind is Kind.WORD and before.word not in NOT_NAMES:
        return False
    for place in range(opening + 1, len(tokens)):
        first, second = tokens[place], tokens[place + 1 : place + 2]
        if first.kind is Kind.CLOSE:
            return True
        begins = tokens[place - 1].text in {"{", ","}
        if begins and first.kind is Kind.STRING and second and second[0].text in {",", "}"}:
            return False  # a quoted name
        if begins and first.text.strip("\"'`") == NAME and second and second[0].text == "=":
            return False
    return True


def _spans(tokens: Sequence[Token]) -> Iterator[timedelta]:
    """Yield all durations; newer servers take numbers for seconds where a duration is expected."""
    brackets, before = 0, ""
    for token in tokens:
        brackets += (token.text == "[") - (token.text == "]")
        if token.kind is Kind.NUMBER:
            yield _span(token.text, or_seconds=brackets > 0 or before == "offset")
        if token.text not in {"-", "+"}:
            before = token.word


def _span(text: str, *, or_seconds: bool) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError:  # a number
        return timedelta(seconds=_number(text)) if or_seconds else timedelta(0)


def _number(text: str) -> float:
    try:
        return float(int(text, 16)) if text[:2] in {"0x", "0X"} else float(text)
    except ValueError:  # neither a number nor a duration: every server refuses it
        return 0.0


__all__ = ["LOOKBACK", "PromqlError", "looks_ahead", "may_read", "reach"]
