"""Perform a trial: lay it out, play it, and play it again with the data that its cure left behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from rollback_guard.core.promql.reach import may_read
from rollback_guard.workbench.trials.answers import AllAtOnce, Answers, Remembered, SlotBySlot
from rollback_guard.workbench.trials.chapter import OF_ALERTS, is_stepwise
from rollback_guard.workbench.trials.film import Film
from rollback_guard.workbench.trials.play import play
from rollback_guard.workbench.trials.scene import Scene
from rollback_guard.workbench.trials.trial import Trial
from rollback_guard.workbench.trials.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """A trial that was played, and the scene where its queries can still be asked."""

    film: Film
    scene: Scene


def perform(world: World, trial: Trial, *, progress: Callable[[float], None] = lambda share: None) -> Performance:
    """Play a trial to its end.

    An action cures at a time that shows only when it is played. So what has a cure is played twice: until that time
    both are the same.

    Args:
        world: Where it is laid out.
        trial: What is played.
        progress: Hears now and then which share of it is done.

    Raises:
        EphemeralError: There is no server, or it does not answer.
        EvaluationError: An expression cannot be evaluated.
        PromqlError: One is too long or too deep to be moved in time.
        WriteRefused: The server does not take the samples.
    """
    performance = _perform(world, trial, None, progress)
    cured_at = performance.film.cured_at
    if cured_at is not None and cured_at <= trial.start + trial.end:
        performance = _perform(world, trial, cured_at, progress)
    return performance


def _perform(world: World, trial: Trial, cured_at: datetime | None, progress: Callable[[float], None]) -> Performance:
    scene = Scene.lay_out(world, trial, cured_at=cured_at)
    answers = _answers(trial, scene)
    film = play(trial, answers, cured_at=cured_at, progress=progress)
    if isinstance(answers, Remembered):
        answers.write()
    return Performance(film=film, scene=scene)


def _answers(trial: Trial, scene: Scene) -> Answers:
    if is_stepwise(trial.chapters):
        return SlotBySlot(scene)
    if any(may_read(expr, OF_ALERTS) for expr in trial.queries):
        return Remembered(AllAtOnce(scene), scene)
    return AllAtOnce(scene)
