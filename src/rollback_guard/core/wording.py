"""Put numbers, spans and reasons into plain words: one place, so that API, CLI and page say the same."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import assert_never

from rollback_guard.core.alert import Because
from rollback_guard.core.condition import Operator
from rollback_guard.core.model import Labels, Otherwise, Verdict
from rollback_guard.core.records import Evidence, Reason, Wait
from rollback_guard.core.units import format_duration

SIDE: dict[Operator, str] = {
    Operator.GREATER: "above",
    Operator.GREATER_EQUAL: "at or above",
    Operator.LESS: "below",
    Operator.LESS_EQUAL: "at or below",
    Operator.EQUAL: "equal to",
    Operator.NOT_EQUAL: "other than",
}
"""Where a value is that breaches."""

MANY = 1000
"""From here on decimals beyond the first say nothing to people."""

HUGE = 1e15
"""From here on a float holds no exact whole numbers."""

BRIEF = timedelta(seconds=10)
"""Below this a tenth of a second matters."""


def number(value: float) -> str:
    """Return a number with as many digits as people read; a ratio is not known to be one, so no percent."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf")
    if abs(value) >= HUGE:
        return f"{value:.4g}"
    if value == int(value):
        return str(int(value))
    return f"{value:.1f}" if abs(value) >= MANY else f"{value:.4g}"


def span(length: timedelta) -> str:
    """Return a length of time in words such as ``12ms``, ``1.2s`` or ``2m15s``."""
    length_s = length.total_seconds()
    if abs(length) < timedelta(seconds=1):
        return f"{length_s * 1000:.0f}ms" if length else "0s"
    if abs(length) < BRIEF:
        return f"{length_s:.1f}".removesuffix(".0") + "s"
    return format_duration(timedelta(seconds=round(length_s)))


def offset(length: timedelta) -> str:
    """Return a distance in time with its sign: ``+2m15s``."""
    text = format_duration(timedelta(seconds=round(length.total_seconds())))
    return text if text.startswith("-") else f"+{text}"


def moment(at: datetime, seen_from: datetime) -> str:
    """Return a time of day, with its date where it is not the day it is seen from."""
    return f"{at:%H:%M:%S}" if at.date() == seen_from.date() else f"{at:%Y-%m-%d %H:%M:%S}"


def name(rule: str) -> str:
    """Return a rule's own name out of its id."""
    return rule.rpartition("/")[2]


def names(rules: tuple[str, ...]) -> str:
    """Return the names of several rules as one phrase."""
    own = [name(rule) for rule in rules]
    return " and ".join([", ".join(own[:-1]), own[-1]] if len(own) > 1 else own)


def series(labels: Labels) -> str:
    """Return labels as PromQL writes them, or nothing."""
    return "{" + ", ".join(f'{key}="{value}"' for key, value in labels) + "}" if labels else ""


def step(index: int | None, action: str | None) -> str:
    """Return what a step of a playbook is called: ``step 2, rollback-checkout``."""
    position = f"step {index + 1}" if index is not None else "the next step"
    return f"{position}, {action}" if action else position


def rollout(id_: str, version: str) -> str:
    """Return what a rollout is called: ``r-42 of version 42``, and by its version alone where that is its id."""
    return f"{id_} of version {version}" if version not in {"", id_} else id_


def awaited(what: Wait, otherwise: Otherwise) -> str:
    """Return what becomes of a step that waits, as a clause."""
    match what, otherwise:
        case Wait.VETO, _:
            return "it is run then, unless a person vetoes it"
        case Wait.APPROVAL, Otherwise.RUN:
            return "a person is to approve it, and if nobody does it is run then"
        case Wait.APPROVAL, Otherwise.SKIP:
            return "a person has to approve it, and if nobody does it is skipped"
        case Wait.APPROVAL, Otherwise.HAND_OVER:
            return "a person has to approve it, and if nobody does people have to go on by hand"
    raise AssertionError(what)


def argument(text: str) -> str:
    """Return a name as a shell takes it for one argument."""
    if text and all(each.isascii() and (each.isalnum() or each in "-_./:@%+=,") for each in text):
        return text
    return "'" + text.replace("'", "'\"'\"'") + "'"


def ways(guard: str) -> tuple[tuple[str, str], ...]:
    """Return the commands for a step that waits, each with what it does."""
    name = argument(guard)
    return (
        (f"rollback-guard approve {name}", "runs it at once"),
        (f"rollback-guard extend {name} --for 10m", "gives people more time"),
        (f"rollback-guard veto {name} --reason …", "cancels the playbook"),
    )


def excused(rules: tuple[str, ...]) -> str:
    """Say that rules fire and do not count."""
    if len(rules) == 1:
        return f"{names(rules)} fires, and does not count until it has recovered once"
    return f"{names(rules)} fire, and do not count until they have recovered once"


def seen(evidence: Evidence) -> str:
    """Say what was seen of one rule: its value against its threshold."""
    subject = name(evidence.rule) + series(evidence.series)
    if evidence.verdict is Verdict.UNKNOWN:
        return f"{subject}: nothing is known" + (f" ({evidence.detail})" if evidence.detail else "")
    if evidence.detail:
        return f"{subject}: {evidence.detail}"
    if evidence.value is None:
        return f"{subject}: {'breaches' if evidence.verdict is Verdict.BREACH else 'passes'}"
    if evidence.threshold is None or evidence.op is None:
        return f"{subject} is {number(evidence.value)}"
    negation = "" if evidence.verdict is Verdict.BREACH else "not "
    side = SIDE[Operator(evidence.op)]
    return f"{subject} is {number(evidence.value)}, {negation}{side} {number(evidence.threshold)}"


NOTHING_LEFT = "There is nothing left to judge; the step takes that for recovery."


def why(reason: Reason) -> str:
    """Return the clause that says why a guard concluded what it did."""
    match reason:
        case Reason.HEALTHY:
            return "all its rules pass"
        case Reason.NOT_CRITICAL:
            return "only rules fire that are not critical"
        case Reason.SHADOW:
            return "only shadow rules fire; they are shown and never act"
        case Reason.NOT_ARMED:
            return "it is armed only while a rollout is under way, and none is"
        case Reason.ALREADY_BAD:
            return "what fires was bad before, and does not count until it has recovered once"
        case Reason.PAUSED:
            return "a person paused it"
        case Reason.MAINTENANCE:
            return "a maintenance window is open"
        case Reason.WARMING_UP:
            return "it has just been started and is still warming up"
        case Reason.STORM:
            return "several guards breach at once, so the cause is shared and rolling everything back would do harm"
        case Reason.FLAPPING:
            return "its rules come and go: too many incidents in too short a time (flapping)"
        case Reason.COOLDOWN:
            return "its last incident ended too recently (cooldown)"
        case Reason.LIMIT_REACHED:
            return "it has run as many actions as its limits allow for now"
        case Reason.DRY_RUN:
            return "this is a dry run; otherwise it would act now"
        case Reason.IN_PROGRESS:
            return "what it began before is not over yet, and it does one thing at a time"
        case Reason.BLIND:
            return "it cannot see, and not knowing is no evidence"
        case Reason.AWAITING_VETO:
            return "people still have time to veto the step before it is run"
        case Reason.AWAITING_APPROVAL:
            return "the step is not run before a person approves it, and nobody has yet"
        case Reason.BREACH:
            return "a critical rule fires"
        case Reason.APPROVED:
            return "a person approved it"
        case Reason.TRIGGERED:
            return "a person asked for it"
        case Reason.NOT_RECOVERED:
            return "the step before is done, its time is up, and the rules still breach"
        case Reason.ACTION_FAILED:
            return "the step before failed for good"
        case Reason.VERIFIED:
            return "after the action the rules have passed for as long as was asked"
        case Reason.BY_ITSELF:
            return "the rules pass again, and no action of the guard brought that about"
        case Reason.PLAYBOOK_EXHAUSTED:
            return "the playbook has no step left and the rules still breach"
        case Reason.CANNOT_TELL:
            return "it could not see whether the action helped, and there is no evidence for going on"
        case Reason.OUTCOME_UNKNOWN:
            return "it cannot be told whether the action had its effect, and repeating it could do harm"
        case Reason.VETOED:
            return "a person vetoed what the playbook was to do"
        case Reason.NOT_APPROVED:
            return "nobody approved the step in time"
        case Reason.GUARD_REMOVED:
            return "the guard is no longer in the configuration"
        case Reason.RULES_REMOVED:
            return "the rules of this incident are no longer in the configuration"
        case _:
            assert_never(reason)


def moved(because: Because) -> str:
    """Return the clause that says why an alert changed its phase; the rule's name comes before it."""
    match because:
        case Because.BREACHED:
            return "began to breach"
        case Because.HELD:
            return "fires: it has breached for as long as `for` asks"
        case Because.PASSED:
            return "passes again"
        case Because.KEPT_LONG_ENOUGH:
            return "passes again, and `keep_firing_for` has run out"
        case Because.EVIDENCE_EXPIRED:
            return "is no longer pending: nothing was known of it for too long"
        case Because.SERIES_GONE:
            return "is forgotten: it has been absent for an hour, while others of its rule are there"
        case Because.HOLD_RAISED:
            return "is pending again: a reload raised its `for`"
        case Because.RULE_CHANGED:
            return "was changed or removed by a reload, so its alert was dropped"
        case _:
            assert_never(because)


def to_do(reason: Reason, action: str, goal: str) -> str:
    """Return what people have to do once an incident was handed over for this reason."""
    match reason:
        case Reason.OUTCOME_UNKNOWN:
            return f"Find out whether {action} reached its goal ({goal}). The guard will not repeat it."
        case Reason.CANNOT_TELL | Reason.BLIND:
            return f"Look at the service by hand, and give the guard its sight back; whether {action} helped is open."
        case Reason.PLAYBOOK_EXHAUSTED | Reason.NOT_RECOVERED | Reason.ACTION_FAILED:
            return "Find the cause by hand: nothing in the playbook cured it."
        case Reason.GUARD_REMOVED:
            return "Look whether the service is well: nothing watches it in this guard's place."
        case Reason.RULES_REMOVED:
            return "Look whether the service is well: the rules that breached are watched no more."
        case Reason.STORM:
            return "Look for the shared cause, such as a database, a network or Prometheus itself."
        case Reason.VETOED:
            return "Decide by hand what is to be done: the guard does nothing further in this incident."
        case Reason.NOT_APPROVED:
            return f"Decide by hand whether {action} is to be run ({goal}); `rollback-guard trigger` runs it."
        case Reason.FLAPPING:
            return "Look at the service by hand, and find out why its rules come and go."
        case (
            Reason.WARMING_UP
            | Reason.COOLDOWN
            | Reason.LIMIT_REACHED
            | Reason.DRY_RUN
            | Reason.NOT_ARMED
            | Reason.PAUSED
            | Reason.MAINTENANCE
            | Reason.AWAITING_VETO
            | Reason.AWAITING_APPROVAL
        ):
            return "Decide by hand whether the next step of the playbook is to be run; the guard may not."
        case (
            Reason.HEALTHY
            | Reason.NOT_CRITICAL
            | Reason.SHADOW
            | Reason.ALREADY_BAD
            | Reason.IN_PROGRESS
            | Reason.BREACH
            | Reason.APPROVED
            | Reason.TRIGGERED
            | Reason.VERIFIED
            | Reason.BY_ITSELF
        ):
            return "Look at the service by hand."
        case _:
            assert_never(reason)
