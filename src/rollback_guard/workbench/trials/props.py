"""Bring to a trial what does not come from a data source: health checks, orders, and how actions end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from rollback_guard.config.places import KeyPath
from rollback_guard.core.model import Group, labels_of
from rollback_guard.core.notation import NotationError, is_stale
from rollback_guard.core.observation import Answer, Failure, Observation, Sample, Unknown
from rollback_guard.core.operations import FinishRollout, Operation, Report, StartRollout
from rollback_guard.core.orders import Signal
from rollback_guard.core.records import Intended, Outcome
from rollback_guard.engine.replay import Ending
from rollback_guard.workbench.trials.course import course_of
from rollback_guard.workbench.trials.document import ActionResult, SignalSpan
from rollback_guard.workbench.trials.failure import EvaluationError
from rollback_guard.workbench.trials.mistakes import takes
from rollback_guard.workbench.trials.trial import Trial

HANGS_FOR = timedelta(seconds=30)
"""How long an action hangs that has no time limit of its own in the rule file."""

REPEATED_EVERY = timedelta(hours=4)
"""How often Alertmanager says again that an alert fires, unless told otherwise."""

BY = "test"

Order = tuple[datetime, KeyPath, Operation]
"""When something is asked for, where that stands in the test, and what."""


def endings_of(trial: Trial) -> Callable[[Intended], Ending]:
    """Return how actions end: the n-th run of one as its n-th result says, and all later ones as its last."""
    results: dict[str, list[ActionResult]] = {}
    for each in trial.section.action_results:
        results.setdefault(each.action, []).append(each)
    runs = Counter[str]()

    def ending(intent: Intended) -> Ending:
        told = results.get(intent.action, [ActionResult(action=intent.action)])
        result = told[min(runs[intent.action], len(told) - 1)]
        runs[intent.action] += 1
        return _ending(result, intent)

    return ending


def _ending(result: ActionResult, intent: Intended) -> Ending:
    match result.result:
        case "fails":
            outcome, words = Outcome.FAILED, "the test says that it fails"
        case "hangs":
            takes_ = result.takes if result.takes is not None else intent.timeout or HANGS_FOR
            return Ending(outcome=Outcome.UNKNOWN, takes=takes_, detail="the test says that it hangs")
        case _:
            outcome, words = Outcome.SUCCEEDED, "the test says that it succeeds"
    return Ending(outcome=outcome, takes=result.takes or timedelta(0), detail=words)


def orders_of(trial: Trial) -> Iterator[Order]:
    """Yield what people and other systems ask for."""
    for number, signal in enumerate(trial.section.signals):
        path = (*trial.path, "signals", number)
        for after, firing in _reports(signal, trial.end):
            yield trial.start + after, path, Report(by=BY, signals=_signals(trial, signal, firing=firing))
    for number, rollout in enumerate(trial.section.rollouts):
        path = (*trial.path, "rollouts", number)
        begins = StartRollout(
            by=BY, guard=rollout.guard, version=rollout.version, previous_version=rollout.previous_version
        )
        yield trial.start + rollout.at, path, begins
        if rollout.finished is not None:
            yield trial.start + rollout.finished, path, FinishRollout(by=BY, guard=rollout.guard)


def _reports(signal: SignalSpan, end: timedelta) -> Iterator[tuple[timedelta, bool]]:
    """Yield when something is said of a signal, and whether it fires then."""
    after = signal.from_
    while after <= end and (signal.to is None or after < signal.to):
        yield after, True
        after += REPEATED_EVERY
    if signal.to is not None:
        yield signal.to, False


def _signals(trial: Trial, span: SignalSpan, *, firing: bool) -> tuple[Signal, ...]:
    """Return the signal for each guard that takes it, as the web's receiver does."""
    labels = {**span.labels, "alertname": span.alertname}
    return tuple(
        Signal(
            guard=guard.name,
            name=span.alertname,
            labels=labels_of(labels),
            firing=firing,
            starts_at=trial.start + span.from_,
        )
        for guard in trial.policy.guards.values()
        if takes(guard, span)
    )


def probe_of(trial: Trial, group: Group, cured_at: datetime | None) -> Callable[[datetime], Observation]:
    """Return what a health check finds in each slot; one that is not listed is always answered well."""
    rule = group.rules[0]
    given = next((each for each in trial.section.probe_results if each.probe == rule.name), None)
    try:
        values = (course_of(trial, given, cured_at) if given else ()) or (1.0,)
    except NotationError as error:
        raise EvaluationError(f"{rule.name}: {error.message}") from None

    def observe(slot: datetime) -> Observation:
        number = (slot - trial.start) // trial.sample_interval
        value = values[min(number, len(values) - 1)]
        if value is None or is_stale(value):
            return Observation(measured=Failure(Unknown.PROBE_NOT_MADE, "the test says that it could not be made"))
        return Observation(
            measured=Answer((Sample((), 1.0 if value else 0.0),)),
            detail="" if value else "the test says that it is down",
        )

    return observe
