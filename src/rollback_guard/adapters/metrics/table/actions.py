"""What was done, whether it helped, and how long it took."""

from __future__ import annotations

from rollback_guard.adapters.metrics.label import (
    ACTION,
    ACTION_NAME,
    ATTEMPT,
    GOAL,
    GUARD,
    OUTCOME,
    VERIFIED,
)
from rollback_guard.adapters.metrics.metric import ACTION_S, REACTION_S, counter, gauge, histogram

ACTIONS = counter(
    "actions_total",
    "Actions that ended, by outcome; steps that only tell people and undos are among them.",
    "What was done, and did it work?",
    *(ACTION, OUTCOME),
)
ACTION_ATTEMPTS = counter(
    "action_attempts_total",
    "Attempts of actions, by result; an action that is tried again has several.",
    "Does an action only work at the second try?",
    *(ACTION, ATTEMPT),
)
ACTION_INSPECTIONS = counter(
    "action_inspections_total",
    "Inspections of an action's goal, by what was seen.",
    "After a crash or a time-out: could the guard find out what had happened?",
    *(ACTION, GOAL),
)
ACTION_DURATION = histogram(
    "action_duration_seconds",
    "Time from the intent to the outcome of an action, retries and inspections included.",
    "How long does an action take?",
    ACTION,
    buckets=ACTION_S,
)
ACTION_ATTEMPT_DURATION = histogram(
    "action_attempt_duration_seconds",
    "Duration of single attempts of an action.",
    "Is the target of an action slow?",
    ACTION,
    buckets=ACTION_S,
)
INTENTS_OPEN = gauge(
    "intents_open",
    "Actions that were begun and have no outcome yet.",
    "Is an action under way, or did one get stuck?",
)
INTENT_OPEN_SINCE = gauge(
    "intent_open_since_timestamp_seconds",
    "When the action that is under way was begun; absent without one.",
    "Which action, and since when?",
    *(GUARD, ACTION_NAME),
)
VERIFICATIONS = counter(
    "verifications_total",
    "Watches over the effect of a step that were brought to an end, by result.",
    "Does what the guard does help: recovered, not recovered, or could it not tell?",
    *(GUARD, VERIFIED),
)
BREACH_TO_DECISION = histogram(
    "breach_to_decision_seconds",
    "Time from the first breaching slot of an incident to the decision to act.",
    "How long does the guard take to decide? The rules' `for` is in it.",
    buckets=REACTION_S,
)
BREACH_TO_ACTION = histogram(
    "breach_to_action_seconds",
    "Time from the first breaching slot of an incident to the begin of its first action.",
    "How long do users wait until something is done?",
    buckets=REACTION_S,
)
BREACH_TO_RECOVERY = histogram(
    "breach_to_recovery_seconds",
    "Time from the first breaching slot of an incident to its recovery; incidents handed over are not in it.",
    "How long does it last until it is over?",
    buckets=REACTION_S,
)
