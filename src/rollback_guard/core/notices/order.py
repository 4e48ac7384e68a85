"""Tell what people ordered: who, what and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from rollback_guard.core import wording
from rollback_guard.core.notice import Notice, NoticeKind, Urgency
from rollback_guard.core.notices import message
from rollback_guard.core.notices.telling import Telling, everybody, stamp
from rollback_guard.core.records import (
    Acknowledged,
    Approved,
    Extended,
    Paused,
    Resumed,
    RolloutFinished,
    RolloutStarted,
    Triggered,
    Vetoed,
)
from rollback_guard.core.state import Incident

InIncident = Acknowledged | Approved | Extended | Triggered | Vetoed
OfGuard = Paused | Resumed | RolloutStarted | RolloutFinished

ORDERS = (
    Acknowledged,
    Approved,
    Extended,
    Triggered,
    Vetoed,
    Paused,
    Resumed,
    RolloutStarted,
    RolloutFinished,
)


def order(it: Telling, record: InIncident | OfGuard) -> Iterator[Notice]:
    """Tell one order, or the end of one, to whom it concerns."""
    incident_id = record.incident if isinstance(record, InIncident) else ""
    incident = it.state.incidents.get(incident_id)
    guard = record.guard or ""
    whom = guard or "all guards"
    why = record.why if not isinstance(record, RolloutStarted) else ""
    ways = message.ways_on(it.policy, guard, incident)
    yield it.notice(
        NoticeKind.ORDERED,
        id_=f"{incident_id or guard or 'all'}/{record.kind}/{stamp(record.at)}",
        thread=incident_id or f"{_matter(record)}/{guard or 'all'}",
        at=record.at,
        urgency=Urgency.INFO,
        channels=_channels(it, record, incident),
        title=f"{whom}: {_said(it, record)}{f': {why}' if why else ''}",
        lines=(
            f"Why: {why}" if why else "",
            *_outlook(it, record),
            *(message.done(incident) if incident else ()),
            *ways,
        ),
        guard=guard,
        incident=incident_id,
        resolves=isinstance(record, Resumed | RolloutFinished),
        data=(("order", record.kind), ("by", record.by), ("why", why)),
    )


def _matter(record: InIncident | OfGuard) -> str:
    """Return what an order is about: its end must not end something else that was ordered for the same guard."""
    return "rollout" if isinstance(record, RolloutStarted | RolloutFinished) else "pause"


def _said(it: Telling, record: InIncident | OfGuard) -> str:
    match record:
        case Acknowledged():
            return f"{record.by} takes care of it"
        case Approved():
            return f"{record.by} approved the step that waits"
        case Extended():
            return f"{record.by or 'the guard'} gave people time until {record.until:%H:%M:%S} UTC"
        case Vetoed():
            return f"{record.by} vetoed the playbook"
        case Triggered():
            return f"{record.by} runs {_steps(it, record)} now"
        case Paused():
            return f"paused by {record.by} {_until(record)}"
        case Resumed():
            return f"resumed by {record.by}" if record.by else "resumed, for the time of the pause is up"
        case RolloutStarted():
            return f"rollout {wording.rollout(record.rollout, record.version)} begins, by {record.by}"
        case RolloutFinished():
            end = f"finished by {record.by}" if record.by else "is over, for its window is"
            return f"rollout {record.rollout} {end}"
        case _:
            assert_never(record)


def _until(record: Paused) -> str:
    return f"until {message.clock(record.until)}" if record.until else "until further notice"


def _channels(it: Telling, record: InIncident | OfGuard, incident: Incident | None) -> tuple[str, ...]:
    if isinstance(record, Acknowledged) and incident is not None:
        return it.involved(incident)  # whoever was called must know that somebody came
    return it.critical(record.guard) if record.guard else everybody(it.policy)


def _steps(it: Telling, record: Triggered) -> str:
    if record.actions:
        return " and ".join(record.actions)
    guard = it.guard(record.guard)
    names = [guard.playbook[index].name for index in record.steps if guard and index < len(guard.playbook)]
    return " and ".join(names) or "the playbook"


def _outlook(it: Telling, record: InIncident | OfGuard) -> Iterator[str]:
    """Say what follows from it, and how to take it back."""
    match record:
        case Paused(guard=None):
            yield "Nothing is done by any guard until then; everything is still watched."
            yield "To end it: rollback-guard resume --all"
        case Paused():
            yield "Nothing is done by it until then; everything is still watched."
            yield f"To end it: rollback-guard resume {wording.argument(record.guard or '')}"
        case RolloutStarted():
            yield f"It is watched as a rollout until {message.clock(record.until)}, or until it is finished:"
            yield f"  rollback-guard rollout finish {wording.argument(record.guard)}"
            if record.excused:
                yield f"{wording.excused(tuple(dict.fromkeys(rule for rule, _ in record.excused)))}."
        case Vetoed():
            yield "The guard does nothing further in this incident; people have it."
        case _:
            return
