r"""Keep an expression's text and its syntax tree side by side, so that parts of it are quoted and never rewritten.

The parser's own printer is not exact (`@ -5` becomes `@ 0.000`, `\xff` becomes `ÿ`), so the parts are cut out of the
text as it was written.
"""

from __future__ import annotations

from dataclasses import dataclass

from promql_parser import BinaryExpr, Expr, ParenExpr, UnaryExpr

from rollback_guard.core.promql import parse_tokens
from rollback_guard.core.promql.tokens import Kind, Token, is_operator, join, scan

_MATCHING = frozenset({"on", "ignoring", "group_left", "group_right", "bool", "fill", "fill_left", "fill_right"})
"""Words between an operator and its right side; most of them with a parenthesis."""


@dataclass(frozen=True, slots=True)
class Source:
    """A part of an expression: its tokens and what they mean."""

    tokens: tuple[Token, ...]
    tree: Expr

    @classmethod
    def of(cls, expr: str) -> Source:
        """Return the whole of an expression.

        Raises:
            PromqlError: It can not be parsed.
        """
        tokens = scan(expr)
        return cls(tokens=tokens, tree=parse_tokens(tokens, end=len(expr)))

    @property
    def text(self) -> str:
        """The part as one line, without comments."""
        return join(self.tokens)

    def without_parentheses(self) -> Source:
        """Return what stands inside of any parentheses around it."""
        tokens, tree = self.tokens, self.tree
        while isinstance(tree, ParenExpr):
            tokens, tree = _without_plus(tokens)[1:-1], tree.expr
        return Source(tokens=tokens, tree=tree)

    def without_minus(self) -> Source:
        """Return what stands behind a unary minus."""
        if not isinstance(self.tree, UnaryExpr):
            return self
        return Source(tokens=_without_plus(self.tokens)[1:], tree=self.tree.expr)

    def halves(self) -> Halves | None:
        """Return both sides of the operator that is evaluated last; ``None`` if it can not be told from others."""
        if not isinstance(self.tree, BinaryExpr) or not self.tokens:
            return None
        operator, depth = str(self.tree.op), self.tokens[0].depth
        places = [
            place
            for place, token in enumerate(self.tokens)
            if token.depth == depth and is_operator(token) and token.word == operator and self._joins(place)
        ]
        if not places:
            return None
        # Operators that bind alike are evaluated from left to right, but for the power.
        place = places[0] if operator == "^" else places[-1]
        return Halves(
            operator=operator,
            left=Source(tokens=self.tokens[:place], tree=self.tree.lhs),
            right=Source(tokens=_without_matching(self.tokens[place + 1 :]), tree=self.tree.rhs),
        )

    def _joins(self, place: int) -> bool:
        """Say whether an operator has something on its left: a sign, or the minus of an offset, has not."""
        if place == 0:
            return False
        before = self.tokens[place - 1]
        match before.kind:
            case Kind.OPERATOR | Kind.OPEN | Kind.MARK:
                return False
            case Kind.WORD:
                return not (is_operator(before) or before.word in _MATCHING or before.word == "offset")
            case Kind.CLOSE if before.text == ")":
                opening = max(i for i in range(place - 1) if self._opens(i, before.depth))
                return opening == 0 or self.tokens[opening - 1].word not in _MATCHING - {"bool"}
        return True

    def _opens(self, place: int, depth: int) -> bool:
        return self.tokens[place].kind is Kind.OPEN and self.tokens[place].depth == depth


@dataclass(frozen=True, slots=True, kw_only=True)
class Halves:
    """Both sides of an operator."""

    operator: str
    left: Source
    right: Source


def _without_matching(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    """Drop ``bool`` or ``on (…) group_left (…)`` and the like from the beginning."""
    start = 0
    while start < len(tokens) and tokens[start].word in _MATCHING:
        word, start = tokens[start].word, start + 1
        # After all but `bool` a parenthesis holds labels, and can not begin the right side.
        if start < len(tokens) and tokens[start].text == "(" and word != "bool":
            depth = tokens[start].depth
            start = 1 + next(
                index
                for index, token in enumerate(tokens)
                if index > start and token.kind is Kind.CLOSE and token.depth == depth
            )
    return tokens[start:]


def _without_plus(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    """Drop the unary plus, which the syntax tree does not show."""
    start = 0
    while tokens[start].text == "+":
        start += 1
    return tokens[start:]
