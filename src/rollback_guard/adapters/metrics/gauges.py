"""Write a snapshot as gauges, at the moment of a scrape: what is no longer in the snapshot is no longer exported."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from itertools import chain

from rollback_guard.adapters.metrics.label import OPEN_PHASES
from rollback_guard.adapters.metrics.metric import Metric
from rollback_guard.adapters.metrics.table import actions, groups, guards, instance, people, rules
from rollback_guard.adapters.metrics.text import Value, family
from rollback_guard.core.model import SIGNAL, Mode, Phase, Verdict
from rollback_guard.core.observation import Family
from rollback_guard.core.records import Wait
from rollback_guard.core.snapshot import GroupView, GuardView, RuleView, Snapshot
from rollback_guard.core.state import IncidentPhase, Rollout

STATES = {Phase.INACTIVE: 0.0, Phase.PENDING: 1.0, Phase.FIRING: 2.0}
VERDICTS = {Verdict.PASS: 0.0, Verdict.UNKNOWN: 1.0, Verdict.BREACH: 2.0}
"""In the order of `core.model.PRECEDENCE`, so that the greatest stands for several."""


def render(snapshot: Snapshot) -> str:
    """Return all that a snapshot says, in Prometheus' text format."""
    parts = (_instance(snapshot), _rules(snapshot), _groups(snapshot.groups), _guards(snapshot), _people(snapshot))
    return "".join(chain.from_iterable(parts))


def _instance(it: Snapshot) -> Iterator[str]:
    reload, journal = it.reload, it.journal
    single: tuple[tuple[Metric, tuple[str, ...], Value], ...] = (
        (instance.BUILD_INFO, (it.version, platform.python_version()), 1),
        (instance.INSTANCE_INFO, (it.name,), 1),
        (instance.READY, (), it.ready),
        (instance.DRY_RUN, (), it.mode is Mode.DRY_RUN),
        (instance.STORM_BRAKE, (), it.storm),
        (instance.RELOAD_SUCCESSFUL, (), reload.successful),
        (instance.RELOAD_SUCCESS, (), reload.succeeded_at),
        (instance.RELOAD_ATTEMPT, (), reload.at),
        (instance.CONFIG_PROBLEMS, (), len(reload.problems)),
        (instance.CONFIG_INFO, (it.digest,), 1),
        (instance.JOURNAL_FAILING, (), it.journal_failed_since is not None),
        (instance.JOURNAL_FAILED_SINCE, (), it.journal_failed_since),
        (instance.JOURNAL_HEAD, (), journal.head_seq if journal else None),
        (instance.JOURNAL_SIZE, (), journal.size_bytes if journal else None),
        (instance.JOURNAL_CHECKPOINT, (), journal.checkpointed_at if journal else None),
        (instance.HEARTBEAT, (), it.heartbeat_at),
        (instance.CLOCK_STEPS, (), it.clock_steps),
        (actions.INTENTS_OPEN, (), len(it.intents_open)),
        (guards.FLEET_ACTIONS_LEFT, (), it.fleet_actions_left),
        (people.PAUSED, (), it.paused is not None),
    )
    for metric, labels, value in single:
        yield family(metric, [(labels, value)])


OF_RULE: tuple[tuple[Metric, Callable[[RuleView], Value]], ...] = (
    (rules.RULE_VALUE, lambda it: it.value),
    (rules.RULE_THRESHOLD, lambda it: it.threshold),
    (rules.RULE_MARGIN, lambda it: it.margin),
    (rules.RULE_STATE, lambda it: STATES[it.phase]),
    (rules.RULE_STATE_SINCE, lambda it: it.since),
    (rules.RULE_VERDICT, lambda it: VERDICTS[it.verdict]),
    (rules.RULE_BLIND, lambda it: it.family is Family.BLIND),
)

OF_GROUP: tuple[tuple[Metric, Callable[[GroupView], Value]], ...] = (
    (groups.GROUP_INTERVAL, lambda it: it.interval.total_seconds()),
    (groups.GROUP_RULES, lambda it: it.rules),
    (groups.GROUP_SLOT, lambda it: it.slot),
    (groups.GROUP_EVALUATED, lambda it: it.evaluated_at),
    (groups.GROUP_DURATION, lambda it: it.duration_s),
    (groups.GROUP_MISSED, lambda it: it.missed),
)

OF_GUARD: tuple[tuple[Metric, Callable[[GuardView], Value]], ...] = (
    (guards.GUARD_RULES, lambda it: len(it.rules)),
    (guards.GUARD_BLIND, lambda it: it.blind_since is not None),
    (guards.GUARD_BLIND_SINCE, lambda it: it.blind_since),
    (guards.GUARD_BLIND_RULES, lambda it: len(it.blind_on)),
    (guards.GUARD_ACTIONS_LEFT, lambda it: it.actions_left),
    (guards.GUARD_ARMED, lambda it: it.armed),
    (guards.GUARD_EXCUSED, lambda it: len(it.excused)),
    (people.GUARD_PAUSED, lambda it: it.paused is not None),
    (people.GUARD_PAUSED_SINCE, lambda it: it.paused.since if it.paused else None),
    (people.GUARD_PAUSED_UNTIL, lambda it: it.paused.until if it.paused else None),
    (people.GUARD_IN_MAINTENANCE, lambda it: it.maintenance_until is not None),
    (people.GUARD_SIGNALS_FIRING, lambda it: len(it.signals)),
    (people.INCIDENT_ACKNOWLEDGED, lambda it: bool(it.acknowledged_by) if it.incident else None),
    (people.INCIDENT_ESCALATION, lambda it: it.escalated if it.incident else None),
)

OF_ROLLOUT: tuple[tuple[Metric, Callable[[Rollout], Value]], ...] = (
    (people.ROLLOUT_STARTED, lambda it: it.started_at),
    (people.ROLLOUT_UNTIL, lambda it: it.until),
)


def _rules(it: Snapshot) -> Iterator[str]:
    sources = {group.id: group.source for group in it.groups}
    yield family(
        rules.RULE_INFO,
        (
            (
                (
                    rule.id,
                    rule.group,
                    rule.name,
                    "probe" if rule.probe else SIGNAL if sources.get(rule.group) == SIGNAL else "rule",
                    rule.severity,
                    "true" if rule.shadow else "false",
                    rule.op or "",
                ),
                1,
            )
            for rule in it.rules
        ),
    )
    for metric, value in OF_RULE:
        yield family(metric, (((rule.id,), value(rule)) for rule in it.rules))
    yield family(
        rules.RULE_UNKNOWN_SINCE,
        (
            ((rule.id, rule.family, rule.unknown), rule.unknown_since)
            for rule in it.rules
            if rule.family and rule.unknown
        ),
    )


def _groups(views: tuple[GroupView, ...]) -> Iterator[str]:
    for metric, value in OF_GROUP:
        yield family(metric, (((it.id,), value(it)) for it in views))


def _guards(it: Snapshot) -> Iterator[str]:
    for metric, value in OF_GUARD:
        yield family(metric, (((guard.name,), value(guard)) for guard in it.guards))
    yield family(
        guards.GUARD_WARMING_UP,
        (((guard.name,), bool(guard.warming_up_until and it.at < guard.warming_up_until)) for guard in it.guards),
    )
    yield family(guards.GUARD_BRAKED, (((guard.name, guard.braked_by), 1) for guard in it.guards if guard.braked_by))
    yield family(
        guards.INCIDENTS_OPEN,
        (((guard.name, phase), guard.incident_phase == phase) for guard in it.guards for phase in OPEN_PHASES),
    )
    incidents = {incident.id: incident for incident in it.incidents}
    current = [incidents[guard.incident] for guard in it.guards if guard.incident in incidents]
    yield family(guards.INCIDENT_OPENED, (((each.guard,), each.opened_at) for each in current))
    yield family(
        actions.INTENT_OPEN_SINCE,
        (((each.guard, intent.action), intent.at) for each in it.incidents for intent in each.open_intents),
    )


def _people(it: Snapshot) -> Iterator[str]:
    waiting = [(guard.name, guard.waiting) for guard in it.guards if guard.incident_phase == IncidentPhase.WAITING]
    asked = {name: step.what for name, step in waiting if step}
    yield family(
        people.GUARD_WAITING,
        (((guard.name, what), asked.get(guard.name) is what) for guard in it.guards for what in Wait),
    )
    yield family(people.GUARD_WAITING_UNTIL, (((name, step.action), step.until) for name, step in waiting if step))
    active = {
        guard.name: guard.rollout
        for guard in it.guards
        if guard.rollout and guard.rollout.finished_at is None and it.at < guard.rollout.until
    }
    yield family(people.ROLLOUT_ACTIVE, (((guard.name,), guard.name in active) for guard in it.guards))
    yield family(
        people.ROLLOUT_INFO,
        (((name, each.id, each.version, each.previous_version), 1) for name, each in active.items()),
    )
    for metric, value in OF_ROLLOUT:
        yield family(metric, (((name,), value(each)) for name, each in active.items()))
    yield family(people.OUTBOX_LETTERS, (((box.channel,), box.letters) for box in it.outbox))
    yield family(people.OUTBOX_OLDEST, (((box.channel,), box.oldest) for box in it.outbox))
