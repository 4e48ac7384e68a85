"""Look over a long stretch of the past: what deserves a closer look, and how near the rest came to its threshold.

Nearly every rule passes in nearly every slot. An observation is made only of the slots where that is not so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

from rollback_guard.adapters.prometheus.ages import aged
from rollback_guard.adapters.prometheus.answers import Expected, has_samples, observe
from rollback_guard.adapters.prometheus.batch import Points, Result
from rollback_guard.adapters.prometheus.freshness import Age, stale_since
from rollback_guard.adapters.prometheus.grid import Grid, from_ms, to_ms
from rollback_guard.adapters.prometheus.heartbeat import Heartbeat, disbelieved
from rollback_guard.adapters.prometheus.inquiry import Inquiry
from rollback_guard.core.condition import Comparison, Condition
from rollback_guard.core.judgement import judge
from rollback_guard.core.model import Group, Rule, Verdict
from rollback_guard.core.observation import Failure, Observation, Sample

LOOKBACK_MS = 5 * 60 * 1000
"""How far back a query sees a sample, unless the server is told otherwise."""


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What a source said for evenly spaced slots of one group.

    Attributes:
        said: By query.
        seen: By selector and `max_age`, where samples were seen.
    """

    group: Group
    grid: Grid
    said: Mapping[str, Result]
    expected: Expected
    seen: Mapping[Aged, Presence]
    heartbeat: Heartbeat
    _columns: dict[str, Sequence[float] | None] = field(default_factory=dict)

    def slots(self) -> Iterator[datetime]:
        """Yield all slots, oldest first."""
        offset = self.group.query_offset
        return (from_ms(at_ms) + offset for at_ms in self.grid)

    @property
    def points(self) -> int:
        """How many samples it holds."""
        return sum(
            len(samples)
            for result in self.said.values()
            if not isinstance(result, Failure)
            for samples in result.values()
        )

    def failures(self) -> Iterator[tuple[str, Failure]]:
        """Yield the queries that were not answered."""
        for query, result in self.said.items():
            if isinstance(result, Failure):
                yield query, result

    def observe(self, slot: datetime) -> Mapping[str, Observation]:
        """Return the observations of one slot, as `Source.read_range` would."""
        at_ms = to_ms(slot - self.group.query_offset)
        doubt = self.heartbeat.doubt(self.group, self.said, at_ms)
        if doubt is not None:
            return disbelieved(self.group, self.said, doubt)
        observations = observe(self.group, self.said, at_ms, self.expected)
        return observations | {
            rule.id: self._marked(observations[rule.id], rule, at_ms, max_age_ms)
            for rule, max_age_ms in aged(self.group)
            if has_samples(observations[rule.id])
        }

    def remarkable(self) -> set[datetime]:
        """Return the slots in which a rule is not plainly known to pass."""
        offset = self.group.query_offset
        found = set(self._doubtful())
        for rule in self.group.rules:
            if not self._passes_throughout(rule):
                found.update(self._remarkable_of(rule))
        return {from_ms(at_ms) + offset for at_ms in found}

    def worst(self, rule: Rule) -> tuple[Sequence[datetime], Sequence[float]]:
        """Return the slots in which a rule has a value, and for each the one nearest to its threshold, or beyond."""
        comparison, result = rule.condition.comparison, self.said[rule.condition.query]
        if comparison is None or isinstance(result, Failure):
            return (), ()
        column = self._column(rule.condition)
        if column is not None:
            return self._slots, column
        found = [
            (slot, value)
            for slot, at_ms in zip(self._slots, self.grid, strict=True)
            if (value := _worst(result.get(at_ms, ()), comparison)) is not None
        ]
        return [slot for slot, _ in found], [value for _, value in found]

    @cached_property
    def _slots(self) -> list[datetime]:
        return list(self.slots())

    def _passes_throughout(self, rule: Rule) -> bool:
        """Say whether one series passed at every instant, without looking at each: nearly always it did."""
        values, comparison = self._column(rule.condition), rule.condition.comparison
        if values is None or comparison is None:
            return False
        if rule.when is not None:
            floor, floor_comparison = self._column(rule.when), rule.when.comparison
            if floor is None or floor_comparison is None or not _hold(floor, floor_comparison, throughout=True):
                return False
        max_age_ms = dict(aged(self.group)).get(rule)
        return not _hold(values, comparison, throughout=False) and (
            max_age_ms is None
            or all(self.seen[selector, max_age_ms].is_always_fresh for selector in rule.condition.selectors)
        )

    def _column(self, condition: Condition) -> Sequence[float] | None:
        """Return the values of a query that had one and the same series at every instant, none of them NaN."""
        query = condition.query
        if query not in self._columns:
            self._columns[query] = _column(self.said[query], self.grid)
        return self._columns[query]

    def _doubtful(self) -> Iterator[int]:
        return (at_ms for at_ms in self.grid if self.heartbeat.doubt(self.group, self.said, at_ms) is not None)

    def _remarkable_of(self, rule: Rule) -> Iterator[int]:
        result, when = self.said[rule.condition.query], self.said[rule.when.query] if rule.when else {}
        if isinstance(result, Failure) or isinstance(when, Failure):
            yield from self.grid
            return
        max_age_ms = dict(aged(self.group)).get(rule)
        for at_ms in self.grid:
            if not self._passes(rule, result, when, at_ms) or (
                max_age_ms and not self._is_fresh(rule, at_ms, max_age_ms)
            ):
                yield at_ms

    def _passes(self, rule: Rule, result: Points, when: Points, at_ms: int) -> bool:
        samples, comparison = result.get(at_ms, ()), rule.condition.comparison
        if comparison is None:
            is_asked = rule.when is None or _holds(when.get(at_ms, ()), rule.when.comparison)
            return not samples and is_asked
        if not samples:
            return rule.condition.ratio is not None and self._is_judged_well(rule, at_ms)
        if rule.when is not None and not _holds(when.get(at_ms, ()), rule.when.comparison):
            return False
        return _pass(samples, comparison)

    def _is_judged_well(self, rule: Rule, at_ms: int) -> bool:
        observation = observe(self.group, self.said, at_ms, self.expected)[rule.id]
        said = judge(rule, observation, {}, limit=self.group.limit)
        return said.verdict is Verdict.PASS and all(each.verdict is Verdict.PASS for each in said.series)

    def _is_fresh(self, rule: Rule, at_ms: int, max_age_ms: int) -> bool:
        """Say whether what was measured rests on samples that are young enough."""
        if all(self.seen[selector, max_age_ms].is_fresh(at_ms) for selector in rule.condition.selectors):
            return True  # nearly always
        observation = observe(self.group, self.said, at_ms, self.expected)[rule.id]
        return not has_samples(observation) or self._marked(observation, rule, at_ms, max_age_ms) == observation

    def _marked(self, observation: Observation, rule: Rule, at_ms: int, max_age_ms: int) -> Observation:
        found = [self.seen[selector, max_age_ms] for selector in rule.condition.selectors]
        failure = next((each.failure for each in found if each.failure is not None), None)
        if failure is not None:
            words = f"how old the samples are: {failure.detail}"
            return replace(observation, measured=Failure(failure.reason, words))
        since_ms = stale_since([each.age(at_ms, max_age_ms) for each in found], at_ms, max_age_ms)
        return observation if since_ms is None else replace(observation, stale_since=from_ms(since_ms))


Aged = tuple[str, int]
"""A selector, and how old its samples may be, in milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """At which instants a selector had no samples that were young enough, and at which it had none at all.

    Attributes:
        old: Instants without a sample that is younger than `max_age`.
        none: Those among them without any that a query could have seen within `max_age`.
        failure: Why that is not known.
    """

    old: frozenset[int] = frozenset()
    none: frozenset[int] = frozenset()
    failure: Failure | None = None

    @property
    def is_always_fresh(self) -> bool:
        """Whether there was a sample that is young enough at every instant."""
        return self.failure is None and not self.old

    def is_fresh(self, at_ms: int) -> bool:
        """Say whether there was a sample that is young enough."""
        return self.failure is None and at_ms not in self.old

    def age(self, at_ms: int, max_age_ms: int) -> tuple[Age, int | None]:
        """Return how old the samples were; of stale ones, the latest that their time can be."""
        if at_ms not in self.old:
            return Age.FRESH, at_ms
        return (Age.ABSENT, None) if at_ms in self.none else (Age.STALE, at_ms - max_age_ms)


async def presence(group: Group, inquiry: Inquiry, grid: Grid) -> dict[Aged, Presence]:
    """Find out where the selectors of a group had samples, by the definition of `freshness`.

    The times of the newest samples are not asked for, as they are for short spans: over long ones Prometheus takes
    time for `timestamp(…)` that grows with the square of their length.
    """
    wanted = dict.fromkeys(
        (selector, max_age_ms) for rule, max_age_ms in aged(group) for selector in rule.condition.selectors
    )
    old = await _lacking(wanted, inquiry, grid, beyond_ms=0)
    none = await _lacking([each for each, at in old.items() if at], inquiry, grid, beyond_ms=LOOKBACK_MS)
    return {each: _presence(at, none.get(each, frozenset())) for each, at in old.items()}


def _presence(old: frozenset[int] | Failure, none: frozenset[int] | Failure) -> Presence:
    if isinstance(old, Failure):
        return Presence(failure=old)
    if isinstance(none, Failure):
        return Presence(failure=none)
    return Presence(old=old, none=none)


async def _lacking(
    wanted: Iterable[Aged], inquiry: Inquiry, grid: Grid, *, beyond_ms: int
) -> dict[Aged, frozenset[int] | Failure]:
    """Return the instants without any sample: nearly always none, so that the answer is empty."""
    queries = {
        (selector, max_age_ms): f"absent_over_time({selector}[{max_age_ms + beyond_ms}ms])"
        for selector, max_age_ms in wanted
    }
    said = await inquiry.ask(queries.values(), grid)
    results = {each: said[query] for each, query in queries.items()}
    return {each: result if isinstance(result, Failure) else frozenset(result) for each, result in results.items()}


def _column(result: Result, grid: Grid) -> Sequence[float] | None:
    if isinstance(result, Failure) or len(result) != grid.count:
        return None
    values = [sample.value for samples in result.values() for sample in samples]
    labels = {samples[0].labels for samples in result.values()}
    return None if len(values) != grid.count or len(labels) != 1 or math.isnan(sum(values)) else values


def _hold(values: Sequence[float], comparison: Comparison, *, throughout: bool) -> bool:
    """Say whether a comparison holds for one of the values, or for all of them; two of them tell, but for equality."""
    told = (min(values), max(values)) if comparison.is_ordered else values
    return (all if throughout else any)(map(comparison.holds, told))


def _worst(samples: tuple[Sample, ...], comparison: Comparison) -> float | None:
    values = [sample.value for sample in samples if not math.isnan(sample.value)]
    return min(values, key=comparison.margin, default=None)


def _holds(samples: tuple[Sample, ...], comparison: Comparison | None) -> bool:
    """Say whether a `when` holds for all series alike."""
    if comparison is None:
        return bool(samples)
    return bool(samples) and all(comparison.holds(sample.value) for sample in samples)


def _pass(samples: tuple[Sample, ...], comparison: Comparison) -> bool:
    if len(samples) == 1:
        value = samples[0].value
        return value == value and not comparison.holds(value)  # noqa: PLR0124  NaN differs from itself
    if any(math.isnan(sample.value) or comparison.holds(sample.value) for sample in samples):
        return False
    return len({sample.labels for sample in samples}) == len(samples)
