"""Move an incident by one record about it: the table of what each record means to an incident."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import assert_never

from rollback_guard.core.records import (
    Acknowledged,
    Approved,
    Awaited,
    Concluded,
    Decision,
    Escalated,
    Extended,
    IncidentCleared,
    IncidentEnded,
    IncidentJoined,
    Intended,
    Outcome,
    Triggered,
    Vetoed,
    Watched,
)
from rollback_guard.core.state import Incident, IncidentPhase, Intent, Verification, Waiting

InIncident = (
    IncidentJoined
    | Intended
    | Concluded
    | Watched
    | IncidentEnded
    | IncidentCleared
    | Awaited
    | Extended
    | Approved
    | Vetoed
    | Acknowledged
    | Escalated
    | Triggered
)

COPIED = tuple(field.name for field in fields(Intent) if field.name in {each.name for each in fields(Intended)})


def move(incident: Incident, record: InIncident) -> Incident:
    """Return an incident after one more record about it."""
    match record:
        case IncidentJoined():
            return replace(incident, rules=(*incident.rules, *record.rules))
        case Awaited() | Extended() | Approved():
            return _waiting(incident, record)
        case Intended():
            return _intended(incident, record)
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
            return _ended(incident, record)
        case IncidentCleared():
            return replace(incident, phase=IncidentPhase.CLOSED, closed_at=record.at)
        case Acknowledged():
            return replace(incident, acknowledged_at=record.at, acknowledged_by=record.by)
        case Vetoed():
            return replace(incident, vetoed_by=record.by, queue=(), queued=(), undo_queue=())
        case Escalated():
            return replace(incident, escalated=record.level)
        case Triggered():
            # What ended it before is undone by the person who goes on with it.
            return replace(
                incident,
                queue=record.steps,
                queued=record.actions,
                undo_queue=(),
                vetoed_by="",
                ended_at=None,
                decision=None,
                reason=None,
            )
        case _:
            assert_never(record)


def intended(incident: Incident, intent: Intent) -> Intended:
    """Return the record that an intent came from."""
    copied = {name: getattr(intent, name) for name in COPIED}
    return Intended(incident=incident.id, guard=incident.guard, **copied)


def _waiting(incident: Incident, record: Awaited | Extended | Approved) -> Incident:
    if isinstance(record, Awaited):
        waiting = Waiting(
            step=record.step,
            action=record.action,
            what=record.what,
            since=record.at,
            until=record.until,
            lasting=record.until - record.at,
            otherwise=record.otherwise,
            reason=record.reason,
        )
        return replace(incident, phase=IncidentPhase.WAITING, waiting=waiting, verification=None)
    if incident.waiting is None:
        return incident
    if isinstance(record, Extended):
        return replace(incident, waiting=replace(incident.waiting, until=record.until))
    return replace(incident, waiting=replace(incident.waiting, approved_by=record.by))


def _intended(incident: Incident, record: Intended) -> Incident:
    intent = Intent(**{name: getattr(record, name) for name in COPIED})
    if record.undoes:
        return replace(incident, undos=(*incident.undos, intent), undo_queue=(record.undoes, *record.further))
    # A reload may have moved the step, so that it is known by its name.
    was_next = incident.queued[:1] == (record.action,) or incident.queue[:1] == (record.step,)
    return replace(
        incident,
        phase=IncidentPhase.ACTING,
        intents=(*incident.intents, intent),
        queue=incident.queue[was_next:],
        queued=incident.queued[was_next:],
        waiting=None,
        verification=None,
    )


def _concluded(incident: Incident, record: Concluded) -> Incident:
    def concluded(intents: tuple[Intent, ...]) -> tuple[Intent, ...]:
        return tuple(_with_outcome(intent, record) if intent.key == record.key else intent for intent in intents)

    if any(undo.key == record.key for undo in incident.undos):
        return replace(incident, undos=concluded(incident.undos), undo_queue=_still_to_undo(incident, record))
    intents = concluded(incident.intents)
    again = _was_only_held(record) and _was_ordered(intents[-1]) and not incident.vetoed_by
    return replace(
        incident,
        phase=IncidentPhase.VERIFYING,
        intents=intents,
        queue=(intents[-1].step, *incident.queue) if again else incident.queue,
        queued=(intents[-1].action, *incident.queued) if again else incident.queued,
        verification=Verification(since=record.at, until=record.at + intents[-1].within),
    )


def _still_to_undo(incident: Incident, record: Concluded) -> tuple[str, ...]:
    """Return what a person still wants to be taken back: one after the other for as long as that succeeds."""
    if _was_only_held(record):
        return incident.undo_queue
    return incident.undo_queue[1:] if record.outcome is Outcome.SUCCEEDED else ()


def _was_only_held(record: Concluded) -> bool:
    """Say whether it may be tried again; nobody may repeat what may have had its effect."""
    return record.held and record.outcome is Outcome.FAILED


def _was_ordered(intent: Intent) -> bool:
    """Say whether a person had it run, who gave a reason, and did not merely approve it."""
    return bool(intent.by and intent.why)


def _with_outcome(intent: Intent, record: Concluded) -> Intent:
    return replace(
        intent,
        outcome=record.outcome,
        concluded_at=record.at,
        attempts=record.attempts,
        detail=record.detail,
        held=_was_only_held(record),
    )


def _ended(incident: Incident, record: IncidentEnded) -> Incident:
    over = record.decision is Decision.RECOVERED
    return replace(
        incident,
        phase=IncidentPhase.CLOSED if over else IncidentPhase.HANDED_OVER,
        waiting=None,
        queue=(),
        queued=(),
        ended_at=record.at,
        closed_at=record.at if over else None,
        decision=record.decision,
        reason=record.reason,
    )
