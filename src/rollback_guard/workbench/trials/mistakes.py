"""Find what would let a trial succeed without having tried anything, or fail for a reason that is no result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from rollback_guard.config.document import Document
from rollback_guard.config.places import KeyPath
from rollback_guard.config.problems import Problem, did_you_mean, quoted
from rollback_guard.config.recordings import Recording
from rollback_guard.core.model import PROBE, SIGNAL
from rollback_guard.core.operations import Refusal
from rollback_guard.core.units import format_duration
from rollback_guard.workbench.trials.chapter import is_called
from rollback_guard.workbench.trials.course import cost_of
from rollback_guard.workbench.trials.document import (
    EVERY_GUARD,
    OF_EVERY_GUARD,
    VERBS,
    DecisionTest,
    GivenOrder,
    SignalSpan,
    TrialFile,
)
from rollback_guard.workbench.trials.orders import takes
from rollback_guard.workbench.trials.trial import ASSERTIONS, Trial

MOST_SLOTS = 100_000
"""Slots of one trial: ten weeks of minutes."""

LONGEST = timedelta(days=100 * 365)
"""Of one trial; no server takes samples that are a century and a half older than its newest."""

MOST_SAMPLES = 10_000_000
"""Of one trial; Prometheus holds them in memory."""

KINDS = {
    "alert_rule_test": "alertname",
    "alert_state_test": "alertname",
    "decision_test": "guard",
    "rollouts": "guard",
    "probe_results": "probe",
    "action_results": "action",
    "outages": "datasource",
}
"""In which lists of a test a key names something of the rule files."""

CALLED = {"alertname": "alert", "datasource": "data source"}


def mistakes_in(document: Document, file: TrialFile, trials: Sequence[Trial]) -> Iterator[Problem]:
    """Yield the mistakes of a whole file."""
    if not trials:
        yield document.problem(
            "no-assertion", "this file has no test", document.key_mark(("tests",)), hint="Write one."
        )
        return
    items = [item for chapter in trials[0].chapters for item in chapter.items]
    known = {item.group_id if isinstance(item, Recording) else item.group for item in items}
    for number, name in enumerate(file.group_eval_order):
        mark = document.value_mark(("group_eval_order", number))
        if name in file.group_eval_order[:number]:
            yield document.problem("bad-value", f"the group {quoted(name)} is named twice", mark, hint="Name it once.")
        elif not any(is_called(group, name) for group in known):
            hint = did_you_mean(name, known) or f"They have {_some(sorted(known))}."
            yield document.problem("unknown-group", f"the rule files have no group {quoted(name)}", mark, hint=hint)
    for trial in trials:
        yield from _mistakes_in(trial)


def _mistakes_in(trial: Trial) -> Iterator[Problem]:
    section = trial.section
    if not any(getattr(section, key) for key in ASSERTIONS):
        hint = f"Add one of {', '.join(f'`{key}`' for key in ASSERTIONS)}."
        yield trial.problem("no-assertion", f"the test {quoted(trial.name)} asserts nothing", hint=hint)
    yield from _too_long(trial)
    for kind, path, name in _named(trial):
        known = _known(trial, kind)
        if name not in known:
            what = CALLED.get(kind, kind)
            message = f"the rule files have no {what} {quoted(name)}"
            hint = did_you_mean(name, known) or f"They have {_some(known)}."
            yield trial.problem(f"unknown-{what.replace(' ', '-')}", message, *path, hint=hint)
    for number, decision in enumerate(section.decision_test):
        yield from _decision_mistakes(trial, number, decision)
    for number, signal in enumerate(section.signals):
        yield from _signal_mistakes(trial, number, signal)
    for number, order in enumerate(section.orders):
        yield from _order_mistakes(trial, number, order)
    for number, outage in enumerate(section.outages):
        if outage.to <= outage.from_:
            hint = "`from` is the first instant without an answer, `to` the first that is answered again."
            yield trial.problem("bad-value", "this outage is over before it begins", "outages", number, "to", hint=hint)


def _too_long(trial: Trial) -> Iterator[Problem]:
    if len(trial.slots) > MOST_SLOTS:
        message = f"{format_duration(trial.end)} are more than {MOST_SLOTS:,} evaluations"
        yield trial.problem("test-too-long", message, hint="Raise `evaluation_interval`, or shorten the test.")
    elif trial.end > LONGEST:
        message = f"{format_duration(trial.end)} are longer than {format_duration(LONGEST)}"
        yield trial.problem("test-too-long", message, hint="Shorten the test.")
    elif (samples := cost_of(trial)) > MOST_SAMPLES:
        message = f"the series have {samples:,} samples together, and {MOST_SAMPLES:,} are allowed"
        yield trial.problem("test-too-long", message, "input_series", hint="Raise `interval`, or split the test.")


def _decision_mistakes(trial: Trial, number: int, test: DecisionTest) -> Iterator[Problem]:
    """Say that a guard can never begin an action: it has no such step, and no step is taken back by it."""
    guard = trial.policy.guards.get(test.guard)
    if guard is None:
        return
    known = [*(step.name for step in guard.playbook), *trial.policy.undos.values()]
    for place, each in enumerate(test.exp_decisions):
        if each.action and each.action not in known:
            at = ("decision_test", number, "exp_decisions", place, "action")
            message = f"the guard {quoted(guard.name)} has no step {quoted(each.action)}"
            hint = did_you_mean(each.action, known) or f"It has {_some(known)}."
            yield trial.problem("unknown-action", message, *at, hint=hint)


def _signal_mistakes(trial: Trial, number: int, signal: SignalSpan) -> Iterator[Problem]:
    """Say that nobody listens to a signal: its name, or its labels."""
    named = [guard for guard in trial.policy.guards.values() if signal.alertname in guard.signals]
    if not named:
        known = [name for guard in trial.policy.guards.values() for name in guard.signals]
        hint = did_you_mean(signal.alertname, known) or f"They have {_some(known)}."
        message = f"the rule files have no signal {quoted(signal.alertname)}"
        yield trial.problem("unknown-signal", message, "signals", number, "alertname", hint=hint)
    elif not any(takes(guard, signal) for guard in named):
        wanted = "; or ".join(f"{_shown(dict(guard.select))} for the guard {quoted(guard.name)}" for guard in named)
        message = f"no guard takes the signal {quoted(signal.alertname)} with these labels"
        yield trial.problem("unknown-signal", message, "signals", number, hint=f"Its `labels` must hold {wanted}.")


def _order_mistakes(trial: Trial, number: int, order: GivenOrder) -> Iterator[Problem]:
    """Say that an order is none or several, that its keys do not belong together, or that it is never given."""
    at = ("orders", number)
    verbs = [verb for verb in VERBS if getattr(order, verb) is not None]
    if len(verbs) != 1:
        hint = f"Write one of {', '.join(map(quoted, VERBS))}, with the name of a guard."
        if verbs:
            message = f"{' and '.join(map(quoted, verbs))} are {len(verbs)} orders"
            yield trial.problem("bad-value", message, *at, verbs[1], hint=hint)
        else:
            yield trial.problem("missing-key", "nothing is ordered here", *at, hint=hint)
        return
    if order.for_ is not None and order.verb not in ("extend", "pause"):
        yield trial.problem("bad-value", f"{quoted(order.verb)} has no end", *at, "for", hint="Leave `for` out.")
    if order.for_ is None and order.verb == "extend":
        yield trial.problem("missing-key", "`for` is missing", *at, hint="Say by how much, as in `for: 10m`.")
    if order.step is not None:
        yield from _step_mistakes(trial, number, order)
    if order.at > trial.end:
        hint = f"A test ends at its largest `eval_time`, which is {format_duration(trial.end)}."
        yield trial.problem("bad-value", "the test is over before this is ordered", *at, "at", hint=hint)


def _step_mistakes(trial: Trial, number: int, order: GivenOrder) -> Iterator[Problem]:
    guard = trial.policy.guards.get(order.guard or "")
    if order.verb != "trigger":
        hint = "Only `trigger` has one. Leave `step` out."
        yield trial.problem("bad-value", f"{quoted(order.verb)} has no step", "orders", number, "step", hint=hint)
    elif guard is not None and order.exp_refusal != Refusal.NO_SUCH_STEP:
        known = [step.name for step in guard.playbook]
        if order.step not in known:
            message = f"the guard {quoted(guard.name)} has no step {quoted(str(order.step))}"
            hint = did_you_mean(str(order.step), known) or f"It has {_some(known)}."
            yield trial.problem("unknown-action", message, "orders", number, "step", hint=hint)


def _shown(labels: dict[str, Any]) -> str:
    return "`{" + ", ".join(f"{name}: {value}" for name, value in labels.items()) + "}`"


def _named(trial: Trial) -> Iterator[tuple[str, KeyPath, str]]:
    """Yield every name in a test that must be one of the rule files: its kind, its place, itself."""
    for list_name, key in KINDS.items():
        for number, item in enumerate(getattr(trial.section, list_name)):
            yield key, (list_name, number, key), getattr(item, key)
    for number, order in enumerate(trial.section.orders):
        for verb in VERBS:
            name = getattr(order, verb)
            if name is not None and not (name == EVERY_GUARD and verb in OF_EVERY_GUARD):
                yield "guard", ("orders", number, verb), name


def _known(trial: Trial, kind: str) -> list[str]:
    policy = trial.policy
    match kind:
        case "alertname":
            return list(trial.by_name)
        case "guard":
            return list(policy.guards)
        case "action":
            steps = [step.action for guard in policy.guards.values() for step in guard.playbook if step.action]
            return [*steps, *policy.undos.values()]
        case "probe":
            return [rule.name for group in trial.groups if group.source == PROBE for rule in group.rules]
        case _:
            return list({group.source: None for group in trial.groups if group.source not in (PROBE, SIGNAL)})


def _some(names: Sequence[str], most: int = 5) -> str:
    distinct = list(dict.fromkeys(names))
    more = f" and {len(distinct) - most} more" if len(distinct) > most else ""
    return (", ".join(map(quoted, distinct[:most])) or "none") + more
