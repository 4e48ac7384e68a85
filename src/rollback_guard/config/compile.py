"""Turn checked files into the policy that the engine runs by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from rollback_guard.config.found import SIGNAL_INTERVAL, FoundGroup, FoundGuard, Watched, signal_labels
from rollback_guard.config.guards import LimitsSection, PlaybookStep
from rollback_guard.config.inventory import DEFAULT_SOURCE, Inventory
from rollback_guard.config.rulefile import AlertRule, Probe
from rollback_guard.config.settings import Datasource, GuardFile
from rollback_guard.core.model import (
    PROBE,
    SIGNAL,
    AlreadyBad,
    Approval,
    Armed,
    Blindness,
    BlindPolicy,
    Flapping,
    Fleet,
    Group,
    Guard,
    JournalPolicy,
    Level,
    Limits,
    Mode,
    NoData,
    Notify,
    Otherwise,
    Policy,
    Rule,
    Step,
    Storm,
    Verify,
    labels_of,
)
from rollback_guard.core.notice import NoticeKind
from rollback_guard.core.split import split
from rollback_guard.core.state import ACTIONS_REMEMBERED

MILLISECOND = timedelta(milliseconds=1)


def policy_of(inventory: Inventory, digest: str) -> Policy:
    """Return the policy; the inventory has passed all checks."""
    groups = [
        *(_group(inventory, it) for it in inventory.groups if it.rules),
        *map(_probe_group, inventory.probes),
        *(_signal_group(it.signals) for it in inventory.guards if it.signals),
    ]
    return Policy(
        groups={group.id: group for group in groups},
        guards={it.guard.guard: _guard(inventory, it) for it in inventory.guards},
        undos=inventory.undos,
        digest=digest,
        **(_instance(inventory.settings.model) if inventory.settings else {}),
    )


def _instance(settings: GuardFile) -> dict[str, Any]:
    """Return what guard.toml says of the whole policy."""
    limits = settings.limits
    return {
        "name": settings.guard.name,
        "mode": Mode(settings.guard.mode),
        "url": settings.guard.url or "",
        "storm": Storm(guards=limits.storm.guards, within=limits.storm.within),
        "fleet": Fleet(max_actions=limits.max_actions, per=limits.per),
        "kinds": {
            name: frozenset(map(NoticeKind, channel.kinds))
            for name, channel in settings.notify.items()
            if channel.kinds
        },
    }


def offset_of(group: str, interval: timedelta) -> timedelta:
    """Return a group's phase: stable over restarts, and spread so that groups do not all ask at once."""
    number = int.from_bytes(hashlib.sha256(group.encode("utf-8", "surrogatepass")).digest()[:8])
    return number % (interval // MILLISECOND) * MILLISECOND


def _fingerprint(found: Watched, source: str, **more: Any) -> str:
    parts = {"group": found.group, "name": found.name, "labels": labels_of(found.labels), "source": source, **more}
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _group(inventory: Inventory, found: FoundGroup) -> Group:
    source = found.group.datasource or DEFAULT_SOURCE
    settings = inventory.datasources.get(source)
    age = settings.max_sample_age if settings else Datasource.model_fields["max_sample_age"].default
    return Group(
        id=found.id,
        source=source,
        interval=found.group.interval,
        offset=offset_of(found.id, found.group.interval),
        rules=tuple(_alert_rule(it, it.rule, source, age) for it in found.rules if isinstance(it.rule, AlertRule)),
        query_offset=inventory.query_offset_of(found.group),
        limit=found.group.limit,
    )


def _alert_rule(found: Watched, rule: AlertRule, source: str, default_age: timedelta) -> Rule:
    age = default_age if rule.max_age is None else rule.max_age
    return Rule(
        id=found.id,
        group=found.group,
        name=found.name,
        fingerprint=_fingerprint(found, source, expr=rule.expr, when=rule.when, no_data=rule.no_data),
        condition=found.condition,
        when=None if rule.when is None else split(rule.when),
        hold=rule.for_,
        keep_firing_for=rule.keep_firing_for,
        labels=labels_of(found.labels),
        annotations=labels_of(rule.annotations),
        severity=found.severity,
        no_data=NoData(rule.no_data),
        shadow=rule.shadow,
        max_age=age or None,  # zero switches the check off
    )


def _probe_group(found: Watched) -> Group:
    probe = found.rule
    if not isinstance(probe, Probe):
        raise TypeError(found.id)
    asked = probe.model_dump(
        mode="json", include={"url", "method", "headers", "timeout", "expect", "ca_file"}, by_alias=True
    )
    rule = Rule(
        id=found.id,
        group=found.group,
        name=found.name,
        fingerprint=_fingerprint(found, PROBE, probe=asked),
        condition=found.condition,
        hold=probe.for_,
        keep_firing_for=probe.keep_firing_for,
        labels=labels_of(found.labels),
        annotations=labels_of(probe.annotations),
        severity=found.severity,
    )
    offset = offset_of(found.group, found.interval)
    return Group(id=found.group, source=PROBE, interval=found.interval, offset=offset, rules=(rule,))


def _signal_group(signals: Sequence[Watched]) -> Group:
    rules = tuple(
        Rule(
            id=it.id,
            group=it.group,
            name=it.name,
            fingerprint=_fingerprint(it, SIGNAL),
            condition=it.condition,
            labels=labels_of(it.labels),
            severity=it.severity,
        )
        for it in signals
    )
    return Group(id=signals[0].group, source=SIGNAL, interval=SIGNAL_INTERVAL, offset=timedelta(0), rules=rules)


def _guard(inventory: Inventory, found: FoundGuard) -> Guard:
    guard = found.guard
    return Guard(
        name=guard.guard,
        rules=frozenset(rule.id for rule in (*found.listens, *found.signals)),
        playbook=tuple(_step(inventory, found, step) for step in guard.playbook),
        limits=_limits(guard.limits, len(guard.playbook)),
        select=labels_of(signal_labels(guard)),
        signals=tuple(guard.signals),
        armed=Armed(guard.armed),
        window=guard.window,
        warm_up=guard.warm_up,
        already_bad=AlreadyBad(guard.already_bad),
        veto=guard.veto,
        blind=Blindness(after=guard.blind.after, do=BlindPolicy(guard.blind.do)),
        notify=Notify(warning=tuple(guard.notify.warning), critical=tuple(guard.notify.critical)),
        escalate=tuple(Level(after=level.after, notify=tuple(level.notify)) for level in guard.escalate),
        when_journal_fails=JournalPolicy(guard.when_journal_fails),
    )


def _step(inventory: Inventory, found: FoundGuard, step: PlaybookStep) -> Step:
    own = inventory.judges(found, step) if step.verify.rules else ()
    otherwise = Otherwise(step.unapproved) if step.unapproved else Otherwise.HAND_OVER
    return Step(
        action=step.action or "",
        notify=tuple(step.notify or ()),
        verify=Verify(
            within=inventory.within(found, step),
            stable_for=step.verify.stable_for,
            rules=tuple(rule.id for rule in own),
            idle_passes=step.verify.idle == "pass",
        ),
        select=labels_of(step.select),
        timeout=step.timeout,
        approve=Approval(within=step.approve, otherwise=otherwise) if step.approve else None,
    )


def _limits(limits: LimitsSection, steps: int) -> Limits:
    return Limits(
        max_actions=limits.max_actions or min(steps, ACTIONS_REMEMBERED),
        per=limits.per,
        cooldown=limits.cooldown,
        flapping=Flapping(incidents=limits.flapping.incidents, per=limits.flapping.per),
    )
