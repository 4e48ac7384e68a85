"""The brakes: each is a reason not to act, and their order says which one is named."""

from dataclasses import replace
from datetime import timedelta
from itertools import combinations

import pytest

from build import Film, a_film, a_group, a_guard, a_policy, a_rule, minutes, play, seen, series, slot
from rollback_guard.core.brakes import BRAKES, MUTED, brake
from rollback_guard.core.model import AlreadyBad, Armed, Flapping, Fleet, Limits, Mode, Storm, Verdict
from rollback_guard.core.observation import Answer, Observation, Sample
from rollback_guard.core.operations import FinishRollout, Pause, Resume, StartRollout, Trigger
from rollback_guard.core.records import (
    Decided,
    IncidentOpened,
    Intended,
    MaintenanceChanged,
    Outcome,
    Reason,
    RolloutStarted,
    Window,
)
from rollback_guard.core.situation import Situation
from rollback_guard.core.state import INCIDENTS_REMEMBERED, IncidentPhase

FREE = Limits(max_actions=9, cooldown=timedelta(0))
SECOND = timedelta(seconds=1)
TWO = ("flag-off", "rollback")


def guarded(**changes):
    return a_film(guards=[a_guard(**{"limits": FREE} | changes)])


def maintain(film, at, *windows):
    return film.take((MaintenanceChanged(at=slot(at), windows=windows),))


class TestPrecedence:
    """One scene in which every brake holds; taking them away one by one names each in its turn."""

    ORDER = (
        Reason.NOT_ARMED,
        Reason.MAINTENANCE,
        Reason.PAUSED,
        Reason.WARMING_UP,
        Reason.STORM,
        Reason.FLAPPING,
        Reason.COOLDOWN,
        Reason.LIMIT_REACHED,
        Reason.DRY_RUN,
    )

    def situation(self, holding):
        """Return a guard with an incident, held by exactly these brakes."""
        rules = [a_rule("a"), a_rule("b")]
        limits = Limits(
            max_actions=1 if Reason.LIMIT_REACHED in holding else 9,
            cooldown=minutes(60 if Reason.COOLDOWN in holding else 0),
            flapping=Flapping(incidents=1 if Reason.FLAPPING in holding else 9),
        )
        guards = [a_guard("a", ["g/a"], limits=limits), a_guard("b", ["g/b"], limits=FREE)]
        film = Film(a_policy([a_group(*rules)], guards))
        film.show(slot(0), {"g/a": seen("b"), "g/b": seen("p")})
        film.conclude(Outcome.SUCCEEDED, at=slot(0), guard="a")
        for at in (1, 2):
            film.show(slot(at), {"g/a": seen("p"), "g/b": seen("p")})
        guards[0] = replace(
            guards[0],
            armed=Armed.ROLLOUT if Reason.NOT_ARMED in holding else Armed.ALWAYS,
            warm_up=minutes(60 if Reason.WARMING_UP in holding else 0),
        )
        film.policy = a_policy(
            [a_group(*rules)],
            guards,
            storm=Storm(guards=1 if Reason.STORM in holding else 9),
            mode=Mode.DRY_RUN if Reason.DRY_RUN in holding else Mode.ENFORCE,
        )
        if Reason.PAUSED in holding:
            film.operate(Pause(by="ann", why="look"), at=slot(2))
        if Reason.MAINTENANCE in holding:
            maintain(film, 2, Window(name="night", until=slot(99)))
        film.show(slot(3) - SECOND, {"g/a": seen("p"), "g/b": seen("b")})
        film.show(slot(3), {"g/a": seen("b"), "g/b": seen("b")})
        guard = film.policy.guards["a"]
        return film, Situation(policy=film.policy, state=film.state, guard=guard, slot=slot(3), now=slot(3))

    def test_is_the_order_of_the_table(self):
        assert tuple(reason for reason, _ in BRAKES) == self.ORDER

    @pytest.mark.parametrize("reason", ORDER)
    def test_names_each_brake_that_holds_alone(self, reason):
        film, it = self.situation({reason})
        assert [each for each, holds in BRAKES if holds(it)] == [reason]
        assert film.conclusions("a")[-1] == f"hold/{reason}"

    @pytest.mark.parametrize(("first", "second"), list(combinations(ORDER, 2)))
    def test_names_the_earlier_of_two(self, first, second):
        film, it = self.situation({first, second})
        assert {each for each, holds in BRAKES if holds(it)} == self.possible({first, second})
        assert brake(it) is first
        assert film.conclusions("a")[-1] == f"hold/{first}"

    def test_names_the_first_of_all(self):
        _, it = self.situation(set(self.ORDER))
        assert {each for each, holds in BRAKES if holds(it)} == self.possible(set(self.ORDER))
        assert brake(it) is Reason.NOT_ARMED

    def possible(self, reasons):
        """Return those that can hold together: while nothing is an incident, none is part of a storm."""
        return reasons - {Reason.STORM, Reason.FLAPPING} if reasons & MUTED else reasons


class TestAnArmedGuard:
    def film(self, **changes):
        return guarded(armed=Armed.ROLLOUT, window=minutes(30), actions=TWO, **changes)

    def test_only_looks_while_no_rollout_is_under_way(self):
        film = play(self.film(), "bbb")
        assert film.conclusions() == ["hold/not_armed"]
        assert film.intents() == []

    def test_acts_during_a_rollout(self):
        film = play(self.film(), "p")
        film.operate(StartRollout(by="ci", guard="checkout", version="42"), at=slot(0))
        play(film, "b", first=1)
        assert film.conclusions() == ["act/breach"]

    @pytest.mark.parametrize("way", ["finished", "its window is over"])
    def test_is_unarmed_again_after_it(self, way):
        film = play(self.film(), "p")
        film.operate(StartRollout(by="ci", guard="checkout"), at=slot(0))
        if way == "finished":
            film.operate(FinishRollout(by="ci", guard="checkout"), at=slot(1))
            play(film, "pb", first=1)
        else:
            play(film, "b", first=30)
        assert film.conclusions()[-1] == "hold/not_armed"

    def test_goes_on_climbing_after_it(self):
        film = play(self.film(), "p")
        film.operate(StartRollout(by="ci", guard="checkout"), at=slot(0))
        play(film, "b", first=1)
        film.operate(FinishRollout(by="ci", guard="checkout"), at=slot(1))
        film.conclude(Outcome.FAILED, at=slot(1))
        assert film.conclusions() == ["act/breach", "act/action_failed"]

    def test_stays_armed_over_a_restart_and_a_reload(self):
        film = play(self.film(), "p")
        film.operate(StartRollout(by="ci", guard="checkout"), at=slot(0))
        whole = film.policy
        film.reload(a_policy([a_group(a_rule())]), at=slot(0))
        film.restart(at=slot(1))
        film.reload(whole, at=slot(1))
        play(film, "pb", first=1)
        assert film.conclusions()[-1] == "act/breach"

    @pytest.mark.parametrize("seconds", [-3600, 3600])
    def test_is_armed_for_as_long_when_the_clock_is_set(self, seconds):
        by = timedelta(seconds=seconds)
        film = play(self.film(), "p")
        film.operate(StartRollout(by="ci", guard="checkout"), at=slot(0))
        film.set_clock(by, at=slot(1) + by)
        film.show(slot(29) + by, {"g/r": seen("b")})
        assert film.conclusions()[-1] == "act/breach"
        assert film.state.guards["checkout"].rollout.until == slot(30) + by


class TestAPause:
    @pytest.mark.parametrize("guard", [None, "checkout"])
    def test_holds_and_lets_go_of_what_still_breaches_at_the_next_slot(self, guard):
        film = guarded()
        film.operate(Pause(by="ann", why="look", guard=guard), at=slot(0))
        play(film, "bb")
        assert film.conclusions() == ["hold/paused"]
        film.operate(Resume(by="ann", guard=guard), at=slot(1) + SECOND)
        assert film.intents() == []
        play(film, "b", first=2)
        assert film.intents() == [("flag-off", slot(2))]

    def test_of_another_guard_is_none(self):
        film = a_film(guards=[a_guard(limits=FREE), a_guard("other", [])])
        film.operate(Pause(by="ann", why="look", guard="other"), at=slot(0))
        play(film, "b")
        assert len(film.intents()) == 1

    def test_of_one_outlasts_that_of_all(self):
        film = guarded()
        film.operate(Pause(by="ann", why="look", guard="checkout"), at=slot(0))
        film.operate(Pause(by="bob", why="storm"), at=slot(0))
        film.operate(Resume(by="bob"), at=slot(1))
        play(film, "b", first=1)
        assert film.conclusions() == ["hold/paused"]

    @pytest.mark.promise(23)
    @pytest.mark.parametrize("guard", [None, "checkout"])
    def test_survives_restarts_reloads_and_a_configuration_without_its_guard(self, guard):
        film = guarded()
        whole = film.policy
        film.operate(Pause(by="ann", why="look", guard=guard), at=slot(0))
        for number in range(5):
            film.restart(at=slot(number))
            play(film, "b", first=number)
        film.reload(a_policy([a_group(a_rule())]), at=slot(5))
        film.restart(at=slot(6))
        film.reload(whole, at=slot(7))
        play(film, "b" * 20, first=7)
        assert film.intents() == []
        assert film.conclusions()[-1] == "hold/paused"

    def test_with_an_end_is_over_then_and_the_next_slot_acts(self):
        film = guarded()
        film.operate(Pause(by="ann", why="look", lasting=minutes(3)), at=slot(0))
        play(film, "bbbb")
        assert film.intents() == [("flag-off", slot(3))]

    @pytest.mark.parametrize("seconds", [-3600, 3600])
    def test_lasts_as_long_as_it_was_to_when_the_clock_is_set(self, seconds):
        by = timedelta(seconds=seconds)
        film = guarded()
        film.operate(Pause(by="ann", why="look", lasting=minutes(3)), at=slot(0))
        film.set_clock(by, at=slot(1) + by)
        film.show(slot(2) + by, {"g/r": seen("b")})
        assert film.intents() == []
        film.show(slot(3) + by, {"g/r": seen("b")})
        assert len(film.intents()) == 1


class TestMaintenance:
    def test_holds_while_a_window_is_open(self):
        film = guarded()
        maintain(film, 0, Window(name="night", until=slot(60)))
        play(film, "bb")
        assert film.conclusions() == ["hold/maintenance"]
        maintain(film, 2)
        play(film, "b", first=2)
        assert film.conclusions() == ["hold/maintenance", "act/breach"]

    def test_is_over_at_its_end_also_where_nobody_says_so(self):
        film = guarded()
        maintain(film, 0, Window(name="night", until=slot(2)))
        play(film, "bbb")
        assert film.intents() == [("flag-off", slot(2))]

    @pytest.mark.parametrize(("guards", "expected"), [((), 0), (("checkout",), 0), (("other",), 1)])
    def test_is_of_all_guards_or_of_some(self, guards, expected):
        film = guarded()
        maintain(film, 0, Window(name="night", until=slot(60), guards=guards))
        play(film, "b")
        assert len(film.intents()) == expected

    def test_that_opens_over_an_incident_lets_it_recover(self):
        film = play(guarded(warm_up=minutes(9)), "b")
        assert film.conclusions() == ["hold/warming_up"]
        maintain(film, 1, Window(name="night", until=slot(60)))
        play(film, "bp", first=1)
        assert film.conclusions() == ["hold/warming_up", "hold/maintenance", "recovered/by_itself"]
        play(film, "bb", first=3)
        assert film.conclusions()[-1] == "hold/maintenance"
        assert len(film.of(IncidentOpened)) == 1

    def test_that_opens_over_an_action_lets_it_be_seen_that_it_helped(self):
        film = play(guarded(), "b")
        maintain(film, 0, Window(name="night", until=slot(60)))
        film.conclude(Outcome.SUCCEEDED, at=slot(0))
        play(film, "pp", first=1)
        assert film.conclusions() == ["act/breach", "recovered/verified"]
        assert film.incident().phase is IncidentPhase.CLOSED

    def test_that_opens_over_an_incident_in_peoples_hands_lets_it_be_closed(self):
        film = play(guarded(), "b")
        film.conclude(Outcome.UNKNOWN, at=slot(0))
        maintain(film, 1, Window(name="night", until=slot(60)))
        play(film, "bp", first=1)
        assert film.incident().phase is IncidentPhase.CLOSED

    def test_that_outlasts_a_step_leaves_nothing_open_behind_it(self):
        film = play(guarded(actions=("flag-off", "rollback")), "b")
        maintain(film, 0, Window(name="night", until=slot(9)))
        film.conclude(Outcome.SUCCEEDED, at=slot(0))
        play(film, "b" * 8, first=1)
        assert film.conclusions() == ["act/breach", "hold/maintenance"]
        play(film, "ppp", first=9)
        assert film.incident().phase is IncidentPhase.CLOSED
        assert film.conclusions()[2] == "recovered/verified"

    def test_is_waited_for_in_the_middle_of_a_ladder(self):
        film = play(guarded(actions=TWO), "b")
        maintain(film, 0, Window(name="night", until=slot(9)))
        film.conclude(Outcome.FAILED, at=slot(0))
        play(film, "b" * 9, first=1)
        assert film.conclusions() == ["act/breach", "hold/maintenance", "act/action_failed"]
        assert film.intents()[-1] == ("rollback", slot(9))


class TestWarmUp:
    def test_begins_anew_with_every_start_of_the_daemon(self):
        film = guarded(warm_up=minutes(3))
        film.restart(at=slot(10))
        play(film, "bbbb", first=10)
        assert film.intents() == [("flag-off", slot(13))]

    def test_does_not_hold_a_ladder_that_is_half_climbed(self):
        film = play(guarded(actions=TWO, warm_up=minutes(3)), "bbb")
        film.restart(at=slot(3))
        film.conclude(Outcome.FAILED, at=slot(3))
        assert film.conclusions() == ["hold/warming_up", "act/breach", "act/action_failed"]


class TestFlapping:
    def film(self, incidents=2, per=60, **changes):
        limits = Limits(max_actions=9, cooldown=timedelta(0), flapping=Flapping(incidents=incidents, per=minutes(per)))
        return guarded(limits=limits, **changes)

    def flap(self, film, times, *, first=0):
        for number in range(times):
            play(film, "b", first=first + 2 * number)
            if film.incident().open_intent:
                film.conclude(Outcome.FAILED, at=slot(first + 2 * number))
            play(film, "p", first=first + 2 * number + 1)

    def test_is_more_incidents_in_a_while_than_people_allow(self):
        film = self.film()
        self.flap(film, 4)
        assert len(film.intents()) == 2
        assert film.conclusions().count("hold/flapping") == 2

    def test_is_over_when_the_first_ones_are_long_ago(self):
        film = self.film(per=10)
        self.flap(film, 2)
        play(film, "b" * 8, first=4)
        assert film.intents()[-1] == ("flag-off", slot(10))

    def test_is_not_forgotten_by_a_restart_or_by_a_reload_without_the_guard(self):
        film = self.film(warm_up=minutes(99))
        self.flap(film, 2)
        whole = replace(film.policy, guards={"checkout": replace(film.policy.guards["checkout"], warm_up=timedelta(0))})
        film.reload(a_policy([a_group(a_rule())]), at=slot(4))
        film.restart(at=slot(4))
        film.reload(whole, at=slot(4))
        play(film, "pb", first=4)
        assert film.conclusions()[-1] == "hold/flapping"

    def test_does_not_count_what_people_opened(self):
        film = self.film(incidents=1)
        film.operate(Trigger(by="ann", why="drill", guard="checkout"), at=slot(0))
        film.conclude(Outcome.SUCCEEDED, at=slot(0))
        play(film, "pppb", first=1)
        assert film.conclusions()[-1] == "act/breach"

    @pytest.mark.parametrize("seconds", [-7200, 7200])
    def test_counts_on_when_the_clock_is_set(self, seconds):
        by = timedelta(seconds=seconds)
        film = self.film()
        self.flap(film, 2)
        film.set_clock(by, at=slot(4) + by)
        film.show(slot(4) + by, {"g/r": seen("b")})
        assert film.conclusions()[-1] == "hold/flapping"


class TestCooldown:
    def test_is_counted_from_the_end_of_an_incident_that_acted(self):
        film = guarded(limits=Limits(max_actions=9, cooldown=minutes(10)))
        play(film, "b")
        film.conclude(Outcome.UNKNOWN, at=slot(0))
        play(film, "b" * 20 + "p", first=1)
        assert film.incident().phase is IncidentPhase.CLOSED
        play(film, "b" * 12, first=22)
        assert film.intents()[-1] == ("flag-off", slot(31))

    def test_does_not_follow_an_incident_that_only_held(self):
        film = guarded(limits=Limits(max_actions=9, cooldown=minutes(10)), warm_up=minutes(3))
        play(film, "bpbb")
        assert len(film.intents()) == 1

    def test_survives_a_restart(self):
        film = guarded(limits=Limits(max_actions=9, cooldown=minutes(10)))
        play(film, "b")
        film.conclude(Outcome.SUCCEEDED, at=slot(0))
        play(film, "pp", first=1)
        film.restart(at=slot(3))
        play(film, "b" * 10, first=3)
        assert film.intents()[-1] == ("flag-off", slot(12))


class TestTheFleetsLimit:
    def film(self, guards=3, most=2, **changes):
        rules = [a_rule(f"r{number}") for number in range(guards)]
        each = [a_guard(f"guard{number}", [f"g/r{number}"], limits=FREE) for number in range(guards)]
        return Film(
            a_policy([a_group(*rules)], each, storm=Storm(guards=99), fleet=Fleet(max_actions=most, per=minutes(30)))
        )

    def show(self, film, at, *breaching):
        film.show(slot(at), {rule: seen("b" if int(rule[3:]) in breaching else "p") for rule in film.policy.rules})

    @pytest.mark.promise(20)
    def test_is_for_all_guards_together_and_moves_on_with_time(self):
        film = self.film()
        for at in range(31):
            self.show(film, at, 0, 1, 2)
        assert film.intents() == [("flag-off", slot(0)), ("flag-off", slot(0)), ("flag-off", slot(30))]
        held = next(each for each in film.of(Decided) if each.reason is Reason.LIMIT_REACHED)
        assert held.detail == "all guards together may run 2 actions"

    @pytest.mark.promise(20)
    def test_survives_restarts_and_a_reload_without_those_that_used_it(self):
        film = self.film()
        whole = film.policy
        self.show(film, 0, 0, 1)
        for name in ("guard0", "guard1"):
            film.conclude(Outcome.SUCCEEDED, at=slot(0), guard=name)
        for at in (1, 2, 3):
            self.show(film, at)
        film.reload(replace(whole, guards={"guard2": whole.guards["guard2"]}), at=slot(4))
        film.restart(at=slot(4))
        self.show(film, 4, 2)
        assert film.conclusions("guard2") == ["hold/limit_reached"]

    @pytest.mark.promise(20)
    def test_does_not_exist_where_nobody_set_it(self):
        film = self.film(most=None)
        self.show(film, 0, 0, 1, 2)
        assert len(film.intents()) == 3


class TestStorm:
    def film(self, guards=5, allowed=2):
        rules = [a_rule(f"r{number}") for number in range(guards)]
        each = [a_guard(f"guard{number}", [f"g/r{number}"], limits=FREE) for number in range(guards)]
        return Film(a_policy([a_group(*rules)], each, storm=Storm(guards=allowed, within=minutes(2))))

    def passed(self, film):
        """Show what breaches in a storm, and end what it began."""
        self.show(film, slot(0), 0, 1, 2, 3)
        for name in ("guard0", "guard1"):
            film.conclude(Outcome.SUCCEEDED, at=slot(0), guard=name)

    def show(self, film, at, *breaching):
        film.show(at, {rule: seen("b" if int(rule[3:]) in breaching else "p") for rule in film.policy.rules})

    @pytest.mark.promise(21)
    def test_counts_no_incident_that_a_person_opened(self):
        film = self.film()
        self.show(film, slot(0))
        for number in range(4):
            film.operate(Trigger(by="ann", why="breach of data", guard=f"guard{number}"), at=slot(0))
        self.show(film, slot(1), 4)
        assert film.conclusions("guard4") == ["act/breach"]

    @pytest.mark.promise(21)
    def test_survives_a_restart(self):
        film = self.film()
        self.show(film, slot(0), 0, 1, 2, 3)
        film.restart(at=slot(1))
        for at in range(1, 30):
            self.show(film, slot(at), 0, 1, 2, 3)
        assert {each.guard for each in film.of(Intended)} == {"guard0", "guard1"}

    @pytest.mark.promise(21)
    def test_is_not_over_because_many_other_incidents_were_closed_since(self):
        """What it counts does not go when closed incidents are forgotten."""
        film = self.film()
        self.passed(film)
        for at in range(1, 250):
            self.show(film, slot(at), 3, *((4,) if at % 2 else ()))
            if film.incident("guard4").open_intents:
                film.conclude(Outcome.FAILED, at=slot(at), guard="guard4")
        assert len(film.of(IncidentOpened)) > INCIDENTS_REMEMBERED
        assert "guard3" not in {each.guard for each in film.of(Intended)}

    @pytest.mark.promise(21)
    def test_is_none_because_the_clock_was_set_back_to_that_of_an_old_one(self):
        by = -minutes(60)
        film = self.film()
        self.passed(film)
        for at in range(1, 20):
            self.show(film, slot(at))
        film.set_clock(by, at=slot(60) + by)
        self.show(film, slot(60) + by, 4)
        assert film.conclusions("guard4") == ["act/breach"]


class TestWhatWasBadAlready:
    """What fires when a rollout begins is not that rollout's fault."""

    def film(self, *rules, **changes):
        rules = rules or (a_rule(),)
        known = {"armed": Armed.ROLLOUT, "limits": FREE}
        return a_film(*rules, guards=[a_guard(rules=[each.id for each in rules], **known | changes)])

    def start(self, film, at, **changes):
        return film.operate(StartRollout(by="ci", guard="checkout", **changes), at=slot(at))

    def pods(self, film, at, **values):
        said = Observation(measured=Answer(tuple(Sample(series(pod=pod), value) for pod, value in values.items())))
        film.show(slot(at), {"g/r": said})

    def excused(self, film):
        film.show(slot(0), {"g/r": seen("b")}, present=False)
        self.start(film, 0)
        return film

    def test_does_not_count_until_it_has_recovered_once(self):
        film = self.excused(self.film())
        play(film, "bbb", first=1)
        assert film.conclusions() == ["hold/already_bad"]
        assert film.of(IncidentOpened) == []
        play(film, "pb", first=4)
        assert film.conclusions() == ["hold/already_bad", "none/healthy", "act/breach"]

    def test_is_shown_as_what_it_is(self):
        film = play(self.excused(self.film()), "b", first=1)
        (evidence,) = film.of(Decided)[0].evidence
        assert (evidence.verdict, evidence.value, evidence.active_at) == (Verdict.BREACH, 2.0, slot(0))

    def test_counts_where_people_say_so(self):
        film = play(self.excused(self.film(already_bad=AlreadyBad.ACT)), "b", first=1)
        assert film.conclusions() == ["act/breach"]

    def test_is_excused_series_by_series(self):
        film = self.film()
        said = Observation(measured=Answer((Sample(series(pod="a"), 2.0), Sample(series(pod="b"), 0.0))))
        film.show(slot(0), {"g/r": said}, present=False)
        (started,) = self.start(film, 0)
        assert started.excused == (("g/r", series(pod="a")),)
        self.pods(film, 1, a=2.0, b=0.0)
        assert film.conclusions() == ["hold/already_bad"]
        self.pods(film, 2, a=2.0, b=2.0)
        assert film.conclusions() == ["hold/already_bad", "act/breach"]

    def test_does_not_excuse_other_rules(self):
        film = self.film(a_rule("a"), a_rule("b"))
        film.show(slot(0), {"g/a": seen("b"), "g/b": seen("p")}, present=False)
        self.start(film, 0)
        film.show(slot(1), {"g/a": seen("b"), "g/b": seen("b")})
        assert [each.rules for each in film.of(IncidentOpened)] == [("g/b",)]

    def test_is_not_waited_for_in_the_incident_of_another_rule(self):
        film = self.film(a_rule("a"), a_rule("b"))
        film.show(slot(0), {"g/a": seen("b"), "g/b": seen("p")}, present=False)
        self.start(film, 0)
        film.show(slot(1), {"g/a": seen("b"), "g/b": seen("b")})
        film.conclude(Outcome.SUCCEEDED, at=slot(1))
        for at in (2, 3, 4):
            film.show(slot(at), {"g/a": seen("b"), "g/b": seen("p")})
        assert film.conclusions() == ["act/breach", "recovered/verified", "hold/already_bad"]

    def test_is_what_fires_not_what_is_only_pending(self):
        film = self.film(a_rule(hold=3))
        film.show(slot(0), {"g/r": seen("b")}, present=False)
        (started,) = self.start(film, 0)
        assert started.excused == ()
        play(film, "bbb", first=1)
        assert film.conclusions() == ["act/breach"]

    def test_is_what_breaches_not_what_is_only_kept_firing(self):
        film = self.film(a_rule(keep=60))
        for at, letter in enumerate("bp"):
            film.show(slot(at), {"g/r": seen(letter)}, present=False)
        (started,) = self.start(film, 1)
        assert started.excused == ()

    @pytest.mark.parametrize("letter", list("unaqsw"))
    def test_is_also_what_cannot_be_judged_in_the_slot_of_the_deployment(self, letter):
        """Instances that are just restarting are not scraped for a moment."""
        film = self.film(armed=Armed.ROLLOUT)
        play(film, "bb" + letter)
        self.start(film, 2)
        play(film, "bb", first=3)
        assert film.conclusions()[-1] == "hold/already_bad"
        assert film.of(IncidentOpened) == []

    def test_is_not_what_has_had_nothing_to_judge_for_long(self):
        """The canary of yesterday was bad and is gone; today's is another one."""
        film = self.film(a_rule(hold=1), armed=Armed.ROLLOUT)
        play(film, "bbb" + "n" * 8)
        (started,) = self.start(film, 10)
        assert started.excused == ()
        play(film, "b", first=11)
        assert film.conclusions()[-1] == "act/breach"

    def test_is_what_could_not_be_seen_for_long(self):
        film = self.film(a_rule(hold=1), armed=Armed.ROLLOUT)
        play(film, "bbb" + "u" * 8)
        (started,) = self.start(film, 10)
        assert started.excused == (("g/r", ()),)

    def test_stays_excused_over_blindness_a_restart_and_a_set_clock(self):
        film = self.excused(self.film())
        play(film, "uu", first=1)
        film.restart(at=slot(3))
        film.set_clock(minutes(5), at=slot(8))
        play(film, "bb", first=8)
        assert film.conclusions() == ["hold/already_bad"]

    def test_counts_again_when_the_rule_measures_something_else(self):
        film = self.excused(self.film())
        film.policy = replace(film.policy, groups={"g": a_group(a_rule(fingerprint="another"))})
        play(film, "b", first=1)
        assert film.conclusions() == ["act/breach"]

    def test_counts_again_when_its_group_was_forgotten(self):
        film = self.excused(self.film())
        whole = film.policy
        film.reload(a_policy([a_group(a_rule("x", group="h"), id="h")], whole.guards.values()), at=slot(1))
        film.reload(whole, at=slot(2))
        play(film, "b", first=2)
        assert film.conclusions() == ["act/breach"]

    def test_is_what_fired_while_the_guard_was_not_armed(self):
        film = play(self.film(), "b")
        (started,) = self.start(film, 0)
        assert isinstance(started, RolloutStarted)
        assert started.excused == (("g/r", ()),)
        play(film, "bb", first=1)
        assert film.conclusions() == ["hold/not_armed", "hold/already_bad"]
        assert film.of(IncidentOpened) == []


class TestShadowAndDryRun:
    @pytest.mark.parametrize("mode", list(Mode))
    def test_a_shadow_rule_acts_in_no_mode(self, mode):
        film = play(a_film(a_rule(shadow=True), mode=mode), "b" * 9)
        assert film.conclusions() == ["hold/shadow"]

    def test_a_dry_run_that_begins_in_the_middle_of_a_ladder_leaves_it_to_people(self):
        film = play(guarded(actions=TWO), "b")
        film.reload(replace(film.policy, mode=Mode.DRY_RUN), at=slot(0))
        film.conclude(Outcome.FAILED, at=slot(0))
        assert film.conclusions() == ["act/breach", "hand_over/dry_run"]
