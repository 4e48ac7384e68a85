"""Take an expression apart into the selectors that it reads, each with what is made of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from promql_parser import Call, Expr, MatrixSelector, SubqueryExpr, VectorSelector

from rollback_guard.core import promql
from rollback_guard.core.promql.tokens import Kind, join, scan

NAME = "__name__"

_OPERATORS = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label."""

    label: str
    op: str
    value: str

    @property
    def text(self) -> str:
        """The matcher as PromQL writes it."""
        escaped = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.label}{self.op}"{escaped}"'


@dataclass(frozen=True, slots=True)
class Selector:
    """What series are read, without when.

    Attributes:
        name: Of the metric; empty where it is not one name.
        opaque: Text of a selector whose matchers cannot be told apart; empty where they can.
    """

    name: str
    matchers: tuple[Matcher, ...] = ()
    opaque: str = ""

    @property
    def text(self) -> str:
        """The selector as PromQL writes it."""
        if self.opaque:
            return self.opaque
        if not self.matchers:
            return self.name
        return f"{self.name}{{{', '.join(matcher.text for matcher in self.matchers)}}}"

    def without(self, matcher: Matcher) -> Selector | None:
        """Return it without one matcher; ``None`` where what is left would select everything."""
        rest = tuple(each for each in self.matchers if each != matcher)
        selects = self.name or any(each.op in {"=", "=~"} and each.value not in {"", ".*"} for each in rest)
        return replace(self, matchers=rest) if selects else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One selector in its place.

    Attributes:
        range: Of the range vector; ``None`` reads the newest sample.
        offset: How much earlier it looks, subqueries around it included.
        pinned: It looks at a fixed time.
        functions: Around it, the innermost first.
        place: Character of the expression where its name stands; ``None`` where it has none.
    """

    selector: Selector
    range: timedelta | None = None
    offset: timedelta = timedelta(0)
    pinned: bool = False
    functions: tuple[str, ...] = ()
    place: int | None = None

    @property
    def function(self) -> str:
        """The function that takes it, if one does."""
        return self.functions[0] if self.functions else ""

    @property
    def is_about_absence(self) -> bool:
        """Whether the expression asks if it is there."""
        return bool(promql.ABSENCE & set(self.functions))


def uses_of(expr: str) -> tuple[Use, ...]:
    """Return every selector of an expression, in order of appearance, each in each place."""
    places = _places(expr)
    found = []
    for use in _uses(promql.parse(expr)):
        left = places.get(use.selector.name, [])
        found.append(replace(use, place=left.pop(0) if left else None))
    return tuple(found)


def selector_of(node: VectorSelector) -> Selector:
    """Return what a node of the syntax tree selects."""
    if node.matchers.or_matchers:
        bare = join(scan(node.prettify()))
        return Selector(name="", opaque=bare.partition(" @ ")[0].partition(" offset ")[0])
    matchers = [
        Matcher(each.name, _OPERATORS[str(each.op).rpartition(".")[2]], each.value) for each in node.matchers.matchers
    ]
    name = node.name or next((each.value for each in matchers if each.label == NAME and each.op == "="), "")
    is_plain = name.replace("_", "a").replace(":", "a").isalnum() and name.isascii()
    if not is_plain:
        return Selector(name="", matchers=tuple(matchers))
    return Selector(name=name, matchers=tuple(each for each in matchers if each.label != NAME))


def _uses(tree: Expr) -> Iterator[Use]:
    around = Use(selector=Selector(""))
    pending = [(tree, around)]
    while pending:
        node, around = pending.pop()
        match node:
            case VectorSelector():
                yield _use(node, around, None)
            case MatrixSelector():
                yield _use(node.vector_selector, around, node.range)
                continue  # what it holds is told
            case Call():
                around = replace(around, functions=(node.func.name, *around.functions))
            case SubqueryExpr():
                around = replace(
                    around, offset=around.offset + (node.offset or timedelta(0)), pinned=around.pinned or bool(node.at)
                )
        pending.extend((child, around) for child in reversed(promql.children(node)))


def _use(node: VectorSelector, around: Use, range_: timedelta | None) -> Use:
    return replace(
        around,
        selector=selector_of(node),
        range=range_,
        offset=around.offset + (node.offset or timedelta(0)),
        pinned=around.pinned or node.at is not None,
    )


def _places(expr: str) -> dict[str, list[int]]:
    """Return where each word of an expression stands that may be the name of a metric."""
    found: dict[str, list[int]] = {}
    tokens = scan(expr)
    for token, after in zip(tokens, (*tokens[1:], None), strict=True):
        is_called = after is not None and after.text == "("
        if token.kind is Kind.WORD and not token.braces and not is_called:
            found.setdefault(token.text, []).append(token.start)
    return found
