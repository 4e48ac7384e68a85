"""What each rule sees."""

from __future__ import annotations

from rollback_guard.adapters.metrics.label import (
    BECAUSE,
    FAMILY,
    GROUP_NAME,
    NAME,
    OP,
    RULE,
    SEVERITY,
    SHADOW,
    TYPE,
    UNKNOWN,
)
from rollback_guard.adapters.metrics.metric import counter, gauge

RULE_INFO = gauge(
    "rule_info",
    "A rule or probe that is loaded; always 1.",
    "Which rules are loaded, in which group, how severe are they, and do they act or only shadow?",
    *(RULE, GROUP_NAME, NAME, TYPE, SEVERITY, SHADOW, OP),
)
RULE_VALUE = gauge(
    "rule_value",
    "Measured value of the rule's worst series in its last slot, in the unit of its expression; absent while unknown.",
    "What does the rule measure now?",
    RULE,
)
RULE_THRESHOLD = gauge(
    "rule_threshold",
    "Threshold that the value is compared with; absent where the expression cannot be split.",
    "From which value on is it a breach?",
    RULE,
)
RULE_MARGIN = gauge(
    "rule_margin",
    "Distance of the value from the threshold, positive on the healthy side; absent while unknown.",
    "How close is it to a breach?",
    RULE,
)
RULE_STATE = gauge(
    "rule_state",
    "Phase of the rule's worst alert: 0 inactive, 1 pending, 2 firing.",
    "Is the rule pending or firing?",
    RULE,
)
RULE_STATE_SINCE = gauge(
    "rule_state_since_timestamp_seconds",
    "Since when the rule has been pending or firing; absent while inactive.",
    "Since when?",
    RULE,
)
RULE_VERDICT = gauge(
    "rule_verdict",
    "Verdict of the last slot: 0 pass, 1 unknown, 2 breach, so that max() over rules is the guard's own precedence.",
    "What did the last slot say, before any `for`?",
    RULE,
)
RULE_BLIND = gauge(
    "rule_blind",
    "1 while the guard cannot see what the rule measures, else 0; having nothing to judge is not blindness.",
    "Is the guard blind, and on what?",
    RULE,
)
RULE_UNKNOWN_SINCE = gauge(
    "rule_unknown_since_timestamp_seconds",
    "Since when the rule's verdict has been unknown, by family and reason; absent while it is known.",
    "Why does the guard not know, and since when?",
    *(RULE, FAMILY, UNKNOWN),
)
ALERT_TRANSITIONS = counter(
    "alert_transitions_total",
    "Changes of an alert's phase, by why it changed.",
    "Do alerts come and go, and do pending ones expire for lack of evidence?",
    BECAUSE,
)
