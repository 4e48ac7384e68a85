"""Tell whether what was measured rests on new samples.

Prometheus stamps an answer with the time that was asked for, also when its newest sample is minutes old. So the times
of the samples themselves are asked for, as `max(timestamp(selector))`, and one definition serves the present slot and
slots that are read back, whatever was remembered in between:

    A selector is fresh at an instant if, at any of the group's instants within `max_age` before it, its newest sample
    was not older than `max_age` before it. It is absent if it had no sample at any of them, and else stale.

    A rule is stale if a selector is stale, or if one is absent while none is fresh: the errors of a service that has
    made none have no samples, and that alone is no reason to distrust the others.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from rollback_guard.adapters.prometheus.grid import Grid


class Age(StrEnum):
    """How old a selector's samples are at one instant."""

    FRESH = "fresh"
    STALE = "stale"
    ABSENT = "absent"


def query_of(selector: str) -> str:
    """Return the query for the time of a selector's newest sample."""
    return f"max(timestamp({selector}))"


def window(at_ms: int, interval_ms: int, max_age_ms: int) -> Grid:
    """Return the instants that count for one: itself and those less than `max_age` before it."""
    return Grid(start_ms=at_ms, step_ms=interval_ms).after(at_ms - max_age_ms)


def age(newest_ms: Mapping[int, int], at_ms: int, interval_ms: int, max_age_ms: int) -> tuple[Age, int | None]:
    """Say how old a selector is at one instant, and when its newest sample was.

    Args:
        newest_ms: By instant, the time of the newest sample seen from there; an instant without any is left out.
        at_ms: The instant to judge.
        interval_ms: Distance of the group's instants.
        max_age_ms: How old samples may be.
    """
    seen = [newest_ms[each] for each in window(at_ms, interval_ms, max_age_ms) if each in newest_ms]
    if not seen:
        return Age.ABSENT, None
    newest = max(seen)
    return (Age.FRESH if newest >= at_ms - max_age_ms else Age.STALE), newest


def stale_since(ages: Iterable[tuple[Age, int | None]], at_ms: int, max_age_ms: int) -> int | None:
    """Return since when a rule's samples are too old, from the ages of its selectors; ``None`` if they are not.

    That is the time of the newest sample of the selector that is worst off, or the earliest time that would have
    done if no sample was seen.
    """
    ages = tuple(ages)
    if any(each is Age.FRESH for each, _ in ages):
        blamed = [newest for each, newest in ages if each is Age.STALE]
    else:
        blamed = [newest for _, newest in ages]
    if not blamed:
        return None
    return min(at_ms - max_age_ms if newest is None else newest for newest in blamed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is remembered of one selector.

    Attributes:
        at_ms: The instant for which it was asked last.
        newest_ms: Time of the newest sample then; ``None`` if there was none.
        empty_ms: How far back from `at_ms` it is known to have had none.
    """

    at_ms: int
    newest_ms: int | None
    empty_ms: int = 0


def known_age(seen: Seen | None, at_ms: int, max_age_ms: int) -> Age | None:
    """Return what memory proves of a selector's age without asking; ``None`` if it proves nothing.

    ABSENT stands for *absent or fresh, certainly not stale*: where there was nothing until lately, whatever came since
    is new.
    """
    if seen is None or not at_ms - max_age_ms < seen.at_ms <= at_ms:
        return None
    if seen.newest_ms is not None:
        return Age.FRESH if seen.newest_ms >= at_ms - max_age_ms else None
    return Age.ABSENT if seen.empty_ms >= max_age_ms else None


def is_due(selector: str, seen: Seen | None, at_ms: int, max_age_ms: int) -> bool:
    """Say whether to ask again before memory stops proving anything.

    Each selector has its own share of `max_age`, between one half and all of it, so that the questions of many rules
    do not fall into one slot. What has no samples is asked for again only when a verdict hangs on it.
    """
    if seen is None:
        return True
    if seen.newest_ms is None:
        return False
    share = 0.5 + zlib.crc32(selector.encode()) / 2**33
    return at_ms - seen.newest_ms > share * max_age_ms


def what_proves_longest(newest_ms: Mapping[int, int], asked: Grid) -> Seen:
    """Return what an answer proves longest: the instant that saw the newest sample, or that there is none."""
    at_ms = max(newest_ms, key=lambda each: (newest_ms[each], each), default=None)
    if at_ms is None:
        return Seen(at_ms=asked.end_ms, newest_ms=None, empty_ms=asked.count * asked.step_ms)
    return Seen(at_ms=at_ms, newest_ms=newest_ms[at_ms])
