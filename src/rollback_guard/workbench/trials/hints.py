"""Say what may have been the cause where an expectation was not met."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from rollback_guard.config.problems import quoted
from rollback_guard.core import wording
from rollback_guard.core.judgement import Judgement, most_telling
from rollback_guard.core.model import Labels, Phase, Rule, Verdict
from rollback_guard.core.operations import Refusal, Refused
from rollback_guard.core.records import Awaited, Decided, Decision, IncidentEnded, IncidentOpened, Reason
from rollback_guard.core.units import format_duration
from rollback_guard.workbench.trials.document import DecisionTest, ExpectedDecision, GivenOrder
from rollback_guard.workbench.trials.film import FIRING, Film
from rollback_guard.workbench.trials.seen import SeenAlert, SeenState, decided, frames
from rollback_guard.workbench.trials.trial import Trial
from rollback_guard.workbench.trials.unknowns import on_alerts, on_blank, on_idle, on_lapse, on_stall

MOST_DIFFERENCES = 2
"""Labels that may differ between two alerts that are taken for one."""

MOST_HINTS = 4

AROUND = 24
"""Characters shown around the place where two texts begin to differ."""

REMEDIES = {
    Reason.NOT_ARMED: "Begin one with `rollouts`.",
    Reason.ALREADY_BAD: "Begin the rollout before the breach.",
    Reason.BLIND: "The chart shows where nothing is known, and of what.",
    Reason.CANNOT_TELL: "The chart shows where nothing is known, and of what.",
    Reason.IN_PROGRESS: "Look at the decision before.",
    Reason.AWAITING_VETO: "Veto it with `orders`, or let its time pass.",
    Reason.AWAITING_APPROVAL: "Approve it with `orders`, or let its time pass.",
    Reason.PAUSED: "Resume it with `orders`.",
}
"""What a test can do about what held a guard."""


Seen = SeenAlert | SeenState

Span = tuple[datetime, datetime | None]
"""From when until when; ``None`` is the end of the test."""


def on_labels(missing: Sequence[Seen], surplus: Sequence[Seen]) -> Iterator[str]:
    """Say in what little an expected alert and one that is there differ."""
    left = list(surplus)
    for one in missing[:MOST_HINTS]:
        near = min(left, key=lambda other: len(_differing(one.labels, other.labels)), default=None)
        if near is None or len(_differing(one.labels, near.labels)) > MOST_DIFFERENCES:
            continue
        left.remove(near)
        for name in _differing(one.labels, near.labels):
            yield _difference("label", name, dict(one.labels).get(name), dict(near.labels).get(name))
        if one.labels == near.labels and isinstance(one, SeenAlert) and isinstance(near, SeenAlert):
            for name in _differing(one.annotations, near.annotations):
                yield _difference("annotation", name, dict(one.annotations).get(name), dict(near.annotations).get(name))


def _differing(one: Labels, other: Labels) -> list[str]:
    return sorted({name for name, _ in set(one) ^ set(other)})


def _difference(what: str, name: str, expected: str | None, got: str | None) -> str:
    if expected is None:
        return f"the {what} {quoted(name)} is there and was not expected: all of them have to be listed"
    if got is None:
        return f"the {what} {quoted(name)} was expected and is not there"
    if max(len(expected), len(got)) <= AROUND:
        return f"the {what} {quoted(name)} is {got!r}, not {expected!r}"
    at = next((place for place, pair in enumerate(zip(expected, got, strict=False)) if pair[0] != pair[1]), None)
    at = min(len(expected), len(got)) if at is None else at
    return f"the {what} {quoted(name)} is {_around(got, at)}, not {_around(expected, at)}"


def _around(text: str, at: int) -> str:
    """Return a part of a text around the place where it begins to differ."""
    start = max(0, at - AROUND // 2)
    part = text[start : at + AROUND]
    return ("…" if start else "") + repr(part) + ("…" if at + AROUND < len(text) else "")


def on_rules(trial: Trial, film: Film, alertname: str, slot: datetime, missing: Sequence[Seen]) -> Iterator[str]:
    """Say what is the case of the rules, and when what was expected is so."""
    if not missing:
        for rule, frame in frames(trial, film, alertname, slot):
            yield from _since(trial, film, rule, slot)
            yield from on_alerts(trial, rule, frame.alerts.get(rule.id, {}).values())
        return
    for number, (rule, frame) in enumerate(frames(trial, film, alertname, slot)):
        if number == MOST_HINTS:
            return
        alerts = frame.alerts.get(rule.id, {})
        judgement = frame.judgements.get(rule.id)
        pending = [alert for alert in alerts.values() if alert.phase is Phase.PENDING]
        for alert in pending[:MOST_HINTS]:
            yield _pending(trial, rule, alert.active_at, alert.stalled)
        if not alerts:
            yield from on_lapse(trial, film, rule, slot)
        if judgement is not None and judgement.verdict is Verdict.UNKNOWN:
            yield on_blank(trial, rule, judgement)
        elif judgement is not None and not alerts:
            yield from _value(rule, judgement)
        elif stalled := [alert.active_at for alert in pending if alert.stalled]:
            yield from on_stall(trial, film, rule, min(stalled), slot)
        if not any(alert.phase is Phase.FIRING for alert in alerts.values()):
            yield from _fires_when(trial, film, rule, slot)


def _pending(trial: Trial, rule: Rule, active_at: datetime, stalled: timedelta) -> str:
    since = format_duration(active_at - trial.start)
    until = active_at + rule.hold + stalled - trial.start
    slots = -(-until // trial.slot_interval) * trial.slot_interval
    words = f"{quoted(rule.name)} is pending since {since}, and `for` is {format_duration(rule.hold)}"
    if stalled:
        words += f", of which nothing was known for {format_duration(stalled)}"
    return f"{words}: it cannot fire before {format_duration(slots)}"


def _value(rule: Rule, judgement: Judgement) -> Iterator[str]:
    comparison, told = rule.condition.comparison, most_telling(judgement, rule.condition.comparison)
    if comparison is None or told is None or told.value is None or math.isnan(told.value):
        return
    value, threshold = wording.number(told.value), wording.number(comparison.threshold)
    yield f"{quoted(rule.name)} measures {value} then, not {wording.SIDE[comparison.op]} {threshold}"


def _fires_when(trial: Trial, film: Film, rule: Rule, slot: datetime) -> Iterator[str]:
    """Say when it fires, before or after the time that was asked for."""
    track, asked = film.tracks[rule.id].states, (slot - trial.start) // trial.slot_interval
    after = track.find(FIRING, asked + 1)
    if after >= 0:
        late = (after - asked) * trial.slot_interval
        slots = "one evaluation" if after == asked + 1 else f"{after - asked} evaluations"
        yield f"{quoted(rule.name)} fires {format_duration(late)} later, {slots} after this one"
    before = track.rfind(FIRING, 0, asked)
    if before >= 0:
        end = format_duration((before + 1) * trial.slot_interval)
        yield f"{quoted(rule.name)} had fired, and did no more from {end} on"


def _since(trial: Trial, film: Film, rule: Rule, slot: datetime) -> Iterator[str]:
    """Say since when it fires."""
    track, asked = film.tracks[rule.id].states, (slot - trial.start) // trial.slot_interval
    if asked < len(track) and track[asked] == FIRING:
        first = asked
        while first and track[first - 1] == FIRING:
            first -= 1
        yield f"{quoted(rule.name)} fires since {format_duration(first * trial.slot_interval)}"


def on_decisions(trial: Trial, film: Film, test: DecisionTest, got: Sequence[Decided]) -> Iterator[str]:
    """Say why a guard concluded what it did, and when it concluded what was expected."""
    asked, own = trial.start + test.eval_time, film.decided(test.guard)
    for each in got[:MOST_HINTS]:
        yield f"{decided(each)}: {wording.why(each.reason)}. {REMEDIES.get(each.reason, '')}".strip()
        if each.reason is Reason.CANNOT_TELL:
            yield from on_idle(trial, film, each)
    if not test.exp_decisions:
        return
    first = test.exp_decisions[0]
    times = [each.at for each in own if is_met(first, each)]
    later = min((at for at in times if at > asked), default=None)
    earlier = max((at for at in times if at <= asked), default=None)
    words = f"{first.decision}/{first.reason}" if first.reason else first.decision
    if later is not None:
        yield f"it concludes {words} {format_duration(later - asked)} later"
    elif earlier is not None and not any(is_met(first, each) for each in got):
        at = format_duration(earlier - trial.start)
        yield f"it concluded {words} at {at}, and more since"
    elif all(each.decision in (Decision.NONE, Decision.HOLD) for each in own):
        yield from _why_nothing(trial, film, test.guard)


def _why_nothing(trial: Trial, film: Film, guard: str) -> Iterator[str]:
    rules = [trial.policy.rules[rule] for rule in sorted(trial.policy.guards[guard].rules)]
    fired = [rule for rule in rules if FIRING in film.tracks[rule.id].states]
    if not fired:
        yield f"no rule of {quoted(guard)} fires in this test"
        for rule in rules[:MOST_HINTS]:
            yield from on_lapse(trial, film, rule, trial.slots[-1])


def on_refusal(trial: Trial, film: Film, given: GivenOrder, refused: Refused) -> Iterator[str]:
    """Say when an order would have been taken, and how to expect that it is not."""
    if refused.refusal is Refusal.NOTHING_TO_DO and given.verb in ("approve", "extend"):
        yield _taken(trial, given, list(_waits(film, given.guard)), "a step waits")
    elif refused.refusal is Refusal.NOTHING_TO_DO and given.verb == "veto":
        yield _taken(trial, given, list(_incidents(film, given.guard)), "there is something to veto")
    elif refused.refusal is Refusal.NOTHING_TO_DO and given.verb == "undo" and not trial.policy.undos:
        yield "no action has an `undo` here: they stand in guard.toml, which `rule_files` may name"
    if given.exp_refusal is None:
        yield f"write `exp_refusal: {refused.refusal}` if that is what is tested"


def _taken(trial: Trial, given: GivenOrder, spans: Sequence[Span], what: str) -> str:
    """Say in which times an order would have been taken."""
    if any(start == trial.start + given.at for start, _ in spans):
        return "what is ordered comes before what is evaluated in the same instant: order it later"
    if not spans:
        return f"at no time of this test {what}"
    times = [
        f"from {format_duration(start - trial.start)}" + (f" to {format_duration(end - trial.start)}" if end else " on")
        for start, end in spans[:MOST_HINTS]
    ]
    return f"{what} {', '.join(times)}"


def _waits(film: Film, guard: str | None) -> Iterator[Span]:
    """Yield when steps of a guard waited for people."""
    for record in film.records:
        if isinstance(record, Awaited) and record.guard == guard:
            later = (each for each in film.decided(guard) if each.at > record.at)
            yield record.at, next((each.at for each in later if each.decision is not Decision.HOLD), None)


def _incidents(film: Film, guard: str | None) -> Iterator[Span]:
    """Yield when incidents of a guard were open and not handed over."""
    ends = {record.incident: record.at for record in film.records if isinstance(record, IncidentEnded)}
    for record in film.records:
        if isinstance(record, IncidentOpened) and record.guard == guard:
            yield record.at, ends.get(record.incident)


def on_samples(
    trial: Trial, eval_time: timedelta, expected: Sequence[tuple[Labels, float]], said: Sequence[tuple[Labels, float]]
) -> Iterator[str]:
    """Say in what little a sample that was expected and one that is there differ."""
    last = trial.slots[-1] - trial.start
    if eval_time > last:
        yield f"the last evaluation is at {format_duration(last)}, and no later sample is loaded, as in promtool"
    left = list(said)
    for labels, value in expected[:MOST_HINTS]:
        near = min(left, key=lambda other: len(_differing(labels, other[0])), default=None)
        if near is None:
            return
        if near[0] == labels and math.isclose(near[1], value, rel_tol=1e-9):
            yield f"{value!r} and {near[1]!r} differ by a rounding error: `fuzzy_compare` or `round()` may help"
        elif 0 < len(_differing(labels, near[0])) <= MOST_DIFFERENCES:
            for name in _differing(labels, near[0]):
                yield _difference("label", name, dict(labels).get(name), dict(near[0]).get(name))
        left.remove(near)


def is_met(expected: ExpectedDecision, got: Decided) -> bool:
    """Say whether a decision is the one that was expected."""
    return (
        expected.decision == got.decision.value
        and (expected.reason is None or expected.reason == got.reason.value)
        and (expected.action is None or expected.action == (got.action or ""))
    )
