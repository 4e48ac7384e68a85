"""Show what is the case to those who only look: metrics, API, CLI.

A snapshot is one consistent picture, built from the policy, the folded state and the last judgements. Whoever reads it
computes nothing about decisions again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from rollback_guard.core import template
from rollback_guard.core.alert import Alert
from rollback_guard.core.brakes import actions_left, brake, fleet_actions_left, is_stormy, is_unarmed, pause_by_name
from rollback_guard.core.judgement import Judgement, SeriesVerdict, most_telling
from rollback_guard.core.model import PROBE, Group, Guard, Labels, Phase, Policy, Rule, Verdict
from rollback_guard.core.observation import family
from rollback_guard.core.records import Decided
from rollback_guard.core.remarks import of_guard, of_instance
from rollback_guard.core.situation import Situation
from rollback_guard.core.state import EVERYTHING, GroupState, Pause, State
from rollback_guard.core.view import (
    Command,
    GroupView,
    GuardView,
    JournalView,
    Matter,
    OutboxView,
    PauseView,
    ReloadView,
    Remark,
    RuleView,
    SeriesView,
    Snapshot,
    StepView,
)

__all__ = [
    "PROBE",
    "Command",
    "GroupView",
    "GuardView",
    "JournalView",
    "Matter",
    "OutboxView",
    "PauseView",
    "Pulse",
    "ReloadView",
    "Remark",
    "RuleView",
    "Running",
    "SeriesView",
    "Snapshot",
    "StepView",
    "build",
]


SERIES_SHOWN = 20
"""Active series shown of one rule; the counts tell of the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """How the last evaluation of a group went, as its daemon measured it."""

    evaluated_at: datetime
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What only the running daemon knows, beside policy and state."""

    version: str
    started_at: datetime
    reload: ReloadView
    judgements: Mapping[str, Judgement] = field(default_factory=dict)
    pulses: Mapping[str, Pulse] = field(default_factory=dict)
    decisions: tuple[Decided, ...] = ()
    journal_failed_since: datetime | None = None
    clock_steps: int = 0
    heartbeat_at: datetime | None = None
    journal: JournalView | None = None
    outbox: tuple[OutboxView, ...] = ()


def build(policy: Policy, state: State, running: Running, *, now: datetime) -> Snapshot:
    """Return the whole picture at one instant."""
    listeners: dict[str, list[str]] = {}
    for name, rules in policy.rules_of.items():
        for rule in rules:
            listeners.setdefault(rule.id, []).append(name)
    guards = tuple(_guard(policy, state, guard, now) for guard in policy.guards.values())
    fleet_left = fleet_actions_left(policy, state, now)
    picture = Snapshot(
        at=now,
        name=policy.name,
        version=running.version,
        mode=policy.mode,
        digest=policy.digest,
        started_at=running.started_at,
        ready=running.pulses.keys() >= policy.groups.keys(),
        reload=running.reload,
        rules=tuple(
            _rule(rule, group, state.groups.get(group.id), running.judgements.get(rule.id), listeners.get(rule.id, ()))
            for group in policy.groups.values()
            for rule in group.rules
        ),
        groups=tuple(
            _group(group, state.groups.get(group.id), running.pulses.get(group.id)) for group in policy.groups.values()
        ),
        guards=guards,
        incidents=tuple(state.incidents.values())[::-1],
        decisions=running.decisions,
        storm=any(is_stormy(_situation(policy, state, guard, now)) for guard in policy.guards.values()),
        intents_open=tuple(intent.key for incident in state.incidents.values() for intent in incident.open_intents),
        journal_failed_since=running.journal_failed_since,
        clock_steps=running.clock_steps,
        paused=_pause(pause_by_name(state, EVERYTHING, now), everything=True),
        maintenance=tuple(window for window in state.maintenance if now < window.until),
        fleet_actions_left=None if fleet_left is None else max(0, fleet_left),
        heartbeat_at=running.heartbeat_at,
        journal=running.journal,
        outbox=running.outbox,
    )
    return replace(picture, remarks=of_instance(picture))


def _situation(policy: Policy, state: State, guard: Guard, now: datetime) -> Situation:
    return Situation(policy=policy, state=state, guard=guard, slot=now, now=now)


def _pause(pause: Pause | None, *, everything: bool) -> PauseView | None:
    if pause is None:
        return None
    return PauseView(since=pause.since, by=pause.by, why=pause.why, until=pause.until, everything=everything)


def _guard(policy: Policy, state: State, guard: Guard, now: datetime) -> GuardView:
    it = _situation(policy, state, guard, now)
    incident = it.incident
    blind = {rule.id: since for rule in it.triggers() if (since := it.blind_since(rule.id)) is not None}
    warm_at = state.started_at + guard.warm_up if state.started_at else now
    windows = [
        window.until
        for window in state.maintenance
        if now < window.until and (not window.guards or guard.name in window.guards)
    ]
    of_all, by_name = (pause_by_name(state, name, now) for name in (EVERYTHING, guard.name))
    view = GuardView(
        name=guard.name,
        rules=tuple(rule.id for rule in it.rules()),
        playbook=tuple(step.name for step in guard.playbook),
        incident=incident.id if incident else None,
        incident_phase=incident.phase if incident else None,
        last=it.own.last,
        blind_since=min(blind.values(), default=None),
        blind_on=tuple(blind),
        actions_left=max(0, actions_left(it)),
        warming_up_until=warm_at if warm_at > now else None,
        armed=not is_unarmed(it),
        braked_by=brake(it),
        paused=_pause(of_all, everything=True) or _pause(by_name, everything=False),
        paused_by_name=_pause(by_name, everything=False),
        maintenance_until=max(windows, default=None),
        waiting=incident.waiting if incident else None,
        rollout=it.own.rollout,
        excused=it.excused(),
        acknowledged_by=incident.acknowledged_by if incident else "",
        escalated=incident.escalated if incident else 0,
        signals=tuple(dict.fromkeys(each.name for each in state.signals if each.guard == guard.name)),
        steps=_steps(it),
    )
    return replace(view, remarks=of_guard(view, incident, now=now))


def _steps(it: Situation) -> tuple[StepView, ...]:
    ids = it.incident.rules if it.incident else [rule.id for rule in it.triggers() if it.fires_now(rule.id)]
    rules = [it.policy.rules[id_] for id_ in ids if id_ in it.policy.rules]
    return tuple(
        StepView(
            name=step.name,
            select=step.select,
            applies=step.applies(rules),
            approve=step.approve.within if step.approve else None,
        )
        for step in it.guard.playbook
    )


def _group(group: Group, state: GroupState | None, pulse: Pulse | None) -> GroupView:
    return GroupView(
        id=group.id,
        source=group.source,
        interval=group.interval,
        rules=len(group.rules),
        slot=state.slot if state else None,
        evaluated_at=pulse.evaluated_at if pulse else None,
        duration_s=pulse.duration_s if pulse else None,
        missed=state.missed if state else 0,
    )


def _rule(
    rule: Rule, group: Group, state: GroupState | None, judgement: Judgement | None, guards: Iterable[str]
) -> RuleView:
    alerts = state.alerts.get(rule.id, {}) if state else {}
    sight = state.sights.get(rule.id) if state else None
    worst = most_telling(judgement, rule.condition.comparison) if judgement else None
    lead = min(alerts.values(), key=_lead, default=None)
    comparison = rule.condition.comparison
    value = worst.value if worst else None
    unknown = judgement.reason if judgement else sight.reason if sight else None
    return RuleView(
        id=rule.id,
        group=rule.group,
        name=rule.name,
        probe=group.source == PROBE,
        severity=rule.severity,
        shadow=rule.shadow,
        expr=rule.condition.expr,
        hold=rule.hold,
        verdict=judgement.verdict if judgement else Verdict.UNKNOWN,
        phase=lead.phase if lead else Phase.INACTIVE,
        since=(lead.fired_at or lead.active_at) if lead else None,
        value=value,
        threshold=comparison.threshold if comparison else None,
        op=comparison.op.value if comparison else None,
        margin=comparison.margin(value) if comparison and value is not None else None,
        unknown=unknown,
        family=family(unknown) if unknown else None,
        unknown_since=sight.since if sight else None,
        detail=judgement.detail if judgement else "",
        summary=_summary(rule, lead, value),
        guards=tuple(guards),
        pending=sum(alert.phase is Phase.PENDING for alert in alerts.values()),
        firing=sum(alert.phase is Phase.FIRING for alert in alerts.values()),
        series=_series(alerts, judgement),
    )


def _lead(alert: Alert) -> tuple[bool, datetime]:
    return (alert.phase is not Phase.FIRING, alert.active_at)


def _summary(rule: Rule, lead: Alert | None, value: float | None) -> str:
    text = dict(rule.annotations).get("summary", "")
    if lead is None or not text:
        return ""
    shown = lead.value if value is None else value
    return template.render(text, labels=dict(lead.labels), value=math.nan if shown is None else shown)


def _series(alerts: Mapping[Labels, Alert], judgement: Judgement | None) -> tuple[SeriesView, ...]:
    said: dict[Labels, SeriesVerdict] = {each.series: each for each in judgement.series} if judgement else {}
    return tuple(
        SeriesView(
            labels=alert.labels,
            verdict=alert.verdict,
            phase=alert.phase,
            value=said[series].value if series in said else alert.value,
            active_at=alert.active_at,
            reason=alert.unknown,
        )
        for series, alert in sorted(alerts.items(), key=lambda item: _lead(item[1]))[:SERIES_SHOWN]
    )
