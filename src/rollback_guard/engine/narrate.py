"""Put records into the log: one fixed event name for each, with the words of the record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from structlog.typing import FilteringBoundLogger

from rollback_guard.core.records import (
    Acknowledged,
    Approved,
    Awaited,
    ClockStepped,
    Concluded,
    Configured,
    Decided,
    Decision,
    Escalated,
    Evaluated,
    Extended,
    IncidentCleared,
    IncidentEnded,
    IncidentJoined,
    IncidentOpened,
    Intended,
    MaintenanceChanged,
    Outcome,
    Paused,
    Record,
    Resumed,
    Rewound,
    RolloutFinished,
    RolloutStarted,
    Signalled,
    Started,
    Stopped,
    Triggered,
    Vetoed,
    Watched,
)


def narrate(log: FilteringBoundLogger, records: Sequence[Record]) -> None:
    """Write one line for each thing that people may want to find in the log later."""
    for record in records:
        _say(log, record)


def _say(log: FilteringBoundLogger, record: Record) -> None:
    match record:
        case Evaluated() | Rewound():
            _say_evaluated(log, record)
        case Decided() | Intended() | Concluded() | Watched():
            _say_done(log, record)
        case IncidentOpened() | IncidentJoined() | IncidentEnded() | IncidentCleared() | Awaited() | Escalated():
            _say_incident(log, record)
        case Extended() | Approved() | Vetoed() | Acknowledged() | Triggered():
            _say_order(log, record)
        case Paused() | Resumed() | MaintenanceChanged() | RolloutStarted() | RolloutFinished() | Signalled():
            _say_surroundings(log, record)
        case Started() | Configured():
            log.info(record.kind, digest=record.digest, mode=record.mode)
        case Stopped():
            log.info(record.kind, open_intents=list(record.open_intents))
        case ClockStepped():
            log.warning(record.kind, by_s=record.by.total_seconds())
        case _:
            assert_never(record)


def _say_done(log: FilteringBoundLogger, record: Decided | Intended | Concluded | Watched) -> None:
    match record:
        case Decided():
            loud = record.decision in {Decision.ACT, Decision.HAND_OVER}
            (log.warning if loud else log.info)(
                "decided",
                guard=record.guard,
                decision=record.decision,
                reason=record.reason,
                incident=record.incident,
                action=record.action,
                rules=[each.rule for each in record.evidence],
            )
        case Intended():
            said = log.bind(by=record.by, why=record.why) if record.by else log
            if record.notify:
                said.warning("people_told", incident=record.incident, notify=list(record.notify), intent=record.key)
            elif record.undoes:
                said.warning(
                    "undo_intended",
                    incident=record.incident,
                    action=record.action,
                    intent=record.key,
                    undoes=record.undoes,
                )
            else:
                said.warning("action_intended", incident=record.incident, action=record.action, intent=record.key)
        case Concluded():
            (log.info if record.outcome is Outcome.SUCCEEDED else log.error)(
                "action_concluded",
                incident=record.incident,
                action=record.action,
                intent=record.key,
                outcome=record.outcome,
                attempts=record.attempts,
                detail=record.detail,
            )
        case Watched():
            log.info("verification_moved", incident=record.incident, verdict=record.verdict, until=record.until)
        case _:
            assert_never(record)


def _say_incident(
    log: FilteringBoundLogger,
    record: IncidentOpened | IncidentJoined | IncidentEnded | IncidentCleared | Awaited | Escalated,
) -> None:
    said = log.bind(incident=record.incident, guard=record.guard)
    match record:
        case IncidentOpened():
            (said.bind(by=record.by) if record.by else said).warning(record.kind, rules=list(record.rules))
        case IncidentJoined():
            said.warning(record.kind, rules=list(record.rules))
        case IncidentEnded():
            said.warning(record.kind, decision=record.decision, reason=record.reason)
        case IncidentCleared():
            said.info(record.kind)
        case Awaited():
            said.warning(
                "step_awaited",
                action=record.action,
                what=record.what,
                until=record.until,
                otherwise=record.otherwise,
                reason=record.reason,
            )
        case Escalated():
            said.warning(record.kind, level=record.level, notify=list(record.notify))
        case _:
            assert_never(record)


def _say_order(log: FilteringBoundLogger, record: Extended | Approved | Vetoed | Acknowledged | Triggered) -> None:
    said = log.bind(incident=record.incident, guard=record.guard, by=record.by, why=record.why)
    match record:
        case Extended():
            said.warning(record.kind, until=record.until)
        case Triggered():
            said.warning(record.kind, steps=[step + 1 for step in record.steps])
        case Approved() | Vetoed() | Acknowledged():
            said.warning(record.kind)
        case _:
            assert_never(record)


def _say_surroundings(
    log: FilteringBoundLogger,
    record: Paused | Resumed | MaintenanceChanged | RolloutStarted | RolloutFinished | Signalled,
) -> None:
    match record:
        case Paused():
            log.warning(record.kind, guard=record.guard, by=record.by, why=record.why, until=record.until)
        case Resumed():
            log.warning(record.kind, guard=record.guard, by=record.by, why=record.why)
        case MaintenanceChanged():
            log.info(record.kind, windows=[window.name for window in record.windows])
        case RolloutStarted():
            log.info(
                record.kind,
                guard=record.guard,
                rollout=record.rollout,
                version=record.version,
                previous_version=record.previous_version,
                until=record.until,
                by=record.by,
                excused=sorted({rule for rule, _ in record.excused}),
            )
        case RolloutFinished():
            log.info(record.kind, guard=record.guard, rollout=record.rollout, by=record.by, why=record.why)
        case Signalled():
            _say_signals(log, record)
        case _:
            assert_never(record)


def _say_signals(log: FilteringBoundLogger, record: Signalled) -> None:
    for signal in record.signals:
        log.info(
            record.kind,
            guard=signal.guard,
            signal=signal.name,
            firing=signal.firing,
            labels=dict(signal.labels),
            summary=signal.summary,
            by=record.by,
        )


def _say_evaluated(log: FilteringBoundLogger, record: Evaluated | Rewound) -> None:
    if isinstance(record, Rewound):
        log.info(record.kind, group=record.group, slot=record.slot)
        return
    if record.missed:
        log.warning("slots_missed", group=record.group, slots=record.missed, before=record.slot)
    for transition in record.transitions:
        log.info(
            "alert_changed",
            rule=transition.rule,
            series=dict(transition.series),
            before=transition.before,
            after=transition.after,
            because=transition.because,
            value=transition.value,
            slot=record.slot,
        )
    for sight in record.sights:
        log.warning(
            "rule_unknown" if sight.reason else "rule_known",
            rule=sight.rule,
            reason=sight.reason,
            detail=sight.detail,
            slot=record.slot,
        )
