"""Bring to a trial what neither a data source nor a person says: what health checks find, and how actions end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

from rollback_guard.core.model import Group
from rollback_guard.core.notation import NotationError, is_stale
from rollback_guard.core.observation import Answer, Failure, Observation, Sample, Unknown
from rollback_guard.core.records import Intended, Outcome
from rollback_guard.engine.replay import Ending
from rollback_guard.workbench.trials.course import course_of
from rollback_guard.workbench.trials.document import ActionResult
from rollback_guard.workbench.trials.failure import EvaluationError
from rollback_guard.workbench.trials.trial import Trial

HANGS_FOR = timedelta(seconds=30)
"""How long an action hangs that has no time limit of its own in the rule file."""


def endings_of(trial: Trial) -> Callable[[Intended], Ending]:
    """Return how actions end: the n-th run of one as its n-th result says, and all later ones as its last."""
    results: dict[str, list[ActionResult]] = {}
    for each in trial.section.action_results:
        results.setdefault(each.action, []).append(each)
    runs = Counter[str]()

    def ending(intent: Intended) -> Ending:
        told = results.get(intent.action, [ActionResult(action=intent.action)])
        result = told[min(runs[intent.action], len(told) - 1)]
        runs[intent.action] += 1
        return _ending(result, intent)

    return ending


def _ending(result: ActionResult, intent: Intended) -> Ending:
    match result.result:
        case "fails":
            outcome, words = Outcome.FAILED, "the test says that it fails"
        case "hangs":
            takes_ = result.takes if result.takes is not None else intent.timeout or HANGS_FOR
            return Ending(outcome=Outcome.UNKNOWN, takes=takes_, detail="the test says that it hangs")
        case _:
            outcome, words = Outcome.SUCCEEDED, "the test says that it succeeds"
    return Ending(outcome=outcome, takes=result.takes or timedelta(0), detail=words)


def probe_of(trial: Trial, group: Group, cured_at: datetime | None) -> Callable[[datetime], Observation]:
    """Return what a health check finds in each slot; one that is not listed is always answered well."""
    rule = group.rules[0]
    given = next((each for each in trial.section.probe_results if each.probe == rule.name), None)
    try:
        values = (course_of(trial, given, cured_at) if given else ()) or (1.0,)
    except NotationError as error:
        raise EvaluationError(f"{rule.name}: {error.message}") from None

    def observe(slot: datetime) -> Observation:
        number = (slot - trial.start) // trial.sample_interval
        value = values[min(number, len(values) - 1)]
        if value is None or is_stale(value):
            return Observation(measured=Failure(Unknown.PROBE_NOT_MADE, "the test says that it could not be made"))
        return Observation(
            measured=Answer((Sample((), 1.0 if value else 0.0),)),
            detail="" if value else "the test says that it is down",
        )

    return observe
