"""Write out the samples of a trial's series and health checks, with the course that they take once an action cures."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import chain, islice

from rollback_guard.core.notation import cured, is_stale, parse_values
from rollback_guard.workbench.trials.document import InputSeries, ProbeResult
from rollback_guard.workbench.trials.trial import Trial


def course_of(trial: Trial, given: InputSeries | ProbeResult, cured_at: datetime | None) -> Sequence[float | None]:
    """Return the samples up to the trial's last slot, one per `interval`; ``None`` where there is none.

    What comes later is never seen, for promtool too loads no sample that is later than the last evaluation.

    Raises:
        NotationError: It goes on from its last value, and never had one.
    """
    values = list(islice(chain.from_iterable(item.values() for item in parse_values(given.values)), samples_of(trial)))
    if given.cured is None or cured_at is None:
        return values
    first = max(0, -((trial.start - cured_at) // trial.sample_interval))
    last = next((value for value in reversed(values[:first]) if value is not None and not is_stale(value)), None)
    return [*values[:first], *cured(given.cured, last, max(0, len(values) - first))]


def samples_of(trial: Trial) -> int:
    """Return how many samples of a series can be seen."""
    return (trial.slots[-1] - trial.start) // trial.sample_interval + 1


def cost_of(trial: Trial) -> int:
    """Return a bound on the samples of all series together."""
    most = samples_of(trial)
    return sum(
        min(most, sum(item.count for item in parse_values(given.values))) for given in trial.section.input_series
    )
