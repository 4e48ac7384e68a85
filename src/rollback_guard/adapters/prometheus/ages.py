"""Find out how old the samples are that observations rest on, with as few questions as will do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from rollback_guard.adapters.prometheus.answers import has_samples
from rollback_guard.adapters.prometheus.batch import Points, Result
from rollback_guard.adapters.prometheus.freshness import (
    Age,
    Seen,
    age,
    is_due,
    known_age,
    query_of,
    stale_since,
    what_proves_longest,
    window,
)
from rollback_guard.adapters.prometheus.grid import MILLISECOND, Grid, from_ms
from rollback_guard.adapters.prometheus.inquiry import Inquiry
from rollback_guard.core.model import Group, Rule
from rollback_guard.core.observation import Failure, Observation, Sample, Unknown

Observations = dict[str, Observation]

Told = Failure | Seen | Mapping[int, int]
"""What is known of a selector: nothing and why, what memory proves, or by instant the time of its newest sample."""

AGES_AT_ONCE = 200
"""Instants of one range query for ages. Prometheus takes time for `timestamp(…)` that grows with their square."""

LATER_MS = 1000
"""Servers that speak the query API round as they like."""

IMPLAUSIBLE = Failure(Unknown.BAD_RESPONSE, "the time of the newest sample is no number, or lies in the future")


class Ages:
    """What one group's reads remember of its selectors.

    Memory only saves questions: with or without it an observation is marked alike.
    """

    def __init__(self) -> None:
        self._seen: dict[str, Seen] = {}

    def due(self, group: Group, at_ms: int) -> Iterator[str]:
        """Yield the queries for the selectors whose memory has to be renewed in this slot."""
        for selector, (strictest_ms, _) in _limits(group).items():
            if is_due(selector, self._seen.get(selector), at_ms, strictest_ms):
                yield query_of(selector)

    def learn(self, group: Group, said: Mapping[str, Result], grid: Grid) -> None:
        """Remember what was said, and forget what is no longer asked."""
        seen: dict[str, Seen] = {}
        for selector, (strictest_ms, _) in _limits(group).items():
            before = self._seen.get(selector)
            result = said.get(query_of(selector))
            if result is not None and not isinstance(result, Failure):
                told = what_proves_longest(_times_of(result), grid)
                # A target that is gone has no newest sample, but the one seen before proves its age a while longer.
                if told.newest_ms is not None or known_age(before, grid.end_ms, strictest_ms) is not Age.FRESH:
                    before = told
            if before is not None:
                seen[selector] = before
        self._seen = seen

    async def mark(self, group: Group, observations: Observations, inquiry: Inquiry, grid: Grid) -> Observations:
        """Return the observations of one instant, marked where they rest on old samples.

        Looks back over `max_age` only for rules that have samples and whose freshness memory does not prove.
        """
        at_ms, limits = grid.end_ms, _limits(group)
        doubtful = [
            (rule, max_age_ms)
            for rule, max_age_ms in aged(group)
            if has_samples(observations[rule.id]) and not self._proves_fresh(rule, at_ms, max_age_ms)
        ]
        asked = {
            selector: limits[selector]
            for rule, max_age_ms in doubtful
            for selector in rule.condition.selectors
            if known_age(self._seen.get(selector), at_ms, limits[selector][0]) is not Age.FRESH
        }
        if not asked:
            return observations
        back = window(at_ms, grid.step_ms, max(longest_ms for _, longest_ms in asked.values()))
        said = plausible(await inquiry.ask(map(query_of, asked), back))
        known: dict[str, Told] = {
            selector: _told(said[query_of(selector)]) if selector in asked else self._seen[selector]
            for rule, _ in doubtful
            for selector in rule.condition.selectors
        }
        self.learn(group, said, back)
        marked = {
            rule.id: _marked(observations[rule.id], rule, known, at_ms, interval_ms=grid.step_ms, max_age_ms=max_age_ms)
            for rule, max_age_ms in doubtful
        }
        return observations | marked

    def _proves_fresh(self, rule: Rule, at_ms: int, max_age_ms: int) -> bool:
        known = [known_age(self._seen.get(selector), at_ms, max_age_ms) for selector in rule.condition.selectors]
        return None not in known and Age.FRESH in known


def plausible(times: Mapping[str, Result]) -> dict[str, Result]:
    """Return the times of newest samples without those that cannot be: whoever says them answers nonsense."""
    return {
        query: result if isinstance(result, Failure) or _is_plausible(result) else IMPLAUSIBLE
        for query, result in times.items()
    }


def _is_plausible(points: Points) -> bool:
    """Say whether all are numbers and none is from after the instant for which it was asked."""
    return all(
        0 <= sample.value * 1000 <= at_ms + LATER_MS  # not of NaN either
        for at_ms, samples in points.items()
        for sample in samples
    )


async def mark_range(
    group: Group, told: Sequence[Observations], inquiry: Inquiry, grid: Grid
) -> Sequence[Observations]:
    """Return the observations of every instant of the grid, marked by the same definition, without memory."""
    judged = [
        (rule, max_age_ms)
        for rule, max_age_ms in aged(group)
        if any(has_samples(observations[rule.id]) for observations in told)
    ]
    if not judged:
        return told
    back = grid.after(grid.start_ms - max(max_age_ms for _, max_age_ms in judged))
    selectors = dict.fromkeys(selector for rule, _ in judged for selector in rule.condition.selectors)
    said = plausible(await _ask_in_pieces(inquiry, [*map(query_of, selectors)], back))
    known = {selector: _told(said[query_of(selector)]) for selector in selectors}
    return [
        observations
        | {
            rule.id: _marked(observations[rule.id], rule, known, at_ms, interval_ms=grid.step_ms, max_age_ms=max_age_ms)
            for rule, max_age_ms in judged
            if has_samples(observations[rule.id])
        }
        for at_ms, observations in zip(grid, told, strict=True)
    ]


async def _ask_in_pieces(inquiry: Inquiry, queries: Sequence[str], grid: Grid) -> dict[str, Result]:
    """Ask for the times of newest samples over a long grid; the pieces of one answer are joined again."""
    said = await asyncio.gather(*(inquiry.ask(queries, piece) for piece in grid.pieces(AGES_AT_ONCE)))
    return {query: _joined([answer[query] for answer in said]) for query in queries}


def _joined(parts: Sequence[Result]) -> Result:
    joined: dict[int, tuple[Sample, ...]] = {}
    for part in parts:
        if isinstance(part, Failure):
            return part
        joined.update(part)
    return joined


def aged(group: Group) -> Iterator[tuple[Rule, int]]:
    """Yield the rules whose samples may become too old, and at which age, in milliseconds."""
    for rule in group.rules:
        if rule.max_age is not None and rule.condition.selectors:
            yield rule, rule.max_age // MILLISECOND


def _limits(group: Group) -> dict[str, tuple[int, int]]:
    """Return the strictest and the longest `max_age` of each selector, in milliseconds."""
    limits: dict[str, tuple[int, int]] = {}
    for rule, max_age_ms in aged(group):
        for selector in rule.condition.selectors:
            strictest_ms, longest_ms = limits.get(selector, (max_age_ms, max_age_ms))
            limits[selector] = min(strictest_ms, max_age_ms), max(longest_ms, max_age_ms)
    return limits


def _marked(
    observation: Observation,
    rule: Rule,
    known: Mapping[str, Told],
    at_ms: int,
    *,
    interval_ms: int,
    max_age_ms: int,
) -> Observation:
    """Return the observation as it counts: marked as old, or as a failure where its age could not be found out."""
    ages: list[tuple[Age, int | None]] = []
    for selector in rule.condition.selectors:
        match known[selector]:
            case Failure() as failure:
                words = f"how old the samples of {selector} are: {failure.detail}"
                return replace(observation, measured=Failure(failure.reason, words))
            case Seen() as seen:
                ages.append((Age.FRESH, seen.newest_ms))
            case newest_ms:
                ages.append(age(newest_ms, at_ms, interval_ms, max_age_ms))
    since_ms = stale_since(ages, at_ms, max_age_ms)
    return observation if since_ms is None else replace(observation, stale_since=from_ms(since_ms))


def _told(result: Result) -> Told:
    return result if isinstance(result, Failure) else _times_of(result)


def _times_of(points: Points) -> dict[int, int]:
    """Return the time of the newest sample by the instant that saw it."""
    return {at_ms: round(sample.value * 1000) for at_ms, samples in points.items() for sample in samples}
