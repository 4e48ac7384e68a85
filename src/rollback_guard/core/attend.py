"""Let time pass: what ends or begins by the clock and not by an evaluation.

Ends of pauses, rollouts and waiting, levels of escalation, and alerts from elsewhere of which nothing was heard for
long. Called about once a second; most of the time there is nothing to do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from rollback_guard.core.fold import fold_all
from rollback_guard.core.ladder import follow_wait, go_on_undoing
from rollback_guard.core.model import Policy
from rollback_guard.core.records import Escalated, Record, Resumed, RolloutFinished, Signalled
from rollback_guard.core.situation import Situation
from rollback_guard.core.state import EVERYTHING, Incident, IncidentPhase, State

SIGNAL_LIVES = timedelta(hours=24)
"""Alertmanager repeats what fires every 4 hours unless told otherwise; what was not repeated for this long is over."""


def attend(policy: Policy, state: State, *, now: datetime) -> tuple[Record, ...]:
    """Return what the clock brought about since it was last asked."""
    ended = tuple(_ended(state, now))
    state = fold_all(state, ended)
    records = list(ended)
    for id_, incident in state.incidents.items():
        if incident.undo_queue:  # held by a pause, a dry run or a full disk; also where its guard was removed since
            undone = tuple(go_on_undoing(policy, state, state.incidents[id_], now=now))
            state = fold_all(state, undone)
            records += undone
    for name, own in state.guards.items():
        guard = policy.guards.get(name)
        if guard is None or own.incident is None:
            continue
        for follow in (_waited, _escalated):
            # What one guard begins, others see at once: their limits are shared.
            it = Situation(policy=policy, state=state, guard=guard, slot=now, now=now)
            followed = tuple(follow(it, state.incidents[own.incident]))
            state = fold_all(state, followed)
            records += followed
    return tuple(records)


def due_at(policy: Policy, state: State, *, after: datetime) -> datetime | None:
    """Return the first time later than `after` at which the clock alone may bring something about.

    Who plays the past asks at these times only, and not once a second.
    """
    return min((at for at in _times(policy, state) if at > after), default=None)


def _times(policy: Policy, state: State) -> Iterator[datetime]:
    yield from (pause.until for pause in state.pauses.values() if pause.until is not None)
    yield from (each.heard_at + SIGNAL_LIVES for each in state.signals if each.heard_at is not None)
    for name, own in state.guards.items():
        if own.rollout is not None and own.rollout.finished_at is None:
            yield own.rollout.until
        incident = state.incidents[own.incident] if own.incident else None
        if incident is None:
            continue
        if incident.waiting is not None:
            yield incident.waiting.until
        levels = policy.guards[name].escalate if name in policy.guards else ()
        yield from (incident.opened_at + level.after for level in levels[incident.escalated :])


def _ended(state: State, now: datetime) -> Iterator[Record]:
    for name, pause in state.pauses.items():
        if pause.until is not None and pause.until <= now:
            yield Resumed(guard=None if name == EVERYTHING else name, at=now)
    for name, guard in state.guards.items():
        rollout = guard.rollout
        if rollout is not None and rollout.finished_at is None and rollout.until <= now:
            yield RolloutFinished(rollout=rollout.id, guard=name, at=now)
    silent = tuple(
        replace(each, firing=False) for each in state.signals if each.heard_at and now - each.heard_at >= SIGNAL_LIVES
    )
    if silent:
        yield Signalled(at=now, signals=silent)


def _waited(it: Situation, incident: Incident) -> Iterator[Record]:
    if incident.phase is IncidentPhase.WAITING and incident.waiting is not None:
        yield from follow_wait(it, incident, incident.waiting)


def _escalated(it: Situation, incident: Incident) -> Iterator[Record]:
    """Call the levels whose time has come; one after the other also where several are due at once."""
    if incident.acknowledged_at is not None or incident.phase is IncidentPhase.CLOSED:
        return
    lasted = it.now - incident.opened_at
    for number, level in enumerate(it.guard.escalate, start=1):
        if number > incident.escalated and lasted >= level.after:
            yield Escalated(incident=incident.id, guard=it.guard.name, at=it.now, level=number, notify=level.notify)
