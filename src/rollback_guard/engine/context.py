"""Say what an action may know: the incident, its alerts and the rollout, as plain data for templates and commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollback_guard.core.alert import Alert
from rollback_guard.core.goal import rollout_behind, told_of
from rollback_guard.core.model import Policy
from rollback_guard.core.records import Intended
from rollback_guard.core.state import Incident, Rollout, State

MOST_ALERTS = 50
"""Alerts that are handed to an action; an incident of a thousand series is told by the first of them."""


def context_of(intent: Intended, policy: Policy, state: State) -> Mapping[str, Any]:
    """Return what templates and commands of this intent see.

    What is not known of a rollout is left out and not empty: a template that needs it fails, and rolls nothing back to
    a version without a name.
    """
    incident = state.incidents[intent.incident]
    return {
        "guard": {"name": intent.guard, "instance": policy.name},
        "incident": {
            "id": incident.id,
            "opened_at": f"{incident.opened_at:%Y-%m-%dT%H:%M:%SZ}",
            "breached_at": f"{incident.breached_at:%Y-%m-%dT%H:%M:%SZ}",
            "rules": list(incident.rules),
            "by": intent.by or incident.opened_by,
            "why": intent.why,
        },
        "alerts": [_alert(alert, policy) for alert in _alerts(incident, policy, state)[:MOST_ALERTS]],
        "action": {
            "name": intent.action,
            "goal": intent.goal,
            "step": intent.step + 1,
            "key": intent.key,
            "undoes": intent.undoes,
        },
        "rollout": told_of(_behind(intent, incident, state)),
    }


def _behind(intent: Intended, incident: Incident, state: State) -> Rollout | None:
    """Return the rollout to roll back; what an undo takes back belongs to that of its time."""
    acted_at = next((each.at for each in incident.intents if each.key == intent.undoes), intent.at)
    return rollout_behind(state, incident, at=acted_at)


def _alerts(incident: Incident, policy: Policy, state: State) -> list[Alert]:
    found: list[Alert] = []
    for id_ in incident.rules:
        rule = policy.rules.get(id_)
        group = state.groups.get(rule.group) if rule else None
        found += group.alerts.get(id_, {}).values() if group else ()
    return found


def _alert(alert: Alert, policy: Policy) -> Mapping[str, Any]:
    rule = policy.rules.get(alert.rule)
    comparison = rule.condition.comparison if rule else None
    return {
        "rule": alert.rule,
        "phase": alert.phase.value,
        "labels": dict(alert.labels),
        "value": alert.value,
        "op": comparison.op.value if comparison else None,
        "threshold": comparison.threshold if comparison else None,
        "active_at": f"{alert.active_at:%Y-%m-%dT%H:%M:%SZ}",
    }
