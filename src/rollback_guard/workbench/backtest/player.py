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
from rollback_guard.workbench.backtest.cursor import Cursor
from rollback_guard.workbench.backtest.history import Stretch
from rollback_guard.workbench.backtest.recorder import Recorder
from rollback_guard.workbench.backtest.results import Results

Order = tuple[datetime, Operation]
"""What somebody asked of a guard, and when."""


@dataclass(kw_only=True)
class Player:
    """Play stretch after stretch.

    Attributes:
        policy: Only groups that history tells of.
        results: Grows.
        orders: What people and deployments did, oldest first; done ones are taken away.
        skips: Whether slots are passed over; without, every slot is evaluated, with all of its samples.
        shown: How many slots were evaluated.
    """

    policy: Policy
    results: Results
    orders: list[Order]
    began: datetime
    state: State | None = None
    skips: bool = True
    shown: int = 0
    replay: Replay = field(init=False)
    _recorder: Recorder = field(init=False)
    _related: Mapping[str, frozenset[str]] = field(init=False)

    def __post_init__(self) -> None:
        """Begin, or go on from a state."""
        self._recorder = Recorder(self.results)
        self.replay = Replay(
            self.policy, began=self.began, ending=_succeeds, heard=self._recorder.hear, state=self.state
        )
        self._related = _related(self.policy)

    def play(self, stretch: Stretch) -> None:
        """Play one stretch, which begins where the last one ended."""
        cursors = [Cursor(group=self.policy.groups[id_], survey=survey) for id_, survey in stretch.surveys.items()]
        self._await_data(cursors)
        for cursor in cursors:
            self._recorder.surveyed(cursor)
        self._look(cursors)
        while (found := self._first(cursors)) is not None:
            slot, cursor = found
            if self.orders and self.orders[0][0] <= slot:
                self._order(cursors, slot)
                continue
            related = [each for each in cursors if each.group.id in self._related[cursor.group.id]]
            self._pass_over(related, slot)
            before = self.replay.state.guards
            self._show(cursor, slot)
            # What one guard does is seen by others: their limits are shared.
            self._look(related if self.replay.state.guards is before else cursors)
        self._pass_over(cursors, stretch.end + timedelta(microseconds=1))
        self.replay.advance(stretch.end)

    def _await_data(self, cursors: Sequence[Cursor]) -> None:
        """Pass over what is older than all that a server has: it is not unknown, it is not there."""
        for source in {cursor.group.source for cursor in cursors} - self.results.data_since.keys():
            own = [cursor for cursor in cursors if cursor.group.source == source]
            if not any(rule.condition.comparison for cursor in own for rule in cursor.group.rules):
                continue  # an answer to what cannot be split may be about nothing at all
            first = [
                cursor.slot(place)
                for cursor in own
                if (place := next(places_of(cursor.survey.has_data), None)) is not None
            ]
            if first:
                self.results.data_since[source] = min(first)
            for cursor in own:
                cursor.done = cursor.before(min(first)) if first else cursor.count

    def _look(self, cursors: Sequence[Cursor]) -> None:
        """Find for each cursor the next slot that is to be shown."""
        for cursor in cursors:
            cursor.next = cursor.find(self._settled(cursor.group.id) if self.skips else None)

    @staticmethod
    def _first(cursors: Sequence[Cursor]) -> tuple[datetime, Cursor] | None:
        """Return the earliest slot that is to be shown; of several, that of the group that comes first in the files."""
        waiting = ((cursor.next, number) for number, cursor in enumerate(cursors) if cursor.next is not None)
        slot, number = min(waiting, default=(None, 0))
        return None if slot is None else (slot, cursors[number])

    def _order(self, cursors: Sequence[Cursor], until: datetime) -> None:
        """Do what was asked up to a slot."""
        while self.orders and self.orders[0][0] <= until:
            at, asked = self.orders.pop(0)
            self._pass_over(cursors, at)
            self.replay.operate(asked, at=at)
        self._look(cursors)

    def _show(self, cursor: Cursor, slot: datetime) -> None:
        def observed(_: object, at: datetime) -> Mapping[str, Observation]:
            active = expected(self.replay.state, cursor.group.id) if self.skips else None
            return cursor.observe(cursor.before(at), active)

        judgements = self.replay.show(cursor.group, slot, observed)
        self._recorder.judged(slot, judgements)
        cursor.done += 1
        self.shown += 1

    def _pass_over(self, cursors: Sequence[Cursor], until: datetime) -> None:
        """Take groups to their last slot before an instant."""
        for cursor in cursors:
            before = cursor.before(until)
            if before > cursor.done:
                known = self.replay.state.groups.get(cursor.group.id)
                self._recorder.passed_over(before - cursor.done, known.sights if known else {})
                self.replay.skip(cursor.group.id, cursor.slot(before - 1))
                cursor.done = before

    def _settled(self, group: str) -> Idle | None:
        """Return the rules of a group that have nothing to judge; ``None`` where something is under way."""
        if any(map(self._is_disturbed, self._related[group])) or any(
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


def _related(policy: Policy) -> Mapping[str, frozenset[str]]:
    """Return for each group those that share a guard with it, itself among them."""
    related: dict[str, set[str]] = {group: {group} for group in policy.groups}
    for rules in policy.rules_of.values():
        groups = {rule.group for rule in rules}
        for group in groups:
            related[group] |= groups
    return {group: frozenset(groups) for group, groups in related.items()}
