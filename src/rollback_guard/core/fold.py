"""Fold the journal's records into what is the case now.

Nothing else changes state. `fold` looks at no clock, no policy and no world, so that a restarted guard knows exactly
what the journal says, and a test or a backtest reaches the same state from the same records.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from rollback_guard.core.alert import Alert
from rollback_guard.core.incident import InIncident, move
from rollback_guard.core.model import Labels, Phase
from rollback_guard.core.records import (
    ClockStepped,
    Configured,
    Decided,
    Evaluated,
    IncidentCleared,
    IncidentEnded,
    IncidentOpened,
    Intended,
    MaintenanceChanged,
    Paused,
    Record,
    Resumed,
    Rewound,
    RolloutFinished,
    RolloutStarted,
    Signalled,
    Started,
    Stopped,
)
from rollback_guard.core.shift import shift
from rollback_guard.core.state import (
    ACTIONS_REMEMBERED,
    EVERYTHING,
    INCIDENTS_REMEMBERED,
    OPENINGS_REMEMBERED,
    GroupState,
    GuardState,
    Incident,
    IncidentPhase,
    Pause,
    Rollout,
    State,
)


def fold(state: State, record: Record) -> State:
    """Return the state after one more record."""
    match record:
        case Evaluated():
            return _evaluated(state, record)
        case Rewound():
            return _rewound(state, record)
        case Decided():
            return _with_guard(state, record.guard, last=record)
        case IncidentOpened():
            return _opened(state, record)
        case Paused() | Resumed():
            return _paused(state, record)
        case MaintenanceChanged():
            return replace(state, maintenance=record.windows)
        case RolloutStarted() | RolloutFinished():
            return _rolled_out(state, record)
        case Signalled():
            return _signalled(state, record)
        case Started():
            return replace(state, started_at=record.at, run=record.run, digest=record.digest, mode=record.mode)
        case Configured():
            return _configured(state, record)
        case ClockStepped():
            return shift(state, record.by)
        case Stopped():
            return state
        case _:
            return _in_incident(state, record)


def fold_all(state: State, records: Iterable[Record]) -> State:
    """Return the state after all the records, in their order."""
    for record in records:
        state = fold(state, record)
    return state


def _evaluated(state: State, record: Evaluated) -> State:
    before = state.groups.get(record.group) or GroupState(slot=record.slot)
    alerts: Mapping[str, Mapping[Labels, Alert]] = before.alerts
    if record.alerts or record.transitions:
        touched = {each.rule for each in record.transitions} | {each.rule for each in record.alerts}
        changed: dict[str, dict[Labels, Alert]] = {rule: dict(alerts.get(rule, {})) for rule in sorted(touched)}
        for transition in record.transitions:
            if transition.after is Phase.INACTIVE:
                changed[transition.rule].pop(transition.series, None)
        for alert in record.alerts:
            changed[alert.rule][alert.series] = alert
        alerts = {rule: of_rule for rule, of_rule in {**alerts, **changed}.items() if of_rule}
    sights = before.sights
    if record.sights:
        sights = {**sights, **{sight.rule: sight for sight in record.sights}}
        sights = {rule: sight for rule, sight in sights.items() if sight.reason is not None}
    after = GroupState(
        slot=record.slot,
        alerts=alerts,
        sights=sights,
        missed=before.missed + (0 if record.lost else record.missed),
        before_outage=(before.before_outage or state.groups.get(record.group)) if record.lost else None,
    )
    state = replace(state, groups={**state.groups, record.group: after})
    return _absolved(state, record) if record.transitions else state


def _absolved(state: State, record: Evaluated) -> State:
    """Let what was excused count again once it has recovered."""
    over = {(each.rule, each.series) for each in record.transitions if each.after is Phase.INACTIVE}
    guards = {
        name: replace(guard, excused=guard.excused - over) if guard.excused & over else guard
        for name, guard in state.guards.items()
    }
    return replace(state, guards=guards) if over else state


def _rewound(state: State, record: Rewound) -> State:
    group = state.groups[record.group]
    return replace(state, groups={**state.groups, record.group: group.before_outage or group})


def _configured(state: State, record: Configured) -> State:
    groups = {name: group for name, group in state.groups.items() if name in record.groups}
    return replace(
        state,
        configured_at=record.at,
        digest=record.digest,
        mode=record.mode,
        groups=groups,
        guards={
            name: _without_forgotten(guard, groups)
            for name, guard in state.guards.items()
            # A guard that did something stays known: one reload without it must not refill what its brakes count.
            if name in record.guards or guard.incident or guard.acted_at or guard.opened_at or guard.rollout
        },
    )


def _without_forgotten(guard: GuardState, groups: Mapping[str, GroupState]) -> GuardState:
    """Excuse nothing whose alert is forgotten with its group: nobody would ever see it recover."""
    if not guard.excused:
        return guard
    known = {(rule, series) for group in groups.values() for rule, alerts in group.alerts.items() for series in alerts}
    return replace(guard, excused=guard.excused & known)


def _with_guard(state: State, name: str, **changes: Any) -> State:
    guard = replace(state.guards.get(name) or GuardState(), **changes)
    return replace(state, guards={**state.guards, name: guard})


def _paused(state: State, record: Paused | Resumed) -> State:
    name = EVERYTHING if record.guard is None else record.guard
    pauses = {key: pause for key, pause in state.pauses.items() if key != name}
    if isinstance(record, Paused):
        pauses[name] = Pause(since=record.at, by=record.by, why=record.why, until=record.until)
    return replace(state, pauses=pauses)


def _rolled_out(state: State, record: RolloutStarted | RolloutFinished) -> State:
    guard = state.guards.get(record.guard) or GuardState()
    if isinstance(record, RolloutStarted):
        rollout = Rollout(
            id=record.rollout,
            guard=record.guard,
            started_at=record.at,
            until=record.until,
            by=record.by,
            version=record.version,
            previous_version=record.previous_version,
        )
        return _with_guard(state, record.guard, rollout=rollout, excused=guard.excused | set(record.excused))
    finished = guard.rollout and replace(guard.rollout, finished_at=record.at)
    return _with_guard(state, record.guard, rollout=finished)


def _signalled(state: State, record: Signalled) -> State:
    known = {(each.guard, each.name, each.labels): each for each in state.signals}
    for signal in record.signals:
        key = (signal.guard, signal.name, signal.labels)
        if signal.firing:
            known[key] = replace(signal, heard_at=record.at)
        else:
            known.pop(key, None)
    return replace(state, signals=tuple(known.values()))


def _opened(state: State, record: IncidentOpened) -> State:
    incident = Incident(
        id=record.incident,
        guard=record.guard,
        opened_at=record.at,
        breached_at=record.breached_at,
        rules=record.rules,
        opened_by=record.by,
    )
    closed = [
        id_
        for id_, each in state.incidents.items()
        if each.phase is IncidentPhase.CLOSED and not each.open_intents and not each.undo_queue
    ]
    forgotten = set(closed[: max(0, len(closed) - INCIDENTS_REMEMBERED)])
    kept = {id_: each for id_, each in state.incidents.items() if id_ not in forgotten}
    state = replace(state, incidents={**kept, incident.id: incident})
    before = state.guards.get(record.guard) or GuardState()
    opened_at = before.opened_at if record.by else (*before.opened_at, record.at)[-OPENINGS_REMEMBERED:]
    return _with_guard(state, record.guard, incident=record.incident, opened_at=opened_at)


def _in_incident(state: State, record: InIncident) -> State:
    incident = move(state.incidents[record.incident], record)
    state = replace(state, incidents={**state.incidents, incident.id: incident})
    guard = state.guards.get(incident.guard) or GuardState()
    changes: dict[str, Any] = {}
    if isinstance(record, Intended) and not record.notify and not record.undoes:
        changes["acted_at"] = (*guard.acted_at, record.at)[-ACTIONS_REMEMBERED:]
    if isinstance(record, IncidentEnded | IncidentCleared) and incident.has_acted:
        changes["rested_at"] = record.at
    if isinstance(record, IncidentEnded) and record.excused:
        changes["excused"] = guard.excused | set(record.excused)
    if incident.phase is IncidentPhase.CLOSED and guard.incident == incident.id:
        changes["incident"] = None
    return _with_guard(state, record.guard, **changes) if changes else state
