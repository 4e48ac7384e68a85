"""Put records into the log: one fixed event name for each, with the words of the record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from structlog.typing import FilteringBoundLogger

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
    Outcome,
    Record,
    Rewound,
    Started,
    Stopped,
    Watched,
)


def narrate(log: FilteringBoundLogger, records: Sequence[Record]) -> None:
    """Write one line for each thing that people may want to find in the log later."""
    for record in records:
        _say(log, record)


def _say(log: FilteringBoundLogger, record: Record) -> None:
    match record:
        case Evaluated():
            _say_evaluated(log, record)
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
            log.warning("action_intended", incident=record.incident, action=record.action, intent=record.key)
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
        case IncidentOpened() | IncidentJoined():
            log.warning(record.kind, incident=record.incident, guard=record.guard, rules=list(record.rules))
        case IncidentEnded():
            log.warning(
                record.kind,
                incident=record.incident,
                guard=record.guard,
                decision=record.decision,
                reason=record.reason,
            )
        case Watched():
            log.info("verification_moved", incident=record.incident, verdict=record.verdict, until=record.until)
        case IncidentCleared():
            log.info(record.kind, incident=record.incident, guard=record.guard)
        case Rewound():
            log.info(record.kind, group=record.group, slot=record.slot)
        case Started() | Configured():
            log.info(record.kind, digest=record.digest, mode=record.mode)
        case Stopped():
            log.info(record.kind, open_intents=list(record.open_intents))
        case ClockStepped():
            log.warning(record.kind, by_s=record.by.total_seconds())
        case _:
            assert_never(record)


def _say_evaluated(log: FilteringBoundLogger, record: Evaluated) -> None:
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
