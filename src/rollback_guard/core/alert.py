"""Live one alert: inactive, pending, firing; Prometheus' machine, and what not knowing does to it.

    inactive ──breach──▶ pending ──breach for `for`──▶ firing ──pass for `keep_firing_for`──▶ inactive
                            │
                            └──pass, or nothing known for too long──▶ inactive

For a series that is never unknown the slots of every transition are those of Prometheus for the same rule. UNKNOWN
never starts, advances or ends an alert: each unknown slot makes the clock of `for` stand still for one interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from rollback_guard.core.model import Labels, Phase, Verdict
from rollback_guard.core.observation import Unknown

EVIDENCE_LIVES_AT_LEAST = timedelta(minutes=5)
"""A pending alert outlives this much blindness even when its `for` is shorter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One active series of a rule.

    Attributes:
        series: The sample's labels, without the metric's name: the identity within its rule.
        labels: What people see: sample labels overridden by the rule's, with `alertname`.
        active_at: Slot of the first breach.
        fired_at: Slot in which it began to fire; ``None`` while pending.
        stalled: Time since `active_at` over which nothing was known: not credited to `for`.
        unknown: Why the last slot was unknown; ``None`` if it was known.
        unknown_since: First slot of the present run of unknown ones.
        passing_since: First slot of the present run of passes, while `keep_firing_for` holds the alert.
        value: The last value that was known.
        fingerprint: Of the rule under which it began.
    """

    rule: str
    series: Labels
    labels: Labels
    phase: Phase
    active_at: datetime
    fired_at: datetime | None = None
    stalled: timedelta = timedelta(0)
    unknown: Unknown | None = None
    unknown_since: datetime | None = None
    passing_since: datetime | None = None
    value: float | None = None
    fingerprint: str = ""

    @property
    def verdict(self) -> Verdict:
        """What the last slot said."""
        if self.unknown is not None:
            return Verdict.UNKNOWN
        return Verdict.PASS if self.passing_since is not None else Verdict.BREACH
