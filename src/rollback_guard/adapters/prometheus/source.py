"""Read what a group's rules measure from a Prometheus, or from anything that speaks its query API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

from rollback_guard.adapters.prometheus.ages import Ages, aged, mark_range, plausible
from rollback_guard.adapters.prometheus.answers import (
    denominators_of,
    is_silence,
    observe,
    queries_of,
    with_series_said,
)
from rollback_guard.adapters.prometheus.batch import Allowance, Result
from rollback_guard.adapters.prometheus.client import Client
from rollback_guard.adapters.prometheus.freshness import query_of
from rollback_guard.adapters.prometheus.grid import MILLISECOND, Grid, runs_of, to_ms
from rollback_guard.adapters.prometheus.heartbeat import Heartbeat, disbelieved
from rollback_guard.adapters.prometheus.inquiry import Inquiry
from rollback_guard.core.model import Group, Labels
from rollback_guard.core.observation import Observation
from rollback_guard.ports import Clock, Telemetry
from rollback_guard.specs import Endpoint

if TYPE_CHECKING:
    from rollback_guard.adapters.prometheus.survey import Survey

SHARE_OF_INTERVAL = 0.8
"""How much of a slot may pass with reading it, so that the next one finds the way free."""

READING_BACK = timedelta(seconds=30)
"""How long past slots are read for in one go. What is left out then was lost, and the present is not kept waiting."""

SLOTS_AT_ONCE = 1000
"""Slots per range query. Prometheus refuses 11,000 points of one series, and a batch has the points of many."""


class PrometheusSource:
    """Implement `ports.Source` on the query API.

    Every request is a batch of queries, ends by its deadline, and is a complete answer or names why not.

    Args:
        endpoint: Where it is.
        clock: For deadlines.
        telemetry: Hears of every request.
        patience: How long past slots are read for in one go.
    """

    def __init__(
        self, endpoint: Endpoint, clock: Clock, telemetry: Telemetry, *, patience: timedelta = READING_BACK
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._patience = patience
        self._client = Client(endpoint, clock, telemetry)
        self._allowances: dict[str, Allowance] = {}
        self._ages: dict[str, Ages] = {}
        self._heartbeat = Heartbeat(endpoint.heartbeat, endpoint.heartbeat_selectors)

    async def read(
        self, group: Group, slot: datetime, expected: Mapping[str, frozenset[Labels]]
    ) -> Mapping[str, Observation]:
        """Observe every rule of the group at one slot; see `ports.Source`.

        What has not been asked when 80% of the interval, or the time-out if that is longer, have passed is given up.
        """
        ages = self._ages.setdefault(group.id, Ages())
        grid = Grid(start_ms=to_ms(slot - group.query_offset), step_ms=group.interval // MILLISECOND)
        time_limit = max(self._endpoint.timeout, group.interval * SHARE_OF_INTERVAL)
        inquiry = self._inquire(group, until=self._clock.elapsed() + time_limit)

        asked_at, due = self._clock.elapsed(), tuple(ages.due(group, grid.end_ms))
        known = self._heartbeat.known(group, grid.end_ms, asked_at)
        said = await self._ask(group, inquiry, grid, known=known, due=due)
        if not known:
            self._heartbeat.learn(group, said, grid.end_ms, asked_at)
        doubt = self._heartbeat.doubt(group, said, grid.end_ms)
        if doubt is not None:
            return disbelieved(group, said, doubt)
        ages.learn(group, said, grid)
        said |= await inquiry.ask(denominators_of(group, said, expected), grid)
        observations = observe(group, said, grid.end_ms, expected)
        return await ages.mark(group, observations, inquiry, grid)

    async def _ask(
        self,
        group: Group,
        inquiry: Inquiry,
        grid: Grid,
        *,
        known: Mapping[str, Result] = MappingProxyType({}),
        due: Sequence[str] = (),
    ) -> dict[str, Result]:
        """Ask what every instant needs, and take no times of newest samples for true that cannot be.

        Args:
            group: Whose rules are asked for.
            inquiry: Asks.
            grid: For which instants.
            known: What was said to the heartbeat already; without it, it is asked too.
            due: Further questions for the times of newest samples.
        """
        beat = () if known else self._heartbeat.queries(group)
        said = await inquiry.ask([*beat, *queries_of(group), *due], grid)
        times = [query for query in (*self._heartbeat.ages(group), *due) if query in said]
        return said | plausible({query: said[query] for query in times}) | dict(known)

    async def read_range(
        self, group: Group, slots: Sequence[datetime], expected: Mapping[str, frozenset[Labels]]
    ) -> Mapping[datetime, Mapping[str, Observation]]:
        """Observe past slots; see `ports.Source`. Slots for which the server answered nothing at all are left out."""
        found: dict[datetime, Mapping[str, Observation]] = {}
        inquiry = self._inquire(group, until=self._clock.elapsed() + self._patience)
        for run in runs_of(slots, group.interval, longest=SLOTS_AT_ONCE):
            grid = Grid(
                start_ms=to_ms(run[0] - group.query_offset), step_ms=group.interval // MILLISECOND, count=len(run)
            )
            said = await self._ask(group, inquiry, grid)
            if is_silence(said) or self._heartbeat.is_lost(said):
                continue
            expected = with_series_said(group, said, expected)
            said |= await inquiry.ask(denominators_of(group, said, expected), grid)
            told = [observe(group, said, at_ms, expected) for at_ms in grid]
            marked = await mark_range(group, told, inquiry, grid)
            for slot, at_ms, observations in zip(run, grid, marked, strict=True):
                doubt = self._heartbeat.doubt(group, said, at_ms)
                found[slot] = observations if doubt is None else disbelieved(group, said, doubt)
        return found

    async def survey(self, group: Group, slots: Sequence[datetime]) -> Survey:
        """Look over past slots without a gap; what could not be asked is a failure in it.

        Every query is asked by itself: over many instants Prometheus takes longer to join answers than to find them.
        """
        from rollback_guard.adapters.prometheus.presence import newest_of, presence
        from rollback_guard.adapters.prometheus.survey import Survey

        grid = Grid(
            start_ms=to_ms(slots[0] - group.query_offset), step_ms=group.interval // MILLISECOND, count=len(slots)
        )
        until = self._clock.elapsed() + self._patience
        inquiry = Inquiry(self._client, Allowance(1), patience=self._endpoint.concurrency, until=until)
        said = await inquiry.ask([*self._heartbeat.queries(group)[:1], *queries_of(group)], grid)
        expected = with_series_said(group, said, {})
        below = [each for each in denominators_of(group, said, expected) if each not in said]
        said |= await inquiry.ask(below, grid)
        wanted = [(each, max_age_ms) for rule, max_age_ms in aged(group) for each in rule.condition.selectors]
        seen = await presence(wanted, inquiry, grid)
        oldest_ms = self._heartbeat.max_age_ms(group)
        selectors = self._endpoint.heartbeat_selectors if self._heartbeat.ages(group) else ()
        beats = await presence([(each, oldest_ms) for each in selectors], inquiry, grid, remembered=False)
        said |= {query_of(each): newest_of(found, grid, oldest_ms) for (each, _), found in beats.items()}
        return Survey(
            group=group,
            slots=slots,
            grid=grid,
            said=said,
            expected=expected,
            seen=seen,
            heartbeat=self._heartbeat,
            beats=tuple(beats.values()),
        )

    async def close(self) -> None:
        """Release connections and threads."""
        await self._client.close()

    def _inquire(self, group: Group, *, until: timedelta | None) -> Inquiry:
        allowance = self._allowances.setdefault(group.id, Allowance(self._endpoint.batch_size))
        return Inquiry(self._client, allowance, patience=self._endpoint.concurrency, until=until)
