"""Keep of a trial that is played what its expectations are held against."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from rollback_guard.core.alert import Alert
from rollback_guard.core.judgement import Judgement, most_telling
from rollback_guard.core.model import Labels, Phase, Rule, Verdict
from rollback_guard.core.observation import Unknown
from rollback_guard.core.records import Decided, Decision, Evaluated, Record
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
        unknown: How many slots nothing was known of it, by the reason.
        series: The most series that one slot had.
        breached: By series the value with which it breached last.
    """

    values: array[float] = field(default_factory=lambda: array("d"))
    states: bytearray = field(default_factory=bytearray)
    unknown: Counter[Unknown] = field(default_factory=Counter)
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
        if judgement.reason is not None:
            self.unknown[judgement.reason] += 1
        if any(alert.phase is Phase.FIRING for alert in alerts.values()):
            self.states.append(FIRING)
        elif alerts:
            self.states.append(PENDING)
        else:
            self.states.append(UNKNOWN if judgement.verdict is Verdict.UNKNOWN else INACTIVE)


FIRING, PENDING, UNKNOWN, INACTIVE = LETTERS = b"Fp?."
"""The states of a rule, the gravest first."""


@dataclass(kw_only=True)
class Film:
    """All that happened in a trial and is asked for.

    Attributes:
        frames: By slot and group; only of slots of which something is expected.
        tracks: By rule; only of rules of which something is expected.
        records: In their order, without evaluations.
        cured_at: When the first action that cures had its effect; ``None`` if none did.
        replies: What came of orders, in the sequence in which they were given.
    """

    frames: dict[datetime, dict[str, Frame]] = field(default_factory=dict)
    tracks: dict[str, Track] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    cured_at: datetime | None = None
    replies: list[Reply] = field(default_factory=list)

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
        """Keep what was concluded."""
        self.records += [record for record in records if not isinstance(record, Evaluated)]
