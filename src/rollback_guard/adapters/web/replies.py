"""Name the answers to those who change something, and say in words what was done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from rollback_guard.core.operations import Refusal
from rollback_guard.core.orders import (
    Acknowledged,
    Approved,
    Extended,
    Paused,
    Resumed,
    RolloutFinished,
    RolloutStarted,
    Signalled,
    Triggered,
    Vetoed,
)
from rollback_guard.core.records import Concluded, Decided, IncidentEnded, IncidentOpened, Intended, Record
from rollback_guard.core.state import Rollout


@dataclass(frozen=True, slots=True, kw_only=True)
class DoneView:
    """It is done: `by` whom, what, in words, and the incident that it is about."""

    by: str
    did: tuple[str, ...]
    incident: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedView:
    """It is not done: why, in words and in one word, and what may have been meant."""

    error: str
    refusal: Refusal
    near: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsView:
    """How many alerts are signals of a guard, and the names of those that no guard takes."""

    by: str
    accepted: int
    ignored: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutsView:
    """The last rollout of every guard that had one: those under way first, then the newest."""

    at: datetime
    total: int
    rollouts: tuple[Rollout, ...]


STATUS: dict[Refusal, int] = {
    Refusal.NO_SUCH_GUARD: 404,
    Refusal.NO_SUCH_INCIDENT: 404,
    Refusal.NO_SUCH_STEP: 404,
    Refusal.NO_REASON: 400,
    Refusal.NOTHING_TO_DO: 409,
    Refusal.IN_PROGRESS: 409,
    Refusal.PAUSED: 409,
    Refusal.DRY_RUN: 409,
    Refusal.TOO_MANY: 429,
}


def line(record: Record) -> str:
    """Return one record in words: its kind first, for those who look for it."""
    said = _said(record)
    return f"{record.kind}: {said}" if said else str(record.kind)


def _said(record: Record) -> str:
    match record:
        case Paused(guard=guard, until=until, why=why):
            return f"{guard or 'all guards'}, {_until(until)}: {why}"
        case Resumed(guard=guard):
            return guard or "all guards"
        case Extended(guard=guard, until=until):
            return f"{guard}, {_until(until)}"
        case RolloutStarted(guard=guard, rollout=rollout, version=version, until=until):
            return f"{guard}, {' '.join(dict.fromkeys(filter(None, (rollout, version))))}, {_until(until)}"
        case RolloutFinished(guard=guard, rollout=rollout):
            return f"{guard}, {rollout}"
        case Triggered(guard=guard, steps=steps, why=why):
            return (
                f"{guard}, {'step' if len(steps) == 1 else 'steps'} {', '.join(str(each + 1) for each in steps)}: {why}"
            )
        case Intended(action=action, goal=goal):
            return f"{action}, {goal}"
        case Concluded(action=action, outcome=outcome):
            return f"{action}, {outcome}"
        case Decided(guard=guard, decision=decision, reason=reason):
            return f"{guard}, {decision}: {reason}"
        case IncidentEnded(incident=incident, decision=decision, reason=reason):
            return f"{incident}, {decision}: {reason}"
        case Vetoed() | Approved() | Acknowledged() | IncidentOpened():
            return f"{record.guard}, {record.incident}"
        case Signalled(signals=signals):
            return ", ".join(sorted({f"{each.guard}/{each.name}" for each in signals}))
    return ""


def _until(at: datetime | None) -> str:
    return "until it is resumed" if at is None else f"until {at:%Y-%m-%d %H:%M:%S} UTC"
