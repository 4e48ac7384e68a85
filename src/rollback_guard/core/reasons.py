"""Name what a guard can conclude, and why: one word for journal, metrics, API, explain, notifications and tests."""

from __future__ import annotations

from enum import StrEnum


class Decision(StrEnum):
    """What a guard concluded."""

    NONE = "none"  # nothing to do
    HOLD = "hold"  # a breach, and a reason not to act
    ACT = "act"  # run a step of the playbook
    RECOVERED = "recovered"  # the incident is over
    HAND_OVER = "hand_over"  # people are needed


class Reason(StrEnum):
    """Why it concluded that. One enum for journal, metrics, API, explain and tests."""

    # none
    HEALTHY = "healthy"
    # hold
    NOT_CRITICAL = "not_critical"
    SHADOW = "shadow"
    NOT_ARMED = "not_armed"
    ALREADY_BAD = "already_bad"
    PAUSED = "paused"
    MAINTENANCE = "maintenance"
    WARMING_UP = "warming_up"
    STORM = "storm"
    FLAPPING = "flapping"
    COOLDOWN = "cooldown"
    LIMIT_REACHED = "limit_reached"
    DRY_RUN = "dry_run"
    IN_PROGRESS = "in_progress"
    BLIND = "blind"
    AWAITING_VETO = "awaiting_veto"
    AWAITING_APPROVAL = "awaiting_approval"
    # act
    BREACH = "breach"
    APPROVED = "approved"
    TRIGGERED = "triggered"
    NOT_RECOVERED = "not_recovered"
    ACTION_FAILED = "action_failed"
    # recovered
    VERIFIED = "verified"
    BY_ITSELF = "by_itself"
    # hand over
    PLAYBOOK_EXHAUSTED = "playbook_exhausted"
    CANNOT_TELL = "cannot_tell"
    OUTCOME_UNKNOWN = "outcome_unknown"
    VETOED = "vetoed"
    NOT_APPROVED = "not_approved"
    GUARD_REMOVED = "guard_removed"
    RULES_REMOVED = "rules_removed"


class Outcome(StrEnum):
    """How an intent ended. `unknown` is only written when people have to look."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"
