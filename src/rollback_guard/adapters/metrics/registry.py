"""Name every metric once: what it is, which labels it has, and which question of the person on call it answers.

The exposition, `docs/metrics.md`, the shipped alerts and the tests of all three are held against this table.
"""

from __future__ import annotations

from rollback_guard.adapters.metrics.label import (
    ACTION,
    ACTION_NAME,
    ATTEMPT,
    BECAUSE,
    CLIENT,
    CODE,
    CONCLUSIONS,
    DECISION,
    DECISION_AT_END,
    ENDS,
    ERROR,
    FAMILY,
    GOAL,
    GROUP,
    GROUP_NAME,
    GUARD,
    HASH,
    METHOD,
    NAME,
    OP,
    OUTCOME,
    PHASE,
    PYTHON,
    REASON,
    RECORD,
    RESULT,
    ROUTE,
    RULE,
    SEVERITY,
    SHADOW,
    SOURCE,
    TYPE,
    UNKNOWN,
    VERSION,
)
from rollback_guard.adapters.metrics.metric import Kind, Label, Metric

REQUEST_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
ACTION_S = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
REACTION_S = (1, 5, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
"""From a breach to what follows: `for` alone is minutes, a playbook with two steps may take hours."""


def _counter(
    name: str, text: str, question: str, *labels: Label, zeros: tuple[tuple[str, ...], ...] | None = None
) -> Metric:
    full = f"rollback_guard_{name}"
    return Metric(name=full, kind=Kind.COUNTER, help=text, question=question, labels=labels, zeros=zeros)


def _gauge(name: str, text: str, question: str, *labels: Label) -> Metric:
    return Metric(name=f"rollback_guard_{name}", kind=Kind.GAUGE, help=text, question=question, labels=labels)


def _histogram(name: str, text: str, question: str, *labels: Label, buckets: tuple[float, ...]) -> Metric:
    full = f"rollback_guard_{name}"
    return Metric(name=full, kind=Kind.HISTOGRAM, help=text, question=question, buckets=buckets, labels=labels)


# What each rule sees.

RULE_INFO = _gauge(
    "rule_info",
    "A rule or probe that is loaded; always 1.",
    "Which rules are loaded, in which group, how severe are they, and do they act or only shadow?",
    *(RULE, GROUP_NAME, NAME, TYPE, SEVERITY, SHADOW, OP),
)
RULE_VALUE = _gauge(
    "rule_value",
    "Measured value of the rule's worst series in its last slot, in the unit of its expression; absent while unknown.",
    "What does the rule measure now?",
    RULE,
)
RULE_THRESHOLD = _gauge(
    "rule_threshold",
    "Threshold that the value is compared with; absent where the expression cannot be split.",
    "From which value on is it a breach?",
    RULE,
)
RULE_MARGIN = _gauge(
    "rule_margin",
    "Distance of the value from the threshold, positive on the healthy side; absent while unknown.",
    "How close is it to a breach?",
    RULE,
)
RULE_STATE = _gauge(
    "rule_state",
    "Phase of the rule's worst alert: 0 inactive, 1 pending, 2 firing.",
    "Is the rule pending or firing?",
    RULE,
)
RULE_STATE_SINCE = _gauge(
    "rule_state_since_timestamp_seconds",
    "Since when the rule has been pending or firing; absent while inactive.",
    "Since when?",
    RULE,
)
RULE_VERDICT = _gauge(
    "rule_verdict",
    "Verdict of the last slot: 0 pass, 1 unknown, 2 breach, so that max() over rules is the guard's own precedence.",
    "What did the last slot say, before any `for`?",
    RULE,
)
RULE_BLIND = _gauge(
    "rule_blind",
    "1 while the guard cannot see what the rule measures, else 0; having nothing to judge is not blindness.",
    "Is the guard blind, and on what?",
    RULE,
)
RULE_UNKNOWN_SINCE = _gauge(
    "rule_unknown_since_timestamp_seconds",
    "Since when the rule's verdict has been unknown, by family and reason; absent while it is known.",
    "Why does the guard not know, and since when?",
    *(RULE, FAMILY, UNKNOWN),
)
ALERT_TRANSITIONS = _counter(
    "alert_transitions_total",
    "Changes of an alert's phase, by why it changed.",
    "Do alerts come and go, and do pending ones expire for lack of evidence?",
    BECAUSE,
)

# When each group was evaluated.

GROUP_INTERVAL = _gauge(
    "group_interval_seconds", "Interval of the group's slots.", "How often should the group be evaluated?", GROUP
)
GROUP_RULES = _gauge("group_rules", "Rules and probes in the group.", "How much hangs on this group?", GROUP)
GROUP_SLOT = _gauge(
    "group_last_slot_timestamp_seconds",
    "Last slot that was evaluated; absent before the first.",
    "Up to which time does the guard know about this group?",
    GROUP,
)
GROUP_EVALUATED = _gauge(
    "group_last_evaluation_timestamp_seconds",
    "When the last evaluation ended; absent before the first.",
    "When was the group last evaluated?",
    GROUP,
)
GROUP_DURATION = _gauge(
    "group_last_duration_seconds",
    "How long the last evaluation took, reading included; absent before the first.",
    "How long did it take, and does it fit into its interval?",
    GROUP,
)
GROUP_MISSED = _counter(
    "group_slots_missed_total",
    "Slots that were never evaluated and could not be read back.",
    "How many slots were missed?",
    GROUP,
)
GROUP_EVALUATIONS = _counter(
    "group_evaluations_total", "Evaluations of the group that ended.", "Is the group evaluated at all?", GROUP
)
EVALUATION_DURATION = _histogram(
    "evaluation_duration_seconds",
    "Duration of the evaluations of all groups, reading included.",
    "Are evaluations slow, and since when?",
    buckets=REQUEST_S,
)
SOURCE_REQUESTS = _counter(
    "source_requests_total",
    "Requests to a data source, by result: ok or why there was no usable answer.",
    "Does the road to Prometheus hold, and what breaks on it?",
    *(SOURCE, RESULT),
)
SOURCE_DURATION = _histogram(
    "source_request_duration_seconds",
    "Duration of the requests to a data source, failed ones included.",
    "Is Prometheus slow?",
    SOURCE,
    buckets=REQUEST_S,
)
CLIENT_REBUILDS = _counter(
    "client_rebuilds_total",
    "Connection pools that were given up and made anew.",
    "Does a client lose its connections?",
    CLIENT,
)

# What each guard concludes.

GUARD_RULES = _gauge(
    "guard_rules", "Rules and probes that the guard listens to.", "Does the guard's selector still match?", GUARD
)
GUARD_BLIND = _gauge(
    "guard_blind",
    "1 while the guard does not see one of its critical rules, else 0.",
    "Is the guard blind?",
    GUARD,
)
GUARD_BLIND_SINCE = _gauge(
    "guard_blind_since_timestamp_seconds",
    "Since when the guard has been blind; absent while it sees.",
    "Since when is it blind?",
    GUARD,
)
GUARD_BLIND_RULES = _gauge(
    "guard_blind_rules", "Rules of the guard that it does not see.", "How much of its sight is gone?", GUARD
)
GUARD_ACTIONS_LEFT = _gauge(
    "guard_actions_left",
    "Actions that the guard's limits still allow.",
    "May the guard still act, or has it used up its limit?",
    GUARD,
)
GUARD_WARMING_UP = _gauge(
    "guard_warming_up",
    "1 while the guard only looks because the daemon has just begun, else 0.",
    "Would the guard act already?",
    GUARD,
)
DECISIONS = _counter(
    "decisions_total",
    "Conclusions of a guard; one that only repeats the last is not counted.",
    "What was decided, how often, and for which reason?",
    *(GUARD, DECISION, REASON),
    zeros=CONCLUSIONS,
)
INCIDENTS_OPEN = _gauge(
    "incidents_open",
    "1 for the phase that the guard's open incident is in, else 0.",
    "Is there an incident, and is the guard acting on it, verifying, held back, or have people got it?",
    *(GUARD, PHASE),
)
INCIDENT_OPENED = _gauge(
    "incident_opened_timestamp_seconds",
    "When the guard's open incident was opened; absent without one.",
    "How long has it been going on?",
    GUARD,
)
INCIDENTS = _counter("incidents_total", "Incidents that were opened.", "How often does it come to this?", GUARD)
INCIDENTS_ENDED = _counter(
    "incidents_ended_total",
    "Incidents of all guards that ended, recovered or handed over to people, by reason.",
    "How do incidents end? A guard that was removed is counted here too.",
    *(DECISION_AT_END, REASON),
    zeros=ENDS,
)

# What was done.

ACTIONS = _counter(
    "actions_total",
    "Actions that ended, by outcome.",
    "What was done, and did it work?",
    *(ACTION, OUTCOME),
)
ACTION_ATTEMPTS = _counter(
    "action_attempts_total",
    "Attempts of actions, by result; an action that is tried again has several.",
    "Does an action only work at the second try?",
    *(ACTION, ATTEMPT),
)
ACTION_INSPECTIONS = _counter(
    "action_inspections_total",
    "Inspections of an action's goal, by what was seen.",
    "After a crash or a time-out: could the guard find out what had happened?",
    *(ACTION, GOAL),
)
ACTION_DURATION = _histogram(
    "action_duration_seconds",
    "Time from the intent to the outcome of an action, retries and inspections included.",
    "How long does an action take?",
    ACTION,
    buckets=ACTION_S,
)
ACTION_ATTEMPT_DURATION = _histogram(
    "action_attempt_duration_seconds",
    "Duration of single attempts of an action.",
    "Is the target of an action slow?",
    ACTION,
    buckets=ACTION_S,
)
INTENTS_OPEN = _gauge(
    "intents_open",
    "Actions that were begun and have no outcome yet.",
    "Is an action under way, or did one get stuck?",
)
INTENT_OPEN_SINCE = _gauge(
    "intent_open_since_timestamp_seconds",
    "When the action that is under way was begun; absent without one.",
    "Which action, and since when?",
    *(GUARD, ACTION_NAME),
)
BREACH_TO_DECISION = _histogram(
    "breach_to_decision_seconds",
    "Time from the first breaching slot of an incident to the decision to act.",
    "How long does the guard take to decide? The rules' `for` is in it.",
    buckets=REACTION_S,
)
BREACH_TO_ACTION = _histogram(
    "breach_to_action_seconds",
    "Time from the first breaching slot of an incident to the begin of its first action.",
    "How long do users wait until something is done?",
    buckets=REACTION_S,
)
BREACH_TO_RECOVERY = _histogram(
    "breach_to_recovery_seconds",
    "Time from the first breaching slot of an incident to its recovery; incidents handed over are not in it.",
    "How long does it last until it is over?",
    buckets=REACTION_S,
)

# How the guard itself is.

BUILD_INFO = _gauge("build_info", "What is running; always 1.", "Which version is this?", VERSION, PYTHON)
INSTANCE_INFO = _gauge(
    "instance_info", "Name of this instance as its guard.toml has it; always 1.", "Which instance is this?", NAME
)
READY = _gauge(
    "ready",
    "1 after the first complete evaluation of every group, else 0.",
    "Has the guard seen everything once since it started?",
)
DRY_RUN = _gauge("dry_run", "1 while this instance does everything but the effects, else 0.", "Would it really act?")
STORM_BRAKE = _gauge(
    "storm_brake_active",
    "1 while more guards breach together than one cause in a rollout explains, and all of them hold; else 0.",
    "Is everything broken at once, so that the guard leaves it to people?",
)
RELOAD_SUCCESSFUL = _gauge(
    "config_last_reload_successful",
    "1 if the last attempt to load the configuration worked, else 0; then the one before is in force.",
    "Is the configuration on the disk the one in force?",
)
RELOAD_SUCCESS = _gauge(
    "config_last_reload_success_timestamp_seconds",
    "When a configuration was last loaded successfully.",
    "How old is what is in force?",
)
RELOAD_ATTEMPT = _gauge(
    "config_last_reload_timestamp_seconds",
    "When loading the configuration was last tried.",
    "Did my reload arrive?",
)
CONFIG_PROBLEMS = _gauge(
    "config_problems",
    "Problems that the last attempt to load the configuration found; they stand in the log.",
    "How much is wrong with the configuration?",
)
CONFIG_INFO = _gauge(
    "config_info", "Digest of the configuration in force; always 1.", "Do all instances have the same one?", HASH
)
JOURNAL_FAILING = _gauge(
    "journal_failing",
    "1 while records cannot be made durable, else 0; meanwhile no action starts.",
    "Can the guard act, or does its disk keep it from it?",
)
JOURNAL_FAILED_SINCE = _gauge(
    "journal_failed_since_timestamp_seconds",
    "Since when records cannot be made durable; absent while they can.",
    "Since when?",
)
JOURNAL_ERRORS = _counter(
    "journal_errors_total", "Appends to the journal that failed.", "What is wrong with the journal's disk?", ERROR
)
JOURNAL_RECORDS = _counter(
    "journal_records_total", "Records that were made durable.", "How fast does the journal grow, and with what?", RECORD
)
CLOCK_STEPS = _counter(
    "clock_steps_total",
    "How often the wall clock was set by more than two seconds.",
    "Did somebody set the clock under the guard?",
)
HTTP_REQUESTS = _counter(
    "http_requests_total",
    "HTTP requests that were answered.",
    "Who asks the guard, and does it answer?",
    *(ROUTE, METHOD, CODE),
    zeros=(),
)

METRICS: tuple[Metric, ...] = tuple(each for each in tuple(globals().values()) if isinstance(each, Metric))
"""All of them, in the order in which they stand above."""
