"""Climb a playbook: find the step that comes next, wait for whom it has to wait for, and begin it.

A step is begun only on what is known to hold at present, whatever it waited for; a person who approves or triggers one
answers for that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from rollback_guard.core.brakes import PATIENT, brake, fleet_actions_left, is_dry, is_paused
from rollback_guard.core.conclusion import conclude, hand_over, recover
from rollback_guard.core.fold import fold_all
from rollback_guard.core.model import BlindPolicy, Otherwise, Policy, Step, Verdict
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
from rollback_guard.core.state import Incident, Waiting


def climb(it: Situation, incident: Incident, index: int, reason: Reason) -> Iterator[Record]:
    """Go on with the first step from `index` on that applies; hand over where there is none or a brake holds.

    Args:
        it: The situation of the incident's guard.
        incident: Not closed, and without an open intent.
        index: Of the first step that may come next.
        reason: Why it goes on.
    """
    found = _applying(it, incident, index)
    if found is None:
        yield from hand_over(it, incident, Reason.PLAYBOOK_EXHAUSTED)
        return
    if (held := brake(it)) is not None:
        yield from _stopped(it, incident, held)
    elif (awaited := _awaited(it, incident, *found, reason)) is not None:
        what = Reason.AWAITING_APPROVAL if awaited.what is Wait.APPROVAL else Reason.AWAITING_VETO
        yield awaited
        yield from conclude(
            it,
            Decision.HOLD,
            what,
            incident=incident,
            evidence=incident.rules,
            step=awaited.step,
            action=awaited.action,
        )
    else:
        yield from begin(it, incident, found[0], reason)


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
    goal = f"{', '.join(step.notify)} knows" if step.notify else it.policy.goals.get(step.action, step.action)
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
    elif it.persists(incident) or acts_blindly(it, watched):
        yield from _unanswered(it, incident, waiting)
    elif it.verdict(watched) is Verdict.UNKNOWN:
        yield from conclude(it, Decision.HOLD, Reason.BLIND, incident=incident, evidence=watched)


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
    if (held := brake(it)) is not None:
        yield from _stopped(it, incident, held)
    else:
        yield from begin(it, incident, waiting.step, reason, by=waiting.approved_by)


def run_queued(it: Situation, incident: Incident, *, by: str, why: str) -> Iterator[Record]:
    """Begin the next of the steps that a person wants to be run, whatever else holds but a pause and a dry run."""
    if incident.queue[0] >= len(it.guard.playbook):
        yield from hand_over(it, incident, Reason.PLAYBOOK_EXHAUSTED)
    elif is_paused(it):
        yield from hold(it, incident, Reason.PAUSED)
    elif is_dry(it):
        yield from hand_over(it, incident, Reason.DRY_RUN)
    else:
        begun = tuple(begin(it, incident, incident.queue[0], Reason.TRIGGERED, by=by, why=why))
        yield from begun
        it = after(it, begun)
        incident = it.state.incidents[incident.id]
        if incident.queue and incident.open_intent is None:  # people were told, which takes no time
            yield from run_queued(it, incident, by=by, why=why)


def take_back(policy: Policy, incident: Incident, *, now: datetime, by: str, why: str) -> Iterator[Record]:
    """Begin to undo the newest step that was done, has a way back and was not taken back yet."""
    undone = {undo.undoes for undo in incident.undos if undo.outcome is not Outcome.FAILED}
    for intent in reversed(incident.intents):
        action = policy.undos.get(intent.action)
        if action is None or intent.outcome is not Outcome.SUCCEEDED or intent.key in undone:
            continue
        yield Intended(
            key=new_key(f"{intent.key}-undo", incident),
            incident=incident.id,
            guard=incident.guard,
            step=intent.step,
            action=action,
            goal=policy.goals.get(action, action),
            at=now,
            within=timedelta(0),
            stable_for=timedelta(0),
            undoes=intent.key,
            by=by,
            why=why,
        )
        return


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


def _applying(it: Situation, incident: Incident, index: int) -> tuple[int, Step] | None:
    """Return the first step from an index on whose labels one of the incident's rules has."""
    rules = [rule for id_ in incident.rules if (rule := it.policy.rules.get(id_))]
    for number, step in enumerate(it.guard.playbook):
        if number >= index and (not step.select or any(step.suits(rule) for rule in rules)):
            return number, step
    return None


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
