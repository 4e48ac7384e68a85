"""Name what people and other systems may ask of a running guard, and how it is refused.

An operation is a request; `core.operate.operate` turns it into records, or into a `Refused`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from rollback_guard.core.orders import Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Take a guard's hands off, or those of all (`guard` is ``None``), for a time or until further notice."""

    by: str
    why: str
    guard: str | None = None
    lasting: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """End a pause: of one guard, or the one that holds for all."""

    by: str
    why: str = ""
    guard: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Veto:
    """Cancel the playbook of the incident of a guard: nothing further is done, people have it."""

    by: str
    why: str
    guard: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Extend:
    """Give people more time before the waiting step of a guard is run, or not."""

    by: str
    guard: str
    lasting: timedelta
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approve:
    """Let the waiting step of a guard be run at once."""

    by: str
    guard: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledge:
    """Take care of an incident: nobody further is called."""

    by: str
    incident: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """Run steps of a playbook now: the one with this action, or all of them where `step` is ``None``."""

    by: str
    why: str
    guard: str
    step: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """Take back what an incident's steps did, newest first, as far as its actions declare how."""

    by: str
    why: str
    incident: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRollout:
    """Tell a guard that a change begins.

    Attributes:
        rollout: Its id; empty has one made.
        window: ``None`` is the guard's own.
    """

    by: str
    guard: str
    rollout: str = ""
    version: str = ""
    previous_version: str = ""
    window: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishRollout:
    """Tell a guard that the change is over."""

    by: str
    guard: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Say that alerts of another system fire or are resolved; `by` may be empty on a machine's own loopback."""

    by: str
    signals: tuple[Signal, ...]


Operation = (
    Pause | Resume | Veto | Extend | Approve | Acknowledge | Trigger | Undo | StartRollout | FinishRollout | Report
)


class Refusal(StrEnum):
    """Why an operation is not done. The first four are mistakes, the others brakes."""

    NO_SUCH_GUARD = "no_such_guard"
    NO_SUCH_INCIDENT = "no_such_incident"
    NO_SUCH_STEP = "no_such_step"
    NO_REASON = "no_reason"
    NOTHING_TO_DO = "nothing_to_do"
    IN_PROGRESS = "in_progress"
    PAUSED = "paused"
    DRY_RUN = "dry_run"
    TOO_MANY = "too_many"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """An operation is not done, and why.

    Attributes:
        detail: In words, for the person who asked.
        near: What may have been meant.
    """

    refusal: Refusal
    detail: str
    near: tuple[str, ...] = ()
