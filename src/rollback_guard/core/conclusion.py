"""Write a guard's conclusions down: each one once, with what was seen, and the end of an incident with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from rollback_guard.core.model import Verdict
from rollback_guard.core.observation import IDLE
from rollback_guard.core.records import (
    Decided,
    Decision,
    Excused,
    IncidentCleared,
    IncidentEnded,
    Outcome,
    Reason,
    Record,
)
from rollback_guard.core.situation import Situation
from rollback_guard.core.state import Incident, IncidentPhase
from rollback_guard.core.wording import NOTHING_LEFT


def conclude(
    it: Situation,
    decision: Decision,
    reason: Reason,
    *,
    incident: Incident | None = None,
    evidence: Iterable[str] = (),
    step: int | None = None,
    action: str | None = None,
    detail: str = "",
) -> Iterator[Record]:
    """Record a decision unless it is the one that holds already; to act again is always a new one."""
    last = it.own.last
    id_ = incident.id if incident else None
    rules = tuple(evidence)
    if last is None and decision is Decision.NONE:
        return
    if last is not None and (last.decision, last.reason, last.incident, last.step) == (decision, reason, id_, step):
        joined = {each.rule for each in last.evidence} >= set(rules)
        if joined and decision is not Decision.ACT:
            return
    yield Decided(
        guard=it.guard.name,
        at=it.now,
        decision=decision,
        reason=reason,
        incident=id_,
        step=step,
        action=action,
        evidence=it.evidence(rules),
        detail=detail,
    )


def recover(it: Situation, incident: Incident) -> Iterator[Record]:
    """End an incident well: through one of its steps, or by itself.

    What is still bad from before the step, because other rules were asked whether it helped, opens no new incident.
    """
    helped = any(intent.outcome is Outcome.SUCCEEDED and not intent.notify for intent in incident.intents)
    reason = Reason.VERIFIED if helped else Reason.BY_ITSELF
    detail = NOTHING_LEFT if it.verdict(it.watched(incident)) is Verdict.UNKNOWN else ""
    yield from _end(it, incident, Decision.RECOVERED, reason, excused=tuple(_still_bad(it, incident)), detail=detail)


def _still_bad(it: Situation, incident: Incident) -> Iterator[Excused]:
    """Yield the series that began to breach before the last step and are not known to pass, pending ones too.

    One of which there is nothing to judge any more is none of them: a canary that is gone has no traffic, and the next
    one may be as bad.
    """
    for rule in incident.rules if incident.intents else ():
        for alert in it.alerts(rule):
            is_bad = alert.verdict is not Verdict.PASS and alert.unknown not in IDLE
            if is_bad and alert.active_at <= incident.intents[-1].at:
                yield rule, alert.series


def hand_over(it: Situation, incident: Incident, reason: Reason) -> Iterator[Record]:
    """End what the guard does about an incident: people are needed."""
    yield from _end(it, incident, Decision.HAND_OVER, reason)


def _end(
    it: Situation,
    incident: Incident,
    decision: Decision,
    reason: Reason,
    *,
    excused: tuple[Excused, ...] = (),
    detail: str = "",
) -> Iterator[Record]:
    yield from conclude(it, decision, reason, incident=incident, evidence=it.watched(incident), detail=detail)
    yield IncidentEnded(
        incident=incident.id, guard=it.guard.name, at=it.now, decision=decision, reason=reason, excused=excused
    )


def let_go(incident: Incident, reason: Reason, now: datetime) -> Iterator[Record]:
    """End an incident whose guard or whose rules are gone: nothing would ever tell that it is over."""
    if incident.phase is not IncidentPhase.HANDED_OVER:
        over = Decision.HAND_OVER
        yield Decided(guard=incident.guard, at=now, decision=over, reason=reason, incident=incident.id)
        yield IncidentEnded(incident=incident.id, guard=incident.guard, at=now, decision=over, reason=reason)
    yield IncidentCleared(incident=incident.id, guard=incident.guard, at=now)
