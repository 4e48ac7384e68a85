"""Bound what a label can say: the words of a closed list, or names out of the configuration."""

from __future__ import annotations

from enum import StrEnum
from typing import get_args, get_type_hints

from rollback_guard.adapters.metrics.metric import Label
from rollback_guard.core.alert import Because
from rollback_guard.core.model import Severity
from rollback_guard.core.observation import Family, Unknown
from rollback_guard.core.records import Decision, Outcome, Reason, Record
from rollback_guard.core.state import IncidentPhase
from rollback_guard.ports import Goal

OTHER = "other"
"""Stands for every word that its list does not know."""


def _words(of: type[StrEnum]) -> tuple[str, ...]:
    return tuple(each.value for each in of)


REASONS: dict[Decision, tuple[Reason, ...]] = {
    Decision.NONE: (Reason.HEALTHY,),
    Decision.HOLD: (
        Reason.NOT_CRITICAL,
        Reason.SHADOW,
        Reason.WARMING_UP,
        Reason.STORM,
        Reason.COOLDOWN,
        Reason.LIMIT_REACHED,
        Reason.DRY_RUN,
        Reason.IN_PROGRESS,
        Reason.BLIND,
    ),
    Decision.ACT: (Reason.BREACH, Reason.BLIND, Reason.NOT_RECOVERED, Reason.ACTION_FAILED),
    Decision.RECOVERED: (Reason.VERIFIED, Reason.BY_ITSELF),
    Decision.HAND_OVER: (
        Reason.PLAYBOOK_EXHAUSTED,
        Reason.CANNOT_TELL,
        Reason.OUTCOME_UNKNOWN,
        Reason.GUARD_REMOVED,
        Reason.RULES_REMOVED,
        Reason.STORM,
        Reason.LIMIT_REACHED,
        Reason.DRY_RUN,
    ),
}
"""Which reasons a decision can have."""

OPEN_PHASES = (IncidentPhase.HOLDING, IncidentPhase.ACTING, IncidentPhase.VERIFYING, IncidentPhase.HANDED_OVER)
CONCLUSIONS = tuple((decision.value, reason.value) for decision, reasons in REASONS.items() for reason in reasons)
ENDS = tuple(each for each in CONCLUSIONS if each[0] in {Decision.RECOVERED, Decision.HAND_OVER})

RULE = Label(name="rule", what="id of a rule (`group/name`) or probe (`probe/name`)", configured=True)
GROUP = Label(name="group", what="id of a rule group", configured=True)
GROUP_NAME = Label(name="group", what="id of the rule's group")
GUARD = Label(name="guard", what="name of a guard", configured=True)
ACTION = Label(name="action", what="name of an action", configured=True)
ACTION_NAME = Label(name="action", what="name of an action")
SOURCE = Label(name="source", what="name of a data source, or `probe`", configured=True)
FAMILY = Label(name="family", values=_words(Family))
UNKNOWN = Label(name="reason", values=_words(Unknown))
DECISION = Label(name="decision", values=_words(Decision))
DECISION_AT_END = Label(name="decision", values=(Decision.RECOVERED.value, Decision.HAND_OVER.value))
REASON = Label(name="reason", values=_words(Reason))
OUTCOME = Label(name="outcome", values=_words(Outcome))
PHASE = Label(name="phase", values=tuple(phase.value for phase in OPEN_PHASES))
BECAUSE = Label(name="because", values=_words(Because))
SEVERITY = Label(name="severity", values=_words(Severity))
GOAL = Label(name="goal", values=_words(Goal))
TYPE = Label(name="type", values=("rule", "probe"))
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
