"""Cut a template into text and the tokens of its actions, by the rules of Go's text/template."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass

MAX_LENGTH = 16 * 1024
"""Characters of one template."""


class TemplateError(ValueError):
    """Say why a template can not be parsed or rendered."""


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a template.

    Attributes:
        kind: ``text``, ``begin`` and ``end`` of an action, or the name of a group of `_ACTION`.
        spaced: Whether white space came before it.
    """

    kind: str
    text: str
    line: int
    spaced: bool = False


_ACTION = re.compile(
    r"""
    (?P<space>    [ \t\r\n]+ )
  | (?P<string>   "(?:[^"\\\n]|\\[^\n])*" | `[^`]*` )
  | (?P<char>     '(?:[^'\\\n]|\\[^\n])+' )
  | (?P<number>   [+-]?(?: 0[xX][0-9a-fA-F_]+ | 0[bB][01_]+ | 0[oO][0-7_]+
                  | (?:[0-9][0-9_]*(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)? ) )
  | (?P<variable> \$[a-zA-Z0-9_]* )
  | (?P<field>    \.[a-zA-Z_][a-zA-Z0-9_]* )
  | (?P<word>     [a-zA-Z_][a-zA-Z0-9_]* )
  | (?P<sign>     :=|[=|,().] )
    """,
    re.VERBOSE | re.ASCII,
)
_ENDS_A_WORD = frozenset(" \t\r\n.,|:)(")
_CLOSING = re.compile(r"[ \t\r\n]+-\}\}[ \t\r\n]*|\}\}")
_OPENING = re.compile(r"\{\{(?P<trim>-(?=[ \t\r\n]))?")
_COMMENT = re.compile(r"[ \t\r\n]*/\*(?P<body>.*?)\*/", re.DOTALL)


def cut(text: str) -> tuple[Token, ...]:
    """Return the text between actions, and the actions' tokens, each action between ``begin`` and ``end``.

    Raises:
        TemplateError: It is too long, or an action, a comment or quoted text does not end.
    """
    if len(text) > MAX_LENGTH:
        raise TemplateError(f"the template is longer than {MAX_LENGTH} characters")
    return tuple(_tokens(text))


def _tokens(text: str) -> Iterator[Token]:
    position, trim = 0, False
    for opening in _OPENING.finditer(text):
        if opening.start() < position:
            continue
        yield _plain(text, position, opening.start(), trim_left=trim, trim_right=bool(opening["trim"]))
        position, trim = yield from _cut_action(text, opening.end(), trimmed=bool(opening["trim"]))
    yield _plain(text, position, len(text), trim_left=trim, trim_right=False)


def _plain(text: str, start: int, end: int, *, trim_left: bool, trim_right: bool) -> Token:
    # An action's own trailing trim marker has eaten the white space already, where `position` says so.
    plain = text[start:end]
    plain = plain.lstrip(" \t\r\n") if trim_left else plain
    return Token("text", plain.rstrip(" \t\r\n") if trim_right else plain, _line(text, start))


def _cut_action(text: str, position: int, *, trimmed: bool) -> Generator[Token, None, tuple[int, bool]]:
    """Yield the tokens of one action; return where it ends and whether it trims what follows."""
    line = _line(text, position)
    comment = _COMMENT.match(text, position)
    if comment and (trimmed or text.startswith("/*", position)):
        closing = _CLOSING.match(text, comment.end())
        if closing is None:
            raise TemplateError(f"line {line}: a comment ends before its action does")
        return closing.end(), closing.group() != "}}"
    yield Token("begin", "{{", line)
    spaced = False
    while True:
        closing = _CLOSING.match(text, position)
        if closing:
            yield Token("end", "}}", _line(text, position))
            return closing.end(), closing.group() != "}}"
        match = _ACTION.match(text, position)
        if match is None:
            raise _unexpected(text, position, line)
        position, kind = match.end(), str(match.lastgroup)
        if kind == "space":
            spaced = True
            continue
        if kind in {"number", "variable", "field", "word"} and not _at_terminator(text, position):
            raise TemplateError(f'line {_line(text, position)}: bad character "{text[position]}"')
        yield Token(kind, match.group(), _line(text, match.start()), spaced)
        spaced = False


def _at_terminator(text: str, position: int) -> bool:
    return position >= len(text) or text[position] in _ENDS_A_WORD or text.startswith("}}", position)


def _unexpected(text: str, position: int, line: int) -> TemplateError:
    if position >= len(text):
        return TemplateError(f"line {line}: an action is never closed with }}}}")
    if text[position] in "\"`'":
        return TemplateError(f"line {_line(text, position)}: quoted text is never closed")
    return TemplateError(f'line {_line(text, position)}: unexpected "{text[position]}" in an action')


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


_ESCAPE = re.compile(
    r"""\\(?: (?P<simple>[abfnrtv\\"]) | x(?P<byte>[0-9a-fA-F]{2}) | (?P<octal>[0-3][0-7]{2})
          | u(?P<short>[0-9a-fA-F]{4}) | U(?P<long>[0-9a-fA-F]{8}) | (?P<bad>.) )""",
    re.VERBOSE | re.DOTALL,
)
_SIMPLE = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, '"': 34}


def unquote(quoted: str) -> str:
    """Return the text that a Go string literal stands for.

    Raises:
        TemplateError: An escape is unknown.
    """
    if quoted.startswith("`"):
        return quoted[1:-1].replace("\r", "")
    data, position, inner = bytearray(), 0, quoted[1:-1]
    for match in _ESCAPE.finditer(inner):
        data += inner[position : match.start()].encode("utf-8", "surrogatepass") + _unescaped(match)
        position = match.end()
    data += inner[position:].encode("utf-8", "surrogatepass")
    return data.decode("utf-8", "replace")


def _unescaped(match: re.Match[str]) -> bytes:
    if match["simple"]:
        return bytes([_SIMPLE[match["simple"]]])
    if match["byte"] or match["octal"]:
        return bytes([int(match["byte"], 16) if match["byte"] else int(match["octal"], 8)])
    code = int(match["short"] or match["long"] or "110000", 16)
    try:
        return chr(code).encode()
    except (ValueError, OverflowError):
        raise TemplateError(f"unknown escape {match.group()} in quoted text") from None
