"""Hold what a backtest counted: of every rule and every guard, in memory that does not grow with the length of history.

Plain data that can be written down and read back, for a backtest goes on where it was interrupted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rollback_guard.core.model import Labels

BUCKETS = 2000
"""Points of a chart: more than any screen has columns."""

MOST_SLOT_VALUES = 4_000
"""Values of single slots that are kept of one rule, for a closer look: some thirty kilobytes of the page."""

MOST_KEPT = 10_000
"""Firings, pending periods and decisions that are kept of one rule or guard; more of them are only counted."""


@dataclass(slots=True, kw_only=True)
class Period:
    """A time in which a series was pending, was firing, or a rule was unknown.

    Attributes:
        series: Labels of the sample; empty for a rule as a whole.
        ended_at: ``None`` while it lasts.
        active_at: Of a firing one, when it first breached.
        value: The first value of it; ``None`` where none is known.
        why: Why a rule was unknown, or how a period ended.
    """

    began_at: datetime
    ended_at: datetime | None = None
    series: Labels = ()
    active_at: datetime | None = None
    value: float | None = None
    why: str = ""

    def lasted(self, until: datetime) -> timedelta:
        """Return how long it lasted, so far."""
        return (self.ended_at or until) - self.began_at


@dataclass(slots=True, kw_only=True)
class Nearest:
    """The value that came nearest to the threshold, or went farthest beyond, and when."""

    value: float
    at: datetime


@dataclass(slots=True, kw_only=True)
class SlotValues:
    """The values of consecutive slots within one bucket, for a closer look than the bucket gives.

    Attributes:
        began_at: The first of the slots.
        values: Of each slot the one nearest to the threshold, or beyond; ``None`` where none was.
        breaches: How many of them are beyond.
    """

    bucket: int
    began_at: datetime
    values: list[float | None]
    breaches: int


@dataclass(slots=True, kw_only=True)
class RuleResult:
    """What became of one rule.

    Attributes:
        slots: Slots of its group that were looked at.
        asked: Slots for which the server was asked, those before its first data among them.
        refused: Those among them for which it refused the query.
        unknown: Slots in which nothing was known of it, by why.
        details: What the server said, by why it was unknown; the first words of each.
        low: By bucket of time the lowest of the values that were nearest to the threshold; ``None`` where none was.
        high: The highest of them.
        slot_values: Slot by slot the values of the buckets in which the rule breaches, and of those beside them.
        pending: Periods that were pending and did not fire, as far as they are kept; `pendings` counts all.
        firing: Those that fired; `firings` counts all.
        unseen: Periods in which the rule was unknown.
    """

    slots: int = 0
    asked: int = 0
    refused: int = 0
    unknown: dict[str, int] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)
    nearest: Nearest | None = None
    low: list[float | None] = field(default_factory=lambda: [None] * BUCKETS)
    high: list[float | None] = field(default_factory=lambda: [None] * BUCKETS)
    slot_values: list[SlotValues] = field(default_factory=list)
    pending: list[Period] = field(default_factory=list)
    pendings: int = 0
    longest_pending: Period | None = None
    firing: list[Period] = field(default_factory=list)
    firings: int = 0
    unseen: list[Period] = field(default_factory=list)

    @property
    def was_known(self) -> bool:
        """Whether anything was ever known of it; where nothing was, that it did not fire says nothing."""
        return bool(self.firings) or sum(self.unknown.values()) < self.slots

    def take_extremes(self, bucket: int, low: float, high: float) -> None:
        """Take note of the extremes of some values that fall into one bucket."""
        before_low, before_high = self.low[bucket], self.high[bucket]
        self.low[bucket] = low if before_low is None or low < before_low else before_low
        self.high[bucket] = high if before_high is None or high > before_high else before_high

    def take_slots(self, found: Iterable[SlotValues]) -> None:
        """Take note of values of single slots; where they are too many those stay of which most breach."""
        self.slot_values += found
        left = MOST_SLOT_VALUES
        if sum(len(each.values) for each in self.slot_values) <= left:
            return
        kept = []
        for each in sorted(self.slot_values, key=lambda each: -each.breaches):
            if len(each.values) <= left:
                left -= len(each.values)
                kept.append(each)
        self.slot_values = sorted(kept, key=lambda each: each.began_at)


@dataclass(slots=True, kw_only=True)
class BegunAction:
    """A step of a playbook that would have been begun; those after the first only if the ones before had not helped."""

    at: datetime
    action: str
    reason: str


@dataclass(slots=True, kw_only=True)
class GuardIncident:
    """An incident that would have been opened."""

    id: str
    opened_at: datetime
    breached_at: datetime
    rules: tuple[str, ...]
    actions: list[BegunAction] = field(default_factory=list)
    ended_at: datetime | None = None
    decision: str = ""
    reason: str = ""
    closed_at: datetime | None = None


@dataclass(slots=True, kw_only=True)
class Conclusion:
    """Something that a guard concluded."""

    at: datetime
    decision: str
    reason: str
    action: str = ""


@dataclass(slots=True, kw_only=True)
class GuardResult:
    """What one guard would have concluded and done.

    Attributes:
        held: How often each reason held it.
    """

    conclusions: list[Conclusion] = field(default_factory=list)
    incidents: list[GuardIncident] = field(default_factory=list)
    held: dict[str, int] = field(default_factory=dict)
    left_out: int = 0


@dataclass(slots=True, kw_only=True)
class Results:
    """All of it, by rule id and by guard.

    Attributes:
        data_since: By data source the first slot for which it had anything to tell; what is older was not played.
    """

    start: datetime
    end: datetime
    data_since: dict[str, datetime] = field(default_factory=dict)
    rules: dict[str, RuleResult] = field(default_factory=dict)
    guards: dict[str, GuardResult] = field(default_factory=dict)

    def begins(self, source: str) -> datetime:
        """Return when a data source begins to tell."""
        return self.data_since.get(source, self.start)

    def bucket_of(self, at: datetime) -> int:
        """Return the bucket in which a time falls."""
        return min(BUCKETS - 1, max(0, (at - self.start) * BUCKETS // (self.end - self.start)))

    def end_of(self, bucket: int) -> datetime:
        """Return the first instant behind a bucket."""
        return self.start + (bucket + 1) * (self.end - self.start) / BUCKETS
