"""Play a trial from its beginning to its end, slot by slot."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from rollback_guard.core.judgement import Judgement, judge
from rollback_guard.core.model import PROBE, SIGNAL, Group, Labels
from rollback_guard.core.observation import Answer, Failure, Observation, Unknown
from rollback_guard.core.records import Concluded, Outcome
from rollback_guard.core.signals import observe as observe_signals
from rollback_guard.core.units import format_duration
from rollback_guard.engine.replay import Replay
from rollback_guard.workbench.trials.answers import Answers
from rollback_guard.workbench.trials.failure import EvaluationError
from rollback_guard.workbench.trials.film import Film, Frame, Track
from rollback_guard.workbench.trials.orders import Order, Reply, orders_of
from rollback_guard.workbench.trials.props import endings_of, probe_of
from rollback_guard.workbench.trials.trial import Trial

BROKEN = frozenset({Unknown.DUPLICATE, Unknown.TOO_LARGE})
"""Why a rule itself cannot be evaluated: Prometheus calls these errors, and promtool ends the test."""


def play(
    trial: Trial,
    answers: Answers,
    *,
    cured_at: datetime | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Film:
    """Play a trial from its beginning to its end.

    Args:
        trial: What is played.
        answers: What the data sources say.
        cured_at: When the data that are observed begin to be cured: what health checks find follows that.
        progress: Hears now and then which share of it is done.

    Raises:
        EvaluationError: A rule makes one alert of two series, or more alerts than its group allows.
    """
    film = Film()
    replay = Replay(trial.cast, began=trial.start, ending=endings_of(trial), heard=film.hear)
    stage = _Stage(trial=trial, answers=answers, film=film, replay=replay, cured_at=cured_at)
    orders = deque(orders_of(trial))
    for number, slot in enumerate(trial.slots):
        while orders and orders[0].at <= slot:
            stage.give(orders.popleft())
        stage.show(slot)
        if number % 100 == 0:
            progress(number / len(trial.slots))
    end = trial.start + trial.end
    for order in orders:
        if order.at <= end:
            stage.give(order)
    replay.advance(end)
    film.cured_at = _cured_at(trial, film)
    return film


@dataclass(kw_only=True)
class _Stage:
    """Show a trial to a replay, slot by slot."""

    trial: Trial
    answers: Answers
    film: Film
    replay: Replay
    cured_at: datetime | None

    def __post_init__(self) -> None:
        groups = self.trial.groups
        self._probes = {
            group.id: probe_of(self.trial, group, self.cured_at) for group in groups if group.source == PROBE
        }
        asserted = self.trial.asserted_rules
        self._tracked = {group.id: [rule for rule in group.rules if rule.id in asserted] for group in groups}
        self.film.tracks = {rule.id: Track() for rules in self._tracked.values() for rule in rules}

    def give(self, order: Order) -> None:
        """Give an order, and keep what came of it."""
        self.replay.advance(order.at)
        refused = self.replay.operate(order.asked(self.replay.state), at=order.at)
        self.film.replies.append(Reply(order=order, refused=refused))

    def show(self, slot: datetime) -> None:
        """Evaluate all groups at one slot."""
        frames: dict[str, Frame] = {}
        for group in self.trial.groups:
            if group.source not in (PROBE, SIGNAL):
                self.answers.open(group, slot, self.replay.state)
            if group.id not in self.trial.cast.groups:
                self._glance(group, slot)
                continue
            judgements = self.replay.show(group, slot, self._observe)
            alerts = self.replay.state.groups[group.id].alerts
            self._check(group, judgements, slot)
            for rule in self._tracked[group.id]:
                self.film.tracks[rule.id].note(rule, judgements[rule.id], alerts.get(rule.id, {}))
            frames[group.id] = Frame(judgements=judgements, alerts=alerts, breached=self._breached(group, slot))
        if slot in self.trial.asserted_slots:
            self.film.frames[slot] = frames
        self.answers.close(slot, {group: frame.alerts for group, frame in frames.items()})

    def _breached(self, group: Group, slot: datetime) -> Mapping[str, Mapping[Labels, float]]:
        if slot not in self.trial.asserted_slots:
            return {}
        return {rule.id: dict(self.film.tracks[rule.id].breached) for rule in self._tracked[group.id]}

    def _glance(self, group: Group, slot: datetime) -> None:
        """Look at a group that nothing depends on: its rules must be possible to evaluate all the same."""
        if group.source in (PROBE, SIGNAL):
            return
        told = self.answers.told(group, slot)
        several = [rule for rule in group.rules if has_several(told[rule.id])]
        self._check(group, {rule.id: judge(rule, told[rule.id], {}, limit=group.limit) for rule in several}, slot)

    def _observe(self, group: Group, slot: datetime) -> Mapping[str, Observation]:
        if group.source == PROBE:
            return {group.rules[0].id: self._probes[group.id](slot)}
        if group.source == SIGNAL:
            return observe_signals(group, self.replay.state.signals)
        if reason := self._outage(group.source, self.replay.now):
            failure = Failure(reason, "the test says that there is no road to it")
            return {rule.id: Observation(measured=failure) for rule in group.rules}
        return self.answers.told(group, slot)

    def _outage(self, source: str, now: datetime) -> Unknown | None:
        """Return why a data source cannot be reached now; a slot of the past is read by the road of the present."""
        at = now - self.trial.start
        return next(
            (
                Unknown(outage.reason)
                for outage in self.trial.section.outages
                if outage.datasource == source and outage.from_ <= at < outage.to
            ),
            None,
        )

    def _check(self, group: Group, judgements: Mapping[str, Judgement], slot: datetime) -> None:
        if group.source in (PROBE, SIGNAL):
            return
        for rule, judgement in judgements.items():
            if judgement.reason in BROKEN:
                at = format_duration(slot - self.trial.start)
                raise EvaluationError(f"{rule} at {at}: {judgement.detail}")


def has_several(observed: Observation) -> bool:
    """Say whether an answer has more than one series, which the labels of a rule may make one."""
    return isinstance(observed.measured, Answer) and len(observed.measured.samples) > 1


def _cured_at(trial: Trial, film: Film) -> datetime | None:
    after = {each.action: each.cures_after for each in trial.section.action_results if each.cures_after is not None}
    times = [
        record.at + after[record.action]
        for record in film.records
        if isinstance(record, Concluded) and record.outcome is Outcome.SUCCEEDED and record.action in after
    ]
    return min(times, default=None)
