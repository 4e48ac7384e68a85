"""What people and other systems ordered, what waits for them, and whether they are reached."""

from __future__ import annotations

from rollback_guard.adapters.metrics.label import (
    ACTION_NAME,
    CHANNEL,
    DELIVERY,
    GUARD,
    ORDER,
    PREVIOUS_VERSION,
    ROLLOUT,
    ROLLOUT_VERSION,
    SIGNAL_STATE,
    WAIT,
)
from rollback_guard.adapters.metrics.metric import counter, gauge

PAUSED = gauge("paused", "1 while a person has paused all guards together, else 0.", "Is everything switched off?")
GUARD_PAUSED = gauge(
    "guard_paused",
    "1 while a person has paused the guard, by its name or together with all, else 0.",
    "Did somebody take the guard's hands off?",
    GUARD,
)
GUARD_PAUSED_SINCE = gauge(
    "guard_paused_since_timestamp_seconds",
    "Since when the guard has been paused; absent while it is not.",
    "Did somebody forget to resume it?",
    GUARD,
)
GUARD_PAUSED_UNTIL = gauge(
    "guard_paused_until_timestamp_seconds",
    "When the guard's pause ends by itself; absent while it is not paused, or until further notice.",
    "When does it go on?",
    GUARD,
)
GUARD_IN_MAINTENANCE = gauge(
    "guard_in_maintenance",
    "1 while a maintenance window is open for the guard, else 0.",
    "Is this a planned quiet time?",
    GUARD,
)
GUARD_WAITING = gauge(
    "guard_waiting",
    "1 while a step of the guard's incident waits for a veto or an approval, else 0.",
    "Is somebody asked to say yes or no?",
    *(GUARD, WAIT),
)
GUARD_WAITING_UNTIL = gauge(
    "guard_waiting_until_timestamp_seconds",
    "Until when the step of that action waits for a person; absent while none waits.",
    "How much time is left to say so, and about what?",
    *(GUARD, ACTION_NAME),
)
ROLLOUT_ACTIVE = gauge(
    "rollout_active",
    "1 while a rollout is under way under the guard, else 0.",
    "Is somebody changing this service now?",
    GUARD,
)
ROLLOUT_INFO = gauge(
    "rollout_info",
    "The rollout that is under way; always 1, absent while there is none.",
    "What is being rolled out?",
    *(GUARD, ROLLOUT, ROLLOUT_VERSION, PREVIOUS_VERSION),
)
ROLLOUT_STARTED = gauge(
    "rollout_started_timestamp_seconds",
    "When the rollout that is under way began; absent while there is none.",
    "Did the trouble begin with the rollout?",
    GUARD,
)
ROLLOUT_UNTIL = gauge(
    "rollout_until_timestamp_seconds",
    "When the window of the rollout that is under way ends; absent while there is none.",
    "For how long is it still watched?",
    GUARD,
)
ORDERS = counter(
    "orders_total",
    "What people ordered, by kind; the journal says who and why.",
    "How often do people step in, and how?",
    ORDER,
)
GUARD_SIGNALS_FIRING = gauge(
    "guard_signals_firing",
    "Names of alerts of other systems that fire for the guard.",
    "Does somebody else say that it is broken?",
    GUARD,
)
SIGNALS = counter(
    "signals_total",
    "Alerts of other systems that were taken for the guard, by what they said.",
    "Do alerts from elsewhere arrive?",
    *(GUARD, SIGNAL_STATE),
)
INCIDENT_ACKNOWLEDGED = gauge(
    "incident_acknowledged",
    "1 when a person has acknowledged the guard's open incident, 0 when nobody has; absent without an incident.",
    "Does somebody take care of it?",
    GUARD,
)
INCIDENT_ESCALATION = gauge(
    "incident_escalation_level",
    "How many levels of escalation were called for the guard's open incident; absent without an incident.",
    "How far up has it gone?",
    GUARD,
)
ESCALATIONS = counter(
    "escalations_total",
    "Levels of escalation that were called because nobody had acknowledged an incident.",
    "Do the people on call answer in time?",
    GUARD,
)
NOTIFICATIONS = counter(
    "notifications_total",
    "Attempts to deliver a notice through a channel, by result; `held_back` was told in a digest, of `empty` the "
    "channel's templates left nothing.",
    "Do people hear of it?",
    *(CHANNEL, DELIVERY),
)
OUTBOX_LETTERS = gauge(
    "outbox_letters",
    "Notices that wait to be delivered through the channel.",
    "Is a channel clogged?",
    CHANNEL,
)
OUTBOX_OLDEST = gauge(
    "outbox_oldest_timestamp_seconds",
    "Since when the channel's oldest notice has been waiting; absent while none waits.",
    "For how long have people not been told?",
    CHANNEL,
)
