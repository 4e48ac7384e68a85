"""Hold one trial that is laid out in the server: write what it has, record what it records, read what it measures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from rollback_guard.adapters.ephemeral import STALE, EphemeralError, QueryRefused, Series
from rollback_guard.config.recordings import Recording
from rollback_guard.core.alert import Alert
from rollback_guard.core.condition import Condition
from rollback_guard.core.model import Group, Labels, Phase, Rule, labels_of
from rollback_guard.core.notation import NotationError, is_stale, parse_series
from rollback_guard.core.observation import ROAD, Answer, Failure, Observation
from rollback_guard.core.promql.shift import shifted, with_default_step
from rollback_guard.core.units import format_duration
from rollback_guard.workbench.trials.chapter import ALERTS, ALERTS_FOR_STATE
from rollback_guard.workbench.trials.course import course_of
from rollback_guard.workbench.trials.failure import EvaluationError
from rollback_guard.workbench.trials.fields import EPOCH
from rollback_guard.workbench.trials.trial import Trial
from rollback_guard.workbench.trials.world import Observations, World

MILLISECOND = timedelta(milliseconds=1)

Samples = list[tuple[int, float]]

TWICE = "another rule writes the same series in the same slot, with another value"

NO_SERIES: frozenset[Labels] = frozenset()


@dataclass(kw_only=True)
class Scene:
    """One trial in the server, moved in time."""

    world: World
    trial: Trial
    shift: timedelta
    _courses: list[tuple[Labels, Samples]] = field(default_factory=list)
    _recorded_before: dict[Recording, frozenset[Labels]] = field(default_factory=dict)
    _alerts_before: dict[str, frozenset[Labels]] = field(default_factory=dict)
    _latest: dict[Labels, tuple[int, float]] = field(default_factory=dict)

    @classmethod
    def lay_out(cls, world: World, trial: Trial, *, cured_at: datetime | None = None) -> Scene:
        """Find a time for a trial.

        Raises:
            EvaluationError: A series goes on from a value that it never had.
        """
        scene = cls(world=world, trial=trial, shift=world.make_room(trial))
        for given in trial.section.input_series:
            try:
                values = course_of(trial, given, cured_at)
            except NotationError as error:
                raise EvaluationError(f"{given.series}: {error.message}") from None
            times = (scene._ms(trial.start + number * trial.sample_interval) for number in range(len(values)))
            samples = [(at_ms, value) for at_ms, value in zip(times, values, strict=True) if value is not None]
            samples.reverse()
            scene._courses.append((parse_series(given.series), samples))
        return scene

    def write(self, until: datetime) -> None:
        """Write all samples up to a time that are not written yet.

        Raises:
            WriteRefused: The server does not take them.
        """
        self.world.server.write(self._due(self._ms(until)))

    def record(self, recording: Recording, slots: Sequence[datetime]) -> None:
        """Evaluate a recording rule at these slots, and write what it says.

        Raises:
            EvaluationError: The server refuses it, its labels make one series of two, or another rule writes it too.
        """
        history = self.history()
        for slot, samples in self._measured(recording, slots):
            now = self._recorded(recording, samples, slot)
            clash = history.note(self._ms(slot), now, gone=self._recorded_before.get(recording, NO_SERIES))
            if clash is not None:
                raise self._unevaluated(recording.name, slot, TWICE)
            self._recorded_before[recording] = frozenset(now)
        self.write_history(history)

    def observe(self, offset: timedelta, rules: Sequence[Rule], slots: Sequence[datetime]) -> Observations:
        """Return what some rules of the same query offset measure at these slots.

        Raises:
            EvaluationError: The server refuses one of the expressions.
        """
        return self._read(rules, slots, offset)

    def ask(self, expr: str, at: datetime) -> list[tuple[Labels, float]]:
        """Return what a query says at one instant.

        Raises:
            QueryRefused: The server refuses it.
        """
        return self.world.server.query(self._moved(expr), self._ms(at))

    def history(self) -> History:
        """Return room for what rules write."""
        return History(self._latest)

    def note_alerts(self, history: History, slot: datetime, rule: str, active: Iterable[Alert]) -> None:
        """Note what Prometheus writes about the active alerts of a rule; slots come in their order.

        Raises:
            EvaluationError: Another rule has an alert with the same labels that is active since another time.
        """
        now = dict(each for alert in active for each in _series_of(alert))
        gone = self._alerts_before.get(rule, NO_SERIES)
        if now or gone:
            if history.note(self._ms(slot), now, gone=gone) is not None:
                raise self._unevaluated(rule, slot, TWICE)
            self._alerts_before[rule] = frozenset(now)

    def write_history(self, history: History) -> None:
        """Write what was noted.

        Raises:
            WriteRefused: The server does not take it.
        """
        self.world.server.write(history.series())

    def _due(self, until_ms: int) -> Iterator[Series]:
        for labels, samples in self._courses:
            due: Samples = []
            while samples and samples[-1][0] <= until_ms:
                due.append(samples.pop())
            if due:
                yield Series(labels=labels, samples=due)

    def _measured(
        self, recording: Recording, slots: Sequence[datetime]
    ) -> Iterator[tuple[datetime, Iterable[tuple[Labels, float]]]]:
        """Yield what a recording rule says at each of these slots."""
        if len(slots) == 1:
            try:
                yield slots[0], self.ask(recording.expr, slots[0])
            except QueryRefused as error:
                raise self._unevaluated(recording.name, slots[0], error.message) from None
            return
        condition = Condition(expr=recording.expr, query=recording.expr)
        rule = Rule(id=recording.name, group="recordings", name=recording.name, fingerprint="", condition=condition)
        said = self._read([rule], slots, timedelta(0))
        for slot in slots:
            measured = said[slot][rule.id].measured
            samples = measured.samples if isinstance(measured, Answer) else ()
            yield slot, ((sample.labels, sample.value) for sample in samples)

    def _recorded(
        self, recording: Recording, samples: Iterable[tuple[Labels, float]], slot: datetime
    ) -> dict[Labels, float]:
        found: dict[Labels, float] = {}
        for own, value in samples:
            labels = {**dict(own), **dict(recording.labels), "__name__": recording.name}
            named = labels_of({name: text for name, text in labels.items() if text})
            if named in found:
                raise self._unevaluated(recording.name, slot, "two series become one once the rule's labels are added")
            found[named] = value
        return found

    def _unevaluated(self, rule: str, slot: datetime, why: str) -> EvaluationError:
        return EvaluationError(f"{rule} at {format_duration(slot - self.trial.start)}: {why}")

    def _read(self, rules: Sequence[Rule], slots: Sequence[datetime], offset: timedelta) -> Observations:
        group = Group(
            id="trial",
            source="ephemeral",
            interval=self.trial.slot_interval,
            offset=(self.trial.start + self.shift - EPOCH) % self.trial.slot_interval,
            rules=tuple(map(self._moved_rule, rules)),
            query_offset=offset,
        )
        said = self.world.read(group, (slot + self.shift for slot in slots))
        if len(said) < len(slots):
            raise EphemeralError("Prometheus does not answer")
        return {
            at - self.shift: {rule: self._checked(rule, at, each) for rule, each in observed.items()}
            for at, observed in said.items()
        }

    def _moved(self, expr: str) -> str:
        """Return an expression as it is asked; a subquery without a step takes the evaluation interval."""
        return shifted(with_default_step(expr, self.trial.slot_interval), self.shift)

    def _moved_rule(self, rule: Rule) -> Rule:
        when = rule.when
        return replace(
            rule,
            condition=self._moved_condition(rule.condition),
            when=self._moved_condition(when) if when else None,
        )

    def _moved_condition(self, condition: Condition) -> Condition:
        ratio = condition.ratio
        return replace(
            condition,
            query=self._moved(condition.query),
            ratio=replace(ratio, denominator=self._moved(ratio.denominator)) if ratio else None,
            selectors=tuple(map(self._moved, condition.selectors)),
        )

    def _checked(self, rule: str, at: datetime, observed: Observation) -> Observation:
        """Return an observation in the time of the test; a server that fails is no result of a test."""
        for answer in (observed.measured, observed.when, observed.denominator):
            if isinstance(answer, Failure):
                if answer.reason in ROAD:
                    raise EphemeralError(f"Prometheus does not answer: {answer.detail}")
                raise self._unevaluated(rule, at - self.shift, answer.detail or answer.reason.value)
        stale = observed.stale_since
        return observed if stale is None else replace(observed, stale_since=stale - self.shift)

    def _ms(self, at: datetime) -> int:
        return (at + self.shift - EPOCH) // MILLISECOND


class History:
    """Samples that rules write slot by slot, with the mark of staleness where a series ends."""

    def __init__(self, latest: dict[Labels, tuple[int, float]]) -> None:
        self._latest = latest
        self._samples: dict[Labels, Samples] = {}

    def note(self, at_ms: int, now: Mapping[Labels, float], *, gone: AbstractSet[Labels]) -> Labels | None:
        """Take the samples of one slot; those of the one before that are not among them have ended.

        Returns:
            A series that another rule has written in this slot already, with another value: no server takes both.
        """
        for labels, value in now.items():
            known = self._latest.get(labels)
            if known is None or known[0] != at_ms:
                self._note(labels, at_ms, value)
            elif not _is_same(known[1], value):
                return labels
        for labels in gone - now.keys():
            known = self._latest.get(labels)
            if known is None or known[0] != at_ms:
                self._note(labels, at_ms, STALE)
        return None

    def _note(self, labels: Labels, at_ms: int, value: float) -> None:
        self._latest[labels] = at_ms, value
        self._samples.setdefault(labels, []).append((at_ms, value))

    def series(self) -> Iterator[Series]:
        """Yield all that was noted."""
        return (Series(labels=labels, samples=samples) for labels, samples in self._samples.items())


def _is_same(one: float, other: float) -> bool:
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other) and is_stale(one) is is_stale(other)
    return one == other


def _series_of(alert: Alert) -> Iterator[tuple[Labels, float]]:
    labels = dict(alert.labels)
    state = "firing" if alert.phase is Phase.FIRING else "pending"
    yield labels_of({**labels, "__name__": ALERTS, "alertstate": state}), 1.0
    yield labels_of({**labels, "__name__": ALERTS_FOR_STATE}), float(int(alert.active_at.timestamp()))
