"""How the guard itself is: its configuration, its journal, its doors."""

from __future__ import annotations

from rollback_guard.adapters.metrics.label import (
    CALLER,
    CODE,
    ERROR,
    HASH,
    METHOD,
    NAME,
    PYTHON,
    RECORD,
    ROUTE,
    VERSION,
)
from rollback_guard.adapters.metrics.metric import counter, gauge

BUILD_INFO = gauge("build_info", "What is running; always 1.", "Which version is this?", VERSION, PYTHON)
INSTANCE_INFO = gauge(
    "instance_info", "Name of this instance as its guard.toml has it; always 1.", "Which instance is this?", NAME
)
READY = gauge(
    "ready",
    "1 after the first complete evaluation of every group, else 0.",
    "Has the guard seen everything once since it started?",
)
DRY_RUN = gauge("dry_run", "1 while this instance does everything but the effects, else 0.", "Would it really act?")
STORM_BRAKE = gauge(
    "storm_brake_active",
    "1 while more guards breach together than one cause in a rollout explains, and all of them hold; else 0.",
    "Is everything broken at once, so that the guard leaves it to people?",
)
RELOAD_SUCCESSFUL = gauge(
    "config_last_reload_successful",
    "1 if the last attempt to load the configuration worked, else 0; then the one before is in force.",
    "Is the configuration on the disk the one in force?",
)
RELOAD_SUCCESS = gauge(
    "config_last_reload_success_timestamp_seconds",
    "When a configuration was last loaded successfully.",
    "How old is what is in force?",
)
RELOAD_ATTEMPT = gauge(
    "config_last_reload_timestamp_seconds",
    "When loading the configuration was last tried.",
    "Did my reload arrive?",
)
CONFIG_PROBLEMS = gauge(
    "config_problems",
    "Problems that the last attempt to load the configuration found; they stand in the log.",
    "How much is wrong with the configuration?",
)
CONFIG_INFO = gauge(
    "config_info", "Digest of the configuration in force; always 1.", "Do all instances have the same one?", HASH
)
JOURNAL_FAILING = gauge(
    "journal_failing",
    "1 while records cannot be made durable, else 0; meanwhile no action starts, unless its guard says otherwise.",
    "Can the guard act, or does its disk keep it from it?",
)
JOURNAL_FAILED_SINCE = gauge(
    "journal_failed_since_timestamp_seconds",
    "Since when records cannot be made durable; absent while they can.",
    "Since when?",
)
JOURNAL_ERRORS = counter(
    "journal_errors_total", "Appends to the journal that failed.", "What is wrong with the journal's disk?", ERROR
)
JOURNAL_RECORDS = counter(
    "journal_records_total", "Records that were made durable.", "How fast does the journal grow, and with what?", RECORD
)
JOURNAL_HEAD = gauge(
    "journal_head_sequence",
    "Number of the journal's last record; the hash that belongs to it is in `/api/v1/status`.",
    "Does the journal grow, and did nobody cut it off?",
)
JOURNAL_SIZE = gauge("journal_size_bytes", "Size of the journal's files.", "Will the disk do?")
JOURNAL_CHECKPOINT = gauge(
    "journal_checkpoint_timestamp_seconds",
    "When the state was last kept, so that the next start need not read all records; absent before the first time.",
    "Will a restart be quick?",
)
HEARTBEAT = gauge(
    "heartbeat_timestamp_seconds",
    "End of the last evaluation whose records are durable; absent before the first.",
    "Does the guard still do its whole work: look, decide, write down?",
)
CLOCK_STEPS = counter(
    "clock_steps_total",
    "How often the wall clock was set by more than two seconds.",
    "Did somebody set the clock under the guard?",
)
HTTP_REQUESTS = counter(
    "http_requests_total",
    "HTTP requests that were answered.",
    "Who asks the guard, and does it answer?",
    *(ROUTE, METHOD, CODE),
    zeros=(),
)
AUTH_FAILURES = counter(
    "auth_failures_total",
    "Callers that were not let in, by what was wrong.",
    "Does somebody try tokens, or did one expire?",
    CALLER,
)
