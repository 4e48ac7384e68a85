"""Perform a trial: lay it out, play it, and play it again with the data that its cure left behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

from rollback_guard.core.model import PROBE, SIGNAL, Group
from rollback_guard.core.observation import Observation
from rollback_guard.core.promql.reach import names
from rollback_guard.workbench.trials.film import Film, Frame, play
from rollback_guard.workbench.trials.trial import Trial
from rollback_guard.workbench.trials.world import ALERTS, ALERTS_FOR_STATE, Alerts, Observations, Scene, World

OF_ALERTS = frozenset({ALERTS, ALERTS_FOR_STATE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """A trial that was played, and the scene where its queries can still be asked."""

    film: Film
    scene: Scene


def perform(world: World, trial: Trial) -> Performance:
    """Play a trial to its end.

    An action cures at a time that shows only when it is played. So what has a cure is played twice: until that time
    both are the same.

    Raises:
        EvaluationError: An expression cannot be evaluated.
        WriteRefused: The server does not take the samples.
    """
    performance = _perform(world, trial, None)
    cured_at = performance.film.cured_at
    if cured_at is not None and cured_at <= trial.start + trial.end:
        performance = _perform(world, trial, cured_at)
    return performance


def _perform(world: World, trial: Trial, cured_at: datetime | None) -> Performance:
    scene = world.lay_out(trial, cured_at=cured_at)
    if _is_recursive(trial):
        return Performance(film=_slot_by_slot(scene, cured_at), scene=scene)
    scene.record(trial.slots)
    observations = scene.observe(trial.slots)
    film = play(trial, lambda group, slot: observations[group.id][slot], cured_at=cured_at)
    if any(OF_ALERTS & names(test.expr) for test in trial.section.promql_expr_test):
        _write_alerts(scene, film)
    return Performance(film=film, scene=scene)


def _is_recursive(trial: Trial) -> bool:
    """Say whether what is asked in one slot depends on what was concluded or recorded in the one before."""
    asked = [rule for group in trial.groups if group.source not in (PROBE, SIGNAL) for rule in group.rules]
    exprs = [(rule.condition.expr, rule.when.expr if rule.when else "") for rule in asked]
    if any(OF_ALERTS & names(expr) for expr in (*chain(*exprs), *(each.expr for each in trial.recordings))):
        return True
    later = {recording.name for recording in trial.recordings}
    for recording in trial.recordings:
        if later & names(recording.expr):
            return True
        later.discard(recording.name)
    return False


def _slot_by_slot(scene: Scene, cured_at: datetime | None) -> Film:
    observations: dict[str, dict[datetime, Mapping[str, Observation]]] = {}
    alerts: dict[str, Alerts] = {}

    def observed(group: Group, slot: datetime) -> Mapping[str, Observation]:
        if slot not in observations.get(group.id, {}):
            scene.record([slot])
            _keep(observations, scene.observe([slot]))
        return observations[group.id][slot]

    def shown(slot: datetime, frames: Mapping[str, Frame]) -> None:
        for group, frame in frames.items():
            scene.write_alerts(slot, alerts.get(group, {}), frame.alerts)
            alerts[group] = frame.alerts

    return play(scene.trial, observed, cured_at=cured_at, shown=shown)


def _keep(kept: dict[str, dict[datetime, Mapping[str, Observation]]], said: Mapping[str, Observations]) -> None:
    for group, by_slot in said.items():
        kept.setdefault(group, {}).update(by_slot)


def _write_alerts(scene: Scene, film: Film) -> None:
    alerts: dict[str, Alerts] = {}
    for slot, frames in film.frames.items():
        for group, frame in frames.items():
            if frame.alerts or alerts.get(group):
                scene.write_alerts(slot, alerts.get(group, {}), frame.alerts)
            alerts[group] = frame.alerts
