"""Fold the journal's records into what is the case now.

Nothing else changes state. `fold` looks at no clock, no policy and no world, so that a restarted guard knows exactly
what the journal says, and a test or a backtest reaches the same state from the same records.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, assert_never

from rollback_guard.core.alert import Alert
from rollback_guard.core.model import Labels, Phase
from rollback_guard.core.records import (
    ClockStepped,
    Concluded,
    Configured,
    Decided,
    Decision,
    Evaluated,
    IncidentCleared,
    IncidentEnded,
    IncidentJoined,
    IncidentOpened,
    Intended,
    Record,
    Rewound,
    Started,
    Stopped,
    Watched,
)
from rollback_guard.core.state import (
    ACTIONS_REMEMBERED,
    INCIDENTS_REMEMBERED,
    GroupState,
    GuardState,
    Incident,
    IncidentPhase,
    Intent,
    State,
    Verification,
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
        case IncidentJoined() | Intended() | Concluded() | Watched() | IncidentEnded() | IncidentCleared():
            return _in_incident(state, record)
        case Started():
            return replace(state, started_at=record.at, run=record.run, digest=record.digest, mode=record.mode)
        case Configured():
            return _configured(state, record)
        case ClockStepped():
            return shift(state, record.by)
        case Stopped():
            return state
        case _:
            assert_never(record)


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
    return replace(state, groups={**state.groups, record.group: after})


def _rewound(state: State, record: Rewound) -> State:
    group = state.groups[record.group]
    return replace(state, groups={**state.groups, record.group: group.before_outage or group})


def _configured(state: State, record: Configured) -> State:
    return replace(
        state,
        configured_at=record.at,
        digest=record.digest,
        mode=record.mode,
        groups={name: group for name, group in state.groups.items() if name in record.groups},
        guards={
            name: guard
            for name, guard in state.guards.items()
            # A guard that acted stays known: leaving it out of the file for one reload must not refill its limits.
            if name in record.guards or guard.incident or guard.acted_at
        },
    )


def _with_guard(state: State, name: str, **changes: Any) -> State:
    guard = replace(state.guards.get(name) or GuardState(), **changes)
    return replace(state, guards={**state.guards, name: guard})


def _opened(state: State, record: IncidentOpened) -> State:
    incident = Incident(
        id=record.incident,
        guard=record.guard,
        opened_at=record.at,
        breached_at=record.breached_at,
        rules=record.rules,
    )
    closed = [id_ for id_, each in state.incidents.items() if each.phase is IncidentPhase.CLOSED]
    forgotten = set(closed[: max(0, len(closed) - INCIDENTS_REMEMBERED)])
    kept = {id_: each for id_, each in state.incidents.items() if id_ not in forgotten}
    state = replace(state, incidents={**kept, incident.id: incident})
    return _with_guard(state, record.guard, incident=record.incident)


InIncident = IncidentJoined | Intended | Concluded | Watched | IncidentEnded | IncidentCleared


def _in_incident(state: State, record: InIncident) -> State:
    incident = move(state.incidents[record.incident], record)
    state = replace(state, incidents={**state.incidents, incident.id: incident})
    changes: dict[str, Any] = {}
    if isinstance(record, Intended):
        acted_at = state.guards[record.guard].acted_at
        changes["acted_at"] = (*acted_at, record.at)[-ACTIONS_REMEMBERED:]
    if isinstance(record, IncidentEnded | IncidentCleared) and incident.intents:
        changes["rested_at"] = record.at
    if incident.phase is IncidentPhase.CLOSED:
        changes["incident"] = None
    return _with_guard(state, record.guard, **changes) if changes else state


def move(incident: Incident, record: InIncident) -> Incident:
    """Return an incident after one more record about it."""
    match record:
        case IncidentJoined():
            return replace(incident, rules=(*incident.rules, *record.rules))
        case Intended():
            intent = Intent(
                key=record.key,
                step=record.step,
                action=record.action,
                goal=record.goal,
                at=record.at,
                within=record.within,
                stable_for=record.stable_for,
            )
            intents = (*incident.intents, intent)
            return replace(incident, phase=IncidentPhase.ACTING, intents=intents, verification=None)
        case Concluded():
            return _concluded(incident, record)
        case Watched():
            watched = Verification(
                since=incident.verification.since if incident.verification else record.at,
                until=record.until,
                passing_since=record.passing_since,
                extended=record.extended,
            )
            return replace(incident, verification=watched, verdict=record.verdict)
        case IncidentEnded():
            over = record.decision is Decision.RECOVERED
            return replace(
                incident,
                phase=IncidentPhase.CLOSED if over else IncidentPhase.HANDED_OVER,
                ended_at=record.at,
                closed_at=record.at if over else None,
                decision=record.decision,
                reason=record.reason,
            )
        case IncidentCleared():
            return replace(incident, phase=IncidentPhase.CLOSED, closed_at=record.at)
        case _:
            assert_never(record)


def _concluded(incident: Incident, record: Concluded) -> Incident:
    intents = tuple(
        replace(
            intent,
            outcome=record.outcome,
            concluded_at=record.at,
            attempts=record.attempts,
            detail=record.detail,
        )
        if intent.key == record.key
        else intent
        for intent in incident.intents
    )
    last = intents[-1]
    return replace(
        incident,
        phase=IncidentPhase.VERIFYING,
        intents=intents,
        verification=Verification(since=record.at, until=record.at + last.within),
    )


def shift(state: State, by: timedelta) -> State:
    """Move every time from which spans are counted, so that a set wall clock changes none of them."""

    def moved(at: datetime | None) -> datetime | None:
        return at and at + by

    def alert(of: Alert) -> Alert:
        return replace(
            of,
            active_at=of.active_at + by,
            fired_at=moved(of.fired_at),
            unknown_since=moved(of.unknown_since),
            blind_since=moved(of.blind_since),
            absent_since=moved(of.absent_since),
            passing_since=moved(of.passing_since),
        )

    def group(of: GroupState) -> GroupState:
        alerts = {rule: {series: alert(each) for series, each in alerts.items()} for rule, alerts in of.alerts.items()}
        sights = {rule: replace(sight, since=moved(sight.since)) for rule, sight in of.sights.items()}
        before = of.before_outage and group(of.before_outage)
        return replace(of, slot=of.slot + by, alerts=alerts, sights=sights, before_outage=before)

    def incident(of: Incident) -> Incident:
        if of.phase is IncidentPhase.CLOSED:
            return of
        watch = of.verification and replace(
            of.verification,
            since=of.verification.since + by,
            until=of.verification.until + by,
            passing_since=moved(of.verification.passing_since),
        )
        return replace(of, opened_at=of.opened_at + by, breached_at=of.breached_at + by, verification=watch)

    def guard(of: GuardState) -> GuardState:
        return replace(of, acted_at=tuple(at + by for at in of.acted_at), rested_at=moved(of.rested_at))

    return replace(
        state,
        started_at=moved(state.started_at),
        groups={name: group(each) for name, each in state.groups.items()},
        incidents={name: incident(each) for name, each in state.incidents.items()},
        guards={name: guard(each) for name, each in state.guards.items()},
    )
