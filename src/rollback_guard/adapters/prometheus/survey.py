"""Look over a long stretch of the past: what deserves a closer look, and how near the rest came to its threshold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

from rollback_guard.adapters.prometheus.ages import aged
from rollback_guard.adapters.prometheus.answers import Expected, has_samples, observe, observe_rule
from rollback_guard.adapters.prometheus.batch import Points, Result, answer_at
from rollback_guard.adapters.prometheus.crowd import Crowd
from rollback_guard.adapters.prometheus.freshness import stale_since
from rollback_guard.adapters.prometheus.grid import Grid, from_ms
from rollback_guard.adapters.prometheus.heartbeat import Heartbeat, disbelieved
from rollback_guard.adapters.prometheus.outline import Outline, outline, worst_of
from rollback_guard.adapters.prometheus.presence import Aged, Presence, fresh_at
from rollback_guard.adapters.prometheus.strands import Strands, everywhere, is_at, strands_of, union
from rollback_guard.core.condition import Comparison, Operator
from rollback_guard.core.model import Group, Labels, Rule
from rollback_guard.core.observation import Answer, Failure, Observation, Unknown

Idle = AbstractSet[tuple[str, Unknown]]
"""Rules that have nothing to judge, and why."""

ALIVE = Comparison(op=Operator.GREATER, threshold=0.0)
ENDLESS = Comparison(op=Operator.EQUAL, threshold=float("inf"))


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What a source said for evenly spaced slots of one group.

    Attributes:
        slots: All of them, oldest first; an instant of the grid each.
        said: By query.
        expected: The series of each ratio.
        seen: By selector and `max_age`, where samples were seen.
        beats: Where those of the heartbeat were.
    """

    group: Group
    slots: Sequence[datetime]
    grid: Grid
    said: Mapping[str, Result]
    expected: Expected
    seen: Mapping[Aged, Presence]
    heartbeat: Heartbeat
    beats: Sequence[Presence] = ()
    _known_passing: dict[str, Observation] = field(default_factory=dict, init=False)
    _crowds: dict[str, Crowd] = field(default_factory=dict, init=False)

    @property
    def points(self) -> int:
        """How many samples it holds."""
        results = (result for result in self.said.values() if not isinstance(result, Failure))
        return sum(strands_of(result, self.grid).points for result in results)

    @property
    def has_data(self) -> int:
        """Where there is any sample of what rules measure; what cannot be split may have some of nothing at all."""
        queries = [rule.condition.query for rule in self.group.rules if rule.condition.comparison]
        queries += [rule.condition.ratio.denominator for rule in self.group.rules if rule.condition.ratio]
        results = (self.said.get(query, {}) for query in queries)
        return union(strands_of(each, self.grid).there for each in results if not isinstance(each, Failure))

    def failures(self) -> Iterator[tuple[str, Failure]]:
        """Yield the queries that were not answered."""
        for query, result in self.said.items():
            if isinstance(result, Failure):
                yield query, result
        for (selector, _), found in self.seen.items():
            if found.failure is not None:
                yield selector, found.failure

    def _at_ms(self, place: int) -> int:
        return self.grid.start_ms + place * self.grid.step_ms

    def answer(self, rule: Rule) -> Strands:
        """Return all that was said of what a rule measures; nothing where that failed."""
        return strands_of(_answered(self.said[rule.condition.query]), self.grid)

    def observe(self, place: int) -> Mapping[str, Observation]:
        """Return the observations of a slot, by its number, as `Source.read_range` would."""
        at_ms = self._at_ms(place)
        doubt = self.heartbeat.doubt(self.group, self.said, at_ms)
        if doubt is not None:
            return disbelieved(self.group, self.said, doubt)
        observations = observe(self.group, self.said, at_ms, self.expected)
        return {rule.id: self._marked(observations[rule.id], rule, place) for rule in self.group.rules}

    def gist(self, place: int, active: Expected) -> Mapping[str, Observation]:
        """Return the observations of a slot without what does not move any alert.

        Of a rule that plainly passes and has no alert it is that of another such slot; of many series those that pass
        and have no alert are left out, but for one of them.

        Args:
            place: The number of the slot.
            active: By rule the series that have an alert.
        """
        if is_at(self._doubtful, place):
            return self.observe(place)
        return {rule.id: self._gist(rule, place, active.get(rule.id, frozenset())) for rule in self.group.rules}

    def undisturbed(self, idle: Idle = frozenset()) -> bytes:
        """Return for each slot 1 where these rules have nothing to judge, for these reasons, and all others pass."""
        reasons = dict(idle)
        found = everywhere(self.grid) & ~self._doubtful
        for rule in self.group.rules:
            plain = self._outlines[rule.id]
            found &= plain.idle.get(reasons[rule.id], 0) if rule.id in reasons else plain.passing
        return found.to_bytes(self.grid.count, "little")

    def worst(self, rule: Rule) -> tuple[int, Sequence[float]]:
        """Return where a rule has a value, a mask, and for each slot the one nearest to its threshold, or beyond."""
        return worst_of(rule.condition, self.said, self.grid)

    @cached_property
    def _outlines(self) -> Mapping[str, Outline]:
        fresh = dict.fromkeys((rule.id for rule in self.group.rules), everywhere(self.grid))
        fresh |= {rule.id: fresh_at(rule, max_age_ms, self.seen, self.grid) for rule, max_age_ms in aged(self.group)}
        return {rule.id: outline(rule, self.said, self.grid, fresh[rule.id]) for rule in self.group.rules}

    @cached_property
    def _doubtful(self) -> int:
        """Where the server may not be believed."""
        questions = self.heartbeat.queries(self.group)
        if not questions:
            return 0
        result = self.said[questions[0]]
        if isinstance(result, Failure) or any(each.failure for each in self.beats):
            return everywhere(self.grid)
        beats = strands_of(result, self.grid).strands
        alive = union(beat.holds(ALIVE) & ~beat.holds(ENDLESS) for beat in beats)
        return everywhere(self.grid) & ~alive | union(each.stale for each in self.beats)

    @cached_property
    def _passing(self) -> Mapping[str, bytes]:
        return {id_: plain.passing.to_bytes(self.grid.count, "little") for id_, plain in self._outlines.items()}

    @cached_property
    def _max_ages_ms(self) -> Mapping[str, int]:
        return {rule.id: max_age_ms for rule, max_age_ms in aged(self.group)}

    def _gist(self, rule: Rule, place: int, active: frozenset[Labels]) -> Observation:
        passing = self._passing[rule.id]
        if passing[place] and not active:
            known = self._known_passing.get(rule.id)
            if known is None:
                known = self._known_passing[rule.id] = self._observed(rule, place)
            return known
        if 1 in passing and rule.when is None and rule.condition.comparison is not None:
            thinned = self._crowd(rule).thinned(place, active)
            if thinned is not None:
                return self._marked(self._with_denominator(rule, thinned, place, active), rule, place)
        return self._observed(rule, place)

    def _crowd(self, rule: Rule) -> Crowd:
        if rule.id not in self._crowds:
            self._crowds[rule.id] = Crowd(self.answer(rule).strands, self._outlines[rule.id].breaching)
        return self._crowds[rule.id]

    def _observed(self, rule: Rule, place: int) -> Observation:
        observation = observe_rule(rule, self.said, self._at_ms(place), self.expected.get(rule.id))
        return self._marked(observation, rule, place)

    def _with_denominator(self, rule: Rule, measured: Answer, place: int, active: frozenset[Labels]) -> Observation:
        """Return an observation with what is said of alerts whose series is absent."""
        ratio, denominator = rule.condition.ratio, None
        if ratio is not None and active - {sample.labels for sample in measured.samples}:
            denominator = answer_at(self.said[ratio.denominator], self._at_ms(place))
        return Observation(measured=measured, denominator=denominator)

    def _marked(self, observation: Observation, rule: Rule, place: int) -> Observation:
        max_age_ms = self._max_ages_ms.get(rule.id)
        if max_age_ms is None or not has_samples(observation):
            return observation
        found = [self.seen[selector, max_age_ms] for selector in rule.condition.selectors]
        failure = next((each.failure for each in found if each.failure is not None), None)
        if failure is not None:
            words = f"how old the samples are: {failure.detail}"
            return replace(observation, measured=Failure(failure.reason, words))
        at_ms = self._at_ms(place)
        since_ms = stale_since([each.age(place, at_ms, max_age_ms) for each in found], at_ms, max_age_ms)
        return observation if since_ms is None else replace(observation, stale_since=from_ms(since_ms))


def _answered(result: Result) -> Points:
    return {} if isinstance(result, Failure) else result
