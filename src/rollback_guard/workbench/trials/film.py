"""Play a trial, and keep of it what its expectations are held against."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from rollback_guard.config.places import KeyPath
from rollback_guard.core.alert import Alert
from rollback_guard.core.judgement import Judgement, judge, most_telling
from rollback_guard.core.model import PROBE, SIGNAL, Group, Labels, Phase, Rule, Verdict
from rollback_guard.core.observation import Answer, Failure, Observation, Unknown
from rollback_guard.core.operations import Operation, Refused
from rollback_guard.core.records import Concluded, Decided, Decision, Evaluated, Outcome, Record
from rollback_guard.core.signals import observe as observe_signals
from rollback_guard.core.state import State
from rollback_guard.core.units import format_duration
from rollback_guard.engine.replay import Replay
from rollback_guard.workbench.trials.failure import EvaluationError
from rollback_guard.workbench.trials.props import endings_of, orders_of, probe_of
from rollback_guard.workbench.trials.trial import Trial

BROKEN = frozenset({Unknown.DUPLICATE, Unknown.TOO_LARGE})
"""Why a rule itself cannot be evaluated: Prometheus calls these errors, and promtool ends the test."""


class Sight(Protocol):
    """What the data sources say where no outage keeps them from it."""

    def open(self, group: Group, slot: datetime, state: State) -> None:
        """Let the time of a group come: all groups before it were evaluated."""
        ...

    def told(self, group: Group, slot: datetime) -> Mapping[str, Observation]:
        """Return what is said of one slot of a group that was opened, by rule id."""
        ...

    def close(self, slot: datetime, alerts: Mapping[str, Mapping[str, Mapping[Labels, Alert]]]) -> None:
        """Hear of a slot after it was evaluated: the active alerts of each group, by rule."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What was the case of one group after one slot.

    Attributes:
        breached: By rule and series the value with which it breached last: texts tell of that, also where an alert goes
            on firing without a breach.
    """

    judgements: Mapping[str, Judgement]
    alerts: Mapping[str, Mapping[Labels, Alert]]
    breached: Mapping[str, Mapping[Labels, float]] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Track:
    """One rule from the first slot to the last.

    Attributes:
        values: In each slot that of the series that tells most; NaN where there is none.
        states: In each slot the gravest of its series: a letter of `LETTERS`.
        unknown: How many slots nothing was known of it, by the reason.
        series: The most series that one slot had.
        breached: By series the value with which it breached last.
    """

    values: array[float] = field(default_factory=lambda: array("d"))
    states: bytearray = field(default_factory=bytearray)
    unknown: Counter[Unknown] = field(default_factory=Counter)
    series: int = 0
    breached: dict[Labels, float] = field(default_factory=dict)

    def note(self, rule: Rule, judgement: Judgement, alerts: Mapping[Labels, Alert]) -> None:
        """Add a slot."""
        told = most_telling(judgement, rule.condition.comparison)
        self.values.append(math.nan if told is None or told.value is None else told.value)
        self.series = max(self.series, len(judgement.series))
        for each in judgement.series:
            if each.verdict is Verdict.BREACH and each.value is not None:
                self.breached[each.series] = each.value
        if judgement.reason is not None:
            self.unknown[judgement.reason] += 1
        if any(alert.phase is Phase.FIRING for alert in alerts.values()):
            self.states.append(FIRING)
        elif alerts:
            self.states.append(PENDING)
        else:
            self.states.append(UNKNOWN if judgement.verdict is Verdict.UNKNOWN else INACTIVE)


FIRING, PENDING, UNKNOWN, INACTIVE = LETTERS = b"Fp?."
"""The states of a rule, the gravest first."""


@dataclass(kw_only=True)
class Film:
    """All that happened in a trial and is asked for.

    Attributes:
        frames: By slot and group; only of slots of which something is expected.
        tracks: By rule; only of rules of which something is expected.
        records: In their order, without evaluations.
        cured_at: When the first action that cures had its effect; ``None`` if none did.
        refusals: What was asked for and not done: where it stands, and why in words.
    """

    frames: dict[datetime, dict[str, Frame]] = field(default_factory=dict)
    tracks: dict[str, Track] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    cured_at: datetime | None = None
    refusals: list[tuple[KeyPath, str]] = field(default_factory=list)

    def decisions(self, guard: str, until: datetime, *, healthy: int = 0) -> list[Decided]:
        """Return what a guard concluded last, not after `until`.

        Those are the decisions of the latest instant at which it concluded more than that there is nothing to do. How
        soon that follows a recovery depends on its groups, and nobody means it who expects the recovery.

        Args:
            guard: Its name.
            until: Aware UTC.
            healthy: Return so many of the last decisions as they are; for who does mean it.
        """
        own = [each for each in self.records if isinstance(each, Decided) and each.guard == guard and each.at <= until]
        if healthy:
            return own[-healthy:]
        told = [each for each in own if each.decision is not Decision.NONE]
        return [each for each in told if each.at == told[-1].at]

    def hear(self, records: Sequence[Record]) -> None:
        """Keep what was concluded."""
        self.records += [record for record in records if not isinstance(record, Evaluated)]


def play(
    trial: Trial, sight: Sight, *, cured_at: datetime | None, progress: Callable[[float], None] = lambda share: None
) -> Film:
    """Play a trial from its beginning to its end.

    Args:
        trial: What is played.
        sight: What the data sources say.
        cured_at: When the data that are observed begin to be cured: what health checks find follows that.
        progress: Hears now and then which share of it is done.

    Raises:
        EvaluationError: A rule makes one alert of two series, or more alerts than its group allows.
    """
    film = Film()
    replay = Replay(trial.cast, began=trial.start, ending=endings_of(trial), heard=film.hear)
    stage = _Stage(trial=trial, sight=sight, film=film, replay=replay, cured_at=cured_at)
    orders = sorted(orders_of(trial), key=lambda order: order[0])
    for number, slot in enumerate(trial.slots):
        while orders and orders[0][0] <= slot:
            stage.order(*orders.pop(0))
        stage.show(slot)
        if number % 100 == 0:
            progress(number / len(trial.slots))
    end = trial.start + trial.end
    for at, path, asked in orders:
        if at <= end:
            stage.order(at, path, asked)
    replay.advance(end)
    film.cured_at = _cured_at(trial, film)
    return film


@dataclass(kw_only=True)
class _Stage:
    """Show a trial to a replay, slot by slot."""

    trial: Trial
    sight: Sight
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

    def order(self, at: datetime, path: KeyPath, asked: Operation) -> None:
        """Do what the test says that people or systems ask for."""
        refused = self.replay.operate(asked, at=at)
        if isinstance(refused, Refused):
            self.film.refusals.append((path, refused.detail))

    def show(self, slot: datetime) -> None:
        """Evaluate all groups at one slot."""
        frames: dict[str, Frame] = {}
        for group in self.trial.groups:
            if group.source not in (PROBE, SIGNAL):
                self.sight.open(group, slot, self.replay.state)
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
        self.sight.close(slot, {group: frame.alerts for group, frame in frames.items()})

    def _breached(self, group: Group, slot: datetime) -> Mapping[str, Mapping[Labels, float]]:
        if slot not in self.trial.asserted_slots:
            return {}
        return {rule.id: dict(self.film.tracks[rule.id].breached) for rule in self._tracked[group.id]}

    def _glance(self, group: Group, slot: datetime) -> None:
        """Look at a group that nothing depends on: its rules must be possible to evaluate all the same."""
        if group.source in (PROBE, SIGNAL):
            return
        told = self.sight.told(group, slot)
        several = [rule for rule in group.rules if has_several(told[rule.id])]
        self._check(group, {rule.id: judge(rule, told[rule.id], {}, limit=group.limit) for rule in several}, slot)

    def _observe(self, group: Group, slot: datetime) -> Mapping[str, Observation]:
        if group.source == PROBE:
            return {group.rules[0].id: self._probes[group.id](slot)}
        if group.source == SIGNAL:
            return observe_signals(group, self.replay.state.signals)
        if reason := self._outage(group.source):
            failure = Failure(reason, "the test says that there is no road to it")
            return {rule.id: Observation(measured=failure) for rule in group.rules}
        return self.sight.told(group, slot)

    def _outage(self, source: str) -> Unknown | None:
        """Return why a data source cannot be reached now; a slot of the past is read by the road of the present."""
        at = self.replay.now - self.trial.start
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
