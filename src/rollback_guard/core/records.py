"""Say what happened, as values that are written down: the only truth.

Each record is one line of the journal. `core.fold.fold` turns them into state; nothing else changes state. A record is
never edited; its `kind` and field names are a file format.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from rollback_guard.core.alert import Alert, Because
from rollback_guard.core.model import Labels, Mode, Phase, Verdict
from rollback_guard.core.observation import Unknown
from rollback_guard.core.orders import (
    Acknowledged,
    Approved,
    Awaited,
    Excused,
    Extended,
    MaintenanceChanged,
    Paused,
    Resumed,
    RolloutFinished,
    RolloutStarted,
    Signal,
    Signalled,
    Triggered,
    Vetoed,
    Wait,
    Window,
)
from rollback_guard.core.reasons import Decision, Outcome, Reason

__all__ = [
    "Acknowledged",
    "Approved",
    "Awaited",
    "ClockStepped",
    "Concluded",
    "Configured",
    "Decided",
    "Decision",
    "Escalated",
    "Evaluated",
    "Evidence",
    "Excused",
    "Extended",
    "IncidentCleared",
    "IncidentEnded",
    "IncidentJoined",
    "IncidentOpened",
    "Intended",
    "MaintenanceChanged",
    "Outcome",
    "Paused",
    "Reason",
    "Record",
    "Resumed",
    "Rewound",
    "RolloutFinished",
    "RolloutStarted",
    "Sight",
    "Signal",
    "Signalled",
    "Started",
    "Stopped",
    "Transition",
    "Triggered",
    "Vetoed",
    "Wait",
    "Watched",
    "Window",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The daemon began; warm-up is counted from here.

    Attributes:
        run: A few random characters. They are part of the keys of this run, so that two guards of one name, somewhere
            else or after a lost journal, never share a key.
    """

    at: datetime
    version: str
    digest: str
    mode: Mode
    run: str = ""
    kind: Literal["started"] = "started"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """The daemon ended in an orderly way; `open_intents` are those it had to leave open."""

    at: datetime
    open_intents: tuple[str, ...] = ()
    kind: Literal["stopped"] = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """A configuration came into force; what belongs to groups that are not in it is forgotten."""

    at: datetime
    digest: str
    mode: Mode
    groups: tuple[str, ...]
    guards: tuple[str, ...]
    kind: Literal["configured"] = "configured"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockStepped:
    """The wall clock was set; every clock of the state moves with it, so that spans stay what they were."""

    at: datetime
    by: timedelta
    kind: Literal["clock_stepped"] = "clock_stepped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One alert went from one phase to another."""

    rule: str
    series: Labels
    before: Phase
    after: Phase
    because: Because
    value: float | None = None
    fingerprint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """A rule as a whole became unknown, or known again (`reason` is ``None``)."""

    rule: str
    reason: Unknown | None
    since: datetime | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """One group was evaluated for one slot.

    Attributes:
        alerts: Every alert that is active and differs from before, whole.
        transitions: The phases that changed; a series that became inactive stands only here.
        sights: The rules that became unknown or known.
        missed: Slots before this one that were never evaluated.
        lost: The road to the source was cut: nothing was learnt, and the slot is read back when it is there again.
    """

    group: str
    slot: datetime
    alerts: tuple[Alert, ...] = ()
    transitions: tuple[Transition, ...] = ()
    sights: tuple[Sight, ...] = ()
    missed: int = 0
    lost: bool = False
    kind: Literal["evaluated"] = "evaluated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewound:
    """The road to the source is back: the group is taken back to its last slot before the outage, and goes on there."""

    group: str
    at: datetime
    slot: datetime
    kind: Literal["rewound"] = "rewound"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was seen of one rule when a decision was made."""

    rule: str
    verdict: Verdict
    value: float | None = None
    threshold: float | None = None
    op: str | None = None
    series: Labels = ()
    active_at: datetime | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A guard concluded something; also that there is nothing to do. Repetitions are not recorded."""

    guard: str
    at: datetime
    decision: Decision
    reason: Reason
    incident: str | None = None
    step: int | None = None
    action: str | None = None
    evidence: tuple[Evidence, ...] = ()
    detail: str = ""
    kind: Literal["decided"] = "decided"


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentOpened:
    """An episode of a guard began.

    Attributes:
        breached_at: The first breach of the alerts that opened it.
        rules: Those that fired; none where a person opened it while nothing did.
        by: The person who opened it by a trigger; empty where the rules did.
    """

    incident: str
    guard: str
    at: datetime
    breached_at: datetime
    rules: tuple[str, ...]
    by: str = ""
    kind: Literal["incident_opened"] = "incident_opened"


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentJoined:
    """Further rules fired while the incident was open."""

    incident: str
    guard: str
    at: datetime
    rules: tuple[str, ...]
    kind: Literal["incident_joined"] = "incident_joined"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intended:
    """An action is about to run; committed before the effect.

    `within`, `stable_for`, `rules`, `idle_passes` and `timeout` are copied from the step, so that a reload does not
    change what was promised.

    Attributes:
        key: Idempotency key; one key never has two effects.
        step: Index in the playbook, from 0; of an undo that of the step that it takes back.
        goal: The goal state in words, free of secrets.
        rules: Which tell whether it helped; empty means those of the incident.
        idle_passes: Whether one of them passes that has nothing to judge.
        timeout: Bound of all attempts together; ``None`` is the action's own.
        notify: Whom to tell, in a step that only does that: it is concluded in the same breath and has no effect.
        undoes: Key of the intent that this one takes back; it is not verified.
        further: Keys of what is to be taken back after it, in this order.
        by: The person who asked for it; empty where the guard decided.
        why: What that person said.
    """

    key: str
    incident: str
    guard: str
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
    kind: Literal["intended"] = "intended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Concluded:
    """An intent ended; `held` where people held it back until its time was up, so that it was not tried to its end."""

    key: str
    incident: str
    guard: str
    action: str
    at: datetime
    outcome: Outcome
    attempts: int = 1
    detail: str = ""
    held: bool = False
    kind: Literal["concluded"] = "concluded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """Verification moved: all rules began to pass, stopped passing, or the time was extended once."""

    incident: str
    guard: str
    at: datetime
    verdict: Verdict
    passing_since: datetime | None
    until: datetime
    extended: bool
    kind: Literal["watched"] = "watched"


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentEnded:
    """The playbook is over: recovered, or handed over to people.

    Attributes:
        excused: What still fires although other rules have proven the recovery: it opens no new incident.
    """

    incident: str
    guard: str
    at: datetime
    decision: Decision
    reason: Reason
    excused: tuple[Excused, ...] = ()
    kind: Literal["incident_ended"] = "incident_ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentCleared:
    """After a hand-over the rules pass again; from here on a breach is a new incident."""

    incident: str
    guard: str
    at: datetime
    kind: Literal["incident_cleared"] = "incident_cleared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalated:
    """An incident lasted so long without acknowledgement that the next level was called; `level` counts from 1."""

    incident: str
    guard: str
    at: datetime
    level: int
    notify: tuple[str, ...]
    kind: Literal["escalated"] = "escalated"


Record = (
    Started
    | Stopped
    | Configured
    | ClockStepped
    | Evaluated
    | Rewound
    | Decided
    | IncidentOpened
    | IncidentJoined
    | Intended
    | Concluded
    | Watched
    | IncidentEnded
    | IncidentCleared
    | Awaited
    | Extended
    | Approved
    | Vetoed
    | Acknowledged
    | Escalated
    | Triggered
    | Paused
    | Resumed
    | MaintenanceChanged
    | RolloutStarted
    | RolloutFinished
    | Signalled
)
