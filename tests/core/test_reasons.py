"""Every reason has a scene in which it is the guard's word; a new one cannot be forgotten."""

from datetime import timedelta

import pytest

from build import BELONG_TOGETHER, a_film, a_group, a_guard, a_policy, a_rule, a_step, minutes, play, seen, slot
from rollback_guard.core.model import Approval, Armed, Flapping, Limits, Mode, Otherwise, Severity, Storm
from rollback_guard.core.operations import Approve, Pause, StartRollout, Trigger, Veto
from rollback_guard.core.records import Decided, MaintenanceChanged, Outcome, Reason, Window

FREE = Limits(max_actions=9, cooldown=timedelta(0))
TWO = ("flag-off", "rollback")


def guarded(script="b", **changes):
    return play(a_film(guards=[a_guard(**{"limits": FREE} | changes)]), script)


def asking(otherwise=Otherwise.HAND_OVER):
    ask = Approval(within=minutes(1), otherwise=otherwise)
    return guarded(playbook=(a_step(approve=ask), a_step("rollback")))


def ended(outcome, then="", **changes):
    film = guarded(**{"actions": TWO} | changes)
    film.conclude(outcome, at=slot(0))
    return play(film, then, first=1)


def operated(asked, *, first="p", then="b", **changes):
    film = guarded(first, **changes)
    film.operate(asked, at=slot(0))
    return play(film, then, first=1)


def already_bad():
    film = guarded("", armed=Armed.ROLLOUT)
    film.show(slot(0), {"g/r": seen("b")}, present=False)
    film.operate(StartRollout(by="ci", guard="checkout"), at=slot(0))
    return play(film, "b", first=1)


def maintained():
    film = guarded("")
    film.take((MaintenanceChanged(at=slot(0), windows=(Window(name="night", until=slot(9)),)),))
    return play(film, "b")


def stormy():
    rules = [a_rule("a"), a_rule("b")]
    guards = [a_guard("other", ["g/a"]), a_guard("checkout", ["g/b"])]
    film = a_film(*rules, guards=guards, storm=Storm(guards=1))
    film.show(slot(0), {"g/a": seen("b"), "g/b": seen("b")})
    return film


def joined():
    film = a_film(a_rule("a"), a_rule("b"))
    for at, letter in enumerate("pb"):
        film.show(slot(at), {"g/a": seen("b"), "g/b": seen(letter)})
    return film


def approved():
    film = asking()
    film.operate(Approve(by="ann", guard="checkout"), at=slot(0))
    return film


def not_approved():
    return play(asking(), "b", first=1)


def reloaded(policy):
    film = guarded(warm_up=minutes(9))
    film.reload(policy, at=slot(1))
    return film


SCENES = {
    Reason.HEALTHY: lambda: guarded("bpp", warm_up=minutes(9)),
    Reason.NOT_CRITICAL: lambda: play(a_film(a_rule(severity=Severity.WARNING)), "b"),
    Reason.SHADOW: lambda: play(a_film(a_rule(shadow=True)), "b"),
    Reason.NOT_ARMED: lambda: guarded(armed=Armed.ROLLOUT),
    Reason.ALREADY_BAD: already_bad,
    Reason.PAUSED: lambda: operated(Pause(by="ann", why="look")),
    Reason.MAINTENANCE: maintained,
    Reason.WARMING_UP: lambda: guarded(warm_up=minutes(9)),
    Reason.STORM: stormy,
    Reason.FLAPPING: lambda: ended(
        Outcome.SUCCEEDED, "pppb", limits=Limits(max_actions=9, cooldown=timedelta(0), flapping=Flapping(incidents=1))
    ),
    Reason.COOLDOWN: lambda: ended(Outcome.SUCCEEDED, "pppb", limits=Limits(max_actions=9)),
    Reason.LIMIT_REACHED: lambda: ended(Outcome.SUCCEEDED, "pppb", limits=Limits(max_actions=1, cooldown=timedelta(0))),
    Reason.DRY_RUN: lambda: play(a_film(mode=Mode.DRY_RUN), "b"),
    Reason.IN_PROGRESS: joined,
    Reason.BLIND: lambda: guarded("u" * 9),
    Reason.AWAITING_VETO: lambda: guarded(veto=minutes(1)),
    Reason.AWAITING_APPROVAL: asking,
    Reason.BREACH: guarded,
    Reason.APPROVED: approved,
    Reason.TRIGGERED: lambda: operated(Trigger(by="ann", why="leak", guard="checkout")),
    Reason.NOT_RECOVERED: lambda: ended(Outcome.SUCCEEDED, "bbbb"),
    Reason.ACTION_FAILED: lambda: ended(Outcome.FAILED),
    Reason.VERIFIED: lambda: ended(Outcome.SUCCEEDED, "ppp"),
    Reason.BY_ITSELF: lambda: guarded("bp", warm_up=minutes(9)),
    Reason.PLAYBOOK_EXHAUSTED: lambda: ended(Outcome.FAILED, actions=("flag-off",)),
    Reason.CANNOT_TELL: lambda: ended(Outcome.SUCCEEDED, "u" * 9),
    Reason.OUTCOME_UNKNOWN: lambda: ended(Outcome.UNKNOWN),
    Reason.VETOED: lambda: operated(
        Veto(by="ann", why="known", guard="checkout"), first="b", then="", warm_up=minutes(9)
    ),
    Reason.NOT_APPROVED: not_approved,
    Reason.GUARD_REMOVED: lambda: reloaded(a_policy([a_group(a_rule())])),
    Reason.RULES_REMOVED: lambda: reloaded(a_policy([a_group(a_rule("x"))], [a_guard(rules=["g/x"])])),
}


def test_every_reason_has_a_scene_and_a_decision_that_it_belongs_to():
    assert SCENES.keys() == set(Reason)
    assert set().union(*BELONG_TOGETHER.values()) == set(Reason)


@pytest.mark.parametrize("reason", list(Reason))
def test_a_guard_says_this_word(reason):
    film = SCENES[reason]()
    assert reason in {each.reason for each in film.of(Decided) if each.guard == "checkout"}
    for each in film.of(Decided):
        assert each.reason in BELONG_TOGETHER[each.decision]
