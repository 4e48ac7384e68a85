"""Cut PromQL text into tokens, so that it can be judged before it is parsed and sliced after it.

The parser knows no positions and ends the process on hostile nesting. This scan is linear, knows strings and comments,
and gives each token its place in the text.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

MAX_LENGTH = 8 * 1024
"""Bytes of one expression; the longest rules of known rule collections have 3 KiB."""

MAX_DEPTH = 100
"""Open brackets; the native parser dies of 10,000."""

MAX_OPERATORS = 300
"""Operators outside of label matchers; the native parser is quadratic in them and dies of 5,000."""

MAX_REGEX_COST = 400.0
"""Character classes, counted as often as they are repeated; compiling one `\\w` takes 0.4 ms."""

SCANS_REMEMBERED = 256
"""One expression is looked at by a dozen checks in a row."""

_LITERAL_COST = 0.02
_CLASS_ESCAPES = frozenset("wWdDsSpP")


BEFORE_LABELS = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
"""Words whose parentheses hold labels."""


class PromqlError(ValueError):
    """Say what is wrong with an expression.

    Attributes:
        message: One sentence without the expression itself.
        offset: Character of the text at which it goes wrong, where that is known.
        too_complex: Whether a limit of ours refused it, so that it may still be PromQL.
    """

    def __init__(self, message: str, offset: int | None = None, *, too_complex: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.too_complex = too_complex


class Kind(StrEnum):
    """What a token is."""

    WORD = "word"
    NUMBER = "number"
    STRING = "string"
    OPERATOR = "operator"
    OPEN = "open"
    CLOSE = "close"
    MARK = "mark"  # comma, colon, at sign


_KINDS = {kind.value: kind for kind in Kind}


class Token(NamedTuple):
    """A piece of the text; `spaced` says whether white space or a comment came before it.

    Attributes:
        start: Character in the text.
        depth: Brackets that are open around it; a bracket has the depth of what surrounds it.
        braces: Whether it stands in label matchers.
    """

    kind: Kind
    text: str
    start: int
    depth: int
    braces: bool
    spaced: bool

    @property
    def word(self) -> str:
        """The text as the parser compares keywords and operators."""
        return self.text.lower()


_PATTERN = re.compile(
    r"""
    (?P<space>  [ \t\r\n]+ | \#[^\r\n]* )
  | (?P<string> "(?:[^"\\\n]|\\[^\n])*" | '(?:[^'\\\n]|\\[^\n])*' | `[^`]*` )
  | (?P<number> 0[xX][0-9a-fA-F]+
              | (?: [0-9]+(?:\.[0-9]*)? | \.[0-9]+ ) (?: [eE][+-]?[0-9]+ )? [a-zA-Z0-9_.]* )
  | (?P<word>   [a-zA-Z_:][a-zA-Z0-9_:]* )
  | (?P<operator> [=!<>]= | [=!]~ | [-+*/%^<>=] )
  | (?P<open>   [(\[{] )
  | (?P<close>  [)\]}] )
  | (?P<mark>   [,:@] )
    """,
    re.VERBOSE,
)

_SURROGATE = re.compile("[\ud800-\udfff]")
"""Half a character: no text in UTF-8 has one, but one can be written in YAML."""

_PAIRS = {")": "(", "]": "[", "}": "{"}
_NAMES = {"(": "parenthesis", "[": "square bracket", "{": "brace"}
WORD_OPERATORS = frozenset({"and", "or", "unless", "atan2"})


@lru_cache(maxsize=SCANS_REMEMBERED)
def scan(text: str) -> tuple[Token, ...]:
    """Return the tokens of an expression that is safe to give to the native parser.

    Raises:
        PromqlError: It is too long, too deep, has too many operators, its brackets or quotes do not close, or a
            character has no place in PromQL.
    """
    # The first test is cheap for a text of 50 MB, the second exact; lone surrogates must not raise here.
    if len(text) > MAX_LENGTH or len(text.encode("utf-8", "surrogatepass")) > MAX_LENGTH:
        raise PromqlError(
            f"the expression is longer than {MAX_LENGTH} bytes",
            MAX_LENGTH if len(text) > MAX_LENGTH else None,
            too_complex=True,
        )
    surrogate = _SURROGATE.search(text)
    if surrogate is not None:
        raise _unexpected(text, surrogate.start())
    tokens = tuple(_tokens(text))
    operators = [token for token in tokens if not token.braces and is_operator(token)]
    if len(operators) > MAX_OPERATORS:
        raise PromqlError(
            f"the expression has more than {MAX_OPERATORS} operators", operators[MAX_OPERATORS].start, too_complex=True
        )
    _check_regexes(tokens)
    return tokens


def is_operator(token: Token) -> bool:
    """Say whether a token is an operator, by sign or by word."""
    return token.kind is Kind.OPERATOR or (token.kind is Kind.WORD and token.word in WORD_OPERATORS)


def join(tokens: Sequence[Token]) -> str:
    """Return the tokens as one line without comments; white space becomes one blank."""
    return "".join((" " if index and token.spaced else "") + token.text for index, token in enumerate(tokens))


def _tokens(text: str) -> Iterator[Token]:
    position, spaced = 0, False
    opened: list[Token] = []
    while position < len(text):
        match = _PATTERN.match(text, position)
        if match is None:
            raise _unexpected(text, position)
        group, piece = str(match.lastgroup), match.group()
        if group == "space":
            spaced, position = True, match.end()
            continue
        if group == "close":
            _close(opened, piece, position)
        token = Token(
            kind=_KINDS[group],
            text=piece,
            start=position,
            depth=len(opened),
            braces=bool(opened) and opened[-1].text == "{",
            spaced=spaced,
        )
        yield token
        if group == "open":
            opened.append(token)
            if len(opened) > MAX_DEPTH:
                raise PromqlError(
                    f"the expression has more than {MAX_DEPTH} nested brackets", position, too_complex=True
                )
        spaced, position = False, match.end()
    if opened:
        raise PromqlError(f"{_NAMES[opened[-1].text]} is never closed", opened[-1].start)


def _close(opened: list[Token], piece: str, position: int) -> None:
    if not opened:
        raise PromqlError(f"{_NAMES[_PAIRS[piece]]} is closed and was never opened", position)
    if opened[-1].text != _PAIRS[piece]:
        raise PromqlError(f'"{opened[-1].text}" is closed by "{piece}"', position)
    opened.pop()


def _unexpected(text: str, position: int) -> PromqlError:
    character = text[position]
    if character in "\"'`":
        return PromqlError("quoted text is never closed", position)
    shown = character if character.isprintable() else f"U+{ord(character):04X}"
    return PromqlError(f'unexpected character "{shown}"', position)


def _check_regexes(tokens: Sequence[Token]) -> None:
    """Refuse patterns whose compilation alone takes longer than a person waits."""
    cost = 0.0
    for operator, pattern in itertools.pairwise(tokens):
        if operator.braces and operator.text in {"=~", "!~"} and pattern.kind is Kind.STRING:
            cost += _regex_cost(pattern.text[1:-1].replace("\\\\", "\\"))
            if cost > MAX_REGEX_COST:
                raise PromqlError("the regular expressions are too large", pattern.start, too_complex=True)


_REGEX_PIECE = re.compile(r"\\.|\[(?:\\.|[^\]\\])+\]|\{[0-9]+(?:,[0-9]*)?\}|.", re.DOTALL)


def _regex_cost(pattern: str) -> float:
    """Estimate how many character classes a pattern compiles to, with its counted repetitions written out."""
    groups: list[float] = [0.0]
    atom = 0.0
    for piece in _REGEX_PIECE.findall(pattern):
        if piece == "(":
            groups.append(0.0)
            atom = 0.0
        elif piece == ")" and len(groups) > 1:
            atom = groups.pop()
            groups[-1] += atom
        elif len(piece) > 1 and piece.startswith("{"):
            times = max(int(number[:6]) for number in re.findall("[0-9]+", piece))
            groups[-1] += atom * (times - 1)
            atom *= times
        else:
            atom = 1.0 if piece[0] in ".[" or piece[1:] in _CLASS_ESCAPES else _LITERAL_COST
            groups[-1] += atom
    return sum(groups)
