"""Find deploys in Prometheus: wherever a query begins to return something."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rollback_guard.adapters.prometheus import PrometheusSource
from rollback_guard.adapters.prometheus.strands import Strand
from rollback_guard.core.condition import Condition
from rollback_guard.core.model import Group, Labels, Rule
from rollback_guard.core.slots import slots_between
from rollback_guard.workbench.backtest.events import Deploy
from rollback_guard.workbench.backtest.history import MICROSECOND, HistoryError
from rollback_guard.workbench.backtest.plan import Plan

SLOTS_AT_ONCE = 5_000


async def deploys_of(source: PrometheusSource, query: str, plan: Plan, *, guards: set[str]) -> list[Deploy]:
    """Return a deploy for each time at which a series of the query appears; its labels may say `guard` and `version`.

    Raises:
        HistoryError: The server refuses the query.
    """
    interval = min(group.interval for group in plan.policy.groups.values())
    rule = Rule(
        id="deploys", group="deploys", name="deploys", fingerprint="", condition=Condition(expr=query, query=query)
    )
    group = Group(id="deploys", source=source_name(plan), interval=interval, offset=interval * 0, rules=(rule,))
    slots = slots_between(plan.start - MICROSECOND, plan.end, interval, group.offset)
    found: list[Deploy] = []
    before: frozenset[Labels] = frozenset()
    for first in range(0, len(slots), SLOTS_AT_ONCE):
        survey = await source.survey(group, slots[first : first + SLOTS_AT_ONCE])
        for _, failure in survey.failures():
            raise HistoryError(f"--deploys-query: {failure.reason}: {failure.detail}")
        answer = survey.answer(rule)
        for strand in answer.strands:
            times = (survey.slots[place] for place in _beginnings(strand, goes_on=strand.labels in before))
            found.extend(_deploy(strand.labels, at, guards) for at in times if at > plan.start)
        before = frozenset(sample.labels for sample in answer.at(len(survey.slots) - 1))
    return sorted(found, key=lambda deploy: deploy.at)


def _beginnings(strand: Strand, *, goes_on: bool) -> Iterator[int]:
    """Yield the instants at which a series is there that was not at the one before."""
    last = -1 if goes_on else None
    for place in strand.places:
        if last is None or place > last + 1:
            yield place
        last = place


def _deploy(labels: Labels, at: datetime, guards: set[str]) -> Deploy:
    known = dict(labels)
    guard = known.get("guard", "")
    return Deploy(at=at, guard=guard if guard in guards else "", version=known.get("version", ""))


def source_name(plan: Plan) -> str:
    """Return the name of a data source of the plan."""
    return next(iter(plan.policy.groups.values())).source
