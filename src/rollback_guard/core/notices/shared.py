"""Tell a shared cause from single ones, so that people hear of it once and not once per guard.

A storm of incidents, or a source that no guard can see any more: the first few guards are told one by one, before
anybody can know; from there on each channel is told once, and once more when it is over.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from datetime import datetime

from rollback_guard.core.brakes import muted
from rollback_guard.core.model import Policy
from rollback_guard.core.records import Decided, Decision, Reason
from rollback_guard.core.situation import Situation
from rollback_guard.core.state import Incident, IncidentPhase, State

Together = tuple[Incident, ...]
"""The incidents of one storm, oldest first; empty where there is none."""


class Storms:
    """The storms of one state. What is found once is kept: a storm has as many records as guards.

    Openings are measured as the brake measures them: by what each guard remembers, which moves with a set wall clock.
    """

    def __init__(self, policy: Policy, state: State) -> None:
        self._policy = policy
        self._openings = sorted((at, name) for name, own in state.guards.items() for at in own.opened_at)
        opened_at = _opened_at(state)
        self._at = sorted(opened_at.values())
        self._incidents = sorted(
            (each for each in state.incidents.values() if each.id in opened_at), key=lambda each: opened_at[each.id]
        )
        self._place = {each.id: place for place, each in enumerate(self._incidents)}
        self._storm: dict[str, Together] = {}
        self._guards: dict[str, tuple[str, ...]] = {}
        self._open: dict[tuple[str, str], tuple[str, ...]] = {}

    def of(self, incident: Incident) -> Together:
        """Return the storm that an incident is part of."""
        place = self._place.get(incident.id)
        return () if place is None or not self._is_stormy(place) else self._around(incident, place)

    def is_one_of_many(self, incident: Incident) -> bool:
        """Say whether an incident is told with its storm: it was one when it began, and nothing was done in it."""
        place = self._place.get(incident.id)
        if place is None or incident.intents or incident.undos:
            return False
        guards: set[str] = set()
        while place >= 0 and self._at[self._place[incident.id]] - self._at[place] <= self._policy.storm.within:
            guards.add(self._incidents[place].guard)
            if len(guards) > self._policy.storm.guards:
                return True
            place -= 1
        return False

    def guards_of(self, storm: Together) -> tuple[str, ...]:
        """Return the guards of a storm, in the order in which they began to breach."""
        key = storm[0].id
        if key not in self._guards:
            self._guards[key] = tuple(dict.fromkeys(each.guard for each in storm))
        return self._guards[key]

    def open_for(self, storm: Together, channel: str) -> tuple[str, ...]:
        """Return the guards of a storm that a channel hears of and that have not recovered."""
        key = (storm[0].id, channel)
        if key not in self._open:
            self._open[key] = tuple(
                each.guard
                for each in storm
                if each.phase is not IncidentPhase.CLOSED and channel in _heard_by(self._policy, each.guard)
            )
        return self._open[key]

    def _is_stormy(self, place: int) -> bool:
        within, opened_at = self._policy.storm.within, self._at[place]
        guards: set[str] = set()
        for at, name in self._openings[bisect_left(self._openings, (opened_at - within, "")) :]:
            if at - opened_at > within:
                return False
            guards.add(name)
            if len(guards) > self._policy.storm.guards:
                return True
        return False

    def _around(self, incident: Incident, place: int) -> Together:
        """Return all incidents that follow each other closely enough, from the first to the last."""
        if incident.id not in self._storm:
            within = self._policy.storm.within
            first = last = place
            while first > 0 and self._at[first] - self._at[first - 1] <= within:
                first -= 1
            while last + 1 < len(self._at) and self._at[last + 1] - self._at[last] <= within:
                last += 1
            storm = tuple(self._incidents[first : last + 1])
            self._storm.update((each.id, storm) for each in storm)
        return self._storm[incident.id]


def _opened_at(state: State) -> dict[str, datetime]:
    """Return when the rules opened each incident, also a closed one, on the wall clock as it is set now."""
    left = {name: list(own.opened_at) for name, own in state.guards.items()}
    by_rules = [each for each in state.incidents.values() if not each.opened_by]
    found = {}
    for incident in reversed(by_rules):
        known = left.get(incident.guard)
        found[incident.id] = known.pop() if known else incident.opened_at
    return found


def is_blind(decided: Decided | None) -> bool:
    """Say whether a decision is that a guard has been blind for too long, without an incident."""
    return (
        decided is not None
        and decided.incident is None
        and decided.decision is Decision.HOLD
        and decided.reason is Reason.BLIND
    )


def blind(state: State) -> Iterator[tuple[str, Decided]]:
    """Yield the guards that have been blind for too long, with the decision that says so."""
    return ((name, own.last) for name, own in state.guards.items() if own.last and is_blind(own.last))


def blind_by_channel(policy: Policy, state: State, now: datetime) -> dict[str, tuple[str, ...]]:
    """Return by channel the guards whose blindness concerns it, in the order in which they became blind."""
    found: dict[str, list[str]] = {}
    for _, name in sorted((last.at, name) for name, last in blind(state)):
        if not is_muted(policy, state, name, now):
            for channel in _heard_by(policy, name):
                found.setdefault(channel, []).append(name)
    return {channel: tuple(names) for channel, names in found.items()}


def is_muted(policy: Policy, state: State, name: str, now: datetime) -> bool:
    """Say whether a guard calls nobody now, because its silence was to be expected."""
    guard = policy.guards.get(name)
    return (
        guard is not None and muted(Situation(policy=policy, state=state, guard=guard, slot=now, now=now)) is not None
    )


def _heard_by(policy: Policy, guard: str) -> tuple[str, ...]:
    known = policy.guards.get(guard)
    return known.notify.critical if known else ()
