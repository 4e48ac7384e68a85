"""Put what a notice says into lines: what was seen, what was done, what comes next, and how to stop it.

Names, labels and reasons come from outside. Each becomes one line of bounded length, so that nothing that somebody
wrote into a label can look like a line of the guard's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from rollback_guard.core import wording
from rollback_guard.core.model import Guard, Policy, Step
from rollback_guard.core.records import Decision, Evidence, Outcome, Reason
from rollback_guard.core.state import Incident, IncidentPhase, Intent, State

TITLE_CHARS = 200
LINE_CHARS = 500
QUERY_CHARS = 300
BODY_CHARS = 3500
"""Telegram takes 4096 characters, others more; Slack's own limit is far above."""

RULES_SHOWN = 5
STEPS_SHOWN = 8


def one_line(text: str, most: int = LINE_CHARS) -> str:
    """Return a text on one line, with an end in sight."""
    text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


def body(lines: Iterable[str]) -> str:
    """Return the lines as one text; what does not fit is left out in the middle, for the last lines say what to do."""
    kept = [line for line in (_indented(line) for line in lines) if line.strip()]
    while sum(len(line) + 1 for line in kept) > BODY_CHARS and len(kept) > 1:
        del kept[len(kept) // 2]
    return "\n".join(kept)


def clock(at: datetime) -> str:
    """Return an instant for people, who may be anywhere."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def evidence_of(state: State, guard: str, incident: str | None) -> tuple[Evidence, ...]:
    """Return what was seen when the guard decided last, if that was about this incident."""
    own = state.guards.get(guard)
    last = own.last if own else None
    return last.evidence if last and last.incident == incident else ()


def seen(policy: Policy, evidence: tuple[Evidence, ...], *, now: datetime) -> Iterator[str]:
    """Say of each rule its value against its threshold, since when, and what was asked."""
    for each in evidence[:RULES_SHOWN]:
        since = ""
        if each.active_at is not None:
            since = f", since {clock(each.active_at)} ({wording.span(now - each.active_at)})"
        yield f"{wording.seen(each)}{since}"
        rule = policy.rules.get(each.rule)
        if rule is None:
            continue
        yield f"  query: {one_line(rule.condition.expr, QUERY_CHARS)}"
        runbook = dict(rule.annotations).get("runbook_url", "")
        if runbook and "{{" not in runbook:
            yield f"  runbook: {runbook}"
    if len(evidence) > RULES_SHOWN:
        yield f"and {len(evidence) - RULES_SHOWN} more rules"


def done(incident: Incident) -> Iterator[str]:
    """Say what was done so far, and how that ended."""
    intents = (*incident.intents, *incident.undos)
    if not intents:
        yield "Done so far: nothing."
        return
    yield "Done so far:"
    for intent in intents[-STEPS_SHOWN:]:
        yield f"  {_deed(intent)}"


def _deed(intent: Intent) -> str:
    name = f"{intent.action} (taking back step {intent.step + 1})" if intent.undoes else intent.action
    detail = f": {intent.detail}" if intent.detail else ""
    match intent.outcome:
        case None:
            return f"{name} is under way, since {clock(intent.at)}"
        case Outcome.SUCCEEDED:
            return f"{name} succeeded{detail}"
        case Outcome.FAILED:
            return f"{name} failed for good{detail}"
        case _:
            return f"{name}: nobody can tell whether it had its effect{detail}"


def ahead(policy: Policy, incident: Incident) -> Iterator[str]:
    """Say what comes next: a step, or people."""
    guard = policy.guards.get(incident.guard)
    if guard is None:
        return
    match incident.phase:
        case IncidentPhase.HOLDING:
            yield f"Next: nothing, as long as that is so; then {_next(policy, guard, incident, 0)}."
        case IncidentPhase.ACTING | IncidentPhase.VERIFYING if incident.intents:
            last = incident.intents[-1]
            after = _next(policy, guard, incident, last.step + 1)
            within = wording.span(last.within)
            yield f"Next: its effect is watched for up to {within}; if the rules still breach then, {after}."
        case IncidentPhase.WAITING if incident.waiting is not None:
            yield f"After that: {_next(policy, guard, incident, incident.waiting.step + 1)}."
        case IncidentPhase.HANDED_OVER if incident.reason is not None:
            last_intent = incident.intents[-1] if incident.intents else None
            action = last_intent.action if last_intent else "the action"
            goal = last_intent.goal if last_intent else "see the playbook"
            yield f"What to do: {wording.to_do(incident.reason, action, goal)}"
        case _:
            return


def _next(policy: Policy, guard: Guard, incident: Incident, index: int) -> str:
    found = guard.next_step(index, [policy.rules[id_] for id_ in incident.rules if id_ in policy.rules])
    return step_of(guard, *found) if found else "people have to go on, for the playbook has no further step"


def step_of(guard: Guard | None, index: int, step: Step | str) -> str:
    """Return a step with its place in the playbook: ``step 1 of 2, disable-new-checkout``."""
    name = step if isinstance(step, str) else step.name
    return f"step {index + 1} of {len(guard.playbook)}, {name}" if guard else f"step {index + 1}, {name}"


def ways_on(policy: Policy, guard: str, incident: Incident | None) -> Iterator[str]:
    """Say how to stop the guard, and where to learn more."""
    name = wording.argument(guard)
    if incident is None:
        yield "More: rollback-guard status"
    else:
        id_ = wording.argument(incident.id)
        if incident.phase in {IncidentPhase.HOLDING, IncidentPhase.WAITING, IncidentPhase.ACTING}:
            yield f"To stop the guard: rollback-guard pause {name} --reason …"
        elif incident.phase is IncidentPhase.VERIFYING:
            yield f"To stop what comes after it: rollback-guard veto {name} --reason …"
        if incident.acknowledged_at is None and incident.phase is not IncidentPhase.CLOSED:
            yield f"To say that you take care: rollback-guard ack {id_}"
        is_over = incident.phase in {IncidentPhase.HANDED_OVER, IncidentPhase.CLOSED}
        undone = {undo.undoes for undo in incident.undos if undo.outcome is not Outcome.FAILED}
        done = [intent for intent in incident.intents if intent.outcome is Outcome.SUCCEEDED]
        if is_over and any(intent.action in policy.undos and intent.key not in undone for intent in done):
            yield f"If it was a false alarm: rollback-guard undo {id_} --reason …"
        yield f"Why: rollback-guard explain {id_}"
    if policy.url:
        yield f"{policy.url.rstrip('/')}/"


def facts(policy: Policy, evidence: tuple[Evidence, ...]) -> Iterator[tuple[str, str]]:
    """Yield what the first rule says, for templates and webhooks."""
    if not evidence:
        return
    first = evidence[0]
    yield "rule", first.rule
    yield "series", wording.series(first.series)
    if first.value is not None:
        yield "value", wording.number(first.value)
    if first.threshold is not None:
        yield "op", first.op or ""
        yield "threshold", wording.number(first.threshold)
    if first.rule in policy.rules:
        yield "query", policy.rules[first.rule].condition.expr
    if first.active_at is not None:
        yield "since", first.active_at.isoformat()


def headline(evidence: tuple[Evidence, ...], otherwise: str) -> str:
    """Return what was seen of the first rule, and how many more there are."""
    if not evidence:
        return otherwise
    more = f" (and {len(evidence) - 1} more)" if len(evidence) > 1 else ""
    return f"{wording.seen(evidence[0])}{more}"


def brakes_on(decision: Decision, reason: Reason) -> bool:
    """Say whether a decision is that a breach is not acted on because of a brake; what waits is told apart from it."""
    told_apart = {Reason.IN_PROGRESS, Reason.AWAITING_VETO, Reason.AWAITING_APPROVAL}
    return decision is Decision.HOLD and reason not in told_apart


def _indented(line: str) -> str:
    return ("  " if line.startswith("  ") else "") + one_line(line)
