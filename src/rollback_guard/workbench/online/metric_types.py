"""Hold what an expression does with a metric against the metric's type, as its targets declare it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from promql_parser import VectorSelector

from rollback_guard.config.problems import Level, quoted
from rollback_guard.core import promql
from rollback_guard.core.promql.shape import Match, metric_of
from rollback_guard.core.promql.treatment import TRENDS, calls, compared_values
from rollback_guard.workbench.online.findings import Told
from rollback_guard.workbench.online.rules import CheckedRule, Expression
from rollback_guard.workbench.online.selectors import Selector
from rollback_guard.workbench.online.server import Server

TOPIC = "the types of metrics"

QUANTILE = "histogram_quantile"

PARTS = {
    "_bucket": frozenset({"histogram", "gaugehistogram"}),
    "_count": frozenset({"histogram", "summary"}),
    "_sum": frozenset({"histogram", "summary"}),
    "_total": frozenset({"counter"}),
}
"""Suffixes of series whose type is declared for the name without them, and which types that may be."""


async def check(server: Server, rules: Sequence[CheckedRule]) -> list[Told]:
    """Return a finding for everything that is done with a metric of the wrong type.

    What is looked at is what the lints `rate-of-gauge` and `raw-counter` look at; they have to go by names.
    """
    expressions = [expression for rule in rules for expression in rule.expressions]
    asked = {name for expression in expressions for name in _names(expression)}
    types = await _types(server, asked)
    histograms = await _with_buckets(server, expressions, types)
    return [told for expression in expressions for told in _told(expression, types, histograms)]


def _names(expression: Expression) -> Iterator[str]:
    """Yield the metrics that it takes to be of one type."""
    of_counters = calls(expression.nodes, promql.OF_COUNTERS | TRENDS)
    selectors = [*compared_values(expression.tree), *(selector for _, selector in of_counters)]
    yield from filter(None, map(metric_of, selectors))
    yield from (use.selector.name for use in expression.uses if use.selector.name and QUANTILE in use.functions)


def _told(expression: Expression, types: Mapping[str, str], histograms: frozenset[Selector]) -> Iterator[Told]:
    for function, selector in calls(expression.nodes, promql.OF_COUNTERS):
        words = f"{function}() takes every decrease of it for a restart"
        yield from _judged(expression, selector, types, wrong="gauge", lint="rate-of-gauge", words=words)
    for selector in compared_values(expression.tree):
        words = "its value counts from the start of the process"
        yield from _judged(expression, selector, types, wrong="counter", lint="raw-counter", words=words)
    for function, selector in calls(expression.nodes, TRENDS):
        words = f"{function}() is for gauges, and takes each restart for a fall"
        yield from _judged(expression, selector, types, wrong="counter", lint="raw-counter", words=words)
    for use in expression.uses:
        type_ = types.get(use.selector.name)
        if QUANTILE in use.functions and type_ not in {None, *PARTS["_bucket"]} and use.selector not in histograms:
            message = f"{quoted(use.selector.name)} is a {type_}, no histogram: {QUANTILE}() makes nothing of it"
            hint = "It takes the series whose name ends in _bucket, or a native histogram."
            yield expression.finding("online-no-histogram", message, hint=hint, level=Level.WARNING, at=use.place)


_HINTS = {
    "rate-of-gauge": "Use delta() or deriv(), or a counter.",
    "raw-counter": "Compare rate() or increase() of it.",
}


def _judged(
    expression: Expression, selector: VectorSelector, types: Mapping[str, str], *, wrong: str, lint: str, words: str
) -> Iterator[Told]:
    """Yield a finding where a metric has the wrong type; where it has the right one the lint was wrong, if it spoke."""
    name, at = metric_of(selector), expression.places.of(selector)
    if name not in types:
        return
    yield expression.settled(lint, at)
    if types[name] == wrong:
        message = f"{quoted(name)} is a {wrong}: {words}"
        yield expression.finding(f"online-{lint}", message, hint=_HINTS[lint], level=Level.WARNING, at=at)


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
    return replace(selector, matchers=(*selector.matchers, Match("le", "!=", ""))).text
