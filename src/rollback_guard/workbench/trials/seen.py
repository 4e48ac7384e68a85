"""Say what there was in a slot, in the words of a test: alerts with their texts, states, decisions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from rollback_guard.core import template
from rollback_guard.core.alert import Alert
from rollback_guard.core.judgement import final_labels
from rollback_guard.core.model import Labels, Phase, Rule, Verdict, labels_of
from rollback_guard.core.records import Decided
from rollback_guard.core.units import format_duration
from rollback_guard.workbench.trials.film import Film, Frame
from rollback_guard.workbench.trials.trial import Trial

NAME = "alertname"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenAlert:
    """An alert as an expectation names it: without the label of its name."""

    labels: Labels
    annotations: Labels = ()

    def __str__(self) -> str:
        """Return it on one line."""
        return shown(self.labels) + (f" annotations {shown(self.annotations)}" if self.annotations else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenState:
    """A series that is not inactive; `active_at` is counted from the beginning of the test."""

    labels: Labels
    state: str
    active_at: timedelta | None = None

    def __str__(self) -> str:
        """Return it on one line."""
        since = "" if self.active_at is None else f" since {format_duration(self.active_at)}"
        return f"{self.state} {shown(self.labels)}{since}"


def firing(trial: Trial, film: Film, alertname: str, slot: datetime) -> list[SeenAlert]:
    """Return the alerts of a name that fire, from all rules that have it."""
    return [
        SeenAlert(
            labels=without_name(alert.labels),
            annotations=_annotations(trial, rule, alert, frame.breached[rule.id]),
        )
        for rule, frame in frames(trial, film, alertname, slot)
        for alert in frame.alerts.get(rule.id, {}).values()
        if alert.phase is Phase.FIRING
    ]


def states(trial: Trial, film: Film, alertname: str, slot: datetime) -> list[SeenState]:
    """Return all series of a name's rules that are not inactive."""
    return [
        SeenState(labels=labels, state=state, active_at=None if active_at is None else active_at - trial.start)
        for rule, frame in frames(trial, film, alertname, slot)
        for labels, state, active_at in _not_inactive(rule, frame)
    ]


def frames(trial: Trial, film: Film, alertname: str, slot: datetime) -> Iterator[tuple[Rule, Frame]]:
    """Yield each rule of a name, and what was the case of its group."""
    for rule in trial.by_name[alertname]:
        yield rule, film.frames[slot][rule.group]


def decided(decision: Decided) -> str:
    """Return a decision on one line."""
    return f"{decision.decision}/{decision.reason}" + (f" {decision.action}" if decision.action else "")


def shown(labels: Labels) -> str:
    """Return labels as PromQL writes them."""
    return "{" + ", ".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def without_name(labels: Labels) -> Labels:
    """Return the labels without that of the alert's name."""
    return tuple(label for label in labels if label[0] != NAME)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _not_inactive(rule: Rule, frame: Frame) -> Iterator[tuple[Labels, str, datetime | None]]:
    """Yield what is pending or firing, and what is unknown without being either."""
    alerts = frame.alerts.get(rule.id, {})
    for alert in alerts.values():
        yield without_name(alert.labels), alert.phase.value, alert.active_at
    judgement = frame.judgements.get(rule.id)
    if judgement is None:
        return
    unknown = [
        each.series for each in judgement.series if each.verdict is Verdict.UNKNOWN and each.series not in alerts
    ]
    if not judgement.series and judgement.verdict is Verdict.UNKNOWN:
        unknown = [()]
    for series in unknown:
        yield without_name(final_labels(rule, series)), Verdict.UNKNOWN.value, None


def _annotations(trial: Trial, rule: Rule, alert: Alert, breached: Mapping[Labels, float]) -> Labels:
    value = breached.get(alert.series, math.nan)
    external: Mapping[str, str] = trial.section.external_labels
    rendered = {
        name: template.render(
            text,
            labels=dict(alert.series),
            value=value,
            external_labels=external,
            external_url=trial.section.external_url,
        )
        for name, text in rule.annotations
    }
    return labels_of(rendered)
