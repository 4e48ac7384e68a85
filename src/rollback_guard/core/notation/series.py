r"""Read the name and the labels of one series, as promtool and PromQL write them: ``up{job="api"}``.

Newer servers quote names that are not plain words: ``{"http.requests", "service.name"="api"}``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rollback_guard.core.model import Labels, labels_of
from rollback_guard.core.notation.failure import NotationError
from rollback_guard.core.promql.tokens import Kind, PromqlError, Token, scan

NAME = "__name__"


def parse_series(text: str) -> Labels:
    """Return the labels of a series, with its name as ``__name__``; an empty label is none.

    Raises:
        NotationError: It is not one series.
    """
    try:
        tokens = scan(text)
    except PromqlError as error:
        raise NotationError(error.message, error.offset or 0) from error
    found: dict[str, str] = {}
    for token, name, value in _pairs(tokens, end=len(text)):
        if name in found:
            raise NotationError(_twice(name), token.start)
        found[name] = value
    labels = labels_of({name: value for name, value in found.items() if value})
    if not labels:
        raise NotationError('expected a series such as up{job="api"}: it has neither a name nor a label', 0)
    return labels


def _twice(name: str) -> str:
    return "the series is named twice" if name == NAME else f'the label "{name}" is given twice'


def _pairs(tokens: tuple[Token, ...], *, end: int) -> Iterator[tuple[Token, str, str]]:
    rest = tokens
    if rest and rest[0].kind is Kind.WORD:
        yield rest[0], NAME, rest[0].text
        rest = rest[1:]
    if not rest:
        return
    if rest[0].text != "{":
        raise NotationError('expected a series such as up{job="api"}', rest[0].start)
    closing = next(place for place, token in enumerate(rest) if token.text == "}" and token.depth == 0)
    if closing + 1 < len(rest):
        raise NotationError(
            "expected the end: a series is a name and its labels, nothing else", rest[closing + 1].start
        )
    inner, stop = rest[1:closing], rest[closing].start
    while inner:
        taken, pair = _pair(inner, stop)
        yield pair
        inner = inner[taken:]
        if inner and inner[0].text != ",":
            raise NotationError("expected a comma or the closing brace", inner[0].start)
        inner = inner[1:]


def _pair(tokens: tuple[Token, ...], stop: int) -> tuple[int, tuple[Token, str, str]]:
    """Return how many tokens the first label takes, and the label."""
    name, quoted = tokens[0], tokens[0].kind is Kind.STRING
    if not quoted and (name.kind is not Kind.WORD or ":" in name.text):
        raise NotationError("expected the name of a label", name.start)
    if quoted and (len(tokens) == 1 or tokens[1].text == ","):
        return 1, (name, NAME, _unquoted(name))
    if len(tokens) == 1:
        raise NotationError("expected = and the label's value in quotes", stop)
    if tokens[1].text != "=":
        hint = ": a series has its labels exactly" if tokens[1].kind is Kind.OPERATOR else ""
        raise NotationError(f"expected ={hint}", tokens[1].start)
    if len(tokens) == 2 or tokens[2].kind is not Kind.STRING:  # noqa: PLR2004  a name, a sign, a value
        raise NotationError("expected the label's value in quotes", tokens[2].start if tokens[2:] else stop)
    return 3, (name, _unquoted(name) if quoted else name.text, _unquoted(tokens[2]))


_ESCAPE = re.compile(
    r"""\\(?: (?P<simple>[abfnrtv\\"']) | x(?P<byte>[0-9a-fA-F]{2}) | (?P<octal>[0-3][0-7]{2})
          | u(?P<short>[0-9a-fA-F]{4}) | U(?P<long>[0-9a-fA-F]{8}) | . )""",
    re.VERBOSE | re.DOTALL,
)
_SIMPLE = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, '"': 34, "'": 39}


def _unquoted(token: Token) -> str:
    quote, inner = token.text[0], token.text[1:-1]
    if quote == "`":
        return inner.replace("\r", "")
    data, position = bytearray(), 0
    for match in _ESCAPE.finditer(inner):
        escaped = _escaped(match, quote)
        if escaped is None:
            raise NotationError(f"unknown escape {match.group()} in quoted text", token.start + 1 + match.start())
        data += inner[position : match.start()].encode() + escaped
        position = match.end()
    data += inner[position:].encode()
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise NotationError("expected text in UTF-8: Prometheus refuses other bytes", token.start) from None


def _escaped(match: re.Match[str], quote: str) -> bytes | None:
    if match["simple"]:
        # Only the quote that began the text has to be escaped, and only it may be.
        return None if match["simple"] in "\"'" and match["simple"] != quote else bytes([_SIMPLE[match["simple"]]])
    if match["byte"] or match["octal"]:
        return bytes([int(match["byte"], 16) if match["byte"] else int(match["octal"], 8)])
    code = int(match["short"] or match["long"] or "110000", 16)
    try:
        return chr(code).encode()
    except (ValueError, OverflowError):
        return None
