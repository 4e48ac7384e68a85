"""Play history: evaluate every slot in which something is to be seen, and pass over those in which nothing is.

A slot may be passed over where its rules are plainly known to pass, or to have nothing to judge just as before, no
alert of its group is active, and no guard that listens to it has anything under way: there the functions that run live
would only take note of the time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rollback_guard.adapters.prometheus.strands import places_of
from rollback_guard.adapters.prometheus.survey import Idle
from rollback_guard.core.model import Policy
from rollback_guard.core.observation import IDLE, Observation
from rollback_guard.core.operations import Operation
from rollback_guard.core.records import Decision, Intended
from rollback_guard.core.state import State
from rollback_guard.core.step import expected
from rollback_guard.engine.replay import Ending, Replay
from rollback_guard.workbench.backtest.history import Stretch
from rollback_guard.workbench.backtest.lane import Lane
from rollback_guard.workbench.backtest.tally import Tally
from rollback_guard.workbench.backtest.witness import Witness

Order = tuple[datetime, Operation]
"""What somebody asked of a guard, and when."""


@dataclass(kw_only=True)
class Player:
    """Play stretch after stretch.

    Attributes:
        policy: Only groups that history tells of.
        tally: Grows.
        orders: What people and deployments did, oldest first; done ones are taken away.
        skips: Whether slots are passed over; without, every slot is evaluated, with all of its samples.
        shown: How many slots were evaluated.
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
        lanes = [Lane(group=self.policy.groups[id_], survey=survey) for id_, survey in stretch.surveys.items()]
        self._await_data(lanes)
        for lane in lanes:
            self._witness.surveyed(lane)
        self._look(lanes)
        while (found := self._first(lanes)) is not None:
            slot, lane = found
            if self.orders and self.orders[0][0] <= slot:
                self._order(lanes, slot)
                continue
            kin = [each for each in lanes if each.group.id in self._kin[lane.group.id]]
            self._pass_over(kin, slot)
            before = self.replay.state.guards
            self._show(lane, slot)
            # What one guard does is seen by others: their limits are shared.
            self._look(kin if self.replay.state.guards is before else lanes)
        self._pass_over(lanes, stretch.end + timedelta(microseconds=1))
        self.replay.advance(stretch.end)

    def _await_data(self, lanes: Sequence[Lane]) -> None:
        """Pass over what is older than all that a server has: it is not unknown, it is not there."""
        for source in {lane.group.source for lane in lanes} - self.tally.data_since.keys():
            own = [lane for lane in lanes if lane.group.source == source]
            if not any(rule.condition.comparison for lane in own for rule in lane.group.rules):
                continue  # an answer to what cannot be split may be about nothing at all
            first = [
                lane.slot(place) for lane in own if (place := next(places_of(lane.survey.has_data), None)) is not None
            ]
            if first:
                self.tally.data_since[source] = min(first)
            for lane in own:
                lane.done = lane.before(min(first)) if first else lane.count

    def _look(self, lanes: Sequence[Lane]) -> None:
        """Find for each lane the next slot that is to be shown."""
        for lane in lanes:
            lane.next = lane.find(self._settled(lane.group.id) if self.skips else None)

    @staticmethod
    def _first(lanes: Sequence[Lane]) -> tuple[datetime, Lane] | None:
        """Return the earliest slot that is to be shown; of several, that of the lane that comes first in the files."""
        waiting = ((lane.next, number) for number, lane in enumerate(lanes) if lane.next is not None)
        slot, number = min(waiting, default=(None, 0))
        return None if slot is None else (slot, lanes[number])

    def _order(self, lanes: Sequence[Lane], until: datetime) -> None:
        """Do what was asked up to a slot."""
        while self.orders and self.orders[0][0] <= until:
            at, asked = self.orders.pop(0)
            self._pass_over(lanes, at)
            self.replay.operate(asked, at=at)
        self._look(lanes)

    def _show(self, lane: Lane, slot: datetime) -> None:
        def observed(_: object, at: datetime) -> Mapping[str, Observation]:
            active = expected(self.replay.state, lane.group.id) if self.skips else None
            return lane.observe(lane.before(at), active)

        judgements = self.replay.show(lane.group, slot, observed)
        self._witness.judged(slot, judgements)
        lane.done += 1
        self.shown += 1

    def _pass_over(self, lanes: Sequence[Lane], until: datetime) -> None:
        """Take groups to their last slot before an instant."""
        for lane in lanes:
            before = lane.before(until)
            if before > lane.done:
                known = self.replay.state.groups.get(lane.group.id)
                self._witness.passed_over(before - lane.done, known.sights if known else {})
                self.replay.skip(lane.group.id, lane.slot(before - 1))
                lane.done = before

    def _settled(self, group: str) -> Idle | None:
        """Return the rules of a group that have nothing to judge; ``None`` where something is under way."""
        if any(map(self._is_disturbed, self._kin[group])) or any(
            self._is_busy(guard.name) for guard in self.policy.listeners[group]
        ):
            return None
        sights = self.replay.state.groups[group].sights
        return frozenset((rule, sight.reason) for rule, sight in sights.items() if sight.reason is not None)

    def _is_disturbed(self, group: str) -> bool:
        known = self.replay.state.groups.get(group)
        if known is None or known.alerts or known.before_outage:
            return True
        return any(sight.reason not in IDLE for sight in known.sights.values())

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
