"""Hold what is the case now, as the journal tells it. `core.fold` makes it; nothing else does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from rollback_guard.core.alert import Alert
from rollback_guard.core.model import Labels, Mode, Otherwise, Verdict
from rollback_guard.core.records import (
    Decided,
    Decision,
    Excused,
    Outcome,
    Reason,
    Sight,
    Signal,
    Wait,
    Window,
)


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
    WAITING = "waiting"  # a step waits for a veto or an approval
    ACTING = "acting"  # an intent is open
    VERIFYING = "verifying"  # the step is done, its effect is watched
    HANDED_OVER = "handed_over"  # people have it; the rules have not passed yet
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """An action that was about to run, and how it ended; the fields are those of `records.Intended`."""

    key: str
    step: int
    action: str
    goal: str
    at: datetime
    within: timedelta
    stable_for: timedelta
    rules: tuple[str, ...] = ()
    idle_passes: bool = False
    timeout: timedelta | None = None
    notify: tuple[str, ...] = ()
    undoes: str = ""
    further: tuple[str, ...] = ()
    by: str = ""
    why: str = ""
    outcome: Outcome | None = None
    concluded_at: datetime | None = None
    attempts: int = 0
    detail: str = ""
    held: bool = False

    @property
    def may_leave_nothing(self) -> bool:
        """Whether having nothing left to judge shows that it helped: only what was done takes traffic away."""
        return self.idle_passes and self.outcome is Outcome.SUCCEEDED

    @property
    def following(self) -> int:
        """Index of the step that may come after it: itself once more where people held it back."""
        return self.step if self.held else self.step + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The watch over a step's effect."""

    since: datetime
    until: datetime
    passing_since: datetime | None = None
    extended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A step that waits for a person.

    Attributes:
        lasting: How long people have from the beginning.
        approved_by: Who let it be run; empty for nobody yet.
    """

    step: int
    action: str
    what: Wait
    since: datetime
    until: datetime
    otherwise: Otherwise
    reason: Reason
    lasting: timedelta = timedelta(0)
    approved_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One episode of a guard.

    Attributes:
        intents: The steps that were begun, oldest first.
        undos: What was done to take steps back, oldest first.
        queue: Steps that a person wants to be run next, one after the other.
        queued: Their names; empty where the journal is older than that they are written down.
        undo_queue: Keys of the intents that a person wants to be taken back, with the one that just is.
        escalated: How many levels of escalation were called.
        acknowledged_by: Who took care of it; empty for nobody yet.
        vetoed_by: Who cancelled its playbook while an action was under way.
        opened_by: Who opened it by a trigger; empty where the rules did.
    """

    id: str
    guard: str
    opened_at: datetime
    breached_at: datetime
    rules: tuple[str, ...]
    phase: IncidentPhase = IncidentPhase.HOLDING
    intents: tuple[Intent, ...] = ()
    undos: tuple[Intent, ...] = ()
    queue: tuple[int, ...] = ()
    queued: tuple[str, ...] = ()
    undo_queue: tuple[str, ...] = ()
    waiting: Waiting | None = None
    escalated: int = 0
    acknowledged_at: datetime | None = None
    acknowledged_by: str = ""
    vetoed_by: str = ""
    opened_by: str = ""
    verification: Verification | None = None
    verdict: Verdict = Verdict.BREACH
    ended_at: datetime | None = None
    decision: Decision | None = None
    reason: Reason | None = None
    closed_at: datetime | None = None

    @property
    def open_intent(self) -> Intent | None:
        """The step's intent without an outcome, if there is one; there is never more than one."""
        return self.intents[-1] if self.intents and self.intents[-1].outcome is None else None

    @property
    def has_acted(self) -> bool:
        """Whether a step was begun that does more than tell people."""
        return any(not intent.notify for intent in self.intents)

    @property
    def open_intents(self) -> tuple[Intent, ...]:
        """Every intent without an outcome: of a step, and of an undo."""
        return tuple(intent for intent in (*self.intents, *self.undos) if intent.outcome is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """The last change under a guard; `finished_at` is ``None`` while it is under way."""

    id: str
    guard: str
    started_at: datetime
    until: datetime
    by: str
    version: str = ""
    previous_version: str = ""
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardState:
    """What one guard has concluded and done.

    Attributes:
        incident: Id of its incident that is not closed yet.
        last: Its last decision.
        acted_at: Times of its actions, oldest first; no longer than the newest `ACTIONS_REMEMBERED`.
        rested_at: When its last incident that acted was over: the cooldown counts from here.
        opened_at: When its rules opened its last incidents, oldest first; no longer than the newest
            `OPENINGS_REMEMBERED`.
        excused: What fires and does not count until it has recovered once.
        rollout: The change under it, under way or the last one.
    """

    incident: str | None = None
    last: Decided | None = None
    acted_at: tuple[datetime, ...] = ()
    rested_at: datetime | None = None
    opened_at: tuple[datetime, ...] = ()
    excused: frozenset[Excused] = frozenset()
    rollout: Rollout | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A person took the hands off one guard, or all; `until` is ``None`` for ever."""

    since: datetime
    by: str
    why: str
    until: datetime | None = None


EVERYTHING = ""
"""The key of the pause that holds for all guards."""

OPENINGS_REMEMBERED = 64
"""Enough to tell flapping; the configuration refuses a larger number."""

SIGNALS_REMEMBERED = 1000
"""Alerts from elsewhere that are kept while they fire; more of them are refused."""

ACTIONS_REMEMBERED = 64
"""Enough for any `max_actions`; the configuration refuses more."""

INCIDENTS_REMEMBERED = 100
"""Closed incidents kept in memory; older ones are in the journal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """All that is the case, as the journal tells it.

    Attributes:
        pauses: By guard; under `EVERYTHING` that of all of them.
        maintenance: The windows that are open.
        signals: The alerts from elsewhere that fire.
    """

    started_at: datetime | None = None
    run: str = ""
    configured_at: datetime | None = None
    digest: str = ""
    mode: Mode = Mode.ENFORCE
    groups: Mapping[str, GroupState] = field(default_factory=dict)
    guards: Mapping[str, GuardState] = field(default_factory=dict)
    incidents: Mapping[str, Incident] = field(default_factory=dict)
    pauses: Mapping[str, Pause] = field(default_factory=dict)
    maintenance: tuple[Window, ...] = ()
    signals: tuple[Signal, ...] = ()
