"""Name what the outside sees: the answers of the API, and what they are made from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum

from rollback_guard.core.model import Mode, Phase, Verdict
from rollback_guard.core.observation import Family
from rollback_guard.core.operations import Operation, Refused
from rollback_guard.core.records import Decided, Record, Window
from rollback_guard.core.snapshot import (
    GroupView,
    GuardView,
    JournalView,
    OutboxView,
    PauseView,
    ReloadView,
    Remark,
    RuleView,
    Snapshot,
)
from rollback_guard.core.state import Incident, IncidentPhase
from rollback_guard.core.story import Line
from rollback_guard.ports import Telemetry


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What the daemon lets the web see and ask for.

    Attributes:
        ready: Whether every group has been evaluated once.
        metrics: Body and content type of the exposition.
        records: All records of one incident; none for one that never was.
        guard_records: What happened lately that concerns a guard, for its story.
        alive: Whether the evaluation loop goes on.
        operate: Do what a person or another system asks for, or say why not; `JournalError` says that nothing was done.
        accepts: Names of the guards that take an alert with these labels as a signal.
    """

    snapshot: Callable[[], Snapshot]
    ready: Callable[[], bool]
    metrics: Callable[[], Awaitable[tuple[bytes, str]]]
    reload: Callable[[], Awaitable[ReloadView]]
    records: Callable[[str], Awaitable[Sequence[Record]]]
    guard_records: Callable[[str], Awaitable[Sequence[Record]]]
    alive: Callable[[], bool]
    telemetry: Telemetry
    operate: Callable[[Operation], Awaitable[Sequence[Record] | Refused]]
    accepts: Callable[[Mapping[str, str]], Sequence[str]]


class Condition(StrEnum):
    """How it stands with everything that is watched; the first that holds, from the top."""

    FIRING = "firing"  # a rule that is no shadow fires, or an incident is not closed
    BLIND = "blind"  # something cannot be seen that ought to be
    UNABLE = "unable"  # the journal can not be written, so that no action would be started
    STARTING = "starting"  # not everything has been evaluated yet
    FINE = "fine"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusView:
    """The whole instance at a glance: members of the snapshot, and counts of what is too long for a glance."""

    at: datetime
    condition: Condition
    name: str
    version: str
    mode: Mode
    digest: str
    started_at: datetime
    ready: bool
    reload: ReloadView
    storm: bool
    rules: int
    rules_firing: int
    rules_pending: int
    rules_unknown: int
    rules_blind: int
    guards: int
    guards_blind: int
    guards_waiting: int
    guards_paused: int
    incidents_open: int
    intents_open: tuple[str, ...]
    journal_failed_since: datetime | None
    clock_steps: int
    groups: tuple[GroupView, ...]
    paused: PauseView | None
    maintenance: tuple[Window, ...]
    fleet_actions_left: int | None
    heartbeat_at: datetime | None
    journal: JournalView | None
    outbox: tuple[OutboxView, ...]
    remarks: tuple[Remark, ...]


SHARED = {each.name for each in fields(StatusView)} & {each.name for each in fields(Snapshot)} - {"rules", "guards"}
"""Members that a glance takes over from the snapshot as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesView:
    """Rules and probes, worst first; `total` counts those that were left out too."""

    at: datetime
    total: int
    rules: tuple[RuleView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardsView:
    """Guards, those with an open incident first."""

    at: datetime
    total: int
    guards: tuple[GuardView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentsView:
    """Incidents, newest first."""

    at: datetime
    total: int
    incidents: tuple[Incident, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentView:
    """One incident: what is the case, its story in words, and the records that both come from."""

    at: datetime
    incident: Incident
    story: tuple[Line, ...]
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardStoryView:
    """One guard: what is the case, and why it did or did not act, in words; incidents only by their names."""

    at: datetime
    guard: GuardView
    story: tuple[Line, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionsView:
    """Decisions, newest first."""

    at: datetime
    total: int
    decisions: tuple[Decided, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthView:
    """Whether the daemon is well, in one word and one sentence."""

    ok: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorView:
    """Why a request was not answered; `near` names what may have been meant."""

    error: str
    near: tuple[str, ...] = ()


def status(snapshot: Snapshot) -> StatusView:
    """Return the instance at a glance."""
    rules = [rule for rule in snapshot.rules if not rule.shadow]
    return StatusView(
        **{name: getattr(snapshot, name) for name in SHARED},
        condition=condition(snapshot),
        rules=len(snapshot.rules),
        rules_firing=sum(rule.phase is Phase.FIRING for rule in rules),
        rules_pending=sum(rule.phase is Phase.PENDING for rule in rules),
        rules_unknown=sum(rule.verdict is Verdict.UNKNOWN for rule in rules),
        rules_blind=sum(is_blind(rule) for rule in rules),
        guards=len(snapshot.guards),
        guards_blind=sum(guard.blind_since is not None for guard in snapshot.guards),
        guards_waiting=sum(guard.waiting is not None for guard in snapshot.guards),
        guards_paused=sum(guard.paused is not None for guard in snapshot.guards),
        incidents_open=sum(is_open(incident) for incident in snapshot.incidents),
    )


def condition(snapshot: Snapshot) -> Condition:
    """Return the word for everything together: a breach is evidence, not seeing is not health."""
    rules = [rule for rule in snapshot.rules if not rule.shadow]
    if any(rule.phase is Phase.FIRING for rule in rules) or any(map(is_open, snapshot.incidents)):
        return Condition.FIRING
    if any(map(is_blind, rules)) or any(guard.blind_since for guard in snapshot.guards):
        return Condition.BLIND
    if snapshot.journal_failed_since is not None:
        return Condition.UNABLE
    return Condition.FINE if snapshot.ready else Condition.STARTING


def is_open(incident: Incident) -> bool:
    """Say whether an incident is not closed: held, acted on, watched, or in people's hands."""
    return incident.phase is not IncidentPhase.CLOSED


def is_blind(rule: RuleView) -> bool:
    """Say whether a rule cannot be seen; an idle one has nothing to be seen."""
    return rule.family is Family.BLIND


def worst_first(rules: Iterable[RuleView]) -> list[RuleView]:
    """Return rules in the order in which a person has to look at them."""
    return sorted(rules, key=_badness)


def _badness(rule: RuleView) -> tuple[bool, bool, bool, bool, bool, str]:
    return (
        rule.shadow,
        rule.phase is not Phase.FIRING,
        rule.phase is not Phase.PENDING,
        not is_blind(rule),
        rule.verdict is Verdict.PASS,
        rule.id,
    )


def troubled_first(guards: Iterable[GuardView]) -> list[GuardView]:
    """Return guards in the order in which a person has to look at them: one that waits for people comes first."""
    return sorted(
        guards,
        key=lambda guard: (
            guard.waiting is None,
            guard.incident is None,
            guard.blind_since is None,
            not guard.remarks,
            guard.name,
        ),
    )
