"""A guard's own story: why nothing was done, where no incident tells it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from incidents import BLIND, ID, OPENED, RECOVERED, RULE, after, decided, intended
from rollback_guard.core.alert import Because
from rollback_guard.core.model import Mode, Phase
from rollback_guard.core.observation import Unknown
from rollback_guard.core.orders import Acknowledged, Paused, RolloutStarted, Signal, Signalled
from rollback_guard.core.records import Decision, Evaluated, Reason, Rewound, Sight, Started, Transition
from rollback_guard.core.story import tell_guard

HELD = replace(decided(Decision.HOLD, Reason.BLIND, after(minutes=5), BLIND), incident=None)


def texts(*records, guard="checkout", **settings) -> list[str]:
    return [line.text for line in tell_guard(records, guard, **settings)]


def test_a_hold_without_an_incident_is_told_with_what_was_seen():
    (line,) = tell_guard((HELD,), "checkout")
    assert line.text == "Did not act: it cannot see, and not knowing is no evidence."
    assert line.notes == ("CheckoutErrorRate: nothing is known (connect: connection refused)",)
    assert line.offset == timedelta(0)


def test_shadow_rules_pauses_rollouts_and_restarts_are_told_in_order():
    shadow = replace(decided(Decision.HOLD, Reason.SHADOW, after(minutes=4)), incident=None)
    assert texts(
        Started(at=after(), version="0.2.0", digest="d", mode=Mode.ENFORCE),
        Paused(guard=None, at=after(minutes=1), by="alice", why="w"),
        RolloutStarted(rollout="r", guard="checkout", at=after(minutes=2), until=after(hours=1), by="ci"),
        shadow,
        HELD,
    ) == [
        "rollback-guard 0.2.0 was started (enforce).",
        "alice paused all guards until further notice.",
        "ci began rollout r; its window ends at 10:50:00.",
        "Did not act: only shadow rules fire; they are shown and never act.",
        "Did not act: it cannot see, and not knowing is no evidence.",
    ]


def test_incidents_are_told_by_their_names_only():
    told = texts(*RECOVERED, Acknowledged(incident=ID, guard="checkout", at=after(minutes=11), by="alice"))
    assert told == [
        f"Incident {ID} began: `rollback-guard explain {ID}`.",
        f"Incident {ID} ended: after the action the rules have passed for as long as was asked.",
    ]


def test_other_guards_are_left_out():
    other = Signal(guard="search", name="Down", labels=(), firing=True, starts_at=after())
    assert texts(HELD, *RECOVERED, intended(0, after()), guard="search") == []
    assert texts(Signalled(at=after(), signals=(other,)), OPENED, guard="search") == ["Down fires, says an alert."]
    assert texts(Signalled(at=after(), signals=(other,))) == []


def test_evaluations_are_told_of_the_rules_that_are_asked_for():
    change = Transition(
        rule=RULE, series=(), before=Phase.INACTIVE, after=Phase.PENDING, because=Because.BREACHED, value=2.0
    )
    lost = Sight(rule="search/Other", reason=Unknown.CONNECT, since=after())
    evaluated = Evaluated(group="checkout", slot=after(), transitions=(change,), sights=(lost,))
    again = Rewound(group="checkout", at=after(minutes=2), slot=after())
    assert texts(evaluated, again) == []
    assert texts(evaluated, rules=frozenset({RULE})) == ["CheckoutErrorRate began to breach (value 2)."]


def test_without_records_there_is_no_story():
    assert tell_guard((), "checkout") == ()
