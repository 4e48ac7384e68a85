"""Say how things stand with an incident that has no end yet, and what people can do about it now."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import assert_never

from rollback_guard.core import wording
from rollback_guard.core.fold import fold_all
from rollback_guard.core.records import Reason
from rollback_guard.core.state import Incident, IncidentPhase, State, Waiting
from rollback_guard.core.story.account import Account, Said


def outlook(account: Account) -> Iterator[Said]:
    """Say how things stand at the end of an incident's records."""
    if account.opened is None:
        return
    incident = fold_all(State(), account.own).incidents[account.incident]
    at = max(_time_of(each) for each in account.own)
    yield from _of_steps(incident, account, at)
    for intent in incident.undos:
        if intent.outcome is None:
            yield Said(at, f"{intent.action} is under way, or how it ended is not known yet.")
    yield from _of_undos(incident, at)


ON_ITS_WAY = frozenset({Reason.AWAITING_VETO, Reason.AWAITING_APPROVAL})
"""Reasons of a hold that other words say better: what is waited for."""


def _of_steps(incident: Incident, account: Account, at: datetime) -> Iterator[Said]:
    held = account.held_at_last()
    if held is Reason.IN_PROGRESS and incident.phase is IncidentPhase.VERIFYING:
        held = None  # rules joined while a step was under way
    match incident.phase:
        case IncidentPhase.HOLDING | IncidentPhase.WAITING | IncidentPhase.VERIFYING if held and held not in ON_ITS_WAY:
            yield Said(at, f"Not over yet: the guard still does not act, because {wording.why(held)}.")
        case IncidentPhase.HOLDING:
            yield Said(at, "Not over yet.")
        case IncidentPhase.WAITING:
            if incident.waiting is not None:
                yield _waiting(incident.guard, incident.waiting, at)
        case IncidentPhase.ACTING:
            if incident.open_intent is not None:
                yield Said(at, f"{incident.open_intent.action} is under way, or how it ended is not known yet.")
        case IncidentPhase.VERIFYING:
            yield Said(at, "Not over yet: the effect is being watched.")
        case IncidentPhase.HANDED_OVER:
            yield Said(at, "Not closed yet: the rules have not all passed again.")
        case IncidentPhase.CLOSED:
            return
        case _:
            assert_never(incident.phase)


def _of_undos(incident: Incident, at: datetime) -> Iterator[Said]:
    """Say what is still to be taken back, where that does not go on by itself at once."""
    under_way = {undo.undoes for undo in incident.undos if undo.outcome is None}
    steps = {intent.key: wording.step(intent.step, intent.action) for intent in incident.intents}
    left = [steps[key] for key in incident.undo_queue if key not in under_way]
    if left:
        unless = "once neither a pause nor a dry run holds the guard back, and its journal can be written"
        notes = (f"`rollback-guard veto {wording.argument(incident.guard)} --reason …` keeps it from that.",)
        yield Said(at, f"Still to be taken back: {' and '.join(left)}; that goes on {unless}.", notes)


def _waiting(guard: str, waiting: Waiting, at: datetime) -> Said:
    step = wording.step(waiting.step, waiting.action)
    if waiting.approved_by:
        return Said(at, f"Not over yet: {waiting.approved_by} approved {step}, which is about to begin.")
    until = wording.moment(waiting.until, at)
    what = wording.awaited(waiting.what, waiting.otherwise)
    notes = tuple(f"`{command}` {effect}." for command, effect in wording.ways(guard))
    return Said(at, f"Not over yet: {step}, waits until {until}: {what}.", notes)


def _time_of(record: object) -> datetime:
    """Return when a record of an incident was made; all kinds of them are stamped."""
    at = getattr(record, "at", None)
    assert isinstance(at, datetime)  # noqa: S101  only evaluations have no `at`, and they belong to no incident
    return at
