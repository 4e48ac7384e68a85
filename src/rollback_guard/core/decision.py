"""Decide for one guard: open an incident, act, hold, climb, recover or hand over; always with a reason.

    no incident ──fires──▶ HOLDING ──no brake──▶ ACTING ──done──▶ VERIFYING ──passes──▶ CLOSED (recovered)
                              │                     ▲  │              │
                              │                     │  └──failed──┐   ├──breaches──▶ next step, ACTING
                              └──passes──▶ CLOSED   └─────────────┴───┘
                                                                      └──no step left, cannot tell──▶ HANDED_OVER
    HANDED_OVER ──passes──▶ CLOSED

Everything is a record. What was decided before is not recorded again until it changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import assert_never

from rollback_guard.core.brakes import brake
from rollback_guard.core.fold import fold_all
from rollback_guard.core.model import BlindPolicy, Mode, Policy, Severity, Verdict
from rollback_guard.core.records import (
    Concluded,
    Decided,
    Decision,
    IncidentCleared,
    IncidentEnded,
    IncidentJoined,
    IncidentOpened,
    Intended,
    Outcome,
    Reason,
    Record,
    Watched,
)
from rollback_guard.core.situation import Situation, is_trigger
from rollback_guard.core.state import Incident, IncidentPhase, State, Verification


def decide(it: Situation) -> tuple[Record, ...]:
    """Conclude what the guard does after an evaluation of its rules."""
    incident = it.incident
    if incident is None:
        return tuple(_without_incident(it))
    joined = tuple(_joined(it, incident))
    after = replace(it, state=fold_all(it.state, joined))
    return (*joined, *_within(after, after.state.incidents[incident.id]))


def watch(it: Situation) -> tuple[Record, ...]:
    """Follow a verification over a slot of the past: time passes, nothing is decided."""
    incident = it.incident
    if incident is None or incident.phase is not IncidentPhase.VERIFYING or incident.verification is None:
        return ()
    return tuple(_watched(it, incident, incident.verification))


def _within(it: Situation, incident: Incident) -> Iterable[Record]:
    if incident.phase is not IncidentPhase.ACTING and not any(rule in it.policy.rules for rule in incident.rules):
        return _let_go(incident, Reason.RULES_REMOVED, it.now)
    match incident.phase:
        case IncidentPhase.HOLDING:
            return _holding(it, incident)
        case IncidentPhase.ACTING | IncidentPhase.CLOSED:
            return ()
        case IncidentPhase.VERIFYING:
            return _verifying(it, incident)
        case IncidentPhase.HANDED_OVER:
            return _handed_over(it, incident)
        case _:
            assert_never(incident.phase)


def _without_incident(it: Situation) -> Iterator[Record]:
    restless = it.restless()
    triggers = [rule.id for rule in restless if is_trigger(rule)]
    firing = [rule for rule in triggers if it.fires_now(rule)]
    blind = {rule: since for rule in triggers if (since := it.blind_since(rule)) is not None}
    too_long = _blind_for_too_long(it, blind)
    if firing:
        yield from _open(it, firing, min(_breached_at(it, firing)))
    elif too_long and it.guard.blind.do is BlindPolicy.ACT:
        yield from _open(it, blind, min(blind.values()))
    elif too_long:
        yield from _conclude(it, Decision.HOLD, Reason.BLIND, evidence=blind)
    elif shadowed := [rule.id for rule in restless if rule.shadow and it.fires_now(rule.id)]:
        yield from _conclude(it, Decision.HOLD, Reason.SHADOW, evidence=shadowed)
    elif lesser := [rule.id for rule in restless if rule.severity is Severity.WARNING and it.fires_now(rule.id)]:
        yield from _conclude(it, Decision.HOLD, Reason.NOT_CRITICAL, evidence=lesser)
    elif not blind and it.verdict(triggers) is not Verdict.BREACH:
        # While it is pending or was blind for a moment the last decision stands: neither is health.
        yield from _conclude(it, Decision.NONE, Reason.HEALTHY)


def _blind_for_too_long(it: Situation, rules: Iterable[str]) -> bool:
    since = [at for rule in rules if (at := it.blind_since(rule)) is not None]
    return bool(since) and it.slot - min(since) >= it.guard.blind.after


def _acts_blindly(it: Situation, rules: Iterable[str]) -> bool:
    return it.guard.blind.do is BlindPolicy.ACT and _blind_for_too_long(it, rules)


def _breached_at(it: Situation, rules: Iterable[str]) -> Iterator[datetime]:
    return (alert.active_at for rule in rules for alert in it.alerts(rule))


def _open(it: Situation, rules: Iterable[str], breached_at: datetime) -> Iterator[Record]:
    """Open an incident, and decide about it once it is open: a storm counts it too."""
    opened = IncidentOpened(
        incident=_new_id(it),
        guard=it.guard.name,
        at=it.now,
        breached_at=breached_at,
        rules=tuple(rules),
    )
    yield opened
    after = replace(it, state=fold_all(it.state, [opened]))
    yield from _holding(after, after.state.incidents[opened.incident])


def _new_id(it: Situation) -> str:
    name = "-".join(part for part in (it.guard.name, f"{it.slot:%Y%m%dT%H%M%SZ}", it.state.run) if part)
    taken = sum(each == name or each.startswith(f"{name}.") for each in it.state.incidents)
    return f"{name}.{taken + 1}" if taken else name


def _joined(it: Situation, incident: Incident) -> Iterator[Record]:
    rules = tuple(rule.id for rule in it.triggers() if rule.id not in incident.rules and it.fires_now(rule.id))
    if not rules:
        return
    yield IncidentJoined(incident=incident.id, guard=it.guard.name, at=it.now, rules=rules)
    if incident.phase is not IncidentPhase.HOLDING:
        yield from _conclude(it, Decision.HOLD, Reason.IN_PROGRESS, incident=incident, evidence=rules)


def _holding(it: Situation, incident: Incident) -> Iterator[Record]:
    if it.is_quiet(incident.rules):
        yield from _end(it, incident, Decision.RECOVERED, Reason.BY_ITSELF)
        return
    acts_blindly = _acts_blindly(it, incident.rules)
    breaches = any(it.fires_now(rule) for rule in incident.rules)
    if not breaches and not acts_blindly:
        if it.verdict(incident.rules) is Verdict.UNKNOWN:
            yield from _conclude(it, Decision.HOLD, Reason.BLIND, incident=incident, evidence=incident.rules)
        return
    reason = brake(it)
    if reason is not None:
        yield from _conclude(it, Decision.HOLD, reason, incident=incident, evidence=incident.rules)
    else:
        yield from _act(it, incident, 0, Reason.BREACH if breaches else Reason.BLIND)


def _act(it: Situation, incident: Incident, index: int, reason: Reason) -> Iterator[Record]:
    if index >= len(it.guard.playbook):
        yield from _end(it, incident, Decision.HAND_OVER, Reason.PLAYBOOK_EXHAUSTED)
        return
    step = it.guard.playbook[index]
    yield from _conclude(
        it, Decision.ACT, reason, incident=incident, evidence=incident.rules, step=index, action=step.action
    )
    yield Intended(
        key=f"{incident.id}-{index + 1}",
        incident=incident.id,
        guard=it.guard.name,
        step=index,
        action=step.action,
        goal=it.policy.goals.get(step.action, step.action),
        at=it.now,
        within=step.verify.within,
        stable_for=step.verify.stable_for,
    )


def _verifying(it: Situation, incident: Incident) -> Iterator[Record]:
    assert incident.verification is not None  # noqa: S101  the phase says so; the fold sets both together
    watched = tuple(_watched(it, incident, incident.verification))
    yield from watched
    incident = fold_all(it.state, watched).incidents[incident.id]
    watch = incident.verification or Verification(since=it.now, until=it.now)
    stable_for = incident.intents[-1].stable_for
    if watch.passing_since is not None:
        if it.seen_until(incident.rules) - watch.passing_since >= stable_for:
            helped = any(intent.outcome is Outcome.SUCCEEDED for intent in incident.intents)
            yield from _end(it, incident, Decision.RECOVERED, Reason.VERIFIED if helped else Reason.BY_ITSELF)
    elif incident.intents[-1].outcome is Outcome.FAILED and it.breaches_now(incident.rules):
        yield from _climb(it, incident, Reason.ACTION_FAILED)
    elif it.slot >= watch.until:
        yield from _not_recovered(it, incident, watch)


def _watched(it: Situation, incident: Incident, watch: Verification) -> Iterator[Record]:
    """Record that the rules began to pass or stopped passing."""
    if it.seen_until(incident.rules) < watch.since and it.slot < watch.until:
        return  # the first evaluation after the step is still to come
    verdict = it.verdict(incident.rules, since=watch.since)
    passing_since = (watch.passing_since or it.seen_until(incident.rules)) if verdict is Verdict.PASS else None
    if verdict is not incident.verdict or passing_since != watch.passing_since:
        yield Watched(
            incident=incident.id,
            guard=it.guard.name,
            at=it.now,
            verdict=verdict,
            passing_since=passing_since,
            until=watch.until,
            extended=watch.extended,
        )


def _not_recovered(it: Situation, incident: Incident, watch: Verification) -> Iterator[Record]:
    if incident.verdict is Verdict.BREACH:
        # What breached before a restart counts once its group has caught up, which is at that group's next slot.
        if it.breaches_now(incident.rules):
            yield from _climb(it, incident, Reason.NOT_RECOVERED)
    elif watch.extended:
        yield from _end(it, incident, Decision.HAND_OVER, Reason.CANNOT_TELL)
    else:
        yield Watched(
            incident=incident.id,
            guard=it.guard.name,
            at=it.now,
            verdict=incident.verdict,
            passing_since=None,
            until=it.slot + incident.intents[-1].within,
            extended=True,
        )


def _climb(it: Situation, incident: Incident, reason: Reason) -> Iterator[Record]:
    """Begin the next step, or hand over where there is none or a brake holds."""
    index = incident.intents[-1].step + 1
    held = brake(it)
    if held is not None and index < len(it.guard.playbook):
        yield from _end(it, incident, Decision.HAND_OVER, held)
    else:
        yield from _act(it, incident, index, reason)


def _handed_over(it: Situation, incident: Incident) -> Iterator[Record]:
    if it.is_quiet(incident.rules):
        yield IncidentCleared(incident=incident.id, guard=it.guard.name, at=it.now)


def _end(it: Situation, incident: Incident, decision: Decision, reason: Reason) -> Iterator[Record]:
    yield from _conclude(it, decision, reason, incident=incident, evidence=incident.rules)
    yield IncidentEnded(incident=incident.id, guard=it.guard.name, at=it.now, decision=decision, reason=reason)


def _conclude(
    it: Situation,
    decision: Decision,
    reason: Reason,
    *,
    incident: Incident | None = None,
    evidence: Iterable[str] = (),
    step: int | None = None,
    action: str | None = None,
) -> Iterator[Record]:
    """Record a decision unless it is the one that holds already."""
    last = it.own.last
    id_ = incident.id if incident else None
    rules = tuple(evidence)
    if last is None and decision is Decision.NONE:
        return
    if last is not None and (last.decision, last.reason, last.incident, last.step) == (decision, reason, id_, step):
        joined = {each.rule for each in last.evidence} >= set(rules)
        if joined:
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
    )


def conclude(policy: Policy, state: State, ended: Concluded) -> tuple[Record, ...]:
    """Return what follows from the end of an action: its record, and what it leads to.

    Done: its effect is watched. Failed for good: the next step begins at once where the rules are seen to breach, and
    in the first slot that shows it where they are not. Nobody can tell whether it happened: people are needed, for a
    second try could do harm. An outcome of an intent that is not open says nothing.
    """
    incident = state.incidents.get(ended.incident)
    if incident is None or incident.open_intent is None or incident.open_intent.key != ended.key:
        return ()
    after = fold_all(state, [ended])
    incident = after.incidents[incident.id]
    guard = policy.guards.get(incident.guard)
    if guard is None:
        return (ended, *_let_go(incident, Reason.GUARD_REMOVED, ended.at))
    it = Situation(policy=policy, state=after, guard=guard, slot=ended.at, now=ended.at)
    match ended.outcome:
        case Outcome.SUCCEEDED:
            return (ended,)
        case Outcome.UNKNOWN:
            return (ended, *_end(it, incident, Decision.HAND_OVER, Reason.OUTCOME_UNKNOWN))
        case Outcome.FAILED:
            if not it.breaches_now(incident.rules):
                return (ended,)
            return (ended, *_climb(it, incident, Reason.ACTION_FAILED))
        case _:
            assert_never(ended.outcome)


def is_wanted(policy: Policy, state: State, intent: Intended, *, now: datetime) -> bool | None:
    """Say whether an action that an earlier process left open is to be run now; ``None`` while that is not known.

    Its evidence is of that time, and people may have acted since: like any other it is run on what holds at present,
    and not at all in a dry run.
    """
    guard = policy.guards.get(intent.guard)
    if guard is None or policy.mode is Mode.DRY_RUN:
        return False
    rules = state.incidents[intent.incident].rules
    it = Situation(policy=policy, state=state, guard=guard, slot=now, now=now)
    current = [rule for rule in rules if it.is_current(rule)]
    if it.breaches_now(current) or _acts_blindly(it, current):
        return True
    return False if len(current) == len(rules) and it.verdict(rules) is Verdict.PASS else None


def release(policy: Policy, state: State, *, now: datetime) -> tuple[Record, ...]:
    """Hand over the incidents of guards that a new configuration no longer has; a running action is awaited first."""
    idle = {IncidentPhase.HOLDING, IncidentPhase.VERIFYING, IncidentPhase.HANDED_OVER}
    return tuple(
        record
        for incident in state.incidents.values()
        if incident.guard not in policy.guards and incident.phase in idle
        for record in _let_go(incident, Reason.GUARD_REMOVED, now)
    )


def _let_go(incident: Incident, reason: Reason, now: datetime) -> Iterator[Record]:
    """End an incident whose guard or whose rules are gone: nothing would ever tell that it is over."""
    if incident.phase is not IncidentPhase.HANDED_OVER:
        over = Decision.HAND_OVER
        yield Decided(guard=incident.guard, at=now, decision=over, reason=reason, incident=incident.id)
        yield IncidentEnded(incident=incident.id, guard=incident.guard, at=now, decision=over, reason=reason)
    yield IncidentCleared(incident=incident.id, guard=incident.guard, at=now)
