"""Live one alert: inactive, pending, firing; Prometheus' machine, and what not knowing does to it.

    inactive ──breach──▶ pending ──breach for `for`──▶ firing ──pass for `keep_firing_for`──▶ inactive
                            │
                            └──pass, or nothing known for too long──▶ inactive

For a series that is never unknown the slots of every transition are those of Prometheus for the same rule. UNKNOWN
never starts, advances or ends an alert: each unknown slot makes the clock of `for` stand still for one interval. Only a
pending alert of which nothing is known for too long is dropped, and a firing one whose series is gone for good, while
others of its rule are there: the pod of a release that was rolled back never comes back to say that it is well.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import assert_never

from rollback_guard.core.model import Labels, Phase, Verdict
from rollback_guard.core.observation import Family, Unknown, family

GONE_AFTER = timedelta(hours=1)
"""A firing series that was absent for so long, while others of its rule are there, is gone: a pod, a version."""

EVIDENCE_LIVES_AT_LEAST = timedelta(minutes=5)
"""A pending alert outlives this much blindness even when its `for` is shorter."""


class Because(StrEnum):
    """Why an alert changed its phase."""

    BREACHED = "breached"  # the first breach
    HELD = "held"  # breached for as long as `for` asks
    PASSED = "passed"  # the condition no longer holds
    KEPT_LONG_ENOUGH = "kept_long_enough"  # keep_firing_for has run out
    EVIDENCE_EXPIRED = "evidence_expired"  # pending, and nothing known for too long
    HOLD_RAISED = "hold_raised"  # `for` was raised by a reload above what has passed
    SERIES_GONE = "series_gone"  # firing, and absent for long while others of its rule are there
    RULE_CHANGED = "rule_changed"  # the rule measures something else now, or is gone


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
        blind_since: First slot of the present run of those in which the guard could not see; idle ones are none.
        absent_since: First slot of the present run in which it was absent while others of its rule were there.
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
    blind_since: datetime | None = None
    absent_since: datetime | None = None
    passing_since: datetime | None = None
    value: float | None = None
    fingerprint: str = ""

    @property
    def verdict(self) -> Verdict:
        """What the last slot said."""
        if self.unknown is not None:
            return Verdict.UNKNOWN
        return Verdict.PASS if self.passing_since is not None else Verdict.BREACH


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The times that move one alert in one slot.

    Attributes:
        slot: Of this evaluation, aware UTC; not the wall clock.
        first: First slot of those that this evaluation stands for: `slot` itself, or the first one missed.
        span: Time that these slots credit or withhold.
        hold: How long a breach must last before the alert fires; zero fires at once.
        keep: How long a firing alert outlives the end of its breach.
        others: Whether other series of the rule are known in this slot.
    """

    slot: datetime
    first: datetime
    span: timedelta
    hold: timedelta
    keep: timedelta = timedelta(0)
    others: bool = False


def has_expired(alert: Alert, hold: timedelta, now: datetime) -> bool:
    """Say whether nothing was known of an alert for so long that what was seen of it before is no evidence any more."""
    return alert.unknown_since is not None and now - alert.unknown_since > max(hold, EVIDENCE_LIVES_AT_LEAST)


def begin(alert: Alert, timing: Timing) -> Alert:
    """Return a new alert as of its first breach: pending, or firing where `for` is zero."""
    return _fire(alert, timing) if timing.hold <= timedelta(0) else alert


def advance(
    alert: Alert, verdict: Verdict, timing: Timing, *, reason: Unknown | None = None
) -> tuple[Alert | None, Because | None]:
    """Move an active alert by one evaluation.

    Args:
        alert: The alert before this slot.
        verdict: What this slot said of its series.
        timing: The times of this slot.
        reason: Why the verdict is UNKNOWN; needed then.

    Returns:
        The alert after it, ``None`` once inactive, and why its phase changed, ``None`` if it did not.

    Source: Prometheus `rules/alerting.go`, measured in docs/adr/0006.
    """
    match verdict:
        case Verdict.UNKNOWN:
            return _withhold(alert, timing, reason or Unknown.MISSED)
        case Verdict.BREACH:
            known = _known(alert)
            return _breach(known if known.passing_since is None else replace(known, passing_since=None), timing)
        case Verdict.PASS:
            return _pass(_known(alert), timing)
        case _:
            assert_never(verdict)


def _known(alert: Alert) -> Alert:
    if alert.unknown is None:
        return alert
    return replace(alert, unknown=None, unknown_since=None, blind_since=None, absent_since=None)


def _breach(alert: Alert, timing: Timing) -> tuple[Alert, Because | None]:
    held = timing.slot - alert.active_at - alert.stalled >= timing.hold
    match alert.phase, held:
        case Phase.PENDING, True:
            return _fire(alert, timing), Because.HELD
        case Phase.FIRING, False:
            return replace(alert, phase=Phase.PENDING, fired_at=None), Because.HOLD_RAISED
        case _:
            return alert, None


def _pass(alert: Alert, timing: Timing) -> tuple[Alert | None, Because | None]:
    if alert.phase is Phase.PENDING or timing.keep <= timedelta(0):
        return None, Because.PASSED
    passing_since = alert.passing_since or timing.slot
    if timing.slot - passing_since >= timing.keep:
        return None, Because.KEPT_LONG_ENOUGH
    return replace(alert, passing_since=passing_since), None


def _withhold(alert: Alert, timing: Timing, reason: Unknown) -> tuple[Alert | None, Because | None]:
    unknown_since = alert.unknown_since or timing.first
    absent_since = (alert.absent_since or timing.slot) if timing.others and reason is Unknown.ABSENT else None
    if alert.phase is Phase.FIRING and absent_since is not None and timing.slot - absent_since >= GONE_AFTER:
        return None, Because.SERIES_GONE
    if alert.phase is Phase.PENDING and has_expired(
        replace(alert, unknown_since=unknown_since), timing.hold, timing.slot
    ):
        return None, Because.EVIDENCE_EXPIRED
    return replace(
        alert,
        stalled=alert.stalled + timing.span,
        passing_since=alert.passing_since and alert.passing_since + timing.span,
        unknown=reason,
        unknown_since=unknown_since,
        absent_since=absent_since,
        blind_since=(alert.blind_since or timing.slot) if family(reason) is Family.BLIND else None,
    ), None


def _fire(alert: Alert, timing: Timing) -> Alert:
    return replace(alert, phase=Phase.FIRING, fired_at=timing.slot)
