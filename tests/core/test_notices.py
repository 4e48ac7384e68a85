"""What people are told: which record tells whom, in words that need no manual, once, and of bounded size."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from build import MINUTE, START, Film, a_group, a_guard, a_policy, a_rule, minutes, seen, slot
from rollback_guard.core import operate
from rollback_guard.core.attend import attend
from rollback_guard.core.condition import Comparison, Condition, Operator
from rollback_guard.core.fold import fold_all
from rollback_guard.core.model import (
    Approval,
    Armed,
    Blindness,
    Level,
    Mode,
    Notify,
    Otherwise,
    Policy,
    Severity,
    Step,
    Storm,
    Verify,
)
from rollback_guard.core.notice import NoticeKind, Urgency
from rollback_guard.core.notices import message, notices, trouble
from rollback_guard.core.observation import Answer, Observation, Sample
from rollback_guard.core.operations import (
    Acknowledge,
    Approve,
    Extend,
    FinishRollout,
    Pause,
    Resume,
    StartRollout,
    Trigger,
    Undo,
    Veto,
)
from rollback_guard.core.records import Evidence, MaintenanceChanged, Outcome, Paused, Reason, Window
from rollback_guard.core.state import State
from rollback_guard.core.wording import NOTHING_LEFT

DOCS = Path(__file__).parents[2] / "docs" / "notifications.md"

RATE = Condition(
    expr='sum(rate(http_requests_total{job="checkout", code=~"5.."}[1m]))\n  / sum(rate(http_requests_total{job="checkout"}[1m])) > 0.01',
    query="…",
    comparison=Comparison(op=Operator.GREATER, threshold=0.01),
)
CHANNELS = Notify(warning=("team",), critical=("team", "oncall"))


class Told(Film):
    """A film that keeps what people are told of it."""

    def __init__(self, policy):
        self.told = []
        self.all = []
        super().__init__(policy)

    def take(self, records):
        before = self.state
        self.records += records
        self.state = fold_all(self.state, records)
        self.told = list(notices(self.policy, self.state, records, before=before))
        self.all += self.told
        return self.told

    def ask(self, operation, at):
        records = operate.operate(self.policy, self.state, operation, now=at)
        assert isinstance(records, tuple), records
        return self.take(records)

    def wait(self, at):
        return self.take(attend(self.policy, self.state, now=at))

    def kinds(self):
        return [notice.kind.value for notice in self.told]


def the_policy(*, rule=None, guards=None, **changes):
    rule = rule or a_rule("CheckoutErrorRate", condition=RATE)
    guard = a_guard(
        rules=("g/CheckoutErrorRate",), actions=("disable-new-checkout", "rollback-checkout"), notify=CHANNELS
    )
    goals = {"disable-new-checkout": "PATCH https://flags.internal/api/flags/new-checkout"}
    known = {"name": "checkout", "goals": goals, "url": "https://guard.example"}
    return a_policy([a_group(rule)], guards or [replace(guard, **changes)], **known)


def value(number):
    return {"g/CheckoutErrorRate": Observation(measured=Answer((Sample((("code", "500"),), number),)))}


def letter(word):
    return {"g/CheckoutErrorRate": seen(word)}


def the_incident():
    """An incident from its beginning to its end, and all that was told of it."""
    film = Told(the_policy())
    film.show(slot(0), value(0.001))
    film.show(slot(1), value(0.01824))
    film.conclude(Outcome.SUCCEEDED, at=slot(1) + timedelta(seconds=1.2), detail="HTTP 200")
    film.show(slot(2), value(0.0004))
    film.show(slot(3), value(0.0004))
    return film


def printed(notice):
    return f"{notice.title}\n\n{notice.body}\n"


def test_an_incident_is_told_from_its_beginning_to_its_end():
    film = the_incident()
    assert [notice.kind.value for notice in film.all] == ["opened", "acting", "acted", "recovered"]
    assert [notice.urgency for notice in film.all] == [Urgency.CRITICAL, Urgency.INFO, Urgency.INFO, Urgency.INFO]
    assert {notice.channels for notice in film.all} == {("team", "oncall")}
    assert {notice.thread for notice in film.all} == {film.incident().id}
    assert [notice.resolves for notice in film.all] == [False, False, False, True]


def test_the_first_notice_names_all_that_people_ask_first():
    opened = the_incident().all[0]
    assert (
        printed(opened)
        == """\
checkout: incident: CheckoutErrorRate{code="500"} is 0.01824, above 0.01

CheckoutErrorRate{code="500"} is 0.01824, above 0.01, since 2024-05-01 12:01:00 UTC (0s)
  query: sum(rate(http_requests_total{job="checkout", code=~"5.."}[1m])) / sum(rate(http_requests_total{job="checkout"}[1m])) > 0.01
Done so far:
  disable-new-checkout is under way, since 2024-05-01 12:01:00 UTC
Next: its effect is watched for up to 3m; if the rules still breach then, step 2 of 2, rollback-checkout.
To stop the guard: rollback-guard pause checkout --reason …
To say that you take care: rollback-guard ack checkout-20240501T120100Z
Why: rollback-guard explain checkout-20240501T120100Z
https://guard.example/
"""
    )


def test_what_templates_and_webhooks_may_use_is_named():
    data = dict(the_incident().all[0].data)
    assert data["rule"] == "g/CheckoutErrorRate"
    assert (data["value"], data["op"], data["threshold"]) == ("0.01824", ">", "0.01")
    assert data["query"] == RATE.expr
    assert data["instance"] == "checkout"


def a_veto():
    film = Told(the_policy(veto=minutes(5)))
    film.show(slot(1), value(0.01824))
    return film


def a_handing_over():
    film = Told(the_policy(playbook=(a_guard(actions=("disable-new-checkout",)).playbook)))
    film.show(slot(1), value(0.01824))
    film.conclude(Outcome.UNKNOWN, at=slot(1) + timedelta(seconds=10), detail="sent, but no whole answer")
    return film


@pytest.mark.parametrize(
    "notice",
    [*the_incident().all, *a_veto().told[1:], a_handing_over().told[-1]],
    ids=lambda notice: notice.kind.value,
)
def test_the_documentation_shows_the_texts_as_they_are(notice):
    assert printed(notice) in DOCS.read_text()


def test_a_brake_is_told_once_and_with_its_reason():
    film = Told(replace(the_policy(), mode=Mode.DRY_RUN))
    film.show(slot(1), value(0.02))
    (opened,) = film.told
    assert opened.title == 'checkout: incident, not acting: CheckoutErrorRate{code="500"} is 0.02, above 0.01'
    assert "Not acting: this is a dry run; otherwise it would act now." in opened.body
    assert dict(opened.data)["reason"] == "dry_run"
    assert film.show(slot(2), value(0.03)) == []


def test_a_brake_that_comes_later_is_told_by_itself():
    film = Told(the_policy(warm_up=minutes(5)))
    film.show(slot(1), value(0.02))
    film.ask(Pause(by="alice", why="deploying by hand", guard="checkout"), at=slot(2))
    film.show(slot(3), value(0.02))
    assert film.kinds() == ["holding"]
    assert film.told[0].title == "checkout: not acting: a person paused it"
    assert film.told[0].id.endswith("/holding/paused")


def test_a_countdown_says_until_when_and_every_way_out_of_it():
    film = a_veto()
    opened, waiting = film.told
    assert waiting.kind is NoticeKind.WAITING
    assert "disable-new-checkout runs at 12:06:00 UTC (in 5m) unless you veto it" in waiting.title
    for command in (
        "rollback-guard approve checkout",
        "rollback-guard extend checkout --for 10m",
        "rollback-guard veto checkout --reason …",
    ):
        assert command in waiting.body
    assert "Now: step 1 of 2, disable-new-checkout, waits for people until 2024-05-01 12:06:00 UTC." in opened.body


@pytest.mark.parametrize(
    ("otherwise", "words"),
    [(Otherwise.RUN, "it is run"), (Otherwise.SKIP, "it is skipped"), (Otherwise.HAND_OVER, "people have to go on")],
)
def test_an_approval_is_asked_for_and_says_what_happens_without(otherwise, words):
    step = Step(
        action="rollback-checkout",
        verify=Verify(within=minutes(3), stable_for=MINUTE),
        approve=Approval(within=minutes(10), otherwise=otherwise),
    )
    film = Told(the_policy(playbook=(step,)))
    film.show(slot(1), value(0.02))
    waiting = film.told[-1]
    assert waiting.title.startswith("checkout: approve rollback-checkout until 12:11:00 UTC (10m)")
    assert f"If nobody says anything until then, {words}." in waiting.body


def test_a_step_that_only_tells_goes_to_its_own_channels():
    verify = Verify(within=minutes(3), stable_for=MINUTE)
    film = Told(the_policy(playbook=(Step(action="", verify=verify, notify=("database-team",)),)))
    film.show(slot(1), value(0.02))
    telling = [notice for notice in film.told if notice.kind is NoticeKind.TELLING]
    assert [notice.channels for notice in telling] == [("database-team",)]
    assert "is 0.02, above 0.01" in telling[0].title
    assert "acted" not in film.kinds()


def test_a_failure_is_a_warning_and_an_unknown_outcome_is_critical():
    film = Told(the_policy())
    film.show(slot(1), value(0.02))
    film.conclude(Outcome.FAILED, at=slot(1), detail="HTTP 404")
    failed = film.told[0]
    assert (failed.kind, failed.urgency) == (NoticeKind.ACTED, Urgency.WARNING)
    assert "failed for good" in failed.title
    assert "HTTP 404" in failed.title
    unknown, handed_over = a_handing_over().told
    assert unknown.urgency is Urgency.CRITICAL
    assert handed_over.kind is NoticeKind.HANDED_OVER
    assert "What to do: Find out whether disable-new-checkout reached its goal" in handed_over.body


def test_after_a_handing_over_the_recovery_closes_and_resolves():
    film = a_handing_over()
    film.show(slot(2), value(0.001))
    (closed,) = film.told
    assert (closed.kind, closed.resolves, closed.urgency) == (NoticeKind.RECOVERED, True, Urgency.INFO)
    assert closed.title == "checkout: closed after 1m: its rules pass again"


def test_a_recovery_that_left_nothing_to_judge_says_so():
    verify = Verify(within=minutes(3), stable_for=MINUTE, idle_passes=True)
    film = Told(the_policy(playbook=(Step(action="disable-new-checkout", verify=verify),)))
    film.show(slot(1), value(0.02))
    film.conclude(Outcome.SUCCEEDED, at=slot(1) + timedelta(seconds=1.2), detail="HTTP 200")
    film.show(slot(2), value(math.nan))
    film.show(slot(3), value(math.nan))
    (recovered,) = film.told
    assert recovered.kind is NoticeKind.RECOVERED
    assert NOTHING_LEFT in recovered.body
    assert NOTHING_LEFT not in the_incident().told[0].body


def test_rules_that_are_gone_are_not_said_to_pass():
    film = Told(the_policy(warm_up=minutes(60)))
    film.show(slot(1), value(0.02))
    other = a_rule("Other")
    guard = replace(film.policy.guards["checkout"], rules=frozenset({"g/Other"}))
    film.reload(replace(film.policy, groups={"g": a_group(other)}, guards={"checkout": guard}), at=slot(2))
    film.show(slot(3), {"g/Other": seen("p")})
    closed = next(notice for notice in film.all if "/cleared/" in notice.id)
    assert "pass again" not in closed.title
    assert "no longer in the configuration" in closed.title


def test_every_level_of_escalation_goes_to_its_own_channels_until_somebody_acknowledges():
    levels = (Level(after=minutes(15), notify=("lead",)), Level(after=minutes(30), notify=("executive",)))
    film = Told(replace(the_policy(escalate=levels), mode=Mode.DRY_RUN))
    film.show(slot(1), value(0.02))
    film.wait(slot(16))
    (level,) = film.told
    assert (level.channels, level.kind) == (("lead",), NoticeKind.ESCALATED)
    assert "nobody has acknowledged it" in level.title
    assert f"rollback-guard ack {film.incident().id}" in level.body
    film.ask(Acknowledge(by="bob", incident=film.incident().id), at=slot(17))
    assert film.told[0].title == "checkout: bob takes care of it"
    assert film.wait(slot(40)) == []


def test_a_warning_goes_to_the_channels_for_warnings_and_its_end_too():
    film = Told(the_policy(rule=a_rule("CheckoutErrorRate", condition=RATE, severity=Severity.WARNING)))
    film.show(slot(1), value(0.02))
    (warning,) = film.told
    assert (warning.channels, warning.urgency, warning.kind) == (("team",), Urgency.WARNING, NoticeKind.WARNING)
    assert "is 0.02, above 0.01" in warning.title
    assert film.show(slot(2), value(0.02)) == []
    film.show(slot(3), value(0.001))
    assert [(notice.resolves, notice.thread) for notice in film.told] == [(True, warning.thread)]


def test_blindness_is_told_after_its_time_and_when_it_ends():
    film = Told(the_policy(blind=Blindness(after=minutes(5))))
    film.show(slot(0), value(0.001))
    for number in range(1, 6):
        assert film.show(slot(number), letter("u")) == []
    for number in range(6, 9):
        film.show(slot(number), letter("u"))
    (blind,) = film.all
    assert (blind.kind, blind.urgency, blind.channels) == (NoticeKind.BLIND, Urgency.CRITICAL, ("team", "oncall"))
    assert "blind for 5m" in blind.title
    assert "refused" in blind.title
    film.show(slot(9), value(0.001))
    (sees,) = film.told
    assert (sees.kind, sees.resolves, sees.thread) == (NoticeKind.SEES_AGAIN, True, blind.thread)


def test_blindness_that_ends_in_an_incident_ends_too():
    film = Told(the_policy(blind=Blindness(after=minutes(2))))
    film.show(slot(0), value(0.001))
    for number in range(1, 5):
        film.show(slot(number), letter("u"))
    film.show(slot(5), value(0.02))
    assert set(film.kinds()) >= {"sees_again", "opened"}


def many(count, **changes):
    guards = [a_guard(f"guard{number:03}", (f"g{number}/r",), notify=CHANNELS, **changes) for number in range(count)]
    groups = [a_group(a_rule(group=f"g{number}"), id=f"g{number}") for number in range(count)]
    return Told(replace(a_policy(groups, guards), name="fleet", storm=Storm(guards=3, within=minutes(2))))


def all_show(film, at, word):
    for number in range(len(film.policy.guards)):
        film.show(at, {f"g{number}/r": seen(word)}, group=f"g{number}")


@pytest.mark.promise(21)
def test_a_storm_is_told_once_per_channel_and_not_once_per_guard():
    film = many(50)
    all_show(film, slot(1), "b")
    storm = [notice for notice in film.all if notice.thread == "storm"]
    told = {notice.id: notice for notice in storm}.values()
    assert sorted(channel for notice in told for channel in notice.channels) == ["oncall", "team"]
    assert {notice.incident for notice in film.all if notice.incident} == {
        incident.id for incident in list(film.state.incidents.values())[:3]
    }
    (first, *_) = storm
    assert first.title == "fleet: storm: 4 guards breach at once, and none of them acts any more"
    assert "Look for the shared cause" in first.body


def test_the_end_of_a_storm_is_told_once_and_resolves_it():
    film = many(50, warm_up=minutes(30))
    all_show(film, slot(1), "b")
    film.all.clear()
    all_show(film, slot(2), "p")
    over = [notice for notice in film.all if notice.thread == "storm"]
    assert [notice.channels for notice in over] == [("team",), ("oncall",)]
    assert all(notice.resolves for notice in over)
    alone = [notice for notice in film.all if notice.thread != "storm"]
    assert len(alone) == 3
    assert all(notice.resolves for notice in alone)


def test_an_escalating_storm_calls_each_level_once():
    film = many(50, warm_up=minutes(60), escalate=(Level(after=minutes(15), notify=("lead",)),))
    all_show(film, slot(1), "b")
    film.wait(slot(17))
    ids = {notice.id for notice in film.told if notice.kind is NoticeKind.ESCALATED}
    assert len(ids) == 4  # of the three that were told one by one, and of the storm


def test_a_prometheus_that_is_gone_is_told_a_few_times_and_not_once_per_guard():
    film = many(50, blind=Blindness(after=minutes(2)))
    all_show(film, slot(0), "p")
    for number in range(1, 5):
        all_show(film, slot(number), "u")
    assert len({notice.id for notice in film.all}) == 3 + 2
    assert {notice.thread for notice in film.all} == {"blind"}
    film.all.clear()
    all_show(film, slot(5), "p")
    assert len(film.all) <= 4
    assert [notice.resolves for notice in film.all][-1]
    assert film.all[-1].channels == ("team", "oncall")


def test_people_hear_of_the_incident_of_a_guard_that_a_reload_took_away():
    other = a_guard("other", ("h/x",), notify=Notify(critical=("oncall", "lead")))
    film = Told(the_policy())
    film.show(slot(1), value(0.02))
    film.conclude(Outcome.SUCCEEDED, at=slot(1))
    film.all.clear()
    film.reload(a_policy([a_group(a_rule("x", group="h"), id="h")], [other]), at=slot(2))
    handed_over, closed = film.told
    assert (handed_over.kind, handed_over.channels) == (NoticeKind.HANDED_OVER, ("oncall", "lead"))
    assert "people are needed after 1m: the guard is no longer in the configuration" in handed_over.title
    assert (closed.resolves, closed.channels) == (True, ("oncall", "lead"))


def test_people_hear_how_an_action_ended_whose_guard_a_reload_took_away():
    other = a_guard("other", ("h/x",), notify=Notify(critical=("oncall",)))
    film = Told(the_policy())
    film.show(slot(1), value(0.02))
    film.reload(a_policy([a_group(a_rule("x", group="h"), id="h")], [other]), at=slot(2))
    assert film.told == []
    film.conclude(Outcome.UNKNOWN, at=slot(3), detail="no answer")
    assert film.kinds() == ["acted", "handed_over", "recovered"]
    assert {notice.channels for notice in film.told} == {("oncall",)}


def test_a_blind_guard_that_a_reload_takes_away_ends_its_blindness():
    film = many(2, blind=Blindness(after=minutes(2)))
    all_show(film, slot(0), "p")
    for number in range(1, 5):
        film.show(slot(number), {"g0/r": seen("u")}, group="g0")
    blind = film.all[-1]
    policy = film.policy
    film.reload(a_policy([policy.groups["g1"]], [policy.guards["guard001"]]), at=slot(5))
    (over,) = film.told
    assert (over.thread, over.resolves, over.channels) == (blind.thread, True, blind.channels)


def test_what_an_order_began_its_end_resolves_and_nothing_else():
    film = Told(the_policy())
    orders = (
        StartRollout(by="ci", guard="checkout", version="2"),
        Pause(by="alice", why="x", guard="checkout"),
        FinishRollout(by="ci", guard="checkout"),
        Resume(by="alice", guard="checkout"),
    )
    begun, paused, finished, resumed = (film.ask(each, at=slot(1))[0] for each in orders)
    assert [notice.resolves for notice in (begun, paused, finished, resumed)] == [False, False, True, True]
    assert begun.thread == finished.thread != paused.thread == resumed.thread


def in_maintenance(film, at, *names):
    windows = tuple(Window(name=name, until=slot(60), guards=guards) for name, guards in names)
    return film.take((MaintenanceChanged(at=at, windows=windows),))


def test_nobody_is_called_for_blindness_during_maintenance():
    film = Told(the_policy(blind=Blindness(after=minutes(2))))
    film.show(slot(0), value(0.001))
    in_maintenance(film, slot(0), ("night", ("checkout",)))
    for number in range(1, 6):
        film.show(slot(number), letter("u"))
    assert [notice for notice in film.all if notice.urgency is not Urgency.INFO] == []
    film.show(slot(6), value(0.001))
    assert in_maintenance(film, slot(7)) == []


def test_blindness_that_outlasts_maintenance_is_told_at_its_end():
    film = Told(the_policy(blind=Blindness(after=minutes(2))))
    film.show(slot(0), value(0.001))
    in_maintenance(film, slot(0), ("night", ()), ("other", ("payment",)))
    for number in range(1, 6):
        film.show(slot(number), letter("u"))
    assert film.all == []
    assert film.ask(StartRollout(by="ci", guard="checkout"), at=slot(6))[1:] == []
    (blind,) = in_maintenance(film, slot(7), ("other", ("payment",)))
    assert (blind.kind, blind.at, blind.urgency) == (NoticeKind.BLIND, slot(7), Urgency.CRITICAL)
    assert in_maintenance(film, slot(8)) == []
    film.show(slot(9), value(0.001))
    assert [(notice.thread, notice.resolves) for notice in film.told] == [(blind.thread, True)]


def test_blindness_that_was_told_before_maintenance_has_the_same_id_after_it_and_ends_within():
    film = Told(the_policy(blind=Blindness(after=minutes(2))))
    film.show(slot(0), value(0.001))
    for number in range(1, 6):
        film.show(slot(number), letter("u"))
    (blind,) = film.all
    in_maintenance(film, slot(6), ("night", ()))
    (again,) = in_maintenance(film, slot(7))
    assert again.id == blind.id
    in_maintenance(film, slot(8), ("night", ()))
    film.show(slot(9), value(0.001))
    assert [(notice.thread, notice.resolves) for notice in film.told] == [(blind.thread, True)]


def test_a_guard_that_is_not_armed_is_blind_in_silence_until_a_rollout_begins():
    film = Told(the_policy(blind=Blindness(after=minutes(2)), armed=Armed.ROLLOUT))
    film.show(slot(0), value(0.001))
    for number in range(1, 6):
        film.show(slot(number), letter("u"))
    assert film.all == []
    film.ask(StartRollout(by="ci", guard="checkout"), at=slot(6))
    assert film.kinds() == ["ordered", "blind"]


@pytest.mark.parametrize("by", [-timedelta(hours=1), timedelta(hours=1)])
def test_a_storm_is_told_as_one_also_where_the_clock_is_set_in_its_middle(by):
    film = many(6)
    for number in range(3):
        film.show(slot(1), {f"g{number}/r": seen("b")}, group=f"g{number}")
        film.conclude(Outcome.SUCCEEDED, at=slot(1), guard=f"guard{number:03}")
        film.show(slot(2), {f"g{number}/r": seen("p")}, group=f"g{number}")
        film.show(slot(3), {f"g{number}/r": seen("p")}, group=f"g{number}")
        assert film.incident(f"guard{number:03}").closed_at
    film.set_clock(by, at=slot(1) + by)
    film.all.clear()
    for number in range(3, 6):
        film.show(slot(2) + by, {f"g{number}/r": seen("b")}, group=f"g{number}")
    assert {reason.split("/")[1] for reason in film.conclusions("guard003")[-1:]} == {"storm"}
    assert {notice.thread for notice in film.all} == {"storm"}


class Counted(dict):
    """Count how often it is looked into."""

    looks = 0

    def get(self, *asked):
        self.looks += 1
        return super().get(*asked)

    def values(self):
        self.looks += len(self)
        return super().values()

    def items(self):
        self.looks += len(self)
        return super().items()


@pytest.mark.parametrize("words", ["pb", "bp", "puuu", "uuuup"])
def test_the_cost_of_telling_many_at_once_grows_with_their_number_and_not_with_its_square(words):
    count = 200
    rules = [a_rule(f"r{number}") for number in range(count)]
    guards = [
        a_guard(f"guard{number}", (f"g/r{number}",), notify=CHANNELS, blind=Blindness(after=minutes(2)))
        for number in range(count)
    ]
    film = Film(a_policy([a_group(*rules)], guards, storm=Storm(guards=3, within=minutes(2))))
    for at, word in enumerate(words):
        before, told = film.state, film.show(slot(at), {rule.id: seen(word) for rule in rules})
    policy = replace(film.policy, guards=Counted(film.policy.guards))
    state = replace(film.state, incidents=Counted(film.state.incidents), guards=Counted(film.state.guards))
    before = replace(before, guards=Counted(before.guards))
    assert len(told) > count
    notices(policy, state, told, before=before)
    looks = policy.guards.looks + state.incidents.looks + state.guards.looks + before.guards.looks
    assert looks < 40 * count


def test_orders_of_people_are_told_with_who_and_why():
    film = Told(replace(the_policy(veto=minutes(30)), undos={"disable-new-checkout": "enable-new-checkout"}))
    film.ask(StartRollout(by="ci", guard="checkout", rollout="r41", version="41"), at=slot(0))
    assert film.told[0].title == "checkout: rollout r41 of version 41 begins, by ci"
    film.ask(Pause(by="alice", why="game day", lasting=minutes(1)), at=slot(0))
    assert film.told[0].title == "all guards: paused by alice until 2024-05-01 12:01:00 UTC: game day"
    assert "rollback-guard resume --all" in film.told[0].body
    film.wait(slot(1))
    assert film.told[0].title == "all guards: resumed, for the time of the pause is up"
    film.ask(Pause(by="alice", why="game day", guard="checkout"), at=slot(1))
    film.ask(Resume(by="bob", guard="checkout"), at=slot(1))
    assert film.told[0].title == "checkout: resumed by bob"
    film.show(slot(2), value(0.02))
    film.ask(Extend(by="alice", guard="checkout", lasting=minutes(10), why="looking"), at=slot(3))
    assert film.told[0].title.startswith("checkout: alice gave people time until 12:42:00 UTC: looking")
    film.ask(Approve(by="alice", guard="checkout"), at=slot(4))
    assert film.told[0].title == "checkout: alice approved the step that waits"
    film.conclude(Outcome.SUCCEEDED, at=slot(5))
    assert "rollback-guard undo" not in film.told[0].body  # it would be refused as long as the guard is at it
    film.ask(Veto(by="alice", why="we have it", guard="checkout"), at=slot(6))
    assert film.told[0].title == "checkout: alice vetoed the playbook: we have it"
    assert film.told[-1].kind is NoticeKind.HANDED_OVER
    assert f"rollback-guard undo {film.incident().id} --reason …" in film.told[-1].body
    film.ask(Undo(by="carol", why="false alarm", incident=film.incident().id), at=slot(6))
    assert film.told[0].title == "checkout: taking back step 1 by enable-new-checkout for carol: false alarm"
    film.ask(FinishRollout(by="ci", guard="checkout"), at=slot(7))
    assert film.told[0].title == "checkout: rollout r41 finished by ci"
    film.ask(StartRollout(by="ci", guard="checkout", version="v2.0.0"), at=slot(8))
    assert film.told[0].title == "checkout: rollout v2.0.0 begins, by ci"


def test_a_trigger_is_told_with_the_steps_it_runs():
    film = Told(the_policy())
    film.ask(Trigger(by="alice", why="data corruption", guard="checkout"), at=slot(1))
    assert film.told[0].title == (
        "checkout: alice runs disable-new-checkout and rollback-checkout now: data corruption"
    )
    assert "running step 1 of 2, disable-new-checkout for alice: data corruption" in film.told[1].title


def test_without_channels_there_is_no_notice():
    film = Told(the_policy(notify=Notify()))
    film.show(slot(1), value(0.02))
    film.ask(Pause(by="alice", why="x"), at=slot(2))
    assert film.all == []


def heard(film, channel):
    return [notice.kind.value for notice in film.all if channel in notice.channels]


def test_a_channel_hears_only_of_the_kinds_that_it_names():
    film = Told(replace(the_policy(), kinds={"team": frozenset({NoticeKind.OPENED, NoticeKind.RECOVERED})}))
    film.ask(StartRollout(by="ci", guard="checkout"), at=slot(0))
    film.show(slot(0), value(0.001))
    film.show(slot(1), value(0.02))
    film.conclude(Outcome.SUCCEEDED, at=slot(1) + timedelta(seconds=1))
    film.show(slot(2), value(0.0004))
    film.show(slot(3), value(0.0004))
    assert heard(film, "team") == ["opened", "recovered"]
    assert heard(film, "oncall") == ["ordered", "opened", "acting", "acted", "recovered"]


def test_what_no_channel_hears_of_is_no_notice_at_all():
    film = Told(replace(the_policy(), kinds=dict.fromkeys(("team", "oncall"), frozenset({NoticeKind.BLIND}))))
    film.show(slot(1), value(0.02))
    assert film.all == []
    assert trouble(film.policy, "journal", "disk full", START).channels == ()


def test_a_storm_and_its_levels_are_told_to_those_who_hear_of_them():
    lead = (Level(after=minutes(15), notify=("lead", "page")),)
    film = many(50, warm_up=minutes(60), escalate=lead)
    film.policy = replace(film.policy, kinds={"team": frozenset({NoticeKind.HOLDING}), "page": frozenset()})
    all_show(film, slot(1), "b")
    film.wait(slot(17))
    assert "holding" in heard(film, "team")
    assert "opened" not in heard(film, "team")
    assert "escalated" in heard(film, "lead")
    assert heard(film, "page") == []


def test_a_replay_makes_the_same_notices_and_no_two_of_one_id():
    one, two = the_incident(), the_incident()
    assert one.all == two.all
    assert len({notice.id for notice in one.all}) == len(one.all)


def test_health_and_shadows_are_no_news():
    film = Told(the_policy(rule=a_rule("CheckoutErrorRate", condition=RATE, shadow=True)))
    film.show(slot(0), value(0.001))
    film.show(slot(1), value(0.02))
    assert film.all == []


def test_trouble_of_the_guard_itself_is_told_to_everybody_and_ends_under_the_same_thread():
    policy = the_policy()
    begun, over = (trouble(policy, "journal", "disk full", START, over=each) for each in (False, True))
    assert (begun.channels, begun.urgency, begun.resolves) == (("team", "oncall"), Urgency.CRITICAL, False)
    assert over.resolves
    assert begun.thread == over.thread
    assert begun.id != over.id
    assert begun.title == "checkout: journal is in trouble: disk full"
    assert trouble(policy, "journal", "disk full", START).id == begun.id
    assert trouble(Policy(), "journal", "disk full", START).channels == ()


@given(text=st.text(max_size=3000))
def test_nothing_that_somebody_wrote_can_look_like_a_line_of_its_own(text):
    line = message.one_line(text)
    assert len(line.splitlines()) <= 1
    assert len(line) <= message.LINE_CHARS


@given(name=st.text(max_size=2000), why=st.text(max_size=5000), labels=st.text(max_size=5000))
def test_every_notice_is_of_bounded_size(name, why, labels):
    policy = the_policy()
    paused = Paused(guard=None, at=START, by=name, why=why)
    (notice,) = notices(policy, fold_all(State(), [paused]), [paused], before=State())
    assert len(notice.title) <= message.TITLE_CHARS
    assert len(notice.title.splitlines()) == 1
    assert len(notice.body) <= message.BODY_CHARS
    assert all(len(value) <= 1000 for _, value in notice.data)


def test_a_long_text_keeps_its_beginning_and_what_to_do():
    lines = ["first", *(f"{number}" * 300 for number in range(100)), "To stop it: …"]
    text = message.body(lines)
    assert text.startswith("first\n")
    assert text.endswith("To stop it: …")
    assert len(text) <= message.BODY_CHARS


@pytest.mark.parametrize("reason", list(Reason))
def test_a_hold_for_any_reason_can_be_told(reason):
    film = the_incident()
    evidence = (Evidence(rule="g/CheckoutErrorRate", verdict="breach", value=1.0, threshold=0.01, op=">"),)
    assert list(message.seen(film.policy, evidence, now=START))
