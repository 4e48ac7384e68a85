"""Know when not to act. Each brake is a reason; their order says which one is named when several hold."""

from __future__ import annotations

from collections.abc import Callable

from rollback_guard.core.model import Mode
from rollback_guard.core.records import Reason
from rollback_guard.core.situation import Situation
from rollback_guard.core.state import Incident


def begins(it: Situation) -> bool:
    """Say whether the next action is the first of its incident; the steps of one ladder do not wait for each other."""
    return it.incident is None or not it.incident.intents


def warms_up(it: Situation) -> bool:
    """Say whether the daemon began so recently that its guard only looks."""
    started_at = it.state.started_at
    return begins(it) and started_at is not None and it.now - started_at < it.guard.warm_up


def is_stormy(it: Situation) -> bool:
    """Say whether so many guards broke at about the same time that the cause is shared.

    It stays so for as long as the incident lasts: rolling everything back one after the other, once the window has
    moved on or the first ones have recovered, would make it worse.
    """
    mine = it.incident
    return mine is not None and len(companions(mine, it)) > it.policy.storm.guards


def companions(mine: Incident, it: Situation) -> frozenset[str]:
    """Return the guards with an incident, closed or not, that began within the storm window of this one's."""
    return frozenset(
        each.guard
        for each in it.state.incidents.values()
        if abs(each.opened_at - mine.opened_at) <= it.policy.storm.within
    )


def cools_down(it: Situation) -> bool:
    """Say whether the incident before this one ended too recently."""
    rested_at = it.own.rested_at
    return begins(it) and rested_at is not None and it.now - rested_at < it.guard.limits.cooldown


def is_used_up(it: Situation) -> bool:
    """Say whether the guard has done as much as it may in its window."""
    return actions_left(it) <= 0


def actions_left(it: Situation) -> int:
    """Return how many actions the guard may still run now."""
    limits = it.guard.limits
    return limits.max_actions - sum(it.now - at < limits.per for at in it.own.acted_at)


def is_dry(it: Situation) -> bool:
    """Say whether this instance does everything but the effects."""
    return it.policy.mode is Mode.DRY_RUN


BRAKES: tuple[tuple[Reason, Callable[[Situation], bool]], ...] = (
    (Reason.WARMING_UP, warms_up),
    (Reason.STORM, is_stormy),
    (Reason.COOLDOWN, cools_down),
    (Reason.LIMIT_REACHED, is_used_up),
    (Reason.DRY_RUN, is_dry),
)
"""Dry run comes last, so that it says what would have happened and not merely that nothing did."""


def brake(it: Situation) -> Reason | None:
    """Return why the guard must not act now, ``None`` if it may."""
    return next((reason for reason, holds in BRAKES if holds(it)), None)
