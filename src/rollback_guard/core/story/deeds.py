"""Tell what a guard concluded and did."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from rollback_guard.core import wording
from rollback_guard.core.model import Otherwise, Verdict
from rollback_guard.core.records import (
    Awaited,
    Concluded,
    Decided,
    Decision,
    Escalated,
    IncidentCleared,
    IncidentEnded,
    IncidentJoined,
    IncidentOpened,
    Intended,
    Outcome,
    Reason,
    Wait,
    Watched,
)
from rollback_guard.core.story.account import Account, Said

Deed = (
    Decided
    | IncidentOpened
    | IncidentJoined
    | Awaited
    | Intended
    | Concluded
    | Watched
    | Escalated
    | IncidentEnded
    | IncidentCleared
)


def deed(record: Deed, account: Account) -> Iterator[Said]:
    """Tell one thing that the guard concluded or did."""
    match record:
        case Decided():
            yield _decided(record)
        case IncidentOpened():
            yield from _opened(record, account)
        case IncidentJoined():
            yield Said(record.at, f"{wording.names(record.rules)} fired too and joined the incident.")
        case Awaited():
            yield _awaited(record)
        case Intended():
            yield from _skipped(record, account)
            yield _intended(record, account)
        case Concluded():
            yield from _concluded(record, account)
        case Watched():
            yield Said(record.at, _watched(record, account))
        case Escalated():
            called = f"level {record.level} was called: {', '.join(record.notify)}"
            yield Said(record.at, f"Nobody has acknowledged the incident, so {called}.")
        case IncidentEnded():
            yield _ended(record, account)
        case IncidentCleared():
            yield Said(record.at, "The rules pass again: the incident is closed, and a new breach opens a new one.")
        case _:
            assert_never(record)


def _opened(record: IncidentOpened, account: Account) -> Iterator[Said]:
    rules = wording.names(record.rules)
    if not account.incident:
        yield Said(record.at, f"Incident {record.incident} began: `rollback-guard explain {record.incident}`.")
        return
    opening = f"Guard {record.guard} opened incident {record.incident}"
    if record.by:
        if record.rules:
            yield Said(record.breached_at, f"The first breach: {rules}.")
        yield Said(record.at, f"{opening}: {record.by} triggered it.")
    elif account.began_blind:
        yield Said(record.breached_at, f"Nothing is known any more of {rules}.")
        yield Said(record.at, f"{opening}: it was blind for too long.")
    else:
        held = wording.span(record.at - record.breached_at)
        yield Said(record.breached_at, f"The first breach: {rules}.")
        yield Said(record.at, f"{opening}: the breach had lasted for {held}.")


ORDERED = frozenset({Reason.APPROVED, Reason.TRIGGERED})
"""Reasons whose details are the order itself, which is told already."""


def _decided(record: Decided) -> Said:
    notes = tuple(wording.seen(evidence) for evidence in record.evidence)
    if record.detail and record.reason not in ORDERED:
        notes = (*notes, record.detail)
    return Said(record.at, f"{conclusion(record)}.", notes)


def conclusion(record: Decided) -> str:
    """Return what a guard concluded, and why, as a sentence without its full stop."""
    why = wording.why(record.reason)
    match record.decision:
        case Decision.NONE:
            return f"Nothing to do: {why}"
        case Decision.HOLD if record.reason in {Reason.AWAITING_VETO, Reason.AWAITING_APPROVAL}:
            return f"Waits with {wording.step(record.step, record.action)}: {why}"
        case Decision.HOLD:
            return f"Did not act: {why}"
        case Decision.ACT:
            why = "it was blind for too long, and is told to act" if record.reason is Reason.BLIND else why
            return f"Decided to run {wording.step(record.step, record.action)}: {why}"
        case Decision.RECOVERED:
            return f"Recovered: {why}"
        case Decision.HAND_OVER:
            return f"Handed over to people: {why}"
        case _:
            assert_never(record.decision)


def _awaited(record: Awaited) -> Said:
    step = wording.step(record.step, record.action)
    until = wording.moment(record.until, record.at)
    text = f"{step[0].upper()}{step[1:]}, waits until {until}: {wording.awaited(record.what, record.otherwise)}."
    return Said(record.at, text, (f"It is to be run because {wording.why(record.reason)}.",))


def _skipped(record: Intended, account: Account) -> Iterator[Said]:
    for index in account.skipped(record):
        awaited = account.awaited(index, record.at)
        if awaited and awaited.otherwise is Otherwise.SKIP and awaited.what is Wait.APPROVAL:
            why = "nobody approved it in time"
        else:
            why = "it is meant for other rules than those of this incident"
        yield Said(record.at, f"Skipped {wording.step(index, account.action(index))}: {why}.")


def _intended(record: Intended, account: Account) -> Said:
    ordered = record.undoes or account.asked_for(record)
    asked = "" if not record.by else f", as {record.by} asked" if ordered else f", with the approval of {record.by}"
    if record.undoes:
        said = (f"Why: {record.why}",) if record.why else ()
        undone = account.intent(record.undoes)
        step = wording.step(record.step, undone.action if undone else None)
        begun = f"Began to take back {step}, by {record.action}{asked}."
        return Said(record.at, begun, (*said, f"Goal: {record.goal}"))
    subject = f"the rules of {wording.names(record.rules)} pass" if record.rules else "the rules pass"
    if record.idle_passes:
        subject += ", or have nothing left to judge,"
    spans = f"for {wording.span(record.stable_for)}, within {wording.span(record.within)}"
    if record.notify:
        unless = f"The next step follows unless {subject} {spans}."
        return Said(record.at, f"Told {', '.join(record.notify)} (step {record.step + 1}){asked}.", (unless,))
    helped = f"It has helped if {subject} {spans} after it is done."
    begun = f"Began {wording.step(record.step, record.action)}{asked}."
    return Said(record.at, begun, (f"Goal: {record.goal}", helped))


def _concluded(record: Concluded, account: Account) -> Iterator[Said]:
    intent = account.intent(record.key)
    if intent is not None and intent.notify:
        return  # that people were told is told already
    took = f" in {wording.span(record.at - intent.at)}" if intent else ""
    efforts = {0: "without a further attempt", 1: "at the first attempt"}
    effort = efforts.get(record.attempts, f"after {record.attempts} attempts")
    notes = (record.detail,) if record.detail else ()
    match record.outcome:
        case Outcome.SUCCEEDED:
            text = f"{record.action} succeeded {effort}{took}{_after_success(record, intent, account)}."
        case Outcome.FAILED if record.held:
            text = (
                f"{record.action} was held back until its time was up, {effort}{took}; after that it may be tried anew."
            )
        case Outcome.FAILED:
            undone = f"; step {intent.step + 1} is not taken back" if intent and intent.undoes else ""
            text = f"{record.action} failed for good {effort}{took}{undone}."
        case Outcome.UNKNOWN:
            text = f"It cannot be told whether {record.action} had its effect, {effort}{took}."
        case _:
            assert_never(record.outcome)
    yield Said(record.at, text, notes)


def _after_success(record: Concluded, intent: Intended | None, account: Account) -> str:
    if intent and intent.undoes:
        goes_on = any(each.undoes and each.at == record.at for each in account.intents)
        rest = "" if goes_on or not intent.further else ", what comes next is held back"
        return f"; step {intent.step + 1} is taken back{rest}"
    follows = any(each.at == record.at and each.key != record.key and not each.undoes for each in account.intents)
    return "" if follows else "; now its effect is watched"


def _watched(record: Watched, account: Account) -> str:
    if record.extended and record.passing_since is None:
        until = wording.moment(record.until, record.at)
        return f"It cannot be told yet whether it helped; watched once more, until {until}."
    match record.verdict:
        case Verdict.PASS:
            steps = account.steps(record.at)
            lasting = f" for {wording.span(steps[-1].stable_for)}" if steps else ""
            idle = ", or have nothing left to judge" if steps and steps[-1].idle_passes else ""
            return f"The rules pass{idle}; recovered if they do so{lasting}."
        case Verdict.BREACH:
            return "The rules breach."
        case Verdict.UNKNOWN:
            return "It cannot be seen at the moment whether the rules pass."
        case _:
            assert_never(record.verdict)


def _ended(record: IncidentEnded, account: Account) -> Said:
    after = _after(record, account.opened)
    rules = dict.fromkeys(rule for rule, _ in record.excused)
    notes = (f"{wording.excused(tuple(rules))}.",) if rules else ()
    if not account.incident:
        return Said(record.at, f"Incident {record.incident} ended: {wording.why(record.reason)}.", notes)
    if record.decision is not Decision.HAND_OVER:
        return Said(record.at, f"The incident is over{after}.", notes)
    return Said(record.at, f"The guard is done{after}: people have to go on.", (_advice(record, account), *notes))


def _after(record: IncidentEnded, opened: IncidentOpened | None) -> str:
    if opened is None:
        return ""
    since = "the first breach" if opened.rules else "it began"
    return f", {wording.span(record.at - opened.breached_at)} after {since}"


def _advice(record: IncidentEnded, account: Account) -> str:
    steps = account.steps(record.at)
    action, goal = (steps[-1].action, steps[-1].goal) if steps else ("the action", "see the playbook")
    waiting = account.waiting(record.at)
    if record.reason is Reason.NOT_APPROVED and waiting is not None:
        action, goal = waiting.action, f"step {waiting.step + 1}"
    return wording.to_do(record.reason, action, goal)
