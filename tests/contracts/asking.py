"""Build what a Prometheus source is asked for, and watch what it does."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from rollback_guard.adapters.clock import SystemClock
from rollback_guard.adapters.prometheus import PrometheusSource
from rollback_guard.config.surroundings import selectors_of
from rollback_guard.core.condition import Comparison, Condition, Operator, Ratio
from rollback_guard.core.model import Group, Labels, Rule
from rollback_guard.core.observation import Observation
from rollback_guard.ports import Telemetry
from rollback_guard.specs import Endpoint

SLOT = datetime(2024, 3, 1, 12, 0, 3, 137_000, tzinfo=UTC)
INTERVAL = timedelta(seconds=15)
TIMEOUT = timedelta(milliseconds=600)
MARGIN = timedelta(milliseconds=500)
"""How much longer than its deadline a request may seem to take."""


class Counts(Telemetry):
    """Remember what was counted of queries; nothing else is counted here."""

    def __init__(self) -> None:
        self.results: Counter[str] = Counter()
        self.longest = timedelta(0)

    def queried(self, source: str, result: str, seconds: float) -> None:
        self.results[result] += 1
        self.longest = max(self.longest, timedelta(seconds=seconds))

    @property
    def requests(self) -> int:
        return self.results.total()


def rule(
    name: str,
    query: str,
    *,
    when: str | None = None,
    denominator: str | None = None,
    selectors: Iterable[str] = (),
    max_age: timedelta | None = None,
) -> Rule:
    above = Comparison(op=Operator.GREATER, threshold=0.01)
    return Rule(
        id=f"g/{name}",
        group="g",
        name=name,
        fingerprint=query,
        max_age=max_age,
        condition=Condition(
            expr=f"{query} > 0.01",
            query=query,
            comparison=above,
            ratio=None if denominator is None else Ratio(denominator=denominator),
            selectors=tuple(selectors),
        ),
        when=None if when is None else Condition(expr=f"{when} > 1", query=when, comparison=above),
    )


def group(*rules: Rule, interval: timedelta = INTERVAL, query_offset: timedelta = timedelta(0)) -> Group:
    return Group(
        id="g", source="p", interval=interval, offset=timedelta(seconds=3.137), rules=rules, query_offset=query_offset
    )


@asynccontextmanager
async def source(url: str, *, counts: Counts | None = None, **endpoint: Any) -> AsyncIterator[PrometheusSource]:
    selectors = selectors_of(endpoint.get("heartbeat", ""))
    options = {"timeout": TIMEOUT, "heartbeat_selectors": selectors} | endpoint
    made = PrometheusSource(Endpoint(name="p", url=url, **options), SystemClock(), counts or Counts())
    try:
        yield made
    finally:
        await made.close()


async def read(
    made: PrometheusSource,
    *rules: Rule,
    slot: datetime = SLOT,
    expected: dict[str, frozenset[Labels]] | None = None,
    interval: timedelta = INTERVAL,
) -> dict[str, Observation]:
    """Read once and return the observations by the rule's name."""
    observations = await made.read(group(*rules, interval=interval), slot, expected or {})
    return {id_.removeprefix("g/"): observation for id_, observation in observations.items()}
