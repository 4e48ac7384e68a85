"""Tell a shared cause from single ones, so that people hear of it once and not once per guard.

A storm of incidents, or a source that no guard can see any more: the first few guards are told one by one, before
anybody can know; from there on each channel is told once, and once more when it is over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rollback_guard.core.model import Policy
from rollback_guard.core.records import Decided, Decision, Reason
from rollback_guard.core.state import Incident, IncidentPhase, State


def storm_of(policy: Policy, state: State, incident: Incident) -> tuple[Incident, ...]:
    """Return the incidents of the storm that an incident is part of, oldest first; none where there is no storm."""
    around = [each for each in state.incidents.values() if not each.opened_by]
    place = _place(around, incident)
    if place is None:
        return ()
    within = policy.storm.within
    begin, end = incident.opened_at - within, incident.opened_at + within
    near = {each.guard for each in around if begin <= each.opened_at <= end}
    if len(near) <= policy.storm.guards:
        return ()
    first = last = place
    while first > 0 and around[first].opened_at - around[first - 1].opened_at <= within:
        first -= 1
    while last + 1 < len(around) and around[last + 1].opened_at - around[last].opened_at <= within:
        last += 1
    return tuple(around[first : last + 1])


def is_one_of_many(policy: Policy, storm: tuple[Incident, ...], incident: Incident) -> bool:
    """Say whether an incident is told with its storm: it was one already when it began, and nothing was done in it."""
    place = _place(storm, incident)
    if place is None or incident.intents or incident.undos or incident.opened_by:
        return False
    begin = incident.opened_at - policy.storm.within
    return len({each.guard for each in storm[: place + 1] if each.opened_at >= begin}) > policy.storm.guards


def _place(among: Sequence[Incident], incident: Incident) -> int | None:
    """Return where an incident is; by its id, for comparing whole incidents takes long where there are thousands."""
    return next((place for place, each in enumerate(among) if each.id == incident.id), None)


def open_for(policy: Policy, storm: tuple[Incident, ...], channel: str) -> tuple[str, ...]:
    """Return the guards of a storm that a channel hears of and that have not recovered."""
    return tuple(
        each.guard
        for each in storm
        if each.phase is not IncidentPhase.CLOSED and channel in _heard_by(policy, each.guard)
    )


def blind_for(policy: Policy, state: State, channel: str) -> tuple[str, ...]:
    """Return the guards that a channel hears of and that have been blind for too long, in the order of that."""
    found = [(last.at, name) for name, last in _blind(state) if channel in _heard_by(policy, name)]
    return tuple(name for _, name in sorted(found))


def is_blind(decided: Decided | None) -> bool:
    """Say whether a decision is that a guard has been blind for too long, without an incident."""
    return (
        decided is not None
        and decided.incident is None
        and decided.decision is Decision.HOLD
        and decided.reason is Reason.BLIND
    )


def _blind(state: State) -> Iterator[tuple[str, Decided]]:
    return ((name, own.last) for name, own in state.guards.items() if own.last and is_blind(own.last))


def _heard_by(policy: Policy, guard: str) -> tuple[str, ...]:
    known = policy.guards.get(guard)
    return known.notify.critical if known else ()
