"""Hold what an expression does with a metric against the metric's type, as its targets declare it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import promql_parser
from promql_parser import AggregateExpr, BinaryExpr, Call, Expr, MatrixSelector, ParenExpr, VectorSelector

from rollback_guard.config.problems import Level, Problem, quoted
from rollback_guard.core import promql
from rollback_guard.workbench.online.anatomy import Matcher, Selector, Use, selector_of
from rollback_guard.workbench.online.server import Server
from rollback_guard.workbench.online.subject import Expression, Subject

TOPIC = "the types of metrics"

QUANTILE = "histogram_quantile"

AGAINST_TYPE = promql.OF_COUNTERS | {QUANTILE}
"""Functions that take metrics of one type."""

PARTS = {
    "_bucket": frozenset({"histogram", "gaugehistogram"}),
    "_count": frozenset({"histogram", "summary"}),
    "_sum": frozenset({"histogram", "summary"}),
    "_total": frozenset({"counter"}),
}
"""Suffixes of series whose type is declared for the name without them, and which types that may be."""

_SAME_VALUE = frozenset(
    {"abs", "ceil", "floor", "round", "clamp", "clamp_min", "clamp_max", "sort", "sort_desc", "label_replace"}
    | {"label_join", "avg_over_time", "min_over_time", "max_over_time", "last_over_time", "quantile_over_time"}
)
"""Functions whose result still counts from the start of the process when their argument does."""

_SUMMARISE = frozenset({"sum", "avg", "min", "max", "topk", "bottomk", "quantile"})

_EQUALITIES = frozenset({"==", "!="})


async def check(server: Server, subjects: Sequence[Subject]) -> list[Problem]:
    """Return a finding for everything that is done with a metric of the wrong type."""
    expressions = [expression for subject in subjects for expression in subject.expressions]
    raw = [frozenset(compared(promql.parse(each.text))) for each in expressions]
    asked = {
        use.selector.name
        for expression, compared_raw in zip(expressions, raw, strict=True)
        for use in expression.uses
        if use.selector.name and (use.selector in compared_raw or AGAINST_TYPE & set(use.functions))
    }
    types = await _types(server, asked)
    histograms = await _with_buckets(server, expressions, types)
    found: list[Problem] = []
    for expression, compared_raw in zip(expressions, raw, strict=True):
        for use in expression.uses:
            type_ = types.get(use.selector.name)
            if type_ is not None:
                found += _problems(expression, use, type_, is_raw=use.selector in compared_raw, histograms=histograms)
    return list(dict.fromkeys(found))


def _problems(
    expression: Expression, use: Use, type_: str, *, is_raw: bool, histograms: frozenset[Selector]
) -> Iterator[Problem]:
    name = quoted(use.selector.name)
    if use.function in promql.OF_COUNTERS and type_ == "gauge":
        message = f"{name} is a gauge: {use.function}() takes every decrease of it for a restart"
        hint = "Use delta() or deriv(), or a counter."
        yield expression.problem("online-rate-of-gauge", message, hint=hint, level=Level.WARNING, place=use.place)
    if is_raw and set(use.functions) <= _SAME_VALUE and type_ == "counter":
        message = f"{name} is a counter: its value counts from the start of the process"
        hint = "Compare rate() or increase() of it."
        yield expression.problem("online-raw-counter", message, hint=hint, level=Level.WARNING, place=use.place)
    if QUANTILE in use.functions and use.selector not in histograms and type_ not in PARTS["_bucket"]:
        message = f"{name} is a {type_}, no histogram: {QUANTILE}() makes nothing of it"
        hint = "It takes the series whose name ends in _bucket, or a native histogram."
        yield expression.problem("online-no-histogram", message, hint=hint, level=Level.WARNING, place=use.place)


def compared(tree: Expr) -> Iterator[Selector]:
    """Yield the selectors whose value itself, or a sum of it, is held against a threshold."""
    match promql.without_parentheses(tree):
        case BinaryExpr() as binary if str(binary.op) in {"and", "unless"}:
            yield from compared(binary.lhs)
        case BinaryExpr() as binary if str(binary.op) == "or":
            yield from compared(binary.lhs)
            yield from compared(binary.rhs)
        case BinaryExpr() as binary if str(binary.op) in promql.COMPARISONS - _EQUALITIES:
            yield from _values(binary.lhs)
            yield from _values(binary.rhs)


def _values(tree: Expr) -> Iterator[Selector]:
    match tree:
        case VectorSelector():
            yield selector_of(tree)
        case MatrixSelector():
            yield selector_of(tree.vector_selector)
        case ParenExpr() | promql_parser.UnaryExpr():
            yield from _values(tree.expr)
        case AggregateExpr(op=op, expr=inner) if str(op) in _SUMMARISE:
            yield from _values(inner)
        case Call(func=func, args=[*args]) if func.name in _SAME_VALUE:
            for arg in args:
                yield from _values(arg)
        case BinaryExpr(lhs=left, rhs=right) as binary if not _is_difference(binary):
            yield from _values(left)
            yield from _values(right)


def _is_difference(tree: BinaryExpr) -> bool:
    """Say whether two vectors are subtracted: of a counter and its past that is an increase."""
    vectors = promql.value_type(tree.lhs) == promql.value_type(tree.rhs) == "vector"
    return vectors and str(tree.op) not in {"+", "/", "*"}


async def _types(server: Server, names: Iterable[str]) -> Mapping[str, str]:
    """Return the type of each metric, where all targets declare the same one."""
    ordered = sorted(names)
    found = await asyncio.gather(*(_type(server, name) for name in ordered))
    if ordered and not any(found) and not await _declares_any(server):
        server.lacks(TOPIC, "the server declares none")
    return {name: type_ for name, type_ in zip(ordered, found, strict=True) if type_ is not None}


async def _type(server: Server, name: str) -> str | None:
    declared = await _declared(server, name)
    for suffix, families in PARTS.items() if declared is None else ():
        if name.endswith(suffix):
            family = await _declared(server, name.removesuffix(suffix))
            if suffix == "_bucket":
                return family if family in families else None
            return "counter" if family in families else None
    return declared


async def _declared(server: Server, name: str) -> str | None:
    said = await server.get(TOPIC, "/api/v1/metadata", metric=name)
    entries = said.get(name) if isinstance(said, dict) else None
    types = (
        {str(each.get("type")) for each in entries if isinstance(each, dict)} if isinstance(entries, list) else set()
    )
    return types.pop() if len(types) == 1 and not types & {"unknown", "untyped", ""} else None


async def _declares_any(server: Server) -> bool:
    return bool(await server.get(TOPIC, "/api/v1/metadata", limit="1"))


async def _with_buckets(
    server: Server, expressions: Iterable[Expression], types: Mapping[str, str]
) -> frozenset[Selector]:
    """Return the selectors under a quantile whose series have buckets, whatever their declared type is."""
    doubted = {
        use.selector: f"count({_with_le(use.selector)})"
        for expression in expressions
        for use in expression.uses
        if QUANTILE in use.functions and types.get(use.selector.name, "histogram") not in PARTS["_bucket"]
    }
    said = await server.instant(TOPIC, doubted.values())
    return frozenset(selector for selector, query in doubted.items() if said[query] != ())


def _with_le(selector: Selector) -> str:
    return replace(selector, matchers=(*selector.matchers, Matcher("le", "!=", ""))).text
