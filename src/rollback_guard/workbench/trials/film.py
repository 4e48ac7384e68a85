"""Keep of a trial that is played what its expectations are held against."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from rollback_guard.core.alert import Alert, Because
from rollback_guard.core.judgement import Judgement, most_telling
from rollback_guard.core.model import Labels, Phase, Rule, Verdict
from rollback_guard.core.observation import Unknown
from rollback_guard.core.records import Decided, Decision, Evaluated, Record, Rewound
from rollback_guard.workbench.trials.orders import Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What was the case of one group after one slot.

    Attributes:
        breached: By rule and series the value with which it breached last: texts tell of that, also where an alert goes
            on firing without a breach.
    """

    judgements: Mapping[str, Judgement]
    alerts: Mapping[str, Mapping[Labels, Alert]]
    breached: Mapping[str, Mapping[Labels, float]] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Track:
    """One rule from the first slot to the last.

    Attributes:
        values: In each slot that of the series that tells most; NaN where there is none.
        states: In each slot the gravest of its series: a letter of `LETTERS`.
        reasons: In each slot why nothing was known of it: a place in `REASONS`, whose first means that something was.
        series: The most series that one slot had.
        breached: By series the value with which it breached last.
    """

    values: array[float] = field(default_factory=lambda: array("d"))
    states: bytearray = field(default_factory=bytearray)
    reasons: bytearray = field(default_factory=bytearray)
    series: int = 0
    breached: dict[Labels, float] = field(default_factory=dict)

    def note(self, rule: Rule, judgement: Judgement, alerts: Mapping[Labels, Alert]) -> None:
        """Add a slot."""
        told = most_telling(judgement, rule.condition.comparison)
        self.values.append(math.nan if told is None or told.value is None else told.value)
        self.series = max(self.series, len(judgement.series))
        for each in judgement.series:
            if each.verdict is Verdict.BREACH and each.value is not None:
                self.breached[each.series] = each.value
        self.reasons.append(REASONS.index(reason_of(judgement)))
        if any(alert.phase is Phase.FIRING for alert in alerts.values()):
            self.states.append(FIRING)
        elif alerts:
            self.states.append(PENDING)
        else:
            self.states.append(UNKNOWN if judgement.verdict is Verdict.UNKNOWN else INACTIVE)

    def unknown(self, first: int, last: int) -> Counter[Unknown]:
        """Count the slots from one to another, both included, in which nothing was known of it, by the reason."""
        return Counter(reason for place in self.reasons[first : last + 1] if (reason := REASONS[place]) is not None)


FIRING, PENDING, UNKNOWN, INACTIVE = LETTERS = b"Fp?."
"""The states of a rule, the gravest first."""

REASONS: tuple[Unknown | None, ...] = (None, *Unknown)
"""Why nothing was known in a slot; ``None`` where something was."""


def reason_of(judgement: Judgement) -> Unknown | None:
    """Return why nothing is known of a rule: as a whole, or of the first of its series of which that is so."""
    if judgement.verdict is not Verdict.UNKNOWN:
        return judgement.reason
    return judgement.reason or next((each.reason for each in judgement.series if each.reason is not None), None)


@dataclass(slots=True, kw_only=True)
class Lapse:
    """A pending alert that was dropped, for nothing was known of it for too long.

    Attributes:
        at: The slot in which it was dropped.
        undone_at: When its slots were read back after all; ``None`` if they never were.
    """

    rule: str
    group: str
    at: datetime
    undone_at: datetime | None = None


@dataclass(kw_only=True)
class Film:
    """All that happened in a trial and is asked for.

    Attributes:
        frames: By slot and group; only of slots of which something is expected.
        tracks: By rule; only of rules of which something is expected.
        records: In their order, without evaluations.
        cured_at: When the first action that cures had its effect; ``None`` if none did.
        replies: What came of orders, in the sequence in which they were given.
        lapses: Pending alerts that were dropped unseen, in the sequence in which that happened.
    """

    frames: dict[datetime, dict[str, Frame]] = field(default_factory=dict)
    tracks: dict[str, Track] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    cured_at: datetime | None = None
    replies: list[Reply] = field(default_factory=list)
    lapses: list[Lapse] = field(default_factory=list)

    def decided(self, guard: str) -> list[Decided]:
        """Return all that a guard concluded."""
        return [each for each in self.records if isinstance(each, Decided) and each.guard == guard]

    def told(self, guard: str) -> list[Reply]:
        """Return what people ordered of a guard, or of all of them."""
        return [each for each in self.replies if each.order.concerns(guard)]

    def decisions(self, guard: str, until: datetime, *, healthy: int = 0) -> list[Decided]:
        """Return what a guard concluded last, not after `until`.

        Those are the decisions of the latest instant at which it concluded more than that there is nothing to do. How
        soon that follows a recovery depends on its groups, and nobody means it who expects the recovery.

        Args:
            guard: Its name.
            until: Aware UTC.
            healthy: Return so many of the last decisions as they are; for who does mean it.
        """
        own = [each for each in self.decided(guard) if each.at <= until]
        if healthy:
            return own[-healthy:]
        told = [each for each in own if each.decision is not Decision.NONE]
        return [each for each in told if each.at == told[-1].at]

    def hear(self, records: Sequence[Record]) -> None:
        """Keep what was concluded, and which alerts lapsed."""
        for record in records:
            if isinstance(record, Evaluated):
                self.lapses += _lapses(record)
                continue
            if isinstance(record, Rewound):
                self._undo_lapses(record)
            self.records.append(record)

    def lapsed(self, rule: str, slot: datetime) -> datetime | None:
        """Return when an alert of a rule was dropped last for nothing was known of it, as it was known in a slot."""
        times = [
            each.at
            for each in self.lapses
            if each.rule == rule and each.at <= slot and (each.undone_at is None or each.undone_at > slot)
        ]
        return max(times, default=None)

    def _undo_lapses(self, record: Rewound) -> None:
        for lapse in self.lapses:
            if lapse.group == record.group and lapse.at > record.slot and lapse.undone_at is None:
                lapse.undone_at = record.at


def _lapses(record: Evaluated) -> Iterator[Lapse]:
    for each in record.transitions:
        if each.because is Because.EVIDENCE_EXPIRED:
            yield Lapse(rule=each.rule, group=record.group, at=record.slot)
