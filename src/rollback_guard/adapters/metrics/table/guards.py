"""What each guard concludes, and whether it may act."""

from __future__ import annotations

from rollback_guard.adapters.metrics.label import (
    BRAKE,
    CONCLUSIONS,
    DECISION,
    DECISION_AT_END,
    ENDS,
    GUARD,
    PHASE,
    REASON,
)
from rollback_guard.adapters.metrics.metric import counter, gauge

GUARD_RULES = gauge(
    "guard_rules", "Rules and probes that the guard listens to.", "Does the guard's selector still match?", GUARD
)
GUARD_BLIND = gauge(
    "guard_blind",
    "1 while the guard does not see one of its critical rules, else 0.",
    "Is the guard blind?",
    GUARD,
)
GUARD_BLIND_SINCE = gauge(
    "guard_blind_since_timestamp_seconds",
    "Since when the guard has been blind; absent while it sees.",
    "Since when is it blind?",
    GUARD,
)
GUARD_BLIND_RULES = gauge(
    "guard_blind_rules", "Rules of the guard that it does not see.", "How much of its sight is gone?", GUARD
)
GUARD_ACTIONS_LEFT = gauge(
    "guard_actions_left",
    "Actions that the guard's limits still allow.",
    "May the guard still act, or has it used up its limit?",
    GUARD,
)
GUARD_WARMING_UP = gauge(
    "guard_warming_up",
    "1 while the guard only looks because the daemon has just begun, else 0.",
    "Would the guard act already?",
    GUARD,
)
GUARD_ARMED = gauge(
    "guard_armed",
    "1 while the guard may act at all: always, or because a rollout is under way; else 0.",
    "Did somebody forget to tell the guard of the rollout?",
    GUARD,
)
GUARD_BRAKED = gauge(
    "guard_braked",
    "1 for the brake that would hold the guard if something breached now; absent while none would.",
    "Would the guard act now, and if not, why not?",
    *(GUARD, BRAKE),
)
GUARD_EXCUSED = gauge(
    "guard_excused_rules",
    "Rules of the guard that fire and do not count until they have recovered once.",
    "Is something bad that the guard does not act on?",
    GUARD,
)
FLEET_ACTIONS_LEFT = gauge(
    "fleet_actions_left",
    "Actions that the limits of all guards together still allow; absent where there is no such limit.",
    "May any guard still act?",
)
DECISIONS = counter(
    "decisions_total",
    "Conclusions of a guard; one that only repeats the last is not counted.",
    "What was decided, how often, and for which reason?",
    *(GUARD, DECISION, REASON),
    zeros=CONCLUSIONS,
)
INCIDENTS_OPEN = gauge(
    "incidents_open",
    "1 for the phase that the guard's open incident is in, else 0.",
    "Is there an incident, and is the guard acting on it, verifying, held back, or have people got it?",
    *(GUARD, PHASE),
)
INCIDENT_OPENED = gauge(
    "incident_opened_timestamp_seconds",
    "When the guard's open incident was opened; absent without one.",
    "How long has it been going on?",
    GUARD,
)
INCIDENTS = counter("incidents_total", "Incidents that were opened.", "How often does it come to this?", GUARD)
INCIDENTS_ENDED = counter(
    "incidents_ended_total",
    "Incidents of all guards that ended, recovered or handed over to people, by reason.",
    "How do incidents end? A guard that was removed is counted here too.",
    *(DECISION_AT_END, REASON),
    zeros=ENDS,
)
