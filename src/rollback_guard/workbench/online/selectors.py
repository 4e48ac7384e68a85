"""Take an expression apart into the selectors that it reads, each with what is made of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

from promql_parser import Call, Expr, MatrixSelector, SubqueryExpr, VectorSelector

from rollback_guard.core import promql
from rollback_guard.core.promql.places import Places
from rollback_guard.core.promql.reach import NAME
from rollback_guard.core.promql.shape import Match, all_matches_of, metric_of
from rollback_guard.core.promql.tokens import join, scan


@dataclass(frozen=True, slots=True)
class Selector:
    """What series are read, without when.

    Attributes:
        name: Of the metric; empty where it is not one name.
        opaque: Text of a selector whose matchers cannot be told apart; empty where they can.
    """

    name: str
    matchers: tuple[Match, ...] = ()
    opaque: str = ""

    @property
    def text(self) -> str:
        """The selector as PromQL writes it."""
        if self.opaque:
            return self.opaque
        if not self.matchers:
            return self.name
        return f"{self.name}{{{', '.join(matcher.text for matcher in self.matchers)}}}"

    def without(self, matcher: Match) -> Selector | None:
        """Return it without one matcher; ``None`` where what is left would select everything."""
        rest = tuple(each for each in self.matchers if each != matcher)
        selects = self.name or any(each.operator in {"=", "=~"} and each.value not in {"", ".*"} for each in rest)
        return replace(self, matchers=rest) if selects else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One selector in its place.

    Attributes:
        range: Of the range vector; ``None`` reads the newest sample.
        offset: How much earlier it looks, subqueries around it included.
        pinned: It looks at a fixed time.
        functions: Around it, the innermost first.
        place: Character of the expression where it begins; ``None`` where that is not known.
        range_place: The same of the bracket of its range.
        node: What it is in the syntax tree.
    """

    selector: Selector
    range: timedelta | None = None
    offset: timedelta = timedelta(0)
    pinned: bool = False
    functions: tuple[str, ...] = ()
    place: int | None = None
    range_place: int | None = None
    node: VectorSelector | None = field(default=None, compare=False, repr=False)

    @property
    def function(self) -> str:
        """The function that takes it, if one does."""
        return self.functions[0] if self.functions else ""

    @property
    def is_about_absence(self) -> bool:
        """Whether the expression asks if it is there."""
        return bool(promql.ABSENCE & set(self.functions))


def uses_in(tree: Expr, places: Places | None = None) -> tuple[Use, ...]:
    """Return every selector of an expression, in order of appearance, each in each place."""
    return tuple(_uses(tree, places))


def selector_of(node: VectorSelector) -> Selector:
    """Return what a node of the syntax tree selects."""
    if node.matchers.or_matchers:
        bare = join(scan(node.prettify()))
        return Selector(name="", opaque=bare.partition(" @ ")[0].partition(" offset ")[0])
    name, matchers = metric_of(node), tuple(all_matches_of(node))
    is_plain = name.replace("_", "a").replace(":", "a").isalnum() and name.isascii()
    if not is_plain:
        return Selector(name="", matchers=matchers)
    return Selector(name=name, matchers=tuple(match for match in matchers if match.label != NAME))


def _uses(tree: Expr, places: Places | None) -> Iterator[Use]:
    around = Use(selector=Selector(""))
    pending = [(tree, around)]
    while pending:
        node, around = pending.pop()
        match node:
            case VectorSelector():
                yield _use(node, around, places)
            case MatrixSelector():
                at = places.of(node) if places else None
                yield replace(_use(node.vector_selector, around, places), range=node.range, range_place=at)
                continue  # what it holds is told
            case Call():
                around = replace(around, functions=(node.func.name, *around.functions))
            case SubqueryExpr():
                around = replace(
                    around, offset=around.offset + (node.offset or timedelta(0)), pinned=around.pinned or bool(node.at)
                )
        pending.extend((child, around) for child in reversed(promql.children(node)))


def _use(node: VectorSelector, around: Use, places: Places | None) -> Use:
    return replace(
        around,
        selector=selector_of(node),
        offset=around.offset + (node.offset or timedelta(0)),
        pinned=around.pinned or node.at is not None,
        place=places.of(node) if places else None,
        node=node,
    )
