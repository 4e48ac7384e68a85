"""Lay trials out in one real Prometheus, each in a time of its own, and read from there what their rules measure.

PromQL does not care when it is: a trial that is moved by whole weeks, far enough from its neighbours that no range or
offset reaches them, sees exactly what it would see alone. What does ask for the absolute time is rewritten.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Self

from rollback_guard.adapters.clock import SystemClock
from rollback_guard.adapters.ephemeral import STALE, EphemeralPrometheus, Series
from rollback_guard.adapters.prometheus import PrometheusSource
from rollback_guard.config.recordings import Recording
from rollback_guard.core.alert import Alert
from rollback_guard.core.condition import Condition
from rollback_guard.core.model import PROBE, SIGNAL, Group, Labels, Phase, Rule, labels_of
from rollback_guard.core.notation import parse_series
from rollback_guard.core.observation import Answer, Failure, Observation, Unknown
from rollback_guard.core.promql.reach import names, reach
from rollback_guard.core.promql.shift import shifted
from rollback_guard.specs import Endpoint
from rollback_guard.workbench.trials.document import EPOCH
from rollback_guard.workbench.trials.film import samples_of
from rollback_guard.workbench.trials.trial import Trial
from rollback_guard.workbench.unheard import Unheard

WEEK = timedelta(weeks=1)
MILLISECOND = timedelta(milliseconds=1)
PATIENCE = timedelta(minutes=2)

ALERTS, ALERTS_FOR_STATE = "ALERTS", "ALERTS_FOR_STATE"
"""What Prometheus itself would write about the alerts."""

Observations = Mapping[datetime, Mapping[str, Observation]]
"""By slot and rule id."""

Alerts = Mapping[str, Mapping[Labels, Alert]]
"""The active alerts by rule."""


class EvaluationError(Exception):
    """The server would not evaluate an expression of a trial; the message has its words."""


class World:
    """One server, and the time that is still free in it.

    Attributes:
        server: Where trials are laid out.
    """

    def __init__(self, server: EphemeralPrometheus) -> None:
        self.server = server
        endpoint = Endpoint(
            name="ephemeral",
            url=server.url,
            timeout=PATIENCE,
            max_series=1_000_000,
            max_response_bytes=512 * 1024 * 1024,
        )
        self._source = PrometheusSource(endpoint, SystemClock(), Unheard(), patience=PATIENCE)
        self._runner = asyncio.Runner()
        self._free_from = 1

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self._runner.run(self._source.close())
        self._runner.close()

    def lay_out(self, trial: Trial, *, cured_at: datetime | None = None) -> Scene:
        """Write a trial's series into a time that is still free.

        Raises:
            WriteRefused: The server does not take the samples.
        """
        scene = Scene(self, trial, self._shift(trial))
        self.server.write(scene.input_series(cured_at))
        return scene

    def read(self, group: Group, slots: Iterable[datetime]) -> Observations:
        """Observe the rules of a group, as they are asked for in the server's time."""
        return self._runner.run(self._source.read_range(group, list(slots), {}))

    def _shift(self, trial: Trial) -> timedelta:
        """Return by how much a trial is moved: by whole weeks, behind all that was laid out and out of its reach."""
        margin = math.ceil(_reach(trial) / WEEK) + 1
        begins = self._free_from + margin
        self._free_from = begins + math.ceil(trial.end / WEEK) + margin
        return (begins - (trial.start - EPOCH) // WEEK) * WEEK


def _reach(trial: Trial) -> timedelta:
    rules = [rule for group in trial.groups if group.source not in (PROBE, SIGNAL) for rule in group.rules]
    expressions = {rule.condition.expr for rule in rules} | {rule.when.expr for rule in rules if rule.when}
    expressions |= {recording.expr for recording in trial.recordings}
    expressions |= {test.expr for test in trial.section.promql_expr_test}
    return sum((reach(expr) for expr in expressions), timedelta(0))


@dataclass(frozen=True)
class Scene:
    """One trial in the server, moved in time."""

    world: World
    trial: Trial
    shift: timedelta
    _recorded_before: dict[Recording, set[Labels]] = field(default_factory=dict)

    def input_series(self, cured_at: datetime | None) -> Iterator[Series]:
        """Yield the series of the test as they are written."""
        for given in self.trial.section.input_series:
            values = samples_of(self.trial, given, cured_at)
            times = (self._ms(self.trial.start + number * self.trial.sample_interval) for number in range(len(values)))
            samples = [(at_ms, value) for at_ms, value in zip(times, values, strict=True) if value is not None]
            yield Series(labels=parse_series(given.series), samples=samples)

    def record(self, slots: Sequence[datetime]) -> None:
        """Evaluate the recording rules at these slots, one rule after the other, and write what they say.

        Raises:
            EvaluationError: The server refuses one of them.
        """
        for recording in self.trial.recordings:
            self.world.server.write(self._recorded(recording, slots))

    def observe(self, slots: Sequence[datetime]) -> dict[str, Observations]:
        """Return by group what its rules measure at these slots.

        Raises:
            EvaluationError: The server refuses one of the expressions.
        """
        groups = [group for group in self.trial.groups if group.source not in (PROBE, SIGNAL)]
        found: dict[str, Observations] = {}
        for offset in dict.fromkeys(group.query_offset for group in groups):
            alike = [group for group in groups if group.query_offset == offset]
            said = self._read([self._moved(rule) for group in alike for rule in group.rules], slots, offset)
            for group in alike:
                found[group.id] = {
                    slot: {rule.id: self._checked(rule.id, observed[rule.id]) for rule in group.rules}
                    for slot, observed in said.items()
                }
        return found

    def ask(self, expr: str, at: datetime) -> list[tuple[Labels, float]]:
        """Return what a query says at one instant.

        Raises:
            QueryRefused: The server refuses it.
        """
        return self.world.server.query(shifted(expr, self.shift), self._ms(at))

    def write_alerts(self, slot: datetime, before: Alerts, now: Alerts) -> None:
        """Write what Prometheus would have written about the alerts of a slot; `before` are those of the last one."""
        gone = dict(_alert_series(before)).keys() - dict(_alert_series(now)).keys()
        series = [*_alert_series(now), *((labels, STALE) for labels in gone)]
        self.world.server.write(Series(labels=labels, samples=[(self._ms(slot), value)]) for labels, value in series)

    def _recorded(self, recording: Recording, slots: Sequence[datetime]) -> Iterator[Series]:
        rule = Rule(
            id=recording.name,
            group="recordings",
            name=recording.name,
            fingerprint="",
            condition=Condition(expr=recording.expr, query=shifted(recording.expr, self.shift)),
        )
        said = self._read([rule], slots, timedelta(0))
        samples: dict[Labels, list[tuple[int, float]]] = {}
        for slot in slots:
            measured = self._checked(rule.id, said[slot][rule.id]).measured
            now = {
                labels_of({**dict(sample.labels), **dict(recording.labels), "__name__": recording.name}): sample.value
                for sample in (measured.samples if isinstance(measured, Answer) else ())
            }
            for labels in (self._recorded_before.get(recording, set()) | samples.keys()) - now.keys():
                samples.setdefault(labels, []).append((self._ms(slot), STALE))
            for labels, value in now.items():
                samples.setdefault(labels, []).append((self._ms(slot), value))
            self._recorded_before[recording] = set(now)
        yield from (Series(labels=labels, samples=points) for labels, points in samples.items())

    def _read(self, rules: Sequence[Rule], slots: Sequence[datetime], offset: timedelta) -> Observations:
        """Observe rules at the slots, in the server's time; `EvaluationError` where it says nothing at all."""
        group = Group(
            id="trial",
            source="ephemeral",
            interval=self.trial.slot_interval,
            offset=(self.trial.start + self.shift - EPOCH) % self.trial.slot_interval,
            rules=tuple(rules),
            query_offset=offset,
        )
        said = self.world.read(group, (slot + self.shift for slot in slots))
        if len(said) < len(slots):
            raise EvaluationError("the ephemeral Prometheus does not answer")
        return {slot - self.shift: observed for slot, observed in said.items()}

    def _moved(self, rule: Rule) -> Rule:
        return replace(
            rule,
            condition=self._moved_condition(rule.condition),
            when=self._moved_condition(rule.when) if rule.when else None,
        )

    def _moved_condition(self, condition: Condition) -> Condition:
        ratio = condition.ratio
        return replace(
            condition,
            query=shifted(condition.query, self.shift),
            ratio=replace(ratio, denominator=shifted(ratio.denominator, self.shift)) if ratio else None,
            selectors=tuple(shifted(selector, self.shift) for selector in condition.selectors),
        )

    def _checked(self, rule: str, observed: Observation) -> Observation:
        """Return an observation in the time of the test; a server that fails is no result of a test."""
        for answer in (observed.measured, observed.when, observed.denominator):
            if isinstance(answer, Failure) and answer.reason is not Unknown.DUPLICATE:
                raise EvaluationError(f"{rule} cannot be evaluated: {answer.detail or answer.reason.value}")
        stale = observed.stale_since
        return observed if stale is None else replace(observed, stale_since=stale - self.shift)

    def _ms(self, at: datetime) -> int:
        return (at + self.shift - EPOCH) // MILLISECOND


def _alert_series(alerts: Alerts) -> Iterator[tuple[Labels, float]]:
    for of_rule in alerts.values():
        for alert in of_rule.values():
            labels = dict(alert.labels)
            state = "firing" if alert.phase is Phase.FIRING else "pending"
            yield labels_of({**labels, "__name__": ALERTS, "alertstate": state}), 1.0
            yield labels_of({**labels, "__name__": ALERTS_FOR_STATE}), alert.active_at.timestamp()
