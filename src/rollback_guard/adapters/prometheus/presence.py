"""Find out where selectors had samples over a long stretch of the past, by the definition of `freshness`.

The times of the newest samples are not asked for, as they are for short spans: over long ones Prometheus takes time for
`timestamp(…)` that grows with the square of their length. Where there was nothing is told by answers that are nearly
always empty.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from rollback_guard.adapters.prometheus.batch import Result
from rollback_guard.adapters.prometheus.freshness import Age
from rollback_guard.adapters.prometheus.grid import Grid
from rollback_guard.adapters.prometheus.inquiry import Inquiry
from rollback_guard.adapters.prometheus.strands import BITS, Strand, Strands, everywhere, is_at, strands_of
from rollback_guard.core.model import Rule
from rollback_guard.core.observation import Failure

Aged = tuple[str, int]
"""A selector, and how old its samples may be, in milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """At which instants a selector had no samples that were young enough, and at which it had none at all.

    Attributes:
        old: Where there was no sample that is younger than `max_age`; a mask.
        none: Where among them no instant within `max_age` before saw any sample.
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
    # What is exactly so old is young enough. Prometheus 3 leaves the beginning of a range out, Prometheus 2 did not.
    asked = {(selector, age_ms): f"absent_over_time({selector}[{age_ms + 1}ms])" for selector, age_ms in wanted}
    said = await inquiry.ask(asked.values(), grid)
    old = {each: _there(said[query], grid) for each, query in asked.items()}
    found = {each: Presence(old=at) if isinstance(at, int) else Presence(failure=at) for each, at in old.items()}
    for each, known in found.items():
        if known.old:  # hardly ever
            found[each] = await _with_none(known, each, inquiry, grid, remembered=remembered)
    return found


async def _with_none(known: Presence, aged: Aged, inquiry: Inquiry, grid: Grid, *, remembered: bool) -> Presence:
    """Tell old samples from none: what has ended is not seen any more, though it is not old yet."""
    selector, max_age_ms = aged
    back = grid.after(grid.start_ms - max_age_ms) if remembered else grid
    query = f"absent({selector})"
    unseen = _there((await inquiry.ask([query], back))[query], back)
    if not isinstance(unseen, int):
        return Presence(failure=unseen)
    earlier, none = back.count - grid.count, known.old
    for shift in range(earlier + 1):
        none &= unseen >> BITS * shift
    return replace(known, none=none)


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


def _there(result: Result, grid: Grid) -> int | Failure:
    return result if isinstance(result, Failure) else strands_of(result, grid).there
