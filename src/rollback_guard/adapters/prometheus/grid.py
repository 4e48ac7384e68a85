"""Name the instants for which a query is asked, in the milliseconds in which Prometheus counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def to_ms(at: datetime) -> int:
    """Return a time as milliseconds since 1970."""
    return (at - EPOCH) // MILLISECOND


def from_ms(at_ms: int) -> datetime:
    """Return the time of so many milliseconds since 1970, aware UTC."""
    return EPOCH + at_ms * MILLISECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Evenly spaced instants; a single one is asked for by an instant query.

    Attributes:
        start_ms: The oldest instant.
        step_ms: Their distance: the interval of the group.
        count: How many there are, at least one.
    """

    start_ms: int
    step_ms: int
    count: int = 1

    @property
    def end_ms(self) -> int:
        """The newest instant."""
        return self.start_ms + (self.count - 1) * self.step_ms

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.start_ms, self.end_ms + 1, self.step_ms))

    def after(self, start_ms: int) -> Grid:
        """Return the grid prolonged into the past by all its instants after `start_ms`."""
        earlier = max(0, (self.start_ms - start_ms - 1) // self.step_ms)
        return Grid(start_ms=self.start_ms - earlier * self.step_ms, step_ms=self.step_ms, count=self.count + earlier)

    def pieces(self, longest: int) -> Iterator[Grid]:
        """Yield the grid in pieces of at most so many instants."""
        for first in range(0, self.count, longest):
            yield Grid(
                start_ms=self.start_ms + first * self.step_ms,
                step_ms=self.step_ms,
                count=min(longest, self.count - first),
            )


def runs_of(instants: Sequence[datetime], interval: timedelta, *, longest: int) -> Iterator[list[datetime]]:
    """Yield the instants, oldest first, in runs without a gap."""
    run: list[datetime] = []
    for at in sorted(set(instants)):
        if run and (at - run[-1] != interval or len(run) == longest):
            yield run
            run = []
        run.append(at)
    if run:
        yield run
