"""Read history from Prometheus, a stretch at a time, while the one before is being played."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from rollback_guard.adapters.prometheus import PrometheusSource
from rollback_guard.adapters.prometheus.survey import Survey
from rollback_guard.core.model import Group
from rollback_guard.core.observation import Failure, Unknown
from rollback_guard.core.slots import Slots, slots_between
from rollback_guard.ports import Clock

POINTS_AIM = 400_000
"""Samples of one stretch: some hundred megabytes while it is taken apart."""

FIRST_SLOTS = 240
FEWEST_SLOTS = 10
MOST_SLOTS = 10_000
"""Slots of one stretch. Prometheus refuses 11,000 points of a series, and the ages of samples look back further."""

TOO_MUCH = frozenset({Unknown.TIMEOUT, Unknown.TOO_LARGE})
"""A shorter stretch may be answered."""

LOST = frozenset({Unknown.CONNECT, Unknown.HTTP_ERROR, Unknown.BAD_RESPONSE, Unknown.PARTIAL})
"""Nothing was learnt of history; it must not be taken for a time in which the rules were blind."""

TOO_MANY_SAMPLES = "too many samples"
"""What Prometheus says when one query would load more than `--query.max-samples`."""

MICROSECOND = timedelta(microseconds=1)


class HistoryError(Exception):
    """History cannot be read; the message says why, in the server's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """What all groups measured from one instant to the next.

    Attributes:
        surveys: By group; a group without a slot in it is left out.
        took: How long Prometheus took to answer.
    """

    start: datetime
    end: datetime
    surveys: Mapping[str, Survey]
    took: timedelta


class History:
    """Read stretch after stretch, always one ahead; use as a context manager.

    Args:
        groups: What is read, with the interval at which it is.
        sources: By the name of a data source.
        clock: For measuring.
        start: First instant.
        end: Last instant.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        sources: Mapping[str, PrometheusSource],
        clock: Clock,
        *,
        start: datetime,
        end: datetime,
    ) -> None:
        self._groups = groups
        self._sources = sources
        self._clock = clock
        self._start = start
        self._end = end
        self._fastest = min((group.interval for group in groups), default=timedelta(minutes=1))
        self._slots = FIRST_SLOTS
        self._runner = asyncio.Runner()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="history")

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give up what is still being read, and close the connections."""
        self._thread.submit(self._close).result()
        self._thread.shutdown(wait=True, cancel_futures=True)

    def stretches(self) -> Iterator[Stretch]:
        """Yield all stretches, oldest first.

        Raises:
            HistoryError: The server does not answer, or does not understand an expression.
        """
        if not self._groups:
            return
        ahead: Future[Stretch] | None = self._read_ahead(self._start)
        while ahead is not None:
            stretch = ahead.result()
            ahead = self._read_ahead(stretch.end + MICROSECOND) if stretch.end < self._end else None
            yield stretch

    def _read_ahead(self, start: datetime) -> Future[Stretch]:
        return self._thread.submit(self._read, start)

    def _close(self) -> None:
        for source in self._sources.values():
            self._runner.run(source.close())
        self._runner.close()

    def _read(self, start: datetime) -> Stretch:
        """Read from one instant on as far as will do; runs on the thread."""
        while True:
            end = min(self._end, start + self._slots * self._fastest)
            began = self._clock.elapsed()
            surveys = self._runner.run(self._surveys(start, end))
            failure = _gravest(surveys)
            if failure is None:
                self._adapt(surveys)
                return Stretch(start=start, end=end, surveys=surveys, took=self._clock.elapsed() - began)
            if failure.reason not in TOO_MUCH and TOO_MANY_SAMPLES not in failure.detail:
                raise HistoryError(f"{failure.reason}: {failure.detail}")
            if self._slots <= FEWEST_SLOTS:
                raise HistoryError(f"even {self._slots} slots are too much: {failure.reason}: {failure.detail}")
            self._slots = max(FEWEST_SLOTS, self._slots // 4)

    async def _surveys(self, start: datetime, end: datetime) -> Mapping[str, Survey]:
        asked = {group.id: (group, slots) for group in self._groups if (slots := _slots(group, start, end))}
        said = await asyncio.gather(
            *(self._sources[group.source].survey(group, slots) for group, slots in asked.values())
        )
        return dict(zip(asked, said, strict=True))

    def _adapt(self, surveys: Mapping[str, Survey]) -> None:
        """Have the next stretch hold about as many samples as fit."""
        points = sum(survey.points for survey in surveys.values())
        fitting = self._slots * POINTS_AIM // max(1, points)
        self._slots = max(FEWEST_SLOTS, min(MOST_SLOTS, fitting, self._slots * 8))


def _slots(group: Group, start: datetime, end: datetime) -> Slots:
    return slots_between(start - MICROSECOND, end, group.interval, group.offset)


def _gravest(surveys: Mapping[str, Survey]) -> Failure | None:
    """Return why a stretch was not read; a rule that the server refuses, but not for its size, is only a rule."""
    failures = [failure for survey in surveys.values() for _, failure in survey.failures()]
    return next(
        (each for each in failures if each.reason in TOO_MUCH | LOST or TOO_MANY_SAMPLES in each.detail),
        None,
    )
