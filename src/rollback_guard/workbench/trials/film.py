"""Play a trial, and keep what was seen and concluded in every slot."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rollback_guard.core.alert import Alert
from rollback_guard.core.judgement import Judgement
from rollback_guard.core.model import PROBE, SIGNAL, Group, Labels, labels_of
from rollback_guard.core.notation import cured, expand, is_stale
from rollback_guard.core.observation import Answer, Failure, Observation, Sample, Unknown
from rollback_guard.core.operations import FinishRollout, Operation, Refused, Report, StartRollout
from rollback_guard.core.orders import Signal
from rollback_guard.core.records import Concluded, Decided, Intended, Outcome, Record
from rollback_guard.core.signals import observe as observe_signals
from rollback_guard.engine.replay import Ending, Replay
from rollback_guard.workbench.trials.document import ActionResult, InputSeries, ProbeResult, SignalSpan
from rollback_guard.workbench.trials.trial import Trial

HANGS_FOR = timedelta(seconds=30)
"""How long an action hangs that has no time limit of its own in the rule file."""

Observed = Callable[[Group, datetime], Mapping[str, Observation]]
"""What the data source says for one slot of a group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What was the case of one group after one slot."""

    judgements: Mapping[str, Judgement]
    alerts: Mapping[str, Mapping[Labels, Alert]]


@dataclass(kw_only=True)
class Film:
    """All that happened in a trial.

    Attributes:
        frames: By slot and group.
        cured_at: When the first action that cures had its effect; ``None`` if none did.
        refusals: What was asked for and not done, in words.
    """

    frames: dict[datetime, dict[str, Frame]] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    cured_at: datetime | None = None
    refusals: list[str] = field(default_factory=list)

    def decisions(self, guard: str, until: datetime) -> list[Decided]:
        """Return what a guard concluded at the latest instant, not after `until`, at which it concluded anything."""
        own = [each for each in self.records if isinstance(each, Decided) and each.guard == guard and each.at <= until]
        return [each for each in own if each.at == own[-1].at]


def play(
    trial: Trial,
    observed: Observed,
    *,
    cured_at: datetime | None,
    shown: Callable[[datetime, Mapping[str, Frame]], None] = lambda slot, frames: None,
) -> Film:
    """Play a trial from its beginning to its end.

    Args:
        trial: What is played.
        observed: What the data sources say where no outage keeps them from it.
        cured_at: When the data that are observed begin to be cured: what health checks find follows that.
        shown: Hears of every slot after it was evaluated.
    """
    film = Film()
    replay = Replay(
        trial.policy, began=trial.start, ending=_endings(trial), heard=lambda records: film.records.extend(records)
    )
    orders = sorted(_orders(trial), key=lambda order: order[0])
    probes = {group.id: _probe_film(trial, group, cured_at) for group in trial.groups if group.source == PROBE}

    def observe(group: Group, slot: datetime) -> Mapping[str, Observation]:
        if group.source == PROBE:
            return {group.rules[0].id: probes[group.id](slot)}
        if group.source == SIGNAL:
            return observe_signals(group, replay.state.signals)
        if reason := _outage(trial, group.source, replay.now):
            failure = Failure(reason, "the test says that there is no road to it")
            return {rule.id: Observation(measured=failure) for rule in group.rules}
        return observed(group, slot)

    for slot in trial.slots:
        while orders and orders[0][0] <= slot:
            at, asked = orders.pop(0)
            _order(film, replay, asked, at)
        film.frames[slot] = {
            group.id: Frame(judgements=replay.show(group, slot, observe), alerts=replay.state.groups[group.id].alerts)
            for group in trial.groups
        }
        shown(slot, film.frames[slot])
    replay.advance(trial.start + trial.end)
    film.cured_at = _cured_at(trial, film)
    return film


def _order(film: Film, replay: Replay, asked: Operation, at: datetime) -> None:
    refused = replay.operate(asked, at=at)
    if isinstance(refused, Refused):
        film.refusals.append(refused.detail)


def _endings(trial: Trial) -> Callable[[Intended], Ending]:
    results = {each.action: each for each in trial.section.action_results}

    def ending(intent: Intended) -> Ending:
        result = results.get(intent.action, ActionResult(action=intent.action))
        match result.result:
            case "fails":
                outcome, words = Outcome.FAILED, "the test says that it fails"
            case "hangs":
                takes = result.takes if result.takes is not None else intent.timeout or HANGS_FOR
                return Ending(outcome=Outcome.UNKNOWN, takes=takes, detail="the test says that it hangs")
            case _:
                outcome, words = Outcome.SUCCEEDED, "the test says that it succeeds"
        return Ending(outcome=outcome, takes=result.takes or timedelta(0), detail=words)

    return ending


def _cured_at(trial: Trial, film: Film) -> datetime | None:
    after = {each.action: each.cures_after for each in trial.section.action_results if each.cures_after is not None}
    times = [
        record.at + after[record.action]
        for record in film.records
        if isinstance(record, Concluded) and record.outcome is Outcome.SUCCEEDED and record.action in after
    ]
    return min(times, default=None)


def _outage(trial: Trial, source: str, now: datetime) -> Unknown | None:
    at = now - trial.start
    return next(
        (
            Unknown(outage.reason)
            for outage in trial.section.outages
            if outage.datasource == source and outage.from_ <= at < outage.to
        ),
        None,
    )


def _orders(trial: Trial) -> Iterator[tuple[datetime, Operation]]:
    for signal in trial.section.signals:
        yield trial.start + signal.from_, Report(by="test", signals=_signals(trial, signal, firing=True))
        if signal.to is not None:
            yield trial.start + signal.to, Report(by="test", signals=_signals(trial, signal, firing=False))
    for rollout in trial.section.rollouts:
        yield (
            trial.start + rollout.at,
            StartRollout(
                by="test",
                guard=rollout.guard,
                version=rollout.version,
                previous_version=rollout.previous_version,
            ),
        )
        if rollout.finished is not None:
            yield trial.start + rollout.finished, FinishRollout(by="test", guard=rollout.guard)


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
        if span.alertname in guard.signals and all(labels.get(name) == value for name, value in guard.select)
    )


def samples_of(trial: Trial, given: InputSeries | ProbeResult, cured_at: datetime | None) -> list[float | None]:
    """Return the samples of a series, one per `interval`; ``None`` where there is none."""
    values = expand(given.values)
    if given.cured is None or cured_at is None:
        return values
    first = max(0, -((trial.start - cured_at) // trial.sample_interval))
    before = [value for value in values[:first] if value is not None and not is_stale(value)]
    last = before[-1] if before else 0.0
    return [*values[:first], *cured(given.cured, last, max(0, len(values) - first))]


def _probe_film(trial: Trial, group: Group, cured_at: datetime | None) -> Callable[[datetime], Observation]:
    rule = group.rules[0]
    given = next((each for each in trial.section.probe_results if each.probe == rule.name), None)
    values: Sequence[float | None] = samples_of(trial, given, cured_at) if given else [1.0]

    def observe(slot: datetime) -> Observation:
        number = (slot - trial.start) // trial.sample_interval
        value = values[min(number, len(values) - 1)]
        if value is None or is_stale(value):
            return Observation(measured=Failure(Unknown.PROBE_NOT_MADE, "the test says that it could not be made"))
        return Observation(
            measured=Answer((Sample((), 1.0 if value else 0.0),)), detail="" if value else "the test says that it is down"
        )

    return observe
