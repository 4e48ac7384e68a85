"""Read history from Prometheus, a stretch at a time, while the one before is being played."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
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
"""Samples of one stretch: 16 MB of text, and a fraction of that once it is taken apart."""

FIRST_SLOTS = 240
FEWEST_SLOTS = 10
MOST_SLOTS = 10_000
"""Slots of one stretch. Prometheus refuses 11,000 points of a series."""

SWITCHES_AFTER_S = 0.001
"""A reader needs the interpreter for a moment after each block of an answer, and waits up to this long for it."""

GROWS_BY, SHRINKS_BY = 8, 4

TOO_MUCH = frozenset({Unknown.TIMEOUT, Unknown.TOO_LARGE})

LOST = frozenset({Unknown.CONNECT, Unknown.HTTP_ERROR, Unknown.BAD_RESPONSE, Unknown.PARTIAL})
"""Nothing was learnt of history; it must not be taken for a time in which the rules were blind."""

LIMITS = ("too many samples", "exceed", "too many", "too long", "limit")
"""What Prometheus and its kin say when a query asks for more than they are told to allow."""

MICROSECOND = timedelta(microseconds=1)


class HistoryError(Exception):
    """History cannot be read; the message says why, in the server's words.

    Attributes:
        source: Which data source does not tell; nothing where the message names it already.
    """

    def __init__(self, words: str, *, source: str = "") -> None:
        super().__init__(words)
        self.source = source


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
        self._most = MOST_SLOTS
        self._refused: set[str] = set()
        self._switches_after_s = sys.getswitchinterval()
        self._runner = asyncio.Runner()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="history")

    def __enter__(self) -> Self:
        """Let the threads that read take turns with the one that plays, which else leaves them waiting."""
        self._switches_after_s = sys.getswitchinterval()
        sys.setswitchinterval(SWITCHES_AFTER_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for what is still being read, and close the connections."""
        sys.setswitchinterval(self._switches_after_s)
        self._thread.submit(self._close).result()
        self._thread.shutdown(wait=True, cancel_futures=True)

    def stretches(self) -> Iterator[Stretch]:
        """Yield all stretches, oldest first.

        Raises:
            HistoryError: The server does not answer, or does not understand an expression.
        """
        if not self._groups or self._start > self._end:
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
            failed = self._gravest(surveys)
            if failed is None:
                self._adapt(surveys)
                return Stretch(start=start, end=end, surveys=surveys, took=self._clock.elapsed() - began)
            self._shrink(*failed)

    async def _surveys(self, start: datetime, end: datetime) -> Mapping[str, Survey]:
        """Look over all groups; those that are evaluated at the same instants share the answers."""
        alike: dict[object, list[Group]] = {}
        for group in self._groups:
            alike.setdefault((group.source, group.interval, group.offset, group.query_offset), []).append(group)
        asked = [(groups, slots) for groups in alike.values() if (slots := _slots(groups[0], start, end))]
        said = await asyncio.gather(
            *(self._sources[groups[0].source].survey(_joined(groups), slots) for groups, slots in asked)
        )
        found = {
            group.id: replace(survey, group=group)
            for (groups, _), survey in zip(asked, said, strict=True)
            for group in groups
        }
        return {group.id: found[group.id] for group in self._groups if group.id in found}

    def _adapt(self, surveys: Mapping[str, Survey]) -> None:
        """Have the next stretch hold about as many samples as fit."""
        points = sum({id(survey.said): survey.points for survey in surveys.values()}.values())
        fitting = self._slots * POINTS_AIM // max(1, points)
        self._slots = max(FEWEST_SLOTS, min(self._most, fitting, self._slots * GROWS_BY))

    def _shrink(self, query: str, failure: Failure, source: str) -> None:
        """Try a shorter stretch, and never one that is as long as this again.

        Raises:
            HistoryError: That would not help, or it is as short as can be.
        """
        words = f"{failure.reason}: {failure.detail}"
        if not _is_too_much(failure):
            raise HistoryError(words, source=source)
        if self._slots > FEWEST_SLOTS:
            self._most = self._slots = max(FEWEST_SLOTS, self._slots // SHRINKS_BY)
        elif failure.reason is Unknown.QUERY_ERROR:
            self._refused.add(query)  # whatever the words mean, it is not the length
            self._slots, self._most = FIRST_SLOTS, MOST_SLOTS
        else:
            # Once one is late the others are not asked any more, so that it is not known which one it was.
            culprit = "" if failure.reason is Unknown.TIMEOUT else f". The query: {query}"
            told = f"even {self._slots} evaluations at once are too much. {words}{culprit}"
            raise HistoryError(told, source=source)

    def _gravest(self, surveys: Mapping[str, Survey]) -> tuple[str, Failure, str] | None:
        """Return what was not told, and by whom; a rule that is refused, but not for its size, is only a rule."""
        failures = (
            (query, failure, survey.group.source)
            for survey in surveys.values()
            for query, failure in survey.failures()
            if query not in self._refused
        )
        return next((each for each in failures if each[1].reason in LOST or _is_too_much(each[1])), None)


def _joined(groups: Sequence[Group]) -> Group:
    return replace(groups[0], rules=tuple(rule for group in groups for rule in group.rules))


def _slots(group: Group, start: datetime, end: datetime) -> Slots:
    return slots_between(start - MICROSECOND, end, group.interval, group.offset)


def _is_too_much(failure: Failure) -> bool:
    """Say whether a shorter stretch may be answered."""
    is_limited = failure.reason is Unknown.QUERY_ERROR and any(words in failure.detail for words in LIMITS)
    return failure.reason in TOO_MUCH or is_limited
