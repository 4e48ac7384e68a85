"""Incidents under everything that can happen between any two steps: crashes, people, lost answers, reloads, clocks.

The machine plays the engine around the core and lets any of its steps be the last one before a crash. After every turn
it holds what happened against the laws of `core_laws`.
"""

from __future__ import annotations

from datetime import timedelta
from functools import wraps

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from build import minutes, seen
from core_laws import Laws
from core_world import World
from rollback_guard.core.operations import (
    Acknowledge,
    Approve,
    Extend,
    FinishRollout,
    Pause,
    Report,
    Resume,
    StartRollout,
    Trigger,
    Undo,
    Veto,
)
from rollback_guard.core.records import (
    IncidentEnded,
    Outcome,
    Signal,
    Window,
)
from rollback_guard.core.state import IncidentPhase

LETTERS = st.sampled_from("bbbbpppunaq")
GUARDS = ["one", "two", "three", "four"]
ABOUT_INCIDENTS = [Veto, Extend, Approve, Approve, Acknowledge, Trigger, Undo, Undo]
STEPS = st.sampled_from([None, "flag-off", "rollback", "notify dba", "nothing"])
ENDS = st.sampled_from(["done", "done", "done", "failed", "held", "lost, done", "lost, not done", "?"])
LASTING = st.sampled_from([None, minutes(1), minutes(5)])
RARELY = st.sampled_from([False] * 7 + [True])
NIGHTLY = settings.get_current_profile_name() == "nightly"


def happens(**drawn):
    """Make a turn of the machine out of something that may happen."""

    def turned(happening):
        @wraps(happening)
        def turn(self, **words):
            self.world.begin_turn()
            happening(self, **words)

        return rule(**drawn)(turn)

    return turned


rarely = precondition(lambda self: self.world.turns % 4 == 0)
"""So that between two upheavals there is time for a ladder to be climbed."""


class Engine(Laws, RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.world = World()

    # what happens

    @happens(span=st.sampled_from([15, 30, 60, 60, 120, 300]), broken=RARELY)
    def time_passes_and_is_attended_to(self, span, broken):
        self.world.now += timedelta(seconds=span)
        self.world.attend(broken=broken)

    @happens(group=st.sampled_from("gh"), letters=st.tuples(LETTERS, LETTERS), back=st.booleans(), broken=RARELY)
    def a_group_is_evaluated(self, group, letters, back, broken):
        self.world.now += timedelta(seconds=30)
        self.show(group, letters, back=back, broken=broken)

    @happens(letters=st.sampled_from(["bbb", "bpp", "pbp", "ppb", "ppp", "uuu"]), slots=st.integers(1, 5))
    def all_groups_say_the_same_for_a_while(self, letters, slots):
        """Storms, outages, and their ends; long enough for a ladder to be climbed."""
        self.all_say(letters, slots)

    def all_say(self, letters, slots):
        for _ in range(slots):
            self.world.now += timedelta(seconds=60)
            for group, said in (("g", letters[:2]), ("h", letters[2:])):
                self.show(group, said, back=True)
            self.world.attend()

    def show(self, group, letters, *, back, broken=False):
        configured = self.world.policy.groups.get(group)
        said = dict(zip((each.id for each in configured.rules), letters, strict=False)) if configured else {}
        observations = {name: seen(letter) for name, letter in said.items()}
        lost = bool(said) and all(letter == "u" for letter in said.values())
        self.world.tick(group, observations, said, back=back, lost=lost, broken=broken)

    @precondition(lambda self: self.world.running)
    @happens(number=st.integers(0, 9), how=ENDS, full=RARELY)
    def an_action_ends(self, number, how, full):
        world, key = self.world, sorted(self.world.running)[number % len(self.world.running)]
        match how:
            case "failed" | "held":
                if key not in world.effects:
                    world.conclude(key, Outcome.FAILED, held=how == "held", full=full)
            case "done" | "lost, done":
                # An answer that is lost is inspected: the goal is reached.
                if key not in world.effects:
                    world.effect(key)
                world.conclude(key, Outcome.SUCCEEDED, full=full)
            case "lost, not done":
                if key not in world.effects:
                    world.effect(key)
            case "?":
                world.conclude(key, Outcome.UNKNOWN)

    @precondition(lambda self: self.world.state.incidents)
    @happens(kind=st.sampled_from(ABOUT_INCIDENTS), number=st.integers(0, 9), step=STEPS, broken=RARELY)
    def a_person_asks_about_an_incident(self, kind, number, step, broken):
        world = self.world
        alive = [each for each in world.state.incidents.values() if each.phase is not IncidentPhase.CLOSED]
        some = alive if alive and kind is not Undo else list(world.state.incidents.values())
        incident = some[-1 - number % len(some)]
        words = {"incident": incident.id} if kind in {Acknowledge, Undo} else {"guard": incident.guard}
        if kind is Trigger:
            words["step"] = step
        if kind is Extend:
            words["lasting"] = minutes(1)
        world.operate(kind(by="ann", why="because", **words), broken=broken)

    def taken_back(self):
        """Return the incidents that are over and in which something was done."""
        over = {IncidentPhase.HANDED_OVER, IncidentPhase.CLOSED}
        alike = (each for each in self.world.state.incidents.values() if each.phase in over)
        return [each for each in alike if any(intent.outcome is Outcome.SUCCEEDED for intent in each.intents)]

    @precondition(taken_back)
    @happens(number=st.integers(0, 9), slots=st.integers(1, 5))
    def what_was_done_is_taken_back_and_the_rules_breach_again_meanwhile(self, number, slots):
        incidents = self.taken_back()
        self.world.operate(Undo(by="ann", why="a false alarm", incident=incidents[-1 - number % len(incidents)].id))
        self.all_say("bbb", slots)

    @rarely
    @happens(guard=st.sampled_from([*GUARDS, "nobody"]), step=STEPS, broken=RARELY)
    def a_person_triggers_a_playbook(self, guard, step, broken):
        self.world.operate(Trigger(by="ann", why="a leak", guard=guard, step=step), broken=broken)

    @rarely
    @happens(guard=st.sampled_from([*GUARDS, None]), lasting=LASTING, begins=st.booleans(), broken=RARELY)
    def a_person_takes_the_hands_off_or_lets_go(self, guard, lasting, begins, broken):
        pause = Pause(by="ann", why="look", guard=guard, lasting=lasting)
        self.world.operate(pause if begins else Resume(by="ann", guard=guard), broken=broken)

    @rarely
    @happens(
        guard=st.sampled_from(["one", "four", "four"]), window=LASTING, begins=st.sampled_from([True, True, False])
    )
    def a_rollout_begins_or_ends(self, guard, window, begins):
        start = StartRollout(by="ci", guard=guard, window=window)
        self.world.operate(start if begins else FinishRollout(by="ci", guard=guard))

    @rarely
    @happens(name=st.sampled_from(["Leak", "Worm"]), firing=st.booleans(), broken=RARELY)
    def another_system_reports(self, name, firing, broken):
        signal = Signal(guard="one", name=name, labels=(), firing=firing, starts_at=self.world.now)
        self.world.operate(Report(by="am", signals=(signal,)), broken=broken)

    @rarely
    @happens(guards=st.sampled_from([(), ("one",), ("two", "three")]), opens=st.booleans())
    def a_maintenance_window_opens_or_closes(self, guards, opens):
        until = self.world.now + minutes(3)
        self.world.maintain((Window(name="night", until=until, guards=guards),) if opens else ())

    @rarely
    @happens(can_tell=st.booleans(), policy=st.sampled_from([None, None, 0, 1, 2, 3, 4, 6]))
    def the_daemon_is_killed_and_started(self, can_tell, policy):
        self.the_journal_tells_what_is_the_case()
        self.world.policy = self.world.policy if policy is None else self.world.policies[policy]
        self.world.restart(can_tell=can_tell)

    @rarely
    @happens(number=st.integers(0, 6), broken=RARELY)
    def people_reload(self, number, broken):
        self.world.reload(number, broken=broken)

    @rarely
    @happens(seconds=st.sampled_from([-3600, -40, 20, 3600]))
    def the_clock_is_set(self, seconds):
        self.world.set_clock(timedelta(seconds=seconds))

    # what always holds

    @invariant()
    def the_laws_are_kept(self):
        self.hold()

    def teardown(self):
        """Every incident ends once things take their course and people let them, and says how."""
        world = self.world
        world.begin_turn()
        world.reload(0)
        world.maintain(())
        for name in list(world.state.pauses):
            world.operate(Resume(by="ann", guard=name or None))
        for number in range(60):
            for key in list(world.running):
                world.conclude(key, Outcome.SUCCEEDED)
            world.now += timedelta(seconds=30)
            for group in "gh":
                self.show(group, "bb" if number < 20 else "pp", back=True)
            world.attend()
            if number % 10 == 0:
                self.the_laws_are_kept()
                world.begin_turn()
        assert {each.phase for each in world.state.incidents.values()} <= {IncidentPhase.CLOSED}
        assert not any(each.undo_queue or each.queue for each in world.state.incidents.values())
        ended = {each.incident for each in world.journal if isinstance(each, IncidentEnded)}
        assert ended >= world.state.incidents.keys()
        assert world.evaluated()
        self.the_journal_tells_what_is_the_case()


class TestIncidents(Engine.TestCase):
    settings = settings(
        max_examples=2000 if NIGHTLY else 150,
        stateful_step_count=120 if NIGHTLY else 40,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )


for number in (3, 4, 20, 23, 45):
    TestIncidents = pytest.mark.promise(number)(TestIncidents)
