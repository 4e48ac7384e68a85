"""Turn a snapshot into gauges, at the moment of a scrape: what is no longer in the snapshot is no longer exported."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import chain

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Exported
from prometheus_client.registry import Collector

from rollback_guard.adapters.metrics import registry as table
from rollback_guard.adapters.metrics.label import OPEN_PHASES
from rollback_guard.adapters.metrics.metric import Kind, Metric
from rollback_guard.core.model import Mode, Phase, Verdict
from rollback_guard.core.observation import Family
from rollback_guard.core.snapshot import GroupView, GuardView, RuleView, Snapshot
from rollback_guard.core.state import Incident

STATES = {Phase.INACTIVE: 0.0, Phase.PENDING: 1.0, Phase.FIRING: 2.0}
VERDICTS = {Verdict.PASS: 0.0, Verdict.UNKNOWN: 1.0, Verdict.BREACH: 2.0}
"""In the order of `core.model.PRECEDENCE`, so that the greatest stands for several."""

Value = float | int | bool | datetime | None


class SnapshotCollector(Collector):
    """Export one snapshot; whoever renders sets it before."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None

    def describe(self) -> Iterable[Exported]:
        """Return nothing: without a snapshot there is nothing to describe."""
        return ()

    def collect(self) -> Iterator[Exported]:
        """Yield every gauge of the snapshot."""
        if self.snapshot is None:
            return
        yield from _instance(self.snapshot)
        yield from _rules(self.snapshot.rules)
        yield from _groups(self.snapshot.groups)
        yield from _guards(self.snapshot)


def _family(metric: Metric, rows: Iterable[tuple[tuple[str, ...], Value]]) -> Exported:
    """Return the metric with one sample per row; a row without a value makes no sample."""
    names = [label.name for label in metric.labels]
    made = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    family = made(metric.name, metric.help, labels=names)
    for labels, value in rows:
        if value is not None:
            family.add_metric(labels, value.timestamp() if isinstance(value, datetime) else float(value))
    return family


def _instance(it: Snapshot) -> Iterator[Exported]:
    reload = it.reload
    single: tuple[tuple[Metric, tuple[str, ...], Value], ...] = (
        (table.BUILD_INFO, (it.version, platform.python_version()), 1),
        (table.INSTANCE_INFO, (it.name,), 1),
        (table.READY, (), it.ready),
        (table.DRY_RUN, (), it.mode is Mode.DRY_RUN),
        (table.STORM_BRAKE, (), it.storm),
        (table.RELOAD_SUCCESSFUL, (), reload.successful),
        (table.RELOAD_SUCCESS, (), reload.succeeded_at),
        (table.RELOAD_ATTEMPT, (), reload.at),
        (table.CONFIG_PROBLEMS, (), len(reload.problems)),
        (table.CONFIG_INFO, (it.digest,), 1),
        (table.JOURNAL_FAILING, (), it.journal_failed_since is not None),
        (table.JOURNAL_FAILED_SINCE, (), it.journal_failed_since),
        (table.CLOCK_STEPS, (), it.clock_steps),
        (table.INTENTS_OPEN, (), len(it.intents_open)),
    )
    for metric, labels, value in single:
        yield _family(metric, [(labels, value)])


OF_RULE: tuple[tuple[Metric, Callable[[RuleView], Value]], ...] = (
    (table.RULE_VALUE, lambda it: it.value),
    (table.RULE_THRESHOLD, lambda it: it.threshold),
    (table.RULE_MARGIN, lambda it: it.margin),
    (table.RULE_STATE, lambda it: STATES[it.phase]),
    (table.RULE_STATE_SINCE, lambda it: it.since),
    (table.RULE_VERDICT, lambda it: VERDICTS[it.verdict]),
    (table.RULE_BLIND, lambda it: it.family is Family.BLIND),
)

OF_GROUP: tuple[tuple[Metric, Callable[[GroupView], Value]], ...] = (
    (table.GROUP_INTERVAL, lambda it: it.interval.total_seconds()),
    (table.GROUP_RULES, lambda it: it.rules),
    (table.GROUP_SLOT, lambda it: it.slot),
    (table.GROUP_EVALUATED, lambda it: it.evaluated_at),
    (table.GROUP_DURATION, lambda it: it.duration_s),
    (table.GROUP_MISSED, lambda it: it.missed),
)

OF_GUARD: tuple[tuple[Metric, Callable[[GuardView], Value]], ...] = (
    (table.GUARD_RULES, lambda it: len(it.rules)),
    (table.GUARD_BLIND, lambda it: it.blind_since is not None),
    (table.GUARD_BLIND_SINCE, lambda it: it.blind_since),
    (table.GUARD_BLIND_RULES, lambda it: len(it.blind_on)),
    (table.GUARD_ACTIONS_LEFT, lambda it: it.actions_left),
)


def _rules(rules: tuple[RuleView, ...]) -> Iterator[Exported]:
    yield _family(
        table.RULE_INFO,
        (
            (
                (
                    it.id,
                    it.group,
                    it.name,
                    "probe" if it.probe else "rule",
                    it.severity,
                    "true" if it.shadow else "false",
                    it.op or "",
                ),
                1,
            )
            for it in rules
        ),
    )
    for metric, value in OF_RULE:
        yield _family(metric, (((it.id,), value(it)) for it in rules))
    yield _family(
        table.RULE_UNKNOWN_SINCE,
        (((it.id, it.family, it.unknown), it.unknown_since) for it in rules if it.family and it.unknown),
    )


def _groups(groups: tuple[GroupView, ...]) -> Iterator[Exported]:
    for metric, value in OF_GROUP:
        yield _family(metric, (((it.id,), value(it)) for it in groups))


def _guards(it: Snapshot) -> Iterator[Exported]:
    for metric, value in OF_GUARD:
        yield _family(metric, (((guard.name,), value(guard)) for guard in it.guards))
    yield _family(
        table.GUARD_WARMING_UP,
        (((guard.name,), bool(guard.warming_up_until and it.at < guard.warming_up_until)) for guard in it.guards),
    )
    yield _family(
        table.INCIDENTS_OPEN,
        (((guard.name, phase), guard.incident_phase == phase) for guard in it.guards for phase in OPEN_PHASES),
    )
    incidents = {incident.id: incident for incident in it.incidents}
    current = [incidents[guard.incident] for guard in it.guards if guard.incident in incidents]
    yield _family(table.INCIDENT_OPENED, (((each.guard,), each.opened_at) for each in current))
    yield _family(table.INTENT_OPEN_SINCE, chain.from_iterable(_open_intent(each) for each in current))


def _open_intent(incident: Incident) -> Iterator[tuple[tuple[str, ...], Value]]:
    intent = incident.open_intent
    if intent is not None:
        yield (incident.guard, intent.action), intent.at
