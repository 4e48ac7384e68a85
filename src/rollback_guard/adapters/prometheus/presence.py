"""Find out where selectors had samples over a long stretch of the past, by the definition of `freshness`.

The times of the newest samples are not asked for, as they are for short spans: over long ones Prometheus takes time for
`timestamp(…)` that grows with the square of their length. Where there was nothing is told by answers that are nearly
always empty.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rollback_guard.adapters.prometheus.freshness import Age
from rollback_guard.adapters.prometheus.grid import Grid
from rollback_guard.adapters.prometheus.inquiry import Inquiry
from rollback_guard.adapters.prometheus.strands import Strand, Strands, everywhere, is_at, strands_of
from rollback_guard.core.model import Rule
from rollback_guard.core.observation import Failure

LOOKBACK_MS = 5 * 60 * 1000
"""How far back a query sees a sample, unless the server is told otherwise."""

Aged = tuple[str, int]
"""A selector, and how old its samples may be, in milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """At which instants a selector had no samples that were young enough, and at which it had none at all.

    Attributes:
        old: Where there was no sample that is younger than `max_age`; a mask.
        none: Where among them there was none either that a query could have seen within `max_age`.
        failure: Why that is not known.
    """

    old: int = 0
    none: int = 0
    failure: Failure | None = None

    @property
    def stale(self) -> int:
        """Where there were samples, but old ones."""
        return self.old & ~self.none

    def age(self, place: int, at_ms: int, max_age_ms: int) -> tuple[Age, int | None]:
        """Return how old the samples were; of stale ones, the latest that their time can be."""
        if not is_at(self.old, place):
            return Age.FRESH, at_ms
        return (Age.ABSENT, None) if is_at(self.none, place) else (Age.STALE, at_ms - max_age_ms)


async def presence(
    wanted: Iterable[Aged], inquiry: Inquiry, grid: Grid, *, remembered: bool = True
) -> dict[Aged, Presence]:
    """Find out where selectors had samples.

    Args:
        wanted: Of which.
        inquiry: Asks.
        grid: For which instants.
        remembered: Whether what one instant could see counts for `max_age` after it.
    """
    old = await _lacking({each: each[1] for each in wanted}, inquiry, grid)
    beyond = {each: max(LOOKBACK_MS, each[1] + LOOKBACK_MS * remembered) for each, at in old.items() if at}
    none = await _lacking(beyond, inquiry, grid)
    return {each: _presence(at, none.get(each, 0)) for each, at in old.items()}


def fresh_at(rule: Rule, max_age_ms: int, seen: Mapping[Aged, Presence], grid: Grid) -> int:
    """Return where what a rule measures rests on samples that are young enough."""
    found = [seen[selector, max_age_ms] for selector in rule.condition.selectors]
    if any(each.failure for each in found):
        return 0
    fresh = everywhere(grid)
    all_old = fresh
    for each in found:
        all_old &= each.old
        fresh &= ~each.stale
    return fresh & ~all_old


def newest_of(found: Presence, grid: Grid, max_age_ms: int) -> Strands | Failure:
    """Return what stands for the times of a selector's newest samples, in seconds: of old ones the latest possible."""
    if found.failure is not None:
        return found.failure
    times = [
        (place, (at_ms if age is Age.FRESH else at_ms - max_age_ms - 1) / 1000)
        for place, at_ms in enumerate(grid)
        if (age := found.age(place, at_ms, max_age_ms)[0]) is not Age.ABSENT
    ]
    places = array("q", (place for place, _ in times))
    return Strands(grid, [Strand((), places, array("d", (time for _, time in times)))] if times else [])


def _presence(old: int | Failure, none: int | Failure) -> Presence:
    if isinstance(old, Failure):
        return Presence(failure=old)
    if isinstance(none, Failure):
        return Presence(failure=none)
    return Presence(old=old, none=none)


async def _lacking(spans_ms: Mapping[Aged, int], inquiry: Inquiry, grid: Grid) -> dict[Aged, int | Failure]:
    """Return the instants without any sample in the span before: nearly always none, so that the answer is empty."""
    queries = {each: f"absent_over_time({each[0]}[{span_ms}ms])" for each, span_ms in spans_ms.items()}
    said = await inquiry.ask(queries.values(), grid)
    return {
        each: result if isinstance(result := said[query], Failure) else strands_of(result, grid).there
        for each, query in queries.items()
    }
