"""Everything that is recorded is found in the log under a fixed name, with the words of the record."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import get_args

import pytest
import structlog
from structlog.testing import capture_logs

from incidents import CLEARED, ID, OPENED, RULE, after, concluded, decided, ended, intended, watched
from rollback_guard.core.alert import Because
from rollback_guard.core.model import Mode, Otherwise, Phase, Verdict
from rollback_guard.core.observation import Unknown
from rollback_guard.core.orders import (
    Acknowledged,
    Approved,
    Extended,
    MaintenanceChanged,
    Paused,
    Resumed,
    RolloutFinished,
    RolloutStarted,
    Signal,
    Signalled,
    Triggered,
    Vetoed,
    Window,
)
from rollback_guard.core.records import (
    Awaited,
    ClockStepped,
    Configured,
    Decision,
    Escalated,
    Evaluated,
    IncidentJoined,
    Outcome,
    Reason,
    Record,
    Rewound,
    Sight,
    Started,
    Stopped,
    Transition,
    Wait,
)
from rollback_guard.engine.narrate import narrate

AT = after(minutes=11)
OF = {"incident": ID, "guard": "checkout", "at": AT}
BY = {"by": "alice", "why": "because"}
CHANGE = Transition(rule=RULE, series=(), before=Phase.INACTIVE, after=Phase.PENDING, because=Because.BREACHED)
SIGNAL = Signal(guard="checkout", name="Corruption", labels=(("db", "a"),), firing=True, starts_at=AT)

LINES: list[tuple[Record, str, dict[str, object]]] = [
    (Started(at=AT, version="1", digest="d", mode=Mode.ENFORCE), "started", {"mode": "enforce"}),
    (Stopped(at=AT, open_intents=("k",)), "stopped", {"open_intents": ["k"]}),
    (Configured(at=AT, digest="d", mode=Mode.DRY_RUN, groups=(), guards=()), "configured", {"digest": "d"}),
    (ClockStepped(at=AT, by=timedelta(hours=-1)), "clock_stepped", {"by_s": -3600.0}),
    (Evaluated(group="g", slot=AT, transitions=(CHANGE,)), "alert_changed", {"because": "breached"}),
    (Evaluated(group="g", slot=AT, missed=2), "slots_missed", {"slots": 2}),
    (
        Evaluated(group="g", slot=AT, sights=(Sight(rule=RULE, reason=Unknown.CONNECT),)),
        "rule_unknown",
        {"reason": "connect"},
    ),
    (Evaluated(group="g", slot=AT, sights=(Sight(rule=RULE, reason=None),)), "rule_known", {"rule": RULE}),
    (Rewound(group="g", at=AT, slot=after()), "rewound", {"slot": after()}),
    (decided(Decision.HOLD, Reason.PAUSED, AT), "decided", {"reason": "paused"}),
    (OPENED, "incident_opened", {"guard": "checkout"}),
    (replace(OPENED, by="alice"), "incident_opened", {"by": "alice"}),
    (IncidentJoined(**OF, rules=(RULE,)), "incident_joined", {"rules": [RULE]}),
    (intended(0, AT), "action_intended", {"intent": f"{ID}-1"}),
    (replace(intended(0, AT), **BY), "action_intended", BY),
    (replace(intended(0, AT), notify=("oncall",)), "people_told", {"notify": ["oncall"]}),
    (replace(intended(0, AT), undoes="k-1", **BY), "undo_intended", {"undoes": "k-1"} | BY),
    (concluded(0, AT, Outcome.FAILED), "action_concluded", {"outcome": "failed", "log_level": "error"}),
    (watched(AT, Verdict.PASS), "verification_moved", {"verdict": "pass"}),
    (ended(AT, Decision.HAND_OVER, Reason.VETOED), "incident_ended", {"reason": "vetoed"}),
    (CLEARED, "incident_cleared", {"incident": ID}),
    (
        Awaited(
            **OF,
            step=0,
            action="a",
            what=Wait.VETO,
            until=AT,
            otherwise=Otherwise.RUN,
            reason=Reason.BREACH,
        ),
        "step_awaited",
        {"what": "veto", "action": "a", "otherwise": "run"},
    ),
    (Extended(**OF, **BY, until=AT), "extended", {"until": AT} | BY),
    (Approved(**OF, **BY), "approved", BY),
    (Vetoed(**OF, **BY), "vetoed", BY),
    (Acknowledged(**OF, **BY), "acknowledged", BY),
    (Escalated(**OF, level=2, notify=("lead",)), "escalated", {"level": 2, "notify": ["lead"]}),
    (Triggered(**OF, **BY, steps=(0, 1)), "triggered", {"steps": [1, 2]} | BY),
    (Paused(guard=None, at=AT, **BY), "paused", {"guard": None} | BY),
    (Resumed(guard="checkout", at=AT), "resumed", {"guard": "checkout", "by": ""}),
    (
        MaintenanceChanged(at=AT, windows=(Window(name="night", until=AT),)),
        "maintenance_changed",
        {"windows": ["night"]},
    ),
    (
        RolloutStarted(
            rollout="r", guard="checkout", at=AT, until=AT, by="ci", excused=((RULE, ()), (RULE, (("a", "b"),)))
        ),
        "rollout_started",
        {"rollout": "r", "excused": [RULE]},
    ),
    (RolloutFinished(rollout="r", guard="checkout", at=AT), "rollout_finished", {"rollout": "r"}),
    (Signalled(at=AT, signals=(SIGNAL,), by="am"), "signalled", {"signal": "Corruption", "labels": {"db": "a"}}),
]


@pytest.mark.parametrize(("record", "event", "words"), LINES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_record_is_one_line_with_a_fixed_name_and_its_own_words(record, event, words):
    with capture_logs() as lines:
        narrate(structlog.get_logger(), [record])
    (line,) = lines
    assert line["event"] == event
    assert {name: line[name] for name in words} == words


def test_every_kind_of_record_is_among_them():
    assert {type(record) for record, *_ in LINES} == set(get_args(Record))
