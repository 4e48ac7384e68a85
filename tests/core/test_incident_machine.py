"""Incidents under everything that can happen between any two steps: crashes, lost answers, reloads, outages, clocks.

The machine plays the engine around the core: it reads, thinks, writes to a journal, and runs what was intended against
a target that counts its effects by idempotency key. Any of these steps may be the last one before a crash.
"""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from build import MINUTE, START, a_group, a_guard, a_policy, a_rule, minutes, reading, seen
from rollback_guard.core import step as core
from rollback_guard.core.fold import fold_all
from rollback_guard.core.model import Blindness, BlindPolicy, Limits, Mode, Storm
from rollback_guard.core.observation import Reading
from rollback_guard.core.records import (
    Concluded,
    Decided,
    Decision,
    Evaluated,
    IncidentEnded,
    Intended,
    Outcome,
)
from rollback_guard.core.slots import slot_at_or_before, slots_between
from rollback_guard.core.state import IncidentPhase, State

LETTERS = st.sampled_from("bbbpppunaq")
GROUPS = st.sampled_from("gh")


def policies():
    """Return the policy that is always come back to, and what reloads make of it."""
    limits = Limits(max_actions=4, per=minutes(20), cooldown=minutes(1))
    groups = [
        a_group(a_rule("a", hold=1), a_rule("b", keep=1), id="g"),
        a_group(a_rule("c", group="h"), id="h", interval=timedelta(seconds=30)),
    ]
    guards = [
        a_guard("one", ["g/a", "h/c"], actions=("flag-off", "rollback"), within=4, limits=limits),
        a_guard("two", ["g/b"], actions=("flag-off", "rollback"), within=2, limits=limits, warm_up=MINUTE),
        a_guard("three", ["h/c"], within=2, limits=limits, blind=Blindness(after=minutes(3), do=BlindPolicy.ACT)),
    ]
    plain = a_policy(groups, guards, storm=Storm(guards=2, within=MINUTE))
    changed = replace(groups[0], rules=tuple(replace(each, fingerprint="new") for each in groups[0].rules))
    return [
        plain,
        replace(plain, mode=Mode.DRY_RUN),
        replace(plain, guards={"one": plain.guards["one"]}),
        replace(plain, groups={"g": changed, "h": groups[1]}),
        a_policy([groups[1]], [a_guard("one", ["h/c"], actions=("flag-off",), limits=limits), guards[2]]),
        replace(plain, groups={"g": replace(groups[0], interval=timedelta(seconds=45)), "h": groups[1]}),
    ]


class Engine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.policies = policies()
        self.policy = self.policies[0]
        self.now = START
        self.state = State()
        self.journal = []
        self.backlog = []
        self.running = {}
        self.effects = {}
        self.begin()

    # what the engine does

    def begin(self):
        self.note(core.begin(self.policy, self.state, now=self.now, version="test"))

    def write(self, records, *, broken=False):
        durable = [each for each in records if core.is_worth_writing(each, None, every=MINUTE)]
        if broken:
            return False
        self.journal += self.backlog + durable
        self.backlog = []
        self.take(records)
        return True

    def note(self, records, *, broken=False):
        if not self.write(records, broken=broken):
            self.backlog += records
            self.take(records)

    def take(self, records):
        self.state = fold_all(self.state, records)
        for record in records:
            if isinstance(record, Intended):
                assert record.key not in self.running, "the same intent was started twice"
                self.running[record.key] = record

    def evaluate(self, group, observations, at, *, present, broken=False):
        shown = Reading(group=group, slot=at, observations=observations)
        records = core.step(self.policy, self.state, shown, now=self.now, present=present).records
        if not self.write(records, broken=broken):
            self.note(records[:1], broken=True)

    def conclude(self, key, outcome):
        intended = self.running.pop(key)
        ended = Concluded(
            key=key,
            incident=intended.incident,
            guard=intended.guard,
            action=intended.action,
            at=self.now,
            outcome=outcome,
        )
        self.write(core.conclude(self.policy, self.state, ended))

    def due(self, group):
        """Return the slots of a group that are due, as the engine's catch-up does."""
        known, configured = self.state.groups.get(group), self.policy.groups[group]
        present = slot_at_or_before(self.now, configured.interval, configured.offset)
        if known is None:
            return [present]
        if present <= known.slot:
            return []
        after = max((known.before_outage or known).slot, present - minutes(10))
        return list(slots_between(after, present, configured.interval, configured.offset))

    # what happens

    @rule(span=st.sampled_from([15, 30, 30, 60, 60, 60, 300]))
    def time_passes(self, span):
        self.now += timedelta(seconds=span)

    @rule(
        group=GROUPS,
        letters=st.tuples(LETTERS, LETTERS),
        back=st.booleans(),
        broken=st.sampled_from([False] * 5 + [True]),
    )
    def a_group_ticks(self, group, letters, back, broken):
        self.now += timedelta(seconds=30)
        if group not in self.policy.groups or not (due := self.due(group)):
            return
        rules = self.policy.groups[group].rules
        said = {each.id: seen(letter) for each, letter in zip(rules, letters, strict=False)}
        *past, present = due
        lost = reading(self.policy.groups[group], present, said).is_lost
        if past and back and not lost:
            self.note(core.rewind(self.state, group, now=self.now), broken=broken)
            for at in past:
                self.evaluate(group, said, at, present=False, broken=broken)
        self.evaluate(group, said, present, present=True, broken=broken)

    @rule(group=GROUPS)
    def the_road_is_cut(self, group):
        self.a_group_ticks(group, ("u", "u"), back=False, broken=False)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), answer=st.sampled_from(["done", "failed", "lost, done", "lost, not done", "cannot tell"]))
    def an_action_ends(self, data, answer):
        key = data.draw(st.sampled_from(sorted(self.running)))
        match answer:
            case "failed":
                if key not in self.effects:
                    self.conclude(key, Outcome.FAILED)
            case "done" | "lost, done":
                # An answer that is lost is inspected: the goal is reached.
                if key not in self.effects:
                    self.effect(key)
                self.conclude(key, Outcome.SUCCEEDED)
            case "lost, not done":
                if key not in self.effects:
                    self.effect(key)
            case "cannot tell":
                self.conclude(key, Outcome.UNKNOWN)

    @precondition(lambda self: self.running.keys() - self.effects.keys())
    @rule(data=st.data())
    def an_action_takes_effect(self, data):
        self.effect(data.draw(st.sampled_from(sorted(self.running.keys() - self.effects.keys()))))

    def effect(self, key):
        assert any(isinstance(each, Intended) and each.key == key for each in self.journal), "an effect without intent"
        self.effects[key] = self.effects.get(key, 0) + 1

    @rule(can_tell=st.booleans(), policy=st.sampled_from([None, None, 0, 1, 2, 3, 4]))
    def the_daemon_is_killed_and_started(self, can_tell, policy):
        remembered = self.state
        self.state, self.running = fold_all(State(), self.journal), {}
        if not self.backlog:
            assert self.state.incidents == remembered.incidents
            assert self.state.guards == remembered.guards
        self.backlog = []
        if policy is not None:
            self.policy = self.policies[policy]
        open_intents = [each for each in self.state.incidents.values() if each.open_intent]
        self.begin()
        for incident in open_intents:
            (intended,) = [
                each for each in self.journal if isinstance(each, Intended) and each.key == incident.open_intent.key
            ]
            self.running[intended.key] = intended
            if not can_tell:
                self.conclude(intended.key, Outcome.UNKNOWN)
            elif intended.key in self.effects:
                self.conclude(intended.key, Outcome.SUCCEEDED)

    @rule(number=st.integers(0, 5), broken=st.sampled_from([False, False, True]))
    def people_reload(self, number, broken):
        self.policy = self.policies[number]
        self.note(core.configure(self.policy, self.state, now=self.now), broken=broken)

    @rule(seconds=st.sampled_from([-3600, -40, 20, 3600]))
    def the_clock_is_set(self, seconds):
        by = timedelta(seconds=seconds)
        self.now += by
        self.note(core.set_clock(self.state, by=by, now=self.now))

    # what always holds

    @invariant()
    def no_key_has_two_effects(self):
        assert set(self.effects.values()) <= {1}

    @invariant()
    def no_action_is_without_a_decision_and_its_reason(self):
        for before, record in zip(self.journal, self.journal[1:], strict=False):
            if isinstance(record, Intended):
                assert isinstance(before, Decided)
                assert (before.decision, before.action) == (Decision.ACT, record.action)

    @invariant()
    def an_incident_runs_its_playbook_once(self):
        for incident in self.state.incidents.values():
            steps = [each.step for each in incident.intents]
            assert steps == list(range(len(steps)))
        keys = [each.key for each in self.journal if isinstance(each, Intended)]
        assert len(set(keys)) == len(keys)

    @invariant()
    def what_runs_is_what_is_open(self):
        open_intents = {each.open_intent.key for each in self.state.incidents.values() if each.open_intent}
        assert set(self.running) == open_intents

    @invariant()
    def the_journal_tells_the_state(self):
        told = fold_all(State(), self.journal + self.backlog)
        assert told.incidents == self.state.incidents
        assert told.guards == self.state.guards
        assert {name: group.alerts for name, group in told.groups.items() if group.alerts} == {
            name: group.alerts for name, group in self.state.groups.items() if group.alerts
        }

    def teardown(self):
        """Every incident ends once things take their course, and says how."""
        self.people_reload(0, broken=False)
        for number in range(60):
            for key in list(self.running):
                self.conclude(key, Outcome.SUCCEEDED)
            for group in "gh":
                letter = "b" if number < 20 else "p"
                self.a_group_ticks(group, (letter, letter), back=True, broken=False)
        assert {each.phase for each in self.state.incidents.values()} <= {IncidentPhase.CLOSED}
        ended = {each.incident for each in self.journal if isinstance(each, IncidentEnded)}
        assert ended >= self.state.incidents.keys()
        for record in self.journal:
            if isinstance(record, IncidentEnded):
                assert record.decision in {Decision.RECOVERED, Decision.HAND_OVER}
        assert any(isinstance(each, Evaluated) for each in self.journal)


class TestIncidents(Engine.TestCase):
    settings = settings(
        max_examples=80, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )


TestIncidents = pytest.mark.promise(3)(pytest.mark.promise(4)(TestIncidents))
