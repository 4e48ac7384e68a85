"""When each group was evaluated, and how its source answered."""

from __future__ import annotations

from rollback_guard.adapters.metrics.label import (
    CLIENT,
    GROUP,
    RESULT,
    SOURCE,
)
from rollback_guard.adapters.metrics.metric import REQUEST_S, counter, gauge, histogram

GROUP_INTERVAL = gauge(
    "group_interval_seconds", "Interval of the group's slots.", "How often should the group be evaluated?", GROUP
)
GROUP_RULES = gauge("group_rules", "Rules and probes in the group.", "How much hangs on this group?", GROUP)
GROUP_SLOT = gauge(
    "group_last_slot_timestamp_seconds",
    "Last slot that was evaluated; absent before the first.",
    "Up to which time does the guard know about this group?",
    GROUP,
)
GROUP_EVALUATED = gauge(
    "group_last_evaluation_timestamp_seconds",
    "When the last evaluation ended; absent before the first.",
    "When was the group last evaluated?",
    GROUP,
)
GROUP_DURATION = gauge(
    "group_last_duration_seconds",
    "How long the last evaluation took, reading included; absent before the first.",
    "How long did it take, and does it fit into its interval?",
    GROUP,
)
GROUP_MISSED = counter(
    "group_slots_missed_total",
    "Slots that were never evaluated and could not be read back.",
    "How many slots were missed?",
    GROUP,
)
GROUP_EVALUATIONS = counter(
    "group_evaluations_total", "Evaluations of the group that ended.", "Is the group evaluated at all?", GROUP
)
EVALUATION_DURATION = histogram(
    "evaluation_duration_seconds",
    "Duration of the evaluations of all groups, reading included.",
    "Are evaluations slow, and since when?",
    buckets=REQUEST_S,
)
SOURCE_REQUESTS = counter(
    "source_requests_total",
    "Requests to a data source, by result: ok or why there was no usable answer.",
    "Does the road to Prometheus hold, and what breaks on it?",
    *(SOURCE, RESULT),
)
SOURCE_DURATION = histogram(
    "source_request_duration_seconds",
    "Duration of the requests to a data source, failed ones included.",
    "Is Prometheus slow?",
    SOURCE,
    buckets=REQUEST_S,
)
CLIENT_REBUILDS = counter(
    "client_rebuilds_total",
    "Connection pools that were given up and made anew.",
    "Does a client lose its connections?",
    CLIENT,
)
