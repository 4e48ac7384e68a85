"""Conclude from the end of an action what comes next, and tell whether an intent is still wanted."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import takewhile
from typing import assert_never

from rollback_guard.core.brakes import is_maintained, is_paused
from rollback_guard.core.conclusion import hand_over, let_go
from rollback_guard.core.fold import fold_all
from rollback_guard.core.ladder import acts_blindly, climb, go_on_undoing, run_queued
from rollback_guard.core.model import Mode, Policy, Verdict
from rollback_guard.core.records import Concluded, Intended, Outcome, Reason, Record
from rollback_guard.core.situation import Situation
from rollback_guard.core.state import Incident, Intent, State


def conclude(policy: Policy, state: State, ended: Concluded) -> tuple[Record, ...]:
    """Return what follows from the end of an action: its record, and what it leads to.

    Done: its effect is watched. Failed for good: the next step begins at once where the rules are seen to breach, and
    in the first slot that shows it where they are not; a step that people held back comes once more. Nobody can tell
    whether it happened: people are needed, for a second try could do harm. An outcome of an intent that is not open
    says nothing.
    """
    incident = state.incidents.get(ended.incident)
    intent = next((each for each in incident.open_intents if each.key == ended.key), None) if incident else None
    if incident is None or intent is None:
        return ()
    after = fold_all(state, [ended])
    incident = after.incidents[incident.id]
    guard = policy.guards.get(incident.guard)
    if intent.undoes:
        # One after the other, newest first, for as long as that succeeds.
        return (ended, *go_on_undoing(policy, after, incident, now=ended.at))
    if guard is None:
        return (ended, *let_go(incident, Reason.GUARD_REMOVED, ended.at))
    it = Situation(policy=policy, state=after, guard=guard, slot=ended.at, now=ended.at)
    if it.is_gone(incident):
        return (ended, *let_go(incident, Reason.RULES_REMOVED, ended.at))
    return (ended, *_next(it, incident, intent, ended.outcome))


def _next(it: Situation, incident: Incident, intent: Intent, outcome: Outcome) -> Iterable[Record]:
    if incident.vetoed_by:
        return hand_over(it, incident, Reason.VETOED)
    if incident.queue:
        return run_queued(it, incident, by=intent.by, why=intent.why)
    if intent.by and any(each.outcome is Outcome.UNKNOWN for each in _asked_with(incident, intent)):
        return hand_over(it, incident, Reason.OUTCOME_UNKNOWN)
    match outcome:
        case Outcome.SUCCEEDED:
            return ()
        case Outcome.UNKNOWN:
            return hand_over(it, incident, Reason.OUTCOME_UNKNOWN)
        case Outcome.FAILED:
            if not it.persists(incident):
                # What a person ordered has not happened: that everything is well is no answer to that.
                return hand_over(it, incident, Reason.ACTION_FAILED) if intent.by and not intent.held else ()
            last = incident.intents[-1]
            return climb(it, incident, last.following, Reason.BREACH if last.held else Reason.ACTION_FAILED)
        case _:
            assert_never(outcome)


def _asked_with(incident: Incident, intent: Intent) -> Iterable[Intent]:
    """Return the newest intents for which one person gave one reason: what had happened before, they know."""
    return takewhile(lambda each: (each.by, each.why) == (intent.by, intent.why), reversed(incident.intents))


def is_held(policy: Policy, state: State, intent: Intended, *, now: datetime) -> bool:
    """Say whether an action that was begun must not be tried again for now; somebody or the calendar will end that."""
    guard = policy.guards.get(intent.guard)
    return guard is not None and _is_held(Situation(policy=policy, state=state, guard=guard, slot=now, now=now), intent)


def _is_held(it: Situation, intent: Intended) -> bool:
    return is_paused(it) or (is_maintained(it) and not intent.by)


def is_wanted(policy: Policy, state: State, intent: Intended, *, now: datetime) -> bool | None:
    """Say whether an action that was begun is to be tried again now; ``None`` while that is not known.

    Its evidence is of that time, and people may have acted since: like any other it is run on what holds at present,
    and not at all in a dry run or once a person cancelled it. What a person asked for needs no evidence, and what is to
    be taken back of a cancelled playbook is still to be taken back.
    """
    guard = policy.guards.get(intent.guard)
    incident = state.incidents.get(intent.incident)
    if guard is None or incident is None or policy.mode is Mode.DRY_RUN:
        return False
    if incident.vetoed_by and not intent.undoes:
        return False
    it = Situation(policy=policy, state=state, guard=guard, slot=now, now=now)
    if _is_held(it, intent):
        return None
    if intent.by:
        return True
    rules = it.watched(incident)
    current = tuple(rule for rule in rules if it.is_current(rule))
    if it.breaches_now(current) or acts_blindly(it, current):
        return True
    return False if len(current) == len(rules) and it.verdict(rules) is Verdict.PASS else None
