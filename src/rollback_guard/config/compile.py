"""Turn checked files into the policy that the engine runs by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from rollback_guard.config.anchor import anchored_path, headers_of, secret_in
from rollback_guard.config.checks.datasources import DEFAULT
from rollback_guard.config.inventory import PROBE_GROUPS, FoundGroup, FoundGuard, Inventory, Watched
from rollback_guard.config.rulefile import AlertRule, Probe
from rollback_guard.config.settings import Datasource, GuardFile
from rollback_guard.core.model import (
    Blindness,
    BlindPolicy,
    Group,
    Guard,
    Limits,
    Mode,
    NoData,
    Policy,
    Rule,
    Step,
    Storm,
    Verify,
    labels_of,
)
from rollback_guard.core.split import split
from rollback_guard.specs import Endpoint, Expectation, ProbeSpec

MILLISECOND = timedelta(milliseconds=1)


def policy_of(inventory: Inventory, digest: str) -> Policy:
    """Return the policy; the inventory has passed all checks."""
    settings = inventory.settings.model if inventory.settings else None
    groups = [*(_group(inventory, it) for it in inventory.groups if it.rules), *map(_probe_group, inventory.probes)]
    limits = settings.limits.storm if settings else None
    return Policy(
        name=settings.guard.name if settings else "rollback-guard",
        mode=Mode(settings.guard.mode) if settings else Mode.ENFORCE,
        groups={group.id: group for group in groups},
        guards={it.guard.guard: _guard(it) for it in inventory.guards},
        storm=Storm(guards=limits.guards, within=limits.within) if limits else Storm(),
        digest=digest,
    )


def offset_of(group: str, interval: timedelta) -> timedelta:
    """Return a group's phase: stable over restarts, and spread so that groups do not all ask at once."""
    number = int.from_bytes(hashlib.sha256(group.encode("utf-8", "surrogatepass")).digest()[:8])
    return number % (interval // MILLISECOND) * MILLISECOND


def _fingerprint(found: Watched, source: str, **more: Any) -> str:
    parts = {"group": found.group, "name": found.name, "labels": labels_of(found.labels), "source": source, **more}
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _group(inventory: Inventory, found: FoundGroup) -> Group:
    source = found.group.datasource or DEFAULT
    settings = _sources(inventory.settings.model).get(source) if inventory.settings else None
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
    asked = probe.model_dump(
        mode="json", include={"url", "method", "headers", "timeout", "expect", "ca_file"}, by_alias=True
    )
    rule = Rule(
        id=found.id,
        group=found.group,
        name=found.name,
        fingerprint=_fingerprint(found, PROBE_GROUPS, probe=asked),
        condition=found.condition,
        hold=probe.for_,
        keep_firing_for=probe.keep_firing_for,
        labels=labels_of(found.labels),
        annotations=labels_of(probe.annotations),
        severity=found.severity,
    )
    offset = offset_of(found.group, found.interval)
    return Group(id=found.group, source=PROBE_GROUPS, interval=found.interval, offset=offset, rules=(rule,))


