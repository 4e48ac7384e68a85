"""Play history: evaluate every slot in which something is to be seen, and pass over those in which nothing is.

A slot may be passed over where its rules are plainly known to pass, no alert of its group is active, and no guard that
listens to it has anything under way: there the functions that run live would only take note of the time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rollback_guard.adapters.prometheus.survey import Survey
from rollback_guard.core.condition import Comparison
from rollback_guard.core.model import Group, Policy
from rollback_guard.core.observation import Observation
from rollback_guard.core.operations import Operation
from rollback_guard.core.records import Decision, Intended
from rollback_guard.core.state import State
from rollback_guard.engine.replay import Ending, Replay
from rollback_guard.workbench.backtest.history import Stretch
from rollback_guard.workbench.backtest.tally import RuleTally, Tally
from rollback_guard.workbench.backtest.witness import Witness

Order = tuple[datetime, Operation]
"""What somebody asked of a guard, and when."""


@dataclass(kw_only=True)
class _Lane:
    """One group in one stretch: its slots, and which of them are to be looked at."""

    group: Group
    survey: Survey
    slots: Sequence[datetime]
    remarkable: Sequence[datetime]
    done: int = 0
    """How many slots were shown or passed over."""

    def observe(self, _: Group, slot: datetime) -> Mapping[str, Observation]:
        """Return what was observed in a slot."""
        return self.survey.observe(slot)

    def next(self, *, restless: bool) -> datetime | None:
        """Return the next slot that is to be shown."""
        if restless:
            return self.slots[self.done] if self.done < len(self.slots) else None
        place = (
            bisect_left(self.remarkable, self.slots[self.done]) if self.done < len(self.slots) else len(self.remarkable)
        )
        return self.remarkable[place] if place < len(self.remarkable) else None


@dataclass(kw_only=True)
class Player:
    """Play stretch after stretch.

    Attributes:
        policy: Only groups that history tells of.
        tally: Grows.
        orders: What people and deployments did, oldest first; done ones are taken away.
        skips: Whether slots are passed over; without, every slot is evaluated.
    """

    policy: Policy
    tally: Tally
    orders: list[Order]
    began: datetime
    state: State | None = None
    skips: bool = True
    shown: int = 0
    replay: Replay = field(init=False)
    _witness: Witness = field(init=False)
    _kin: Mapping[str, frozenset[str]] = field(init=False)

    def __post_init__(self) -> None:
        """Begin, or go on from a state."""
        self._witness = Witness(self.tally)
        self.replay = Replay(
            self.policy, began=self.began, ending=_succeeds, heard=self._witness.hear, state=self.state
        )
        self._kin = _kin(self.policy)

    def play(self, stretch: Stretch) -> None:
        """Play one stretch, which begins where the last one ended."""
        lanes = [self._lane(self.policy.groups[group], survey) for group, survey in stretch.surveys.items()]
        while (found := self._next(lanes)) is not None:
            slot, lane = found
            while self.orders and self.orders[0][0] <= slot:
                at, asked = self.orders.pop(0)
                self._pass_over(lanes, at)
                self.replay.operate(asked, at=at)
            self._pass_over([each for each in lanes if each.group.id in self._kin[lane.group.id]], slot)
            judgements = self.replay.show(lane.group, slot, lane.observe)
            self._witness.judged(slot, judgements)
            lane.done += 1
            self.shown += 1
        self._pass_over(lanes, stretch.end + timedelta(microseconds=1))
        self.replay.advance(stretch.end)

    def _lane(self, group: Group, survey: Survey) -> _Lane:
        slots = list(survey.slots())
        for rule in group.rules:
            tally, comparison = self.tally.rules[rule.id], rule.condition.comparison
            tally.slots += len(slots)
            if comparison is not None:
                self._take_values(tally, *survey.worst(rule), comparison)
        remarkable = sorted(survey.remarkable()) if self.skips else slots
        return _Lane(group=group, survey=survey, slots=slots, remarkable=remarkable)

    def _take_values(
        self, tally: RuleTally, slots: Sequence[datetime], values: Sequence[float], comparison: Comparison
    ) -> None:
        first = 0
        while first < len(slots):
            bucket = self.tally.bucket_of(slots[first])
            behind = max(first + 1, bisect_left(slots, self.tally.end_of(bucket)))
            tally.take_values(bucket, slots[first:behind], values[first:behind], comparison)
            first = behind

    def _next(self, lanes: Sequence[_Lane]) -> tuple[datetime, _Lane] | None:
        found = [
            (slot, place)
            for place, lane in enumerate(lanes)
            if (slot := lane.next(restless=self._is_restless(lane.group.id))) is not None
        ]
        if not found:
            return None
        slot, place = min(found)
        return slot, lanes[place]

    def _pass_over(self, lanes: Sequence[_Lane], until: datetime) -> None:
        """Take groups to their last slot before an instant."""
        for lane in lanes:
            done = bisect_left(lane.slots, until, lo=lane.done)
            if done > lane.done:
                self.replay.skip(lane.group.id, lane.slots[done - 1])
                lane.done = done

    def _is_restless(self, group: str) -> bool:
        return any(self._has_something(kin) for kin in self._kin[group]) or any(
            self._is_busy(guard.name) for guard in self.policy.listeners[group]
        )

    def _has_something(self, group: str) -> bool:
        known = self.replay.state.groups.get(group)
        return known is None or bool(known.alerts or known.sights or known.before_outage)

    def _is_busy(self, guard: str) -> bool:
        own = self.replay.state.guards.get(guard)
        if own is None:
            return False
        return own.incident is not None or (own.last is not None and own.last.decision is not Decision.NONE)


def _succeeds(intent: Intended) -> Ending:
    return Ending(detail="taken to succeed at once")


def _kin(policy: Policy) -> Mapping[str, frozenset[str]]:
    """Return for each group those that share a guard with it, itself among them."""
    kin: dict[str, set[str]] = {group: {group} for group in policy.groups}
    for rules in policy.rules_of.values():
        groups = {rule.group for rule in rules}
        for group in groups:
            kin[group] |= groups
    return {group: frozenset(groups) for group, groups in kin.items()}
