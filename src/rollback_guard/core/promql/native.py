"""Call the native PromQL parser, and find the place of an error that it gives no place for."""

from __future__ import annotations

import re
from collections.abc import Sequence

import promql_parser
from promql_parser import Expr

from rollback_guard.core.promql.tokens import Kind, PromqlError, Token, join


def parse_native(tokens: Sequence[Token], *, end: int | None = None) -> Expr:
    """Return the syntax tree; whatever the native parser does else becomes a PromqlError.

    Args:
        tokens: A text that `scan` let pass; the native parser would end the process on others.
        end: Where an unfinished expression stops.
    """
    try:
        return _parse("".join((" " if token.spaced else "") + _quoted(token) for token in tokens))
    except PromqlError as error:
        message, too_complex = error.message, error.too_complex
    finish = end if end is not None else (tokens[-1].start + len(tokens[-1].text) if tokens else 0)
    offset = _locate(tokens, message, finish)
    raise PromqlError(_in_words(message, tokens, offset), offset, too_complex=too_complex)


def _parse(text: str) -> Expr:
    try:
        return promql_parser.parse(text)
    except RecursionError as error:
        raise PromqlError("the expression is nested too deeply", too_complex=True) from error
    except Exception as error:
        raise PromqlError(str(error)) from error
    except BaseException as error:
        # A panic of the native code is no Exception, so that nothing else would stop it on its way out.
        if type(error).__name__ != "PanicException":
            raise
        raise PromqlError("the expression can not be parsed") from error


def _quoted(token: Token) -> str:
    """Return the token as the native parser reads it: it takes the backslashes of raw text for escapes."""
    if token.kind is not Kind.STRING or not token.text.startswith("`"):
        return token.text
    raw = token.text[1:-1].replace("\r", "").replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{raw}"'


_GRAMMAR = re.compile(
    r"invalid promql query|unexpected|unclosed|expect duration|bad number|not a valid duration|trailing commas"
)
"""Errors that no longer text can cure; all others are about meaning."""

_CLOSING = {"(": ")", "[": "]", "{": "}"}

_ENDINGS = {
    "": ("", " x", " 1", " 5m", "(x)", "(x) (x)"),
    "(": ("", " x", " 1", '"x"', "(x)", "x)(x", "(x) (x)", "x) x"),
    "[": ("", "5m", ":"),
    "{": ("", 'x="x"', '="x"', '"x"'),
}
"""What may be missing where a text stops in the middle, by the bracket it stops in."""


def _locate(tokens: Sequence[Token], message: str, end: int) -> int | None:
    """Return where an error is: at what its message names, or after the longest beginning that can be continued."""
    if not _GRAMMAR.search(message):
        return _named_in(tokens, message)
    if _can_go_on(tokens):
        return end
    good, bad = 0, len(tokens)
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if _can_go_on(tokens[:middle]) else (good, middle)
    return tokens[good].start


def _can_go_on(tokens: Sequence[Token]) -> bool:
    opened: list[str] = []
    for token in tokens:
        if token.kind is Kind.OPEN:
            opened.append(token.text)
        elif token.kind is Kind.CLOSE:
            opened.pop()
    # Without its patterns, for compiling those takes most of the time and there are many tries.
    start = join([token._replace(text='"x"') if token.kind is Kind.STRING else token for token in tokens])
    rest = "".join(_CLOSING[bracket] for bracket in reversed(opened))
    return any(_is_grammatical(start + ending + rest) for ending in _ENDINGS[opened[-1] if opened else ""])


def _is_grammatical(text: str) -> bool:
    try:
        _parse(text)
    except PromqlError as error:
        return not _GRAMMAR.search(error.message)
    return True


_NAME = re.compile(r"'(\w+)'|illegal regex for (.+)", re.DOTALL)


def _named_in(tokens: Sequence[Token], message: str) -> int | None:
    """Return the place of the one token that an error about meaning names."""
    named = _NAME.search(message)
    if named is None:
        return None
    name = named[1] or named[2]
    places = [
        token.start
        for token in tokens
        if token.text == name or (token.kind is Kind.STRING and token.text[1:-1].replace("\\\\", "\\") == name)
    ]
    return places[0] if len(places) == 1 else None


_WORDS = {
    "no expression found in input": "the expression is empty",
    "comparisons between scalars must use BOOL modifier": "two scalars are compared: one side must be a series",
}


def _in_words(message: str, tokens: Sequence[Token], offset: int | None) -> str:
    """Return the native parser's message, or a better one where it only says that something is wrong."""
    if message != "invalid promql query":
        return _WORDS.get(message, message)
    found = next((token.text for token in tokens if token.start == offset), None)
    if found is None:
        return "the expression ends too early"
    return 'unexpected "=": a comparison is written ==' if found == "=" else f'unexpected "{found}"'
