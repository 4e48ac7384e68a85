"""Parse PromQL without ever harming the process, and answer questions about the result.

The native parser is quick and knows the grammar, but hostile text ends the interpreter, and its errors have no place.
So `scan` judges the text first, and a syntax error is found again by trying ever shorter beginnings of the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Literal

import promql_parser
from promql_parser import AggregateExpr, BinaryExpr, Call, Expr, MatrixSelector, ParenExpr, SubqueryExpr, VectorSelector

from rollback_guard.core.promql.advice import advice
from rollback_guard.core.promql.native import parse_native
from rollback_guard.core.promql.tokens import PromqlError, Token, join, scan
from rollback_guard.core.units import LONGEST_MS

__all__ = [
    "ExprProblem",
    "ProblemId",
    "PromqlError",
    "children",
    "filters",
    "find_problems",
    "has_condition",
    "is_comparison",
    "longest_range",
    "parse",
    "parse_tokens",
    "selectors",
    "uses_bool_at_top",
    "value_type",
    "walk",
    "without_parentheses",
]

ValueType = Literal["scalar", "string", "vector", "matrix"]

COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
SET_OPERATORS = frozenset({"and", "or", "unless"})
ABSENCE = frozenset({"absent", "absent_over_time"})
ABOUT_AGE = ABSENCE | {"timestamp"}
"""What asks whether samples are there, or how old they are, cannot be refused an answer because they are not."""

OF_COUNTERS = frozenset({"rate", "irate", "increase"})
"""Functions that take each fall of a value for the restart of a counter, and add what was there before."""

NEEDS_TWO = OF_COUNTERS | {
    "delta", "idelta", "deriv", "predict_linear", "holt_winters", "double_exponential_smoothing", "changes", "resets",
}  # fmt: skip
"""Functions that tell nothing by a single sample."""

CUTS = frozenset({"topk", "bottomk", "limitk", "limit_ratio"})
"""Aggregations that leave series out."""

_LONGEST_QUOTE = 100
"""Characters of an expression that a hint repeats."""

_LONGEST = timedelta(milliseconds=LONGEST_MS)


def parse(text: str) -> Expr:
    """Return the syntax tree of an expression.

    Raises:
        PromqlError: It is not PromQL, or beyond the limits of `scan`. No text can end or hang the process.
    """
    return parse_tokens(scan(text), end=len(text))


def parse_tokens(tokens: Sequence[Token], *, end: int | None = None) -> Expr:
    """Return the syntax tree of an expression that was scanned already; `end` is where an unfinished one stops."""
    tree = parse_native(tokens, end=end)
    _check_ranges(tree)
    return tree


def value_type(tree: Expr) -> ValueType:
    """Return what an expression evaluates to."""
    tree = without_parentheses(tree)
    match tree:
        case promql_parser.NumberLiteral():
            return "scalar"
        case promql_parser.StringLiteral():
            return "string"
        case MatrixSelector() | SubqueryExpr():
            return "matrix"
        case Call():
            return _RETURNS[str(tree.func.return_type)]
        case BinaryExpr() | promql_parser.UnaryExpr():
            return "scalar" if all(value_type(leaf) == "scalar" for leaf in _operands(tree)) else "vector"
    return "vector"


def has_condition(tree: Expr) -> bool:
    """Say whether anything in the expression can leave a series out of the answer.

    A comparison inside ``scalar()`` does not: there an empty vector becomes NaN.
    """
    return any(
        is_comparison(node)
        or (isinstance(node, BinaryExpr) and str(node.op) in SET_OPERATORS)
        or (isinstance(node, Call) and node.func.name in ABSENCE)
        for node in walk(tree, into_scalar=False)
    )


def filters(tree: Expr) -> bool:
    """Say whether an empty answer may mean that a condition did not hold, rather than that a series is absent."""
    return any(
        is_comparison(node)
        or (isinstance(node, BinaryExpr) and str(node.op) in SET_OPERATORS - {"or"})
        or (isinstance(node, Call) and node.func.name in ABSENCE)
        or (isinstance(node, AggregateExpr) and str(node.op) in CUTS)
        for node in walk(tree)
    )


def is_comparison(tree: Expr) -> bool:
    """Say whether an expression is a comparison that filters, that is without ``bool``."""
    return isinstance(tree, BinaryExpr) and str(tree.op) in COMPARISONS and not _returns_bool(tree)


def uses_bool_at_top(tree: Expr) -> bool:
    """Say whether the answer is 0 or 1 instead of a condition; through ``or`` either side is enough."""
    tree = without_parentheses(tree)
    if not isinstance(tree, BinaryExpr):
        return False
    if str(tree.op) == "or":
        return uses_bool_at_top(tree.lhs) or uses_bool_at_top(tree.rhs)
    return _returns_bool(tree)


def selectors(tree: Expr) -> tuple[str, ...]:
    """Return the text of each vector selector that reads the present, once, in order of appearance.

    One that reads metrics of several names is left out: their ages cannot be asked for, as `timestamp` drops the name
    and servers refuse two series of the same labels. So is what the expression also asks the absence of, as in
    ``up == 0 or absent(up)``: that it is not there is then an answer, and no reason to doubt it.
    """
    absences = [node for node in walk(tree) if isinstance(node, Call) and node.func.name in ABSENCE]
    missed = {_text_of(node) for absence in absences for node, _ in _selectors(absence)}
    found = {_text_of(node): None for node, old in _selectors(tree) if not old and _is_of_one_metric(node)}
    return tuple(text for text in found if text not in missed)


def _text_of(selector: VectorSelector) -> str:
    return join(scan(selector.prettify()))


def _is_of_one_metric(selector: VectorSelector) -> bool:
    return bool(selector.name) or any(
        matcher.name == "__name__" and str(matcher.op) == "MatchOp.Equal" for matcher in selector.matchers.matchers
    )


def longest_range(tree: Expr) -> timedelta:
    """Return for how long an old sample counts: ranges and subqueries, added up where they are nested."""
    longest = timedelta(0)
    pending = [(tree, timedelta(0))]
    while pending:
        node, outer = pending.pop()
        inner = outer + node.range if isinstance(node, MatrixSelector | SubqueryExpr) and node.range else outer
        longest = max(longest, inner)
        pending.extend((child, inner) for child in children(node))
    return longest


def without_parentheses(tree: Expr) -> Expr:
    """Return what stands inside of any parentheses around an expression."""
    while isinstance(tree, ParenExpr):
        tree = tree.expr
    return tree


class ProblemId(StrEnum):
    """Which check an expression fails."""

    SYNTAX = "promql-syntax"
    TYPE = "promql-type"
    BOOL = "promql-bool"
    NO_CONDITION = "promql-no-condition"
    TOO_COMPLEX = "promql-too-complex"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExprProblem:
    """Say why an expression can not decide anything.

    Attributes:
        message: What is wrong, in one sentence.
        hint: What to do about it.
        offset: Character of the expression, where it is known.
    """

    id: ProblemId
    message: str
    hint: str
    offset: int | None = None


def find_problems(text: str) -> tuple[ExprProblem, ...]:
    """Return everything that keeps an expression from being the condition of an alert; nothing when it is one."""
    try:
        tree = parse(text)
        found = value_type(tree)
        at_top, conditional = uses_bool_at_top(tree), has_condition(tree)
    except PromqlError as error:
        return (_as_problem(error, text),)
    except RecursionError:
        return (_as_problem(PromqlError("the expression is nested too deeply", too_complex=True), text),)
    problems = []
    if found != "vector":
        problems.append(
            ExprProblem(
                id=ProblemId.TYPE,
                message=f"the expression is a {_TYPE_NAMES[found]}",
                hint=_TYPE_HINTS[found].format(own=_summarised(tree, text)),
            )
        )
    if at_top:
        problems.append(
            ExprProblem(
                id=ProblemId.BOOL,
                message="with bool the expression always has an answer, 0 or 1, and so would always fire",
                hint="remove bool: without it a comparison keeps only the series for which it holds",
            )
        )
    elif found == "vector" and not conditional:
        problems.append(
            ExprProblem(
                id=ProblemId.NO_CONDITION,
                message="the expression has no condition and fires whatever its value is",
                hint="compare it with a threshold, such as `> 0.01`, or use and, unless or absent()",
            )
        )
    return tuple(problems)


_RETURNS: dict[str, ValueType] = {
    "ValueType.Scalar": "scalar",
    "ValueType.String": "string",
    "ValueType.Vector": "vector",
    "ValueType.Matrix": "matrix",
}
_TYPE_NAMES: dict[str, str] = {"scalar": "scalar", "string": "string", "matrix": "range vector"}
_TYPE_HINTS: dict[str, str] = {
    "scalar": "a scalar has no series to decide about: compare a metric, such as `up == 0`",
    "string": "text can not be compared: remove the quotes",
    "matrix": "turn it into one value per series, such as `{own}`, and compare that",
}


def _summarised(tree: Expr, text: str) -> str:
    """Return a range with a function around it that makes one value of it."""
    own = join(scan(text)) if len(text) <= _LONGEST_QUOTE else "…"
    return f"rate({own})" if isinstance(without_parentheses(tree), MatrixSelector) else f"max_over_time({own})"


def _as_problem(error: PromqlError, text: str) -> ExprProblem:
    return ExprProblem(
        id=ProblemId.TOO_COMPLEX if error.too_complex else ProblemId.SYNTAX,
        message=error.message,
        hint="move parts of it into recording rules" if error.too_complex else advice(text, error),
        offset=error.offset,
    )


def _check_ranges(tree: Expr) -> None:
    for node in walk(tree):
        if isinstance(node, MatrixSelector | SubqueryExpr):
            try:
                fits = node.range is None or node.range <= _LONGEST
            except OverflowError:
                fits = False
            if not fits:
                raise PromqlError("the range is longer than 292 years")


def _returns_bool(tree: BinaryExpr) -> bool:
    return tree.modifier is not None and tree.modifier.return_bool


def children(node: Expr) -> tuple[Expr, ...]:
    """Return what a node is made of, from left to right."""
    match node:
        case BinaryExpr():
            return (node.lhs, node.rhs)
        case Call():
            return tuple(node.args)
        case AggregateExpr():
            return (node.expr,) if not isinstance(node.param, Expr) else (node.param, node.expr)
        case MatrixSelector():
            return (node.vector_selector,)
        case ParenExpr() | SubqueryExpr() | promql_parser.UnaryExpr():
            return (node.expr,)
    return ()


def walk(tree: Expr, *, into_scalar: bool = True) -> Iterator[Expr]:
    """Yield every node, outer ones first; without recursion, for a chain of operators is a deep tree."""
    pending = [tree]
    while pending:
        node = pending.pop()
        yield node
        if into_scalar or not (isinstance(node, Call) and node.func.name == "scalar"):
            pending.extend(reversed(children(node)))


def _operands(tree: Expr) -> Iterator[Expr]:
    """Yield what the operators of an expression combine."""
    pending = [tree]
    while pending:
        node = without_parentheses(pending.pop())
        if isinstance(node, BinaryExpr | promql_parser.UnaryExpr):
            pending.extend(children(node))
        else:
            yield node


def _selectors(tree: Expr) -> Iterator[tuple[VectorSelector, bool]]:
    """Yield every vector selector and whether its samples may be old, or missing, on purpose.

    They may where it, or a subquery around it, looks at another time, and where the age or the absence of samples is
    what the expression is about.
    """
    pending = [(tree, False)]
    while pending:
        node, old = pending.pop()
        if isinstance(node, VectorSelector | SubqueryExpr):
            old = old or bool(node.offset) or node.at is not None
        if isinstance(node, Call):
            old = old or node.func.name in ABOUT_AGE
        if isinstance(node, VectorSelector):
            yield node, old
        pending.extend((child, old) for child in reversed(children(node)))
