"""Know when not to act. Each brake is a reason; their order says which one is named when several hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice

from rollback_guard.core.model import Armed, Mode, Policy
from rollback_guard.core.records import Reason
from rollback_guard.core.situation import Situation
from rollback_guard.core.state import EVERYTHING, Incident, Intent, Pause, Rollout, State


def begins(it: Situation) -> bool:
    """Say whether the next action is the first of its incident; the steps of one ladder do not wait for each other."""
    return it.incident is None or not it.incident.has_acted


def is_unarmed(it: Situation) -> bool:
    """Say whether the guard acts only during a rollout, and there is none."""
    return begins(it) and it.guard.armed is Armed.ROLLOUT and rollout_of(it) is None


def rollout_of(it: Situation) -> Rollout | None:
    """Return the rollout that is under way."""
    rollout = it.own.rollout
    return rollout if rollout and rollout.finished_at is None and it.now < rollout.until else None


def is_paused(it: Situation) -> bool:
    """Say whether a person took the hands off this guard, or off all of them."""
    return pause_of(it.state, it.guard.name, it.now) is not None


def pause_of(state: State, guard: str, now: datetime) -> Pause | None:
    """Return the pause that holds for a guard: that of all guards before its own."""
    return pause_by_name(state, EVERYTHING, now) or pause_by_name(state, guard, now)


def pause_by_name(state: State, name: str, now: datetime) -> Pause | None:
    """Return the pause that was ordered under a name, that of a guard or of all, if its time is not up."""
    pause = state.pauses.get(name)
    return pause if pause and (pause.until is None or now < pause.until) else None


def is_maintained(it: Situation) -> bool:
    """Say whether a maintenance window is open for the guard."""
    return any(
        it.now < window.until and (not window.guards or it.guard.name in window.guards)
        for window in it.state.maintenance
    )


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
    return mine is not None and any(islice(companions(mine, it), it.policy.storm.guards, None))


def companions(mine: Incident, it: Situation) -> Iterator[str]:
    """Yield the guards whose rules opened an incident, closed or not, within the storm window of this one's."""
    within = it.policy.storm.within
    for name, guard in it.state.guards.items():
        if any(abs(at - mine.opened_at) <= within for at in guard.opened_at):
            yield name


def flaps(it: Situation) -> bool:
    """Say whether the guard's incidents come and go so fast that acting on each of them would do harm."""
    flapping = it.guard.limits.flapping
    return begins(it) and sum(it.now - at < flapping.per for at in it.own.opened_at) > flapping.incidents


def cools_down(it: Situation) -> bool:
    """Say whether the incident before this one ended too recently."""
    rested_at = it.own.rested_at
    return begins(it) and rested_at is not None and it.now - rested_at < it.guard.limits.cooldown


def is_used_up(it: Situation) -> bool:
    """Say whether the guard, or all guards together, have done as much as they may in their window."""
    left = fleet_actions_left(it.policy, it.state, it.now)
    return actions_left(it) <= 0 or (left is not None and left <= 0)


def actions_left(it: Situation) -> int:
    """Return how many actions the guard may still run now."""
    limits = it.guard.limits
    return limits.max_actions - sum(it.now - at < limits.per for at in it.own.acted_at)


def fleet_actions_left(policy: Policy, state: State, now: datetime) -> int | None:
    """Return how many actions all guards together may still run now; ``None`` is any number."""
    most, per = policy.fleet.max_actions, policy.fleet.per
    if most is None:
        return None
    return most - sum(now - at < per for guard in state.guards.values() for at in guard.acted_at)


def at_work(policy: Policy, state: State, guard: str) -> Iterator[tuple[Incident, str]]:
    """Yield what a guard has under way, of whichever incident: its actions, and those that are to take some back."""
    for incident in state.incidents.values():
        if incident.guard != guard:
            continue
        for intent in incident.open_intents:
            yield incident, intent.action
        for intent in left_to_undo(policy, incident):
            yield incident, policy.undos[intent.action]


def left_to_undo(policy: Policy, incident: Incident) -> Iterator[Intent]:
    """Yield what a person still wants to be taken back, as far as there still is a way."""
    by_key = {intent.key: intent for intent in incident.intents}
    return (by_key[key] for key in incident.undo_queue if by_key[key].action in policy.undos)


def is_dry(it: Situation) -> bool:
    """Say whether this instance does everything but the effects."""
    return it.policy.mode is Mode.DRY_RUN


BRAKES: tuple[tuple[Reason, Callable[[Situation], bool]], ...] = (
    (Reason.NOT_ARMED, is_unarmed),
    (Reason.MAINTENANCE, is_maintained),
    (Reason.PAUSED, is_paused),
    (Reason.WARMING_UP, warms_up),
    (Reason.STORM, is_stormy),
    (Reason.FLAPPING, flaps),
    (Reason.COOLDOWN, cools_down),
    (Reason.LIMIT_REACHED, is_used_up),
    (Reason.DRY_RUN, is_dry),
)
"""Dry run comes last, so that it says what would have happened and not merely that nothing did."""


PATIENT = frozenset({Reason.PAUSED, Reason.MAINTENANCE, Reason.IN_PROGRESS})
"""What a person, the calendar or its own end will release: a ladder that is half climbed waits for it."""


MUTED = frozenset({Reason.NOT_ARMED, Reason.MAINTENANCE})
"""Brakes that were to be expected: no incident begins and nobody is called; what still fires later counts then."""


def muted(it: Situation) -> Reason | None:
    """Return why what fires now is no incident, ``None`` if it is one."""
    return next((reason for reason, holds in BRAKES if reason in MUTED and holds(it)), None)


def brake(it: Situation) -> Reason | None:
    """Return why the guard must not act now, ``None`` if it may."""
    return next((reason for reason, holds in BRAKES if holds(it)), None)


def hold_back(it: Situation) -> Reason | None:
    """Return why the guard must begin nothing now: a brake, or that it is at work; what ends last would win."""
    if (braked := brake(it)) is not None:
        return braked
    return Reason.IN_PROGRESS if any(at_work(it.policy, it.state, it.guard.name)) else None
