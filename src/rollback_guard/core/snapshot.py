"""Show what is the case to those who only look: metrics, API, CLI.

A snapshot is one consistent picture, built from the policy, the folded state and the last judgements. Whoever reads it
computes nothing about decisions again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from rollback_guard.core.model import Labels, Mode, Phase, Severity, Verdict
from rollback_guard.core.observation import Family, Unknown
from rollback_guard.core.records import Decided
from rollback_guard.core.state import Incident


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesView:
    """One series of a rule: active ones, and the worst of the others."""

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
class GuardView:
    """One guard: what it listens to, what it concluded last, what it may still do."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadView:
    """The last attempt to load the configuration: whether it worked, and its problems if not."""

    at: datetime
    successful: bool
    succeeded_at: datetime
    problems: tuple[str, ...] = ()


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
