"""Say where in its text each part of an expression stands, which the parser does not tell.

The parts of the syntax tree and the words of the text come in the same order: the second `rate` of the one is the
second of the other. Where their numbers differ, no place is named rather than a wrong one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from promql_parser import AggregateExpr, BinaryExpr, Call, Expr, MatrixSelector, SubqueryExpr, VectorSelector

from rollback_guard.core.promql import children, without_parentheses
from rollback_guard.core.promql.shape import Compared, Match
from rollback_guard.core.promql.tokens import BEFORE_LABELS, Kind, Token, is_operator, scan

Key = tuple[str, str]
"""What kind of part it is, and the word or sign that it is known by."""

_NAME, _CALL, _OPERATOR = "name", "call", "operator"
_RANGE: Key = ("range", "[")

_GROUPING = frozenset({"by", "without"})
_NO_NAMES = BEFORE_LABELS | {"offset", "bool"}


class Places:
    """Where the parts of one expression stand; all answers are characters of its text, or ``None``."""

    def __init__(self, text: str, tree: Expr) -> None:
        self._tokens = scan(text)
        parts: dict[Key, list[Expr]] = {}
        for node in _in_order(tree):
            if (key := _key(node)) is not None:
                parts.setdefault(key, []).append(node)
        words = _words(self._tokens)
        self._nodes = tree  # nodes are told apart by their identity, so that none may be freed
        self._at = {
            id(node): number
            for key, nodes in parts.items()
            if len(nodes) == len(words.get(key, ()))
            for node, number in zip(nodes, words[key], strict=True)
        }

    def of(self, node: Expr) -> int | None:
        """Return where a part has its name, its operator, or the bracket that its range begins with."""
        return self._start(self._at.get(id(node)))

    def matcher(self, selector: VectorSelector, match: Match) -> int | None:
        """Return where the pattern of a matcher stands, or else its selector."""
        own = [number for number in self._behind(selector, "{") if self._tokens[number].text == match.label]
        values = [number + 2 for number in own if self._text(number + 1) == match.operator]
        exact = [number for number in values if self._text(number)[1:-1] == match.value]
        return self._start(next(iter(exact or values), self._at.get(id(selector))))

    def label(self, aggregation: AggregateExpr, label: str) -> int | None:
        """Return where `by` or `without` names a label, or else the aggregation."""
        named = (it for it in self._grouping(aggregation) if self._tokens[it].text == label)
        return self._start(next(named, self._at.get(id(aggregation))))

    def argument(self, node: Expr) -> int | None:
        """Return where the first argument of a function or an aggregation stands, or else its name."""
        number = start = self._at.get(id(node))
        if number is not None and self._text(number + 1).lower() in _GROUPING:
            number = self._closing(number + 2)
        is_called = number is not None and self._text(number + 1) == "("
        return self._start(number + 2 if is_called and number is not None else start)

    def offset(self, selector: VectorSelector) -> int | None:
        """Return where the `offset` of a selector stands, or else its name."""
        number = start = self._at.get(id(selector))
        while number is not None and number + 1 < len(self._tokens):
            number += 1
            token = self._tokens[number]
            if token.word == "offset":
                return token.start
            if token.text in ("{", "[", "@"):
                number = self._closing(number)
            elif token.kind is not Kind.NUMBER:
                break
        return self._start(start)

    def threshold(self, compared: Compared) -> int | None:
        """Return where the constant of a comparison stands, or else the operator."""
        number = self._at.get(id(compared.node))
        if number is None:
            return None
        if without_parentheses(compared.node.lhs) is compared.measured:
            return self._start(number + 1)
        return self._start(number - 1 if self._tokens[number - 1].kind is Kind.NUMBER else number)

    def _start(self, number: int | None) -> int | None:
        return None if number is None else self._tokens[number].start

    def _text(self, number: int) -> str:
        return self._tokens[number].text if number < len(self._tokens) else ""

    def _closing(self, number: int) -> int:
        """Return the bracket that closes the one at a place; the place itself where none stands there."""
        opened = self._tokens[number]
        if opened.kind is not Kind.OPEN:
            return number
        rest = range(number + 1, len(self._tokens))
        return next(it for it in rest if self._tokens[it].kind is Kind.CLOSE and self._tokens[it].depth == opened.depth)

    def _behind(self, node: Expr, bracket: str) -> range:
        """Return what stands in the bracket that begins with a part, or right behind it."""
        number = self._at.get(id(node))
        if number is None:
            return range(0)
        opening = next((it for it in (number, number + 1) if self._text(it) == bracket), None)
        return range(0) if opening is None else range(opening + 1, self._closing(opening))

    def _grouping(self, aggregation: AggregateExpr) -> range:
        """Return the labels of `by` or `without`, which may stand before or behind what is aggregated."""
        number = self._at.get(id(aggregation))
        if number is None:
            return range(0)
        behind = number + 1 if self._text(number + 1).lower() in _GROUPING else self._closing(number + 1) + 1
        if self._text(behind).lower() not in _GROUPING:
            return range(0)
        return range(behind + 2, self._closing(behind + 1))


def _in_order(tree: Expr) -> Iterator[Expr]:
    """Yield every part where its own word stands: an operator between its sides, a range behind what it is of."""
    pending = [(tree, False)]
    while pending:
        node, is_due = pending.pop()
        if is_due:
            yield node
            continue
        inner = [(child, False) for child in reversed(children(node))]
        match node:
            case BinaryExpr():
                pending += [inner[0], (node, True), inner[1]]
            case MatrixSelector() | SubqueryExpr():
                pending += [(node, True), *inner]
            case _:
                pending += [*inner, (node, True)]


def _key(node: Expr) -> Key | None:
    match node:
        case VectorSelector():
            return _NAME, node.name or ""
        case Call():
            return _CALL, node.func.name
        case AggregateExpr():
            return _CALL, str(node.op)
        case BinaryExpr():
            return _OPERATOR, str(node.op)
        case MatrixSelector() | SubqueryExpr():
            return _RANGE
    return None


def _words(tokens: Sequence[Token]) -> dict[Key, list[int]]:
    """Return where the text has what may be a part's own word, by number of the token."""
    found: dict[Key, list[int]] = {}
    skipped_to: Token | None = None
    for number, token in enumerate(tokens):
        if skipped_to is not None:
            is_end = token.kind is Kind.CLOSE and token.depth == skipped_to.depth
            skipped_to = None if is_end else skipped_to
            continue
        before = tokens[number - 1] if number else None
        if token.text in ("{", "[") or (token.text == "(" and before is not None and before.word in BEFORE_LABELS):
            skipped_to = token
        if (key := _word(token, before, tokens[number + 1] if number + 1 < len(tokens) else None)) is not None:
            found.setdefault(key, []).append(number)
    return found


def _word(token: Token, before: Token | None, after: Token | None) -> Key | None:
    following = after.word if after is not None else ""
    if token.text == "[":
        return _RANGE
    if token.text == "{":
        is_named = before is not None and before.kind is Kind.WORD and not is_operator(before)
        return None if is_named and before is not None and before.word not in _NO_NAMES else (_NAME, "")
    if is_operator(token):
        return _OPERATOR, token.word
    if token.kind is not Kind.WORD or token.word in _NO_NAMES:
        return None
    if following == "(" or following in _GROUPING:
        return _CALL, token.word
    return _NAME, token.text
