"""Name what those see who only look: one consistent picture of rules, groups, guards and the instance's own parts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from rollback_guard.core.model import Labels, Mode, Phase, Severity, Verdict
from rollback_guard.core.observation import Family, Unknown
from rollback_guard.core.records import Decided, Reason, Window
from rollback_guard.core.state import Incident, Rollout, Waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesView:
    """One active series of a rule."""

    labels: Labels
    verdict: Verdict
    phase: Phase
    value: float | None
    active_at: datetime | None
    reason: Unknown | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleView:
    """One rule or probe as of its last slot.

    Attributes:
        value: Of its worst series: the smallest margin; ``None`` where nothing is known.
        threshold: ``None`` where the expression cannot be split.
        op: The comparison, as written: ``>``.
        margin: Distance to the threshold, positive on the healthy side.
        since: Since when it is in this phase; ``None`` while inactive.
        unknown: Why its verdict is unknown, and since when.
    """

    id: str
    group: str
    name: str
    probe: bool
    severity: Severity
    shadow: bool
    expr: str
    hold: timedelta
    verdict: Verdict
    phase: Phase
    since: datetime | None
    value: float | None
    threshold: float | None
    op: str | None
    margin: float | None
    unknown: Unknown | None
    family: Family | None
    unknown_since: datetime | None
    detail: str
    summary: str
    guards: tuple[str, ...]
    pending: int
    firing: int
    series: tuple[SeriesView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupView:
    """One group's rhythm. `duration_s` and `evaluated_at` are of the last evaluation."""

    id: str
    source: str
    interval: timedelta
    rules: int
    slot: datetime | None
    evaluated_at: datetime | None
    duration_s: float | None
    missed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseView:
    """A person took the hands off; `until` is ``None`` for further notice, `everything` says that it is all guards."""

    since: datetime
    by: str
    why: str
    until: datetime | None
    everything: bool


class Matter(StrEnum):
    """What a remark is about."""

    JOURNAL = "journal"
    CONFIGURATION = "configuration"
    PAUSED = "paused"
    STORM = "storm"
    BLIND = "blind"
    WAITING = "waiting"
    HANDED_OVER = "handed_over"
    INCIDENT = "incident"
    MAINTENANCE = "maintenance"
    OUTBOX = "outbox"
    LIMIT = "limit"
    NOT_ARMED = "not_armed"
    ROLLOUT = "rollout"
    EXCUSED = "excused"
    SIGNAL = "signal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command to copy, and what it does."""

    text: str
    effect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """One thing that people have to know now, and what they can do about it."""

    matter: Matter
    text: str
    commands: tuple[Command, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """One step of a playbook, and what the guard minds before it begins it; a person who triggers it need not.

    Attributes:
        select: Labels that a rule must have for the step to be meant.
        applies: Whether a rule of its incident has them, or without an incident one that fires; else it is skipped.
        approve: For how long a person is asked first; ``None`` is nobody.
    """

    name: str
    select: Labels = ()
    applies: bool = True
    approve: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardView:
    """One guard: what it listens to, what it concluded last, what it may still do, and who has a say in it.

    Attributes:
        armed: Whether it may act at all at present: always, or because a rollout is under way.
        braked_by: The brake that would hold it now, whether or not anything breaches; ``None`` if it may act.
        paused: What holds for it now: the pause of all guards, or else its own.
        paused_by_name: Its own pause, which outlasts that of all guards.
        maintenance_until: When the last of the maintenance windows that are open for it closes.
        waiting: The step of its incident that waits for a person.
        rollout: The last change under it; under way as long as it has no `finished_at`.
        excused: Rules of which a series fires that does not count until it has recovered once.
        escalated: How many levels of escalation were called for its incident.
        signals: Names of the alerts from elsewhere that fire for it.
        remarks: What people have to know of it now.
        steps: Those of `playbook`, in its order.
    """

    name: str
    rules: tuple[str, ...]
    playbook: tuple[str, ...]
    incident: str | None
    incident_phase: str | None
    last: Decided | None
    blind_since: datetime | None
    blind_on: tuple[str, ...]
    actions_left: int
    warming_up_until: datetime | None
    armed: bool = True
    braked_by: Reason | None = None
    paused: PauseView | None = None
    maintenance_until: datetime | None = None
    waiting: Waiting | None = None
    rollout: Rollout | None = None
    excused: tuple[str, ...] = ()
    acknowledged_by: str = ""
    escalated: int = 0
    signals: tuple[str, ...] = ()
    remarks: tuple[Remark, ...] = ()
    paused_by_name: PauseView | None = None
    steps: tuple[StepView, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadView:
    """The last attempt to load the configuration: whether it worked, and its problems if not."""

    at: datetime
    successful: bool
    succeeded_at: datetime
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalView:
    """The journal's size and the end of its chain: the number of its last record, and that record's hash."""

    head_seq: int
    head_hash: str
    size_bytes: int
    checkpointed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxView:
    """What waits to be delivered through one channel; `oldest` is when its oldest letter was put in."""

    channel: str
    letters: int
    oldest: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The whole picture at one instant.

    Attributes:
        ready: After the first complete evaluation of every group.
        incidents: Newest first; bounded.
        decisions: Newest first; bounded.
        intents_open: Keys of intents without an outcome.
        journal_failed_since: Since when records can not be made durable.
        clock_steps: How often the wall clock was set since the start.
        paused: What holds for all guards.
        maintenance: The windows that are open.
        fleet_actions_left: What all guards together may still do; ``None`` is any number.
        heartbeat_at: The end of the last evaluation whose records are durable.
        remarks: What people have to know of the instance now.
    """

    at: datetime
    name: str
    version: str
    mode: Mode
    digest: str
    started_at: datetime
    ready: bool
    reload: ReloadView
    rules: tuple[RuleView, ...]
    groups: tuple[GroupView, ...]
    guards: tuple[GuardView, ...]
    incidents: tuple[Incident, ...]
    decisions: tuple[Decided, ...]
    storm: bool
    intents_open: tuple[str, ...]
    journal_failed_since: datetime | None
    clock_steps: int
    paused: PauseView | None = None
    maintenance: tuple[Window, ...] = ()
    fleet_actions_left: int | None = None
    heartbeat_at: datetime | None = None
    journal: JournalView | None = None
    outbox: tuple[OutboxView, ...] = ()
    remarks: tuple[Remark, ...] = ()
