"""Hold what is the case now, as the journal tells it. `core.fold` makes it; nothing else does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from rollback_guard.core.alert import Alert
from rollback_guard.core.model import Labels, Mode, Verdict
from rollback_guard.core.records import Decided, Decision, Outcome, Reason, Sight


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupState:
    """What is known of one group: its last slot, its active alerts by rule, and its unknown rules.

    Attributes:
        missed: Slots that were never evaluated; those of an outage count once it is known which of them stay so.
        before_outage: The group as it was before the road to its source was cut; ``None`` while the road is there.
    """

    slot: datetime
    alerts: Mapping[str, Mapping[Labels, Alert]] = field(default_factory=dict)
    sights: Mapping[str, Sight] = field(default_factory=dict)
    missed: int = 0
    before_outage: GroupState | None = None


class IncidentPhase(StrEnum):
    """How far a guard is with an incident."""

    HOLDING = "holding"  # breached, and a brake holds
    ACTING = "acting"  # an intent is open
    VERIFYING = "verifying"  # the step is done, its effect is watched
    HANDED_OVER = "handed_over"  # people have it; the rules have not passed yet
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """An action that was about to run, and how it ended."""

    key: str
    step: int
    action: str
    goal: str
    at: datetime
    within: timedelta
    stable_for: timedelta
    outcome: Outcome | None = None
    concluded_at: datetime | None = None
    attempts: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The watch over a step's effect."""

    since: datetime
    until: datetime
    passing_since: datetime | None = None
    extended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One episode of a guard."""

    id: str
    guard: str
    opened_at: datetime
    breached_at: datetime
    rules: tuple[str, ...]
    phase: IncidentPhase = IncidentPhase.HOLDING
    intents: tuple[Intent, ...] = ()
    verification: Verification | None = None
    verdict: Verdict = Verdict.BREACH
    ended_at: datetime | None = None
    decision: Decision | None = None
    reason: Reason | None = None
    closed_at: datetime | None = None

    @property
    def open_intent(self) -> Intent | None:
        """The intent without an outcome, if there is one; there is never more than one."""
        return self.intents[-1] if self.intents and self.intents[-1].outcome is None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardState:
    """What one guard has concluded and done.

    Attributes:
        incident: Id of its incident that is not closed yet.
        last: Its last decision.
        acted_at: Times of its actions, oldest first; no longer than the newest `ACTIONS_REMEMBERED`.
        rested_at: When its last incident that acted was over: the cooldown counts from here.
    """

    incident: str | None = None
    last: Decided | None = None
    acted_at: tuple[datetime, ...] = ()
    rested_at: datetime | None = None


ACTIONS_REMEMBERED = 64
"""Enough for any `max_actions`; the configuration refuses more."""

INCIDENTS_REMEMBERED = 100
"""Closed incidents kept in memory; older ones are in the journal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """All that is the case, as the journal tells it."""

    started_at: datetime | None = None
    run: str = ""
    configured_at: datetime | None = None
    digest: str = ""
    mode: Mode = Mode.ENFORCE
    groups: Mapping[str, GroupState] = field(default_factory=dict)
    guards: Mapping[str, GuardState] = field(default_factory=dict)
    incidents: Mapping[str, Incident] = field(default_factory=dict)
