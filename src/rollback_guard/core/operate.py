"""Do what people and other systems ask for, or say why not: every request becomes records, or a `Refused`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import assert_never

from rollback_guard.core.brakes import at_work, left_to_undo, pause_of, rollout_of
from rollback_guard.core.conclusion import hand_over
from rollback_guard.core.decision import breached_at, new_id
from rollback_guard.core.fold import fold
from rollback_guard.core.ladder import after, follow_wait, run_queued, take_back, wait
from rollback_guard.core.model import AlreadyBad, Guard, Mode, Policy
from rollback_guard.core.operations import (
    Acknowledge,
    Approve,
    Extend,
    FinishRollout,
    Operation,
    Pause,
    Refusal,
    Refused,
    Report,
    Resume,
    StartRollout,
    Trigger,
    Undo,
    Veto,
)
from rollback_guard.core.records import (
    Acknowledged,
    Approved,
    Extended,
    IncidentOpened,
    Paused,
    Reason,
    Record,
    Resumed,
    RolloutFinished,
    RolloutStarted,
    Signalled,
    Triggered,
    Vetoed,
)
from rollback_guard.core.situation import Situation
from rollback_guard.core.state import EVERYTHING, SIGNALS_REMEMBERED, Incident, IncidentPhase, State

NEAR = 3
"""Names that are offered where one was not found."""


class RefusedError(Exception):
    """Carry a refusal from the place where it shows to `operate`."""

    def __init__(self, refusal: Refusal, detail: str, near: Iterable[str] = ()) -> None:
        super().__init__(detail)
        self.refused = Refused(refusal=refusal, detail=detail, near=tuple(near))


def operate(policy: Policy, state: State, asked: Operation, *, now: datetime) -> tuple[Record, ...] | Refused:
    """Return the records of what was asked for, or why it is not done."""
    try:
        return tuple(_done(policy, state, asked, now))
    except RefusedError as error:
        return error.refused


def _done(policy: Policy, state: State, asked: Operation, now: datetime) -> Iterator[Record]:
    match asked:
        case Pause():
            return _pause(policy, asked, now)
        case Resume():
            return _resume(state, asked, now)
        case Veto() | Extend() | Approve() | Trigger() | StartRollout() | FinishRollout():
            return _of_guard(_situation(policy, state, asked.guard, now), asked)
        case Acknowledge():
            return _acknowledge(state, asked, now)
        case Undo():
            return _undo(policy, state, asked, now)
        case Report():
            return _report(state, asked, now)
        case _:
            assert_never(asked)


OfGuard = Veto | Extend | Approve | Trigger | StartRollout | FinishRollout


def _of_guard(it: Situation, asked: OfGuard) -> Iterator[Record]:
    match asked:
        case Veto():
            return _veto(it, asked)
        case Extend() | Approve():
            return _waiting(it, asked)
        case Trigger():
            return _trigger(it, asked)
        case StartRollout():
            return _start_rollout(it, asked)
        case FinishRollout():
            return _finish_rollout(it, asked)
        case _:
            assert_never(asked)


def _situation(policy: Policy, state: State, name: str, now: datetime) -> Situation:
    return Situation(policy=policy, state=state, guard=_guard(policy, name), slot=now, now=now)


def _guard(policy: Policy, name: str) -> Guard:
    guard = policy.guards.get(name)
    if guard is None:
        near = difflib.get_close_matches(name, policy.guards, n=NEAR) or list(policy.guards)[:NEAR]
        raise RefusedError(Refusal.NO_SUCH_GUARD, f"there is no guard {name}", near)
    return guard


def _incident(state: State, id_: str) -> Incident:
    incident = state.incidents.get(id_)
    if incident is None:
        newest = list(state.incidents)[: -NEAR - 1 : -1]
        near = difflib.get_close_matches(id_, state.incidents, n=NEAR) or newest
        raise RefusedError(Refusal.NO_SUCH_INCIDENT, f"there is no incident {id_} that is remembered", near)
    return incident


def _reasoned(why: str) -> str:
    if not why.strip():
        raise RefusedError(Refusal.NO_REASON, "say why: the reason goes into the journal")
    return why.strip()


def _pause(policy: Policy, asked: Pause, now: datetime) -> Iterator[Record]:
    guard = None if asked.guard is None else _guard(policy, asked.guard).name
    until = None if asked.lasting is None else now + asked.lasting
    yield Paused(guard=guard, at=now, by=asked.by, why=_reasoned(asked.why), until=until)


def _resume(state: State, asked: Resume, now: datetime) -> Iterator[Record]:
    name = EVERYTHING if asked.guard is None else asked.guard
    if name not in state.pauses:
        whom = f"guard {asked.guard} is" if asked.guard else "the guards as a whole are"
        near = (each for each in state.pauses if each)
        raise RefusedError(Refusal.NOTHING_TO_DO, f"{whom} not paused", near)
    yield Resumed(guard=asked.guard, at=now, by=asked.by, why=asked.why)


def _veto(it: Situation, asked: Veto) -> Iterator[Record]:
    incident, undoing = it.incident, _undoing(it)
    if incident is None or incident.phase is IncidentPhase.HANDED_OVER or incident.vetoed_by:
        if not undoing:
            raise RefusedError(Refusal.NOTHING_TO_DO, f"guard {asked.guard} is not about to do anything")
        incident = None  # people have it: only what is taken back can be cancelled
    why = _reasoned(asked.why)
    for id_ in sorted(undoing - {incident.id if incident else ""}):
        yield Vetoed(incident=id_, guard=asked.guard, at=it.now, by=asked.by, why=why)
    if incident is None:
        return
    vetoed = Vetoed(incident=incident.id, guard=asked.guard, at=it.now, by=asked.by, why=why)
    yield vetoed
    if incident.phase is not IncidentPhase.ACTING:  # what is under way is awaited; nothing further begins
        it = after(it, (vetoed,))
        yield from hand_over(it, it.state.incidents[incident.id], Reason.VETOED)


def _undoing(it: Situation) -> frozenset[str]:
    """Return the incidents of which something is taken back."""
    mine = (each for each in it.state.incidents.values() if each.guard == it.guard.name)
    return frozenset(each.id for each in mine if any(left_to_undo(it.policy, each)))


def _waiting(it: Situation, asked: Extend | Approve) -> Iterator[Record]:
    incident = it.incident
    if incident is None or incident.phase is not IncidentPhase.WAITING or incident.waiting is None:
        raise RefusedError(Refusal.NOTHING_TO_DO, f"no step of guard {asked.guard} waits for anybody")
    if isinstance(asked, Extend):
        until = max(it.now, incident.waiting.until) + asked.lasting
        yield Extended(incident=incident.id, guard=asked.guard, at=it.now, until=until, by=asked.by, why=asked.why)
        yield from wait(it, incident, incident.waiting)  # whatever held it at the old end of its time is over
        return
    approved = Approved(incident=incident.id, guard=asked.guard, at=it.now, by=asked.by, why=asked.why)
    yield approved
    it = after(it, (approved,))
    incident = it.state.incidents[incident.id]
    if incident.waiting is not None:
        yield from follow_wait(it, incident, incident.waiting)


def _acknowledge(state: State, asked: Acknowledge, now: datetime) -> Iterator[Record]:
    incident = _incident(state, asked.incident)
    if incident.phase is IncidentPhase.CLOSED:
        raise RefusedError(Refusal.NOTHING_TO_DO, f"incident {incident.id} is over")
    if incident.acknowledged_at is not None:
        raise RefusedError(Refusal.NOTHING_TO_DO, f"{incident.acknowledged_by} has acknowledged it already")
    yield Acknowledged(incident=incident.id, guard=incident.guard, at=now, by=asked.by, why=asked.why)


def _trigger(it: Situation, asked: Trigger) -> Iterator[Record]:
    steps, why = _steps(it.guard, asked.step), _reasoned(asked.why)
    _may_act(it.policy, it.state, asked.guard, it.now)
    _nothing_under_way(it.policy, it.state, asked.guard)
    incident = it.incident
    if incident is None:
        firing = tuple(rule.id for rule in it.triggers() if it.fires_now(rule.id))
        opened = IncidentOpened(
            incident=new_id(it),
            guard=asked.guard,
            at=it.now,
            breached_at=min(breached_at(it, firing), default=it.now),
            rules=firing,
            by=asked.by,
        )
        yield opened
        it = after(it, (opened,))
        incident = it.state.incidents[opened.incident]
    names = tuple(it.guard.playbook[index].name for index in steps)
    triggered = Triggered(
        incident=incident.id, guard=asked.guard, at=it.now, steps=steps, by=asked.by, why=why, actions=names
    )
    yield triggered
    it = after(it, (triggered,))
    yield from run_queued(it, it.state.incidents[incident.id], by=asked.by, why=why)


def _steps(guard: Guard, name: str | None) -> tuple[int, ...]:
    names = [step.name for step in guard.playbook]
    if not names:
        raise RefusedError(Refusal.NO_SUCH_STEP, f"guard {guard.name} has no playbook")
    if name is None:
        return tuple(range(len(names)))
    if name not in names:
        raise RefusedError(Refusal.NO_SUCH_STEP, f"guard {guard.name} has no step {name}", names)
    return (names.index(name),)


def _may_act(policy: Policy, state: State, guard: str, now: datetime) -> None:
    """Refuse what not even a person may do: act in a dry run, or while a person keeps the guard's hands off."""
    if policy.mode is Mode.DRY_RUN:
        raise RefusedError(Refusal.DRY_RUN, "this instance is a dry run: it has no effects")
    pause = pause_of(state, guard, now)
    if pause is not None:
        raise RefusedError(Refusal.PAUSED, f"{pause.by} paused it ({pause.why}); resume it first")


def _nothing_under_way(policy: Policy, state: State, guard: str, *, undoing: str = "") -> None:
    """Refuse to begin an action beside another one of the same guard; what is left of an undo may be asked for anew."""
    for incident, action in at_work(policy, state, guard):
        if incident.id != undoing or incident.open_intents:
            raise RefusedError(Refusal.IN_PROGRESS, f"{action} is under way; wait for its end")


def _undo(policy: Policy, state: State, asked: Undo, now: datetime) -> Iterator[Record]:
    why, incident = _reasoned(asked.why), _incident(state, asked.incident)
    _may_act(policy, state, incident.guard, now)
    _nothing_under_way(policy, state, incident.guard, undoing=incident.id)
    own = state.guards.get(incident.guard)
    present = state.incidents.get((own and own.incident) or "")
    if present is not None and present.phase in {IncidentPhase.WAITING, IncidentPhase.VERIFYING}:
        hint = f"the guard is still at it; veto it first: rollback-guard veto {incident.guard}"
        raise RefusedError(Refusal.IN_PROGRESS, hint)
    records = tuple(take_back(policy, state, incident, now=now, by=asked.by, why=why))
    if not records:
        raise RefusedError(
            Refusal.NOTHING_TO_DO, "nothing that it did succeeded, declares an `undo` and was not taken back yet"
        )
    yield from records


def _start_rollout(it: Situation, asked: StartRollout) -> Iterator[Record]:
    under_way = rollout_of(it)
    if under_way is not None:
        yield RolloutFinished(rollout=under_way.id, guard=asked.guard, at=it.now, by=asked.by, why="another one began")
    excludes = it.guard.already_bad is AlreadyBad.EXCLUDE and it.incident is None
    triggers = tuple(rule.id for rule in it.triggers())
    yield RolloutStarted(
        rollout=asked.rollout or asked.version or f"{asked.guard}-{it.now:%Y%m%dT%H%M%SZ}",
        guard=asked.guard,
        at=it.now,
        until=it.now + (it.guard.window if asked.window is None else asked.window),
        by=asked.by,
        version=asked.version,
        previous_version=asked.previous_version,
        excused=it.already_bad(triggers, since=it.now) if excludes else (),
    )


def _finish_rollout(it: Situation, asked: FinishRollout) -> Iterator[Record]:
    rollout = rollout_of(it)
    if rollout is None:
        raise RefusedError(Refusal.NOTHING_TO_DO, f"no rollout is under way under guard {asked.guard}")
    yield RolloutFinished(rollout=rollout.id, guard=asked.guard, at=it.now, by=asked.by, why=asked.why)


def _report(state: State, asked: Report, now: datetime) -> Iterator[Record]:
    known = {(each.guard, each.name, each.labels) for each in state.signals}
    told = tuple(each for each in asked.signals if each.firing or (each.guard, each.name, each.labels) in known)
    if not told:
        return
    signalled = Signalled(at=now, signals=told, by=asked.by)
    if len(fold(state, signalled).signals) > max(SIGNALS_REMEMBERED, len(known)):
        raise RefusedError(Refusal.TOO_MANY, f"more than {SIGNALS_REMEMBERED} alerts from elsewhere would fire")
    yield signalled
