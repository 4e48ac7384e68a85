"""Climb a playbook: find the step that comes next, wait for whom it has to wait for, and begin it.

A step is begun only on what is known to hold at present, whatever it waited for; a person who approves or triggers one
answers for that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from rollback_guard.core.brakes import (
    BRAKES,
    PATIENT,
    at_work,
    fleet_actions_left,
    hold_back,
    is_dry,
    is_paused,
    left_to_undo,
    pause_of,
)
from rollback_guard.core.conclusion import conclude, hand_over, recover
from rollback_guard.core.fold import fold_all
from rollback_guard.core.goal import goal_of
from rollback_guard.core.model import BlindPolicy, Mode, Otherwise, Policy, Step, Verdict
from rollback_guard.core.records import (
    Awaited,
    Concluded,
    Decision,
    Intended,
    Outcome,
    Reason,
    Record,
    Wait,
)
from rollback_guard.core.situation import Situation
from rollback_guard.core.state import Incident, State, Waiting

HELD = frozenset(reason for reason, _ in BRAKES)
"""Why a step that waited was not run although its time was up."""


def climb(it: Situation, incident: Incident, index: int, reason: Reason) -> Iterator[Record]:
    """Go on with the first step from `index` on that applies; hand over where there is none or a brake holds.

    Args:
        it: The situation of the incident's guard.
        incident: Not closed, and without an open intent.
        index: Of the first step that may come next.
        reason: Why it goes on.
    """
    rules = [rule for id_ in incident.rules if (rule := it.policy.rules.get(id_))]
    found = it.guard.next_step(index, rules)
    if found is None:
        yield from hand_over(it, incident, Reason.PLAYBOOK_EXHAUSTED)
        return
    if (held := hold_back(it)) is not None:
        yield from _stopped(it, incident, held)
    elif (awaited := _awaited(it, incident, *found, reason)) is not None:
        yield awaited
        yield from wait(it, incident, awaited)
    else:
        yield from begin(it, incident, found[0], reason)


def wait(it: Situation, incident: Incident, waiting: Awaited | Waiting) -> Iterator[Record]:
    """Do nothing while people have time to say something."""
    yield from conclude(
        it,
        Decision.HOLD,
        Reason.AWAITING_APPROVAL if waiting.what is Wait.APPROVAL else Reason.AWAITING_VETO,
        incident=incident,
        evidence=incident.rules,
        step=waiting.step,
        action=waiting.action,
    )


def _stopped(it: Situation, incident: Incident, reason: Reason) -> Iterator[Record]:
    """Wait for the end of a brake; between two actions only for those that are sure to have one."""
    if reason in PATIENT or not incident.has_acted:
        yield from hold(it, incident, reason)
    else:
        yield from hand_over(it, incident, reason)


def hold(it: Situation, incident: Incident, reason: Reason) -> Iterator[Record]:
    """Do nothing, and say which brake holds."""
    left = fleet_actions_left(it.policy, it.state, it.now)
    fleet = reason is Reason.LIMIT_REACHED and left is not None and left <= 0
    detail = f"all guards together may run {it.policy.fleet.max_actions} actions" if fleet else ""
    if reason is Reason.IN_PROGRESS:
        detail = next((f"{action} is under way" for _, action in at_work(it.policy, it.state, it.guard.name)), "")
    yield from conclude(it, Decision.HOLD, reason, incident=incident, evidence=incident.rules, detail=detail)


def begin(
    it: Situation, incident: Incident, index: int, reason: Reason, *, by: str = "", why: str = ""
) -> Iterator[Record]:
    """Begin a step: the intent is to be on the disk before the effect."""
    step = it.guard.playbook[index]
    yield from conclude(
        it,
        Decision.ACT,
        reason,
        incident=incident,
        evidence=incident.rules,
        step=index,
        action=step.name,
        detail=": ".join(filter(None, (by, why))),
    )
    intent = intend(it, incident, index, step, by=by, why=why)
    yield intent
    if step.notify:
        yield Concluded(
            key=intent.key,
            incident=incident.id,
            guard=incident.guard,
            action=step.name,
            at=it.now,
            outcome=Outcome.SUCCEEDED,
            detail=f"told {', '.join(step.notify)}",
        )


def intend(it: Situation, incident: Incident, index: int, step: Step, *, by: str = "", why: str = "") -> Intended:
    """Return the intent of a step; one key never has two effects, also where a person has a step run again."""
    goal = (
        f"{', '.join(step.notify)} knows"
        if step.notify
        else goal_of(it.policy, it.state, incident, step.action, at=it.now)
    )
    return Intended(
        key=new_key(f"{incident.id}-{index + 1}", incident),
        incident=incident.id,
        guard=it.guard.name,
        step=index,
        action=step.name,
        goal=goal,
        at=it.now,
        within=step.verify.within,
        stable_for=step.verify.stable_for,
        rules=step.verify.rules,
        idle_passes=step.verify.idle_passes,
        timeout=step.timeout,
        notify=step.notify,
        by=by,
        why=why,
    )


def new_key(key: str, incident: Incident) -> str:
    """Return a key that no intent of the incident has had."""
    had = {intent.key for intent in (*incident.intents, *incident.undos)}
    return next(each for each in (key, *(f"{key}.{number}" for number in range(2, len(had) + 3))) if each not in had)


def follow_wait(it: Situation, incident: Incident, waiting: Waiting) -> Iterator[Record]:
    """Go on with a step that waits, once somebody let it or its time is up."""
    watched = it.watched(incident)
    approved, unanswered = bool(waiting.approved_by), it.now >= waiting.until
    if it.is_quiet(watched):
        yield from recover(it, incident)
    elif approved and _is_as_asked(it, waiting):
        yield from _run_awaited(it, incident, waiting, Reason.APPROVED)
    elif not approved and not unanswered:
        return
    elif not approved and waiting.otherwise is Otherwise.HAND_OVER:
        yield from hand_over(it, incident, Reason.NOT_APPROVED)
    elif not approved and (held := hold_back(it)) in PATIENT:
        yield from hold(it, incident, held)
    elif not approved and held is None and (again := _time_again(it, incident, waiting)) is not None:
        yield again
        yield from wait(it, incident, again)
    elif it.persists(incident) or acts_blindly(it, watched):
        yield from _unanswered(it, incident, waiting)
    elif it.verdict(watched) is Verdict.UNKNOWN:
        yield from conclude(it, Decision.HOLD, Reason.BLIND, incident=incident, evidence=watched)


def _time_again(it: Situation, incident: Incident, waiting: Waiting) -> Awaited | None:
    """Return the wait that begins anew where a brake held the step until its time was up.

    People who had the guard's hands off need not have watched its clock: nothing is run in the moment they let go.
    """
    last = it.own.last
    was_held = last is not None and last.incident == incident.id and last.reason in HELD
    if not was_held or waiting.otherwise is not Otherwise.RUN or not _is_as_asked(it, waiting):
        return None
    return _awaited(it, incident, waiting.step, it.guard.playbook[waiting.step], waiting.reason)


def _unanswered(it: Situation, incident: Incident, waiting: Waiting) -> Iterator[Record]:
    if waiting.otherwise is Otherwise.SKIP and not waiting.approved_by:
        yield from climb(it, incident, waiting.step + 1, Reason.NOT_APPROVED)
    elif _is_as_asked(it, waiting):
        yield from _run_awaited(it, incident, waiting, waiting.reason)
    else:
        yield from climb(it, incident, waiting.step, waiting.reason)  # people were asked about something else


def _is_as_asked(it: Situation, waiting: Waiting) -> bool:
    """Say whether a reload left the step what it was when people were asked about it."""
    playbook = it.guard.playbook
    return waiting.step < len(playbook) and playbook[waiting.step].name == waiting.action


def _run_awaited(it: Situation, incident: Incident, waiting: Waiting, reason: Reason) -> Iterator[Record]:
    if (held := hold_back(it)) is not None:
        yield from _stopped(it, incident, held)
    else:
        yield from begin(it, incident, waiting.step, reason, by=waiting.approved_by)


def run_queued(it: Situation, incident: Incident, *, by: str, why: str) -> Iterator[Record]:
    """Begin the next of the steps that a person wants to be run, whatever else holds but a pause and a dry run."""
    index = _queued(it, incident)
    if index is None:
        yield from hand_over(it, incident, Reason.PLAYBOOK_EXHAUSTED)
    elif is_paused(it):
        yield from hold(it, incident, Reason.PAUSED)
    elif is_dry(it):
        yield from hand_over(it, incident, Reason.DRY_RUN)
    elif any(at_work(it.policy, it.state, it.guard.name)):
        yield from hold(it, incident, Reason.IN_PROGRESS)
    else:
        begun = tuple(begin(it, incident, index, Reason.TRIGGERED, by=by, why=why))
        yield from begun
        it = after(it, begun)
        incident = it.state.incidents[incident.id]
        if incident.queue and incident.open_intent is None:  # people were told, which takes no time
            yield from run_queued(it, incident, by=by, why=why)


def _queued(it: Situation, incident: Incident) -> int | None:
    """Return where the next of these steps stands now, for a reload may have moved it or taken it away."""
    index, names = incident.queue[0], [step.name for step in it.guard.playbook]
    wanted = next(iter(incident.queued), "")
    if index < len(names) and wanted in {names[index], ""}:
        return index
    return names.index(wanted) if wanted in names else None


def take_back(
    policy: Policy, state: State, incident: Incident, *, now: datetime, by: str, why: str
) -> Iterator[Record]:
    """Begin to undo all that was done, has a way back and was not taken back yet, the newest first."""
    undone = {undo.undoes for undo in incident.undos if undo.outcome is not Outcome.FAILED}
    done = [each for each in incident.intents if each.outcome is Outcome.SUCCEEDED and each.key not in undone]
    queue = tuple(intent.key for intent in reversed(done) if intent.action in policy.undos)
    return _undo_next(policy, state, replace(incident, undo_queue=queue), now=now, by=by, why=why)


def go_on_undoing(policy: Policy, state: State, incident: Incident, *, now: datetime) -> Iterator[Record]:
    """Take the next of it back unless a person or a dry run holds that, or something is under way."""
    held = policy.mode is Mode.DRY_RUN or pause_of(state, incident.guard, now) is not None
    beside = any(each.guard == incident.guard and each.open_intents for each in state.incidents.values())
    if incident.undo_queue and not held and not beside:
        asked = incident.undos[-1]
        yield from _undo_next(policy, state, incident, now=now, by=asked.by, why=asked.why)


def _undo_next(
    policy: Policy, state: State, incident: Incident, *, now: datetime, by: str, why: str
) -> Iterator[Record]:
    intent = next(left_to_undo(policy, incident), None)
    if intent is None:
        return
    action = policy.undos[intent.action]
    yield Intended(
        key=new_key(f"{intent.key}-undo", incident),
        incident=incident.id,
        guard=incident.guard,
        step=intent.step,
        action=action,
        goal=goal_of(policy, state, incident, action, at=intent.at),
        at=now,
        within=timedelta(0),
        stable_for=timedelta(0),
        undoes=intent.key,
        further=incident.undo_queue[incident.undo_queue.index(intent.key) + 1 :],
        by=by,
        why=why,
    )


def acts_blindly(it: Situation, rules: tuple[str, ...] | frozenset[str]) -> bool:
    """Say whether the guard is told to act where it cannot see, and could not see for long enough."""
    return it.guard.blind.do is BlindPolicy.ACT and blind_for_too_long(it, rules)


def blind_for_too_long(it: Situation, rules: tuple[str, ...] | frozenset[str]) -> bool:
    """Say whether one of the rules could not be seen for longer than the guard waits."""
    since = [at for rule in rules if it.is_current(rule) and (at := it.blind_since(rule)) is not None]
    return bool(since) and it.slot - min(since) >= it.guard.blind.after


def after(it: Situation, records: tuple[Record, ...]) -> Situation:
    """Return the situation once these records are folded."""
    return replace(it, state=fold_all(it.state, records))


def _awaited(it: Situation, incident: Incident, index: int, step: Step, reason: Reason) -> Awaited | None:
    """Return for whom a step has to wait; a step that only tells people waits for nobody's veto."""
    if step.approve is not None:
        what, lasting, otherwise = Wait.APPROVAL, step.approve.within, step.approve.otherwise
    elif it.guard.veto and not step.notify:
        what, lasting, otherwise = Wait.VETO, it.guard.veto, Otherwise.RUN
    else:
        return None
    return Awaited(
        incident=incident.id,
        guard=it.guard.name,
        at=it.now,
        step=index,
        action=step.name,
        what=what,
        until=it.now + lasting,
        otherwise=otherwise,
        reason=reason,
    )
