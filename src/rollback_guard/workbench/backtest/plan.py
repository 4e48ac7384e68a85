"""Prepare a policy for history: what can be played, from when to when, at which slots."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from rollback_guard.core.model import PROBE, SIGNAL, Mode, Policy
from rollback_guard.core.operations import StartRollout
from rollback_guard.workbench.backtest.events import Deploy
from rollback_guard.workbench.backtest.player import Order

LONGEST = timedelta(days=5 * 366)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A policy as it is played.

    Attributes:
        left_out: Ids of groups of which Prometheus has no history: health checks, and alerts from elsewhere.
        began: When the guard is taken to have started: long enough before `start` to be past its warm-up.
    """

    policy: Policy
    start: datetime
    end: datetime
    began: datetime
    left_out: tuple[str, ...]


def plan(policy: Policy, start: datetime, end: datetime, *, step: timedelta | None) -> Plan:
    """Return what is played: every guard acts as if it might, also where the configuration says `dry-run`.

    Args:
        policy: What the people wrote.
        start: First instant.
        end: Last instant.
        step: In place of the intervals of the groups.
    """
    groups = {
        id_: replace(group, interval=step, offset=group.offset % step) if step else group
        for id_, group in policy.groups.items()
        if group.source not in (PROBE, SIGNAL)
    }
    warm_up = max((guard.warm_up for guard in policy.guards.values()), default=timedelta(0))
    return Plan(
        policy=replace(policy, groups=groups, mode=Mode.ENFORCE),
        start=start,
        end=end,
        began=start - warm_up,
        left_out=tuple(id_ for id_ in policy.groups if id_ not in groups),
    )


def orders_of(deploys: list[Deploy], policy: Policy, start: datetime, end: datetime) -> list[Order]:
    """Return what deploys tell the guards: a rollout begins under the one that they name, or under all."""
    return [
        (deploy.at, StartRollout(by="backtest", guard=guard, version=deploy.version))
        for deploy in deploys
        if start <= deploy.at <= end
        for guard in ([deploy.guard] if deploy.guard else policy.guards)
    ]
