"""Play a policy over readings of the past or of a test: the loop without its world.

There is no clock but the slots, no journal but memory, and an action ends as it is told to. All that is concluded comes
from the functions that run live, called in the order in which `loop` calls them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heappop, heappush

from rollback_guard import __version__
from rollback_guard.core import step as core
from rollback_guard.core.attend import due_at
from rollback_guard.core.fold import fold_all
from rollback_guard.core.judgement import Judgement
from rollback_guard.core.model import Group, Policy
from rollback_guard.core.observation import Observation, Reading
from rollback_guard.core.operations import Operation, Refused
from rollback_guard.core.records import Concluded, Evaluated, Intended, Outcome, Record
from rollback_guard.core.state import State
from rollback_guard.engine.catch_up import due_slots

CATCH_UP = timedelta(hours=1)
"""How far back a group is read after an outage; the default of guard.toml."""

Observe = Callable[[Group, datetime], Mapping[str, Observation]]
"""Returns what a source said for one slot, by rule id; empty where that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a simulated action ends, and how long after it was begun."""

    outcome: Outcome = Outcome.SUCCEEDED
    takes: timedelta = timedelta(0)
    detail: str = "simulated"


class Replay:
    """One policy and what becomes of it, slot by slot; time never goes back.

    Args:
        policy: What the people wrote.
        began: When the guard was started, aware UTC.
        ending: Says how each action ends.
        heard: Gets all records, in their order, as they come to be.
        state: Of an earlier replay that goes on here; it is not begun anew then.
        catch_up: How far back slots of an outage are read.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        began: datetime,
        ending: Callable[[Intended], Ending],
        heard: Callable[[Sequence[Record]], None],
        state: State | None = None,
        catch_up: timedelta = CATCH_UP,
    ) -> None:
        self.policy = policy
        self.state = state or State()
        self.now = began
        self._ending = ending
        self._heard = heard
        self._catch_up = catch_up
        self._ends: list[tuple[datetime, int, Intended, Ending]] = []
        self._begun = 0
        self._attended = began
        self._is_settled = True
        """Whether what was last concluded was attended to: live that is done within a second."""
        if state is None:
            self._take(core.begin(policy, self.state, now=began, version=__version__))

    def show(self, group: Group, slot: datetime, observe: Observe) -> Mapping[str, Judgement]:
        """Evaluate a group at one slot, and what was lost to an outage before it; return what was judged, by rule."""
        self.advance(slot)
        *past, present = due_slots(group, self.state.groups.get(group.id), slot, catch_up=self._catch_up) or (slot,)
        reading = Reading(group=group.id, slot=present, observations=observe(group, present))
        if past and not reading.is_lost:
            self._read_back(group, past, observe)
        return self._step(reading, present=True)

    def skip(self, group: str, slot: datetime) -> None:
        """Take a group to a slot in which nothing is to be told: all of its rules pass, and no alert is active."""
        self.state = fold_all(self.state, [Evaluated(group=group, slot=slot)])

    def operate(self, asked: Operation, *, at: datetime) -> Refused | None:
        """Do what a person or another system asks for, or say why not."""
        self.advance(at)
        answer = core.operate(self.policy, self.state, asked, now=at)
        if isinstance(answer, Refused):
            return answer
        self._take(answer)
        return None

    def advance(self, until: datetime) -> None:
        """Let time pass: actions end, countdowns run out, people are called."""
        while True:
            while (due := self._next_due()) is not None and due <= until:
                self.now = max(self.now, due)
                if self._ends and self._ends[0][0] <= self.now:
                    _, _, intent, ending = heappop(self._ends)
                    self._take(core.conclude(self.policy, self.state, _concluded(intent, ending, self.now)))
                else:
                    self._attend()
            self.now = max(self.now, until)
            if self._attended >= until:
                return
            self._attend()

    def _next_due(self) -> datetime | None:
        times = [self._ends[0][0]] if self._ends else []
        attend_at = due_at(self.policy, self.state, after=self._attended) if self._is_settled else self.now
        return min([*times, attend_at] if attend_at else times, default=None)

    def _attend(self) -> None:
        self._attended, self._is_settled = self.now, True
        self._take(core.attend(self.policy, self.state, now=self.now))

    def _read_back(self, group: Group, past: Sequence[datetime], observe: Observe) -> None:
        found = [
            Reading(group=group.id, slot=slot, observations=told) for slot in past if (told := observe(group, slot))
        ]
        if found:
            self._take(core.rewind(self.state, group.id, now=self.now))
        for reading in found:
            self._step(reading, present=False)

    def _step(self, reading: Reading, *, present: bool) -> Mapping[str, Judgement]:
        stepped = core.step(self.policy, self.state, reading, now=self.now, present=present)
        self._take(stepped.records)
        return stepped.judgements

    def _take(self, records: Sequence[Record]) -> None:
        if not records:
            return
        self.state = fold_all(self.state, records)
        self._is_settled = self._is_settled and all(isinstance(record, Evaluated) for record in records)
        for record in records:
            if isinstance(record, Intended) and not record.notify:
                ending = self._ending(record)
                self._begun += 1
                heappush(self._ends, (record.at + ending.takes, self._begun, record, ending))
        self._heard(records)


def _concluded(intent: Intended, ending: Ending, at: datetime) -> Concluded:
    return Concluded(
        key=intent.key,
        incident=intent.incident,
        guard=intent.guard,
        action=intent.action,
        at=at,
        outcome=ending.outcome,
        attempts=1,
        detail=ending.detail,
    )
