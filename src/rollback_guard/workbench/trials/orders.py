"""Ask of a trial's guards what people, deployments and other systems ask of them while it is played."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from rollback_guard.core.model import Guard, labels_of
from rollback_guard.core.operations import (
    Approve,
    Extend,
    FinishRollout,
    Operation,
    Pause,
    Refused,
    Report,
    Resume,
    StartRollout,
    Trigger,
    Undo,
    Veto,
)
from rollback_guard.core.orders import Signal
from rollback_guard.core.state import State
from rollback_guard.workbench.trials.document import GivenOrder, SignalSpan
from rollback_guard.workbench.trials.trial import Trial

REPEATED_EVERY = timedelta(hours=4)
"""How often Alertmanager says again that an alert fires, unless told otherwise."""

BY = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is asked for at a time.

    Attributes:
        kind: In which list of the test it stands.
        number: At which place.
        asked: What it is, when its time has come: what a person means may depend on what happened.
        given: As the test writes it; ``None`` of what deployments and other systems say.
    """

    at: datetime
    kind: str
    number: int
    asked: Callable[[State], Operation]
    given: GivenOrder | None = None

    def concerns(self, guard: str) -> bool:
        """Say whether it is a person's, and about this guard."""
        return self.given is not None and self.given.guard in (guard, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came of an order; `refused` is ``None`` where it was done."""

    order: Order
    refused: Refused | None


def orders_of(trial: Trial) -> list[Order]:
    """Return all that is asked for in a trial, the earliest first."""
    return sorted((*_of_systems(trial), *_of_deployments(trial), *_of_people(trial)), key=lambda order: order.at)


def _of_people(trial: Trial) -> Iterator[Order]:
    for number, given in enumerate(trial.section.orders):
        yield Order(
            at=trial.start + given.at,
            kind="orders",
            number=number,
            asked=partial(_asked, given),
            given=given,
        )


def _asked(given: GivenOrder, state: State) -> Operation:
    """Return what a person asks for; `undo` means the latest incident of its guard."""
    guard, why = given.guard or "", given.reason
    match given.verb:
        case "approve":
            return Approve(by=BY, guard=guard, why=why)
        case "extend":
            return Extend(by=BY, guard=guard, why=why, lasting=given.for_ or timedelta(0))
        case "veto":
            return Veto(by=BY, guard=guard, why=why)
        case "pause":
            return Pause(by=BY, guard=given.guard, why=why, lasting=given.for_)
        case "resume":
            return Resume(by=BY, guard=given.guard, why=why)
        case "trigger":
            return Trigger(by=BY, guard=guard, why=why, step=given.step)
        case "undo":
            own = [each.id for each in state.incidents.values() if each.guard == guard]
            return Undo(by=BY, why=why, incident=own[-1] if own else f"of guard {guard}")
        case verb:
            raise AssertionError(verb)


def _of_deployments(trial: Trial) -> Iterator[Order]:
    for number, rollout in enumerate(trial.section.rollouts):
        begins = StartRollout(
            by=BY, guard=rollout.guard, version=rollout.version, previous_version=rollout.previous_version
        )
        yield _fixed(trial.start + rollout.at, begins, "rollouts", number)
        if rollout.finished is not None:
            finishes = FinishRollout(by=BY, guard=rollout.guard)
            yield _fixed(trial.start + rollout.finished, finishes, "rollouts", number)


def _of_systems(trial: Trial) -> Iterator[Order]:
    for number, signal in enumerate(trial.section.signals):
        for after, firing in _reports(signal, trial.end):
            report = Report(by=BY, signals=_signals(trial, signal, firing=firing))
            yield _fixed(trial.start + after, report, "signals", number)


def _fixed(at: datetime, operation: Operation, kind: str, number: int) -> Order:
    return Order(at=at, kind=kind, number=number, asked=lambda _: operation)


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


def takes(guard: Guard, signal: SignalSpan) -> bool:
    """Say whether a signal is one of a guard's."""
    labels = {**signal.labels, "alertname": signal.alertname}
    return signal.alertname in guard.signals and all(labels.get(name) == value for name, value in guard.select)
