"""Bound what a label can say: the words of a closed list, or names out of the configuration."""

from __future__ import annotations

from enum import StrEnum
from typing import get_args, get_type_hints

from rollback_guard.adapters.metrics.metric import Label
from rollback_guard.core.alert import Because
from rollback_guard.core.brakes import BRAKES, PATIENT
from rollback_guard.core.model import Severity
from rollback_guard.core.observation import Family, Unknown
from rollback_guard.core.records import Decision, Outcome, Reason, Record, Wait
from rollback_guard.core.state import IncidentPhase
from rollback_guard.ports import Goal

OTHER = "other"
"""Stands for every word that its list does not know."""


def _words(of: type[StrEnum]) -> tuple[str, ...]:
    return tuple(each.value for each in of)


BRAKED = tuple(reason for reason, _ in BRAKES)

REASONS: dict[Decision, tuple[Reason, ...]] = {
    Decision.NONE: (Reason.HEALTHY,),
    Decision.HOLD: (
        Reason.NOT_CRITICAL,
        Reason.SHADOW,
        Reason.ALREADY_BAD,
        *BRAKED,
        Reason.IN_PROGRESS,
        Reason.BLIND,
        Reason.AWAITING_VETO,
        Reason.AWAITING_APPROVAL,
    ),
    Decision.ACT: (
        Reason.BREACH,
        Reason.BLIND,
        Reason.APPROVED,
        Reason.TRIGGERED,
        Reason.NOT_RECOVERED,
        Reason.ACTION_FAILED,
        Reason.NOT_APPROVED,  # a step that was skipped because nobody approved it led to this one
    ),
    Decision.RECOVERED: (Reason.VERIFIED, Reason.BY_ITSELF),
    Decision.HAND_OVER: (
        Reason.PLAYBOOK_EXHAUSTED,
        Reason.CANNOT_TELL,
        Reason.OUTCOME_UNKNOWN,
        Reason.VETOED,
        Reason.NOT_APPROVED,
        Reason.GUARD_REMOVED,
        Reason.RULES_REMOVED,
        *(reason for reason in BRAKED if reason not in PATIENT),
    ),
}
"""Which reasons a decision can have."""

OPEN_PHASES = tuple(phase for phase in IncidentPhase if phase is not IncidentPhase.CLOSED)
CONCLUSIONS = tuple((decision.value, reason.value) for decision, reasons in REASONS.items() for reason in reasons)
ENDS = tuple(each for each in CONCLUSIONS if each[0] in {Decision.RECOVERED, Decision.HAND_OVER})

RULE = Label(name="rule", what="id of a rule (`group/name`) or probe (`probe/name`)", configured=True)
GROUP = Label(name="group", what="id of a rule group", configured=True)
GROUP_NAME = Label(name="group", what="id of the rule's group")
GUARD = Label(name="guard", what="name of a guard", configured=True)
ACTION = Label(name="action", what="name of an action", configured=True)
ACTION_NAME = Label(name="action", what="name of an action")
SOURCE = Label(name="source", what="name of a data source, `probe` or `signal`", configured=True)
CHANNEL = Label(name="channel", what="name of a notification channel", configured=True)
FAMILY = Label(name="family", values=_words(Family))
UNKNOWN = Label(name="reason", values=_words(Unknown))
DECISION = Label(name="decision", values=_words(Decision))
DECISION_AT_END = Label(name="decision", values=(Decision.RECOVERED.value, Decision.HAND_OVER.value))
REASON = Label(name="reason", values=_words(Reason))
BRAKE = Label(name="reason", values=tuple(reason.value for reason in BRAKED))
OUTCOME = Label(name="outcome", values=_words(Outcome))
PHASE = Label(name="phase", values=tuple(phase.value for phase in OPEN_PHASES))
BECAUSE = Label(name="because", values=_words(Because))
SEVERITY = Label(name="severity", values=_words(Severity))
GOAL = Label(name="goal", values=_words(Goal))
VERIFIED = Label(name="result", values=("recovered", "not_recovered", "cannot_tell"))
WAIT = Label(name="what", values=_words(Wait))
ORDER = Label(
    name="kind",
    values=(
        "paused",
        "resumed",
        "extended",
        "approved",
        "vetoed",
        "acknowledged",
        "triggered",
        "undone",
        "rollout_started",
        "rollout_finished",
    ),
)
DELIVERY = Label(name="result", values=("delivered", "transient", "unknown", "given_up", "held_back", "empty", OTHER))
CALLER = Label(name="kind", values=("no_token", "bad_token", "scope", "rate_limited", "signature", OTHER))
SIGNAL_STATE = Label(name="state", values=("firing", "resolved"))
ROLLOUT = Label(name="rollout", what="id of the rollout")
ROLLOUT_VERSION = Label(name="version", what="what is rolled out; may be empty")
PREVIOUS_VERSION = Label(name="previous_version", what="what a rollback leads back to; may be empty")
TYPE = Label(name="type", values=("rule", "probe", "signal"))
SHADOW = Label(name="shadow", values=("true", "false"))
RESULT = Label(name="result", values=("ok", *_words(Unknown), OTHER))
ATTEMPT = Label(name="result", values=("succeeded", "transient", "failed", "unknown", OTHER))
ERROR = Label(name="kind", values=("full", "io_error", "locked", "read_only", OTHER))
RECORD = Label(name="kind", values=tuple(get_type_hints(each)["kind"].__args__[0] for each in get_args(Record)))
METHOD = Label(name="method", values=("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", OTHER))
ROUTE = Label(name="route", what="pattern of a route, never a path")
CODE = Label(name="code", what="HTTP status")
CLIENT = Label(name="client", what="name of a connection pool")
NAME = Label(name="name", what="the name that people gave it")
OP = Label(name="op", what="the comparison, empty where the expression cannot be split")
VERSION = Label(name="version", what="version of rollback-guard")
PYTHON = Label(name="python", what="version of Python")
HASH = Label(name="hash", what="digest of the configuration files")
