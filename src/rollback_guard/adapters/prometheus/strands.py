"""Hold the samples of a range query packed: a stretch of history has millions of them, and few are ever looked at.

A sample costs eight bytes here, and some three hundred as objects. Which instants have something about them is told by
masks: whole numbers with one byte for each instant of the grid, 1 or 0, so that thousands are joined at once.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, repeat
from operator import eq, itemgetter
from typing import Any

from rollback_guard.adapters.prometheus.grid import Grid
from rollback_guard.core.condition import HOLDS, Comparison, Operator
from rollback_guard.core.model import Labels
from rollback_guard.core.observation import Sample

BITS = 8
"""Of one instant in a mask."""

TOLERANCE_MS = 1
"""Servers write times as fractions of seconds."""

_TIME, _VALUE = itemgetter(0), itemgetter(1)


@dataclass(frozen=True, slots=True)
class Packed:
    """The samples of one series as they came: times in seconds, and values."""

    times_s: array[float]
    values: array[float]


def packed(parsed: dict[str, Any]) -> dict[str, Any]:
    """Return an object of a JSON text, with its samples packed if it has any; a hook for the parser.

    Only the samples of one series at a time are objects thus.

    Raises:
        ValueError: They are no samples.
    """
    samples = parsed.get("values")
    if isinstance(samples, list):
        try:
            times_s, values = array("d", map(_TIME, samples)), array("d", map(float, map(_VALUE, samples)))
        except (TypeError, LookupError, OverflowError) as error:
            raise ValueError(f"malformed samples: {error}") from error
        parsed["values"] = Packed(times_s, values)
    return parsed


@dataclass(frozen=True, slots=True)
class Strand:
    """The samples of one series over a grid.

    Attributes:
        places: The number of the instant of each sample; a range where none is missing in between.
    """

    labels: Labels
    places: Sequence[int]
    values: Sequence[float]

    def at(self, place: int) -> Sample | None:
        """Return the sample of an instant."""
        if isinstance(self.places, range):
            index = place - self.places.start
            return Sample(self.labels, self.values[index]) if 0 <= index < len(self.values) else None
        index = bisect_left(self.places, place)
        is_there = index < len(self.places) and self.places[index] == place
        return Sample(self.labels, self.values[index]) if is_there else None

    def spread(self, flags: bytes) -> int:
        """Return the mask of flags, one for each sample."""
        if isinstance(self.places, range):
            return int.from_bytes(flags, "little") << BITS * self.places.start
        spread = bytearray(self.places[-1] + 1)
        for place, flag in zip(self.places, flags, strict=True):
            spread[place] = flag
        return int.from_bytes(spread, "little")

    @property
    def there(self) -> int:
        """Where there is a sample."""
        return self.spread(b"\1" * len(self.values))

    @property
    def is_number_throughout(self) -> bool:
        """Whether no sample is NaN, nor so large that their sum is none."""
        return not math.isnan(sum(self.values))

    @property
    def known(self) -> int:
        """Where there is a sample that is a number."""
        return self.there if self.is_number_throughout else self.spread(bytes(map(eq, self.values, self.values)))

    def holds(self, comparison: Comparison) -> int:
        """Return where there is a number for which a comparison holds."""
        if self.is_number_throughout and comparison.is_ordered:
            extremes = (min(self.values), max(self.values))
            if not any(map(comparison.holds, extremes)):
                return 0  # nearly always
        holding = self.spread(bytes(map(HOLDS[comparison.op], self.values, repeat(comparison.threshold))))
        return holding & self.known if comparison.op is Operator.NOT_EQUAL else holding


class Strands(Mapping[int, tuple[Sample, ...]]):
    """The samples of one query by the time for which they were asked, in milliseconds; made as they are looked at."""

    def __init__(self, grid: Grid, strands: Sequence[Strand] = ()) -> None:
        self.grid = grid
        self.strands = strands

    def at(self, place: int) -> tuple[Sample, ...]:
        """Return the samples of an instant, by its number."""
        return tuple(sample for strand in self.strands if (sample := strand.at(place)) is not None)

    @cached_property
    def there(self) -> int:
        """Where there is any sample."""
        return union(strand.there for strand in self.strands)

    @property
    def is_whole(self) -> bool:
        """Whether every series that is there anywhere is there at every instant."""
        return all(len(strand.values) == self.grid.count for strand in self.strands)

    @property
    def points(self) -> int:
        """How many samples there are."""
        return sum(len(strand.values) for strand in self.strands)

    @cached_property
    def labels(self) -> frozenset[Labels]:
        """All series that are there anywhere."""
        return frozenset(strand.labels for strand in self.strands)

    def __getitem__(self, at_ms: int) -> tuple[Sample, ...]:
        place, beside = divmod(at_ms - self.grid.start_ms, self.grid.step_ms)
        samples = () if beside or not 0 <= place < self.grid.count else self.at(place)
        if not samples:
            raise KeyError(at_ms)
        return samples

    def __iter__(self) -> Iterator[int]:
        return (self.grid.start_ms + place * self.grid.step_ms for place in places_of(self.there))

    def __len__(self) -> int:
        return self.there.bit_count()


def strand_of(labels: Labels, samples: Packed, grid: Grid) -> Strand:
    """Return a series of an answer.

    Raises:
        ValueError: Its samples are not of the instants that were asked for.
    """
    times_s, count = samples.times_s, len(samples.times_s)
    first, last = (_place(each, grid) for each in (times_s[0], times_s[-1]))
    if last - first == count - 1 and first >= 0 and last < grid.count:
        return Strand(labels, range(first, last + 1), samples.values)
    places = array("q", (_place(each, grid) for each in times_s))
    is_rising = all(before < after for before, after in pairwise(places))
    if not is_rising or places[0] < 0 or places[-1] >= grid.count:
        raise ValueError("samples of other times than were asked for")
    return Strand(labels, places, samples.values)


def strands_of(points: Mapping[int, tuple[Sample, ...]], grid: Grid) -> Strands:
    """Return the samples of a query packed; those of instants that were asked one by one come as they are."""
    if isinstance(points, Strands):
        return points
    found: dict[tuple[Labels, int], tuple[array[int], array[float]]] = {}
    for at_ms in sorted(points):
        told: Counter[Labels] = Counter()
        for sample in points[at_ms]:
            places, values = found.setdefault((sample.labels, told[sample.labels]), (array("q"), array("d")))
            told[sample.labels] += 1  # two samples of one series say nothing, and both must be seen for that
            places.append((at_ms - grid.start_ms) // grid.step_ms)
            values.append(sample.value)
    return Strands(grid, [Strand(labels, _gapless(places), values) for (labels, _), (places, values) in found.items()])


def _gapless(places: Sequence[int]) -> Sequence[int]:
    """Return instants as a range where none is missing in between."""
    first, last = places[0], places[-1]
    return range(first, last + 1) if last - first == len(places) - 1 else places


def union(masks: Iterable[int]) -> int:
    """Return where any of the masks is."""
    found = 0
    for mask in masks:
        found |= mask
    return found


def everywhere(grid: Grid) -> int:
    """Return the mask of all instants."""
    return int.from_bytes(b"\1" * grid.count, "little")


def places_of(mask: int) -> Iterator[int]:
    """Yield the numbers of the instants where a mask is, oldest first."""
    flags = mask.to_bytes((mask.bit_length() + BITS - 1) // BITS, "little")
    place = flags.find(1)
    while place >= 0:
        yield place
        place = flags.find(1, place + 1)


def is_at(mask: int, place: int) -> bool:
    """Say whether a mask is at an instant."""
    return bool(mask >> BITS * place & 1)


def _place(at_s: float, grid: Grid) -> int:
    since_ms = at_s * 1000 - grid.start_ms
    place = round(since_ms / grid.step_ms)
    if abs(since_ms - place * grid.step_ms) > TOLERANCE_MS:
        raise ValueError("samples of other times than were asked for")
    return place
