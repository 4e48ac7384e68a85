"""Say what people were asked, what they ordered and what other systems reported, as records like any other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from rollback_guard.core.model import Labels, Otherwise
from rollback_guard.core.reasons import Reason

Excused = tuple[str, Labels]
"""A rule and one of its series that does not count until it has recovered once."""


class Wait(StrEnum):
    """What a step waits for before it is run."""

    VETO = "veto"
    APPROVAL = "approval"


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited:
    """A step is about to be run unless a person cancels it, or is not run until one approves.

    Attributes:
        otherwise: What becomes of it when the time is up and nobody said anything.
        reason: Why it is to be run.
    """

    incident: str
    guard: str
    at: datetime
    step: int
    action: str
    what: Wait
    until: datetime
    otherwise: Otherwise
    reason: Reason
    kind: Literal["awaited"] = "awaited"


@dataclass(frozen=True, slots=True, kw_only=True)
class Extended:
    """A person moved the end of the time in which a step waits."""

    incident: str
    guard: str
    at: datetime
    until: datetime
    by: str
    why: str = ""
    kind: Literal["extended"] = "extended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """A person let a waiting step be run at once."""

    incident: str
    guard: str
    at: datetime
    by: str
    why: str = ""
    kind: Literal["approved"] = "approved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vetoed:
    """A person cancelled the playbook of an incident, or refused a step that waits for approval."""

    incident: str
    guard: str
    at: datetime
    by: str
    why: str = ""
    kind: Literal["vetoed"] = "vetoed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """A person took care of an incident: nobody further is called."""

    incident: str
    guard: str
    at: datetime
    by: str
    why: str = ""
    kind: Literal["acknowledged"] = "acknowledged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Triggered:
    """A person had steps of the playbook run, one after the other and without waiting for their effect between.

    Attributes:
        steps: Their places in the playbook.
        actions: Their names, by which they are found where a reload has moved them.
    """

    incident: str
    guard: str
    at: datetime
    steps: tuple[int, ...]
    by: str
    why: str
    actions: tuple[str, ...] = ()
    kind: Literal["triggered"] = "triggered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused:
    """A person took a guard's hands off; `guard` is ``None`` for all of them, `until` for ever."""

    guard: str | None
    at: datetime
    by: str
    why: str
    until: datetime | None = None
    kind: Literal["paused"] = "paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """A pause is over; `by` is empty where its time was up."""

    guard: str | None
    at: datetime
    by: str = ""
    why: str = ""
    kind: Literal["resumed"] = "resumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A maintenance window that is open; no `guards` means all of them."""

    name: str
    until: datetime
    guards: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceChanged:
    """Maintenance windows opened or closed; `windows` are all that are open now."""

    at: datetime
    windows: tuple[Window, ...]
    kind: Literal["maintenance_changed"] = "maintenance_changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutStarted:
    """A change began under a guard.

    Attributes:
        excused: What fired already; it is not this rollout's fault.
    """

    rollout: str
    guard: str
    at: datetime
    until: datetime
    by: str
    version: str = ""
    previous_version: str = ""
    excused: tuple[Excused, ...] = ()
    kind: Literal["rollout_started"] = "rollout_started"


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutFinished:
    """A change is over; `by` is empty where its window was."""

    rollout: str
    guard: str
    at: datetime
    by: str = ""
    why: str = ""
    kind: Literal["rollout_finished"] = "rollout_finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """An alert that another system sent for one guard; `heard_at` is when it was last said."""

    guard: str
    name: str
    labels: Labels
    firing: bool
    starts_at: datetime
    summary: str = ""
    heard_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signalled:
    """Other systems said that alerts fire or are resolved; `by` is whose token they came with, empty for none."""

    at: datetime
    signals: tuple[Signal, ...]
    by: str = ""
    kind: Literal["signalled"] = "signalled"
