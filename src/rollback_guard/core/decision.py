"""Decide for one guard: open an incident, act, hold, climb, recover or hand over; always with a reason.

    no incident ──fires──▶ HOLDING ──no brake──▶ ACTING ──done──▶ VERIFYING ──passes──▶ CLOSED (recovered)
                              │  │                 ▲ ▲ │              │
                              │  └─▶ WAITING ──────┘ │ └──failed──┐   ├──breaches──▶ next step, WAITING or ACTING
                              └──passes──▶ CLOSED    └────────────┴───┘
                                                                      └──no step left, cannot tell──▶ HANDED_OVER
    HANDED_OVER ──passes──▶ CLOSED

Everything is a record. What was decided before is not recorded again until it changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import assert_never

from rollback_guard.core.brakes import muted
from rollback_guard.core.conclusion import conclude, let_go, recover
from rollback_guard.core.ladder import acts_blindly, after, blind_for_too_long, climb, follow_wait, run_queued
from rollback_guard.core.model import BlindPolicy, Policy, Severity, Verdict
from rollback_guard.core.records import (
    Decision,
    IncidentCleared,
    IncidentJoined,
    IncidentOpened,
    Reason,
    Record,
)
from rollback_guard.core.situation import Situation, is_trigger
from rollback_guard.core.state import Incident, IncidentPhase, State
from rollback_guard.core.verification import verify, watch_over


def decide(it: Situation) -> tuple[Record, ...]:
    """Conclude what the guard does after an evaluation of its rules."""
    incident = it.incident
    if incident is None:
        return tuple(_without_incident(it))
    joined = tuple(_joined(it, incident))
    it = after(it, joined)
    return (*joined, *within(it, it.state.incidents[incident.id]))


def watch(it: Situation) -> tuple[Record, ...]:
    """Follow a verification over a slot of the past: time passes, nothing is decided."""
    incident = it.incident
    if incident is None or incident.phase is not IncidentPhase.VERIFYING or incident.verification is None:
        return ()
    return tuple(watch_over(it, incident, incident.verification))


def within(it: Situation, incident: Incident) -> Iterable[Record]:
    """Conclude what the guard does about its open incident."""
    if it.is_gone(incident) and incident.phase is not IncidentPhase.ACTING:
        return let_go(incident, Reason.RULES_REMOVED, it.now)
    if incident.queue and incident.phase is IncidentPhase.VERIFYING:
        last = incident.intents[-1]
        return run_queued(it, incident, by=last.by, why=last.why)
    match incident.phase:
        case IncidentPhase.HOLDING:
            return _holding(it, incident)
        case IncidentPhase.WAITING:
            return follow_wait(it, incident, incident.waiting) if incident.waiting else ()
        case IncidentPhase.ACTING | IncidentPhase.CLOSED:
            return ()
        case IncidentPhase.VERIFYING:
            return verify(it, incident)
        case IncidentPhase.HANDED_OVER:
            return _handed_over(it, incident)
        case _:
            assert_never(incident.phase)


def _without_incident(it: Situation) -> Iterator[Record]:
    restless = it.restless()
    triggers = [rule.id for rule in restless if is_trigger(rule)]
    firing = [rule for rule in triggers if it.fires_now(rule)]
    blind = {rule: since for rule in triggers if (since := it.blind_since(rule)) is not None}
    too_long = blind_for_too_long(it, frozenset(blind))
    acts_blindly = too_long and it.guard.blind.do is BlindPolicy.ACT
    if (firing or acts_blindly) and (quiet := muted(it)) is not None:
        yield from conclude(it, Decision.HOLD, quiet, evidence=firing or blind)
    elif firing:
        yield from _open(it, firing, min(breached_at(it, firing)))
    elif acts_blindly:
        yield from _open(it, blind, min(blind.values()))
    elif too_long:
        yield from conclude(it, Decision.HOLD, Reason.BLIND, evidence=blind)
    elif excused := it.excused():
        yield from conclude(it.unexcused(), Decision.HOLD, Reason.ALREADY_BAD, evidence=excused)
    elif shadowed := [rule.id for rule in restless if rule.shadow and it.fires_now(rule.id)]:
        yield from conclude(it, Decision.HOLD, Reason.SHADOW, evidence=shadowed)
    elif lesser := [rule.id for rule in restless if rule.severity is Severity.WARNING and it.fires_now(rule.id)]:
        yield from conclude(it, Decision.HOLD, Reason.NOT_CRITICAL, evidence=lesser)
    elif not blind and it.verdict(triggers) is not Verdict.BREACH:
        # While it is pending or was blind for a moment the last decision stands: neither is health.
        yield from conclude(it, Decision.NONE, Reason.HEALTHY)


def breached_at(it: Situation, rules: Iterable[str]) -> Iterator[datetime]:
    """Yield when each alert of these rules first breached."""
    return (alert.active_at for rule in rules for alert in it.alerts(rule))


def _open(it: Situation, rules: Iterable[str], breached_at: datetime) -> Iterator[Record]:
    """Open an incident, and decide about it once it is open: a storm counts it too."""
    opened = IncidentOpened(
        incident=new_id(it),
        guard=it.guard.name,
        at=it.now,
        breached_at=breached_at,
        rules=tuple(rules),
    )
    yield opened
    it = after(it, (opened,))
    yield from _holding(it, it.state.incidents[opened.incident])


def new_id(it: Situation) -> str:
    """Return the id of an incident that begins now."""
    name = "-".join(part for part in (it.guard.name, f"{it.slot:%Y%m%dT%H%M%SZ}", it.state.run) if part)
    taken = sum(each == name or each.startswith(f"{name}.") for each in it.state.incidents)
    return f"{name}.{taken + 1}" if taken else name


def _joined(it: Situation, incident: Incident) -> Iterator[Record]:
    rules = tuple(rule.id for rule in it.triggers() if rule.id not in incident.rules and it.fires_now(rule.id))
    if not rules:
        return
    yield IncidentJoined(incident=incident.id, guard=it.guard.name, at=it.now, rules=rules)
    if incident.phase not in {IncidentPhase.HOLDING, IncidentPhase.WAITING}:
        yield from conclude(it, Decision.HOLD, Reason.IN_PROGRESS, incident=incident, evidence=rules)


def _holding(it: Situation, incident: Incident) -> Iterator[Record]:
    if it.is_quiet(incident.rules):
        yield from recover(it, incident)
        return
    breaches = any(it.fires_now(rule) for rule in incident.rules)
    if breaches or acts_blindly(it, incident.rules):
        yield from climb(it, incident, 0, Reason.BREACH if breaches else Reason.BLIND)
    elif it.verdict(incident.rules) is Verdict.UNKNOWN:
        yield from conclude(it, Decision.HOLD, Reason.BLIND, incident=incident, evidence=incident.rules)


def _handed_over(it: Situation, incident: Incident) -> Iterator[Record]:
    watched = it.watched(incident)
    if not watched or it.is_quiet(watched):
        yield IncidentCleared(incident=incident.id, guard=it.guard.name, at=it.now)


def release(policy: Policy, state: State, *, now: datetime) -> tuple[Record, ...]:
    """Hand over the incidents whose guard or rules a new configuration no longer has.

    A running action is awaited first.
    """
    records: list[Record] = []
    for incident in state.incidents.values():
        if incident.phase in {IncidentPhase.ACTING, IncidentPhase.CLOSED}:
            continue
        guard = policy.guards.get(incident.guard)
        if guard is None:
            records += let_go(incident, Reason.GUARD_REMOVED, now)
        elif Situation(policy=policy, state=state, guard=guard, slot=now, now=now).is_gone(incident):
            records += let_go(incident, Reason.RULES_REMOVED, now)
    return tuple(records)
