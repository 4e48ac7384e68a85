"""The engine around the core, as a test plays it: it reads, thinks, writes to a journal, and runs what was intended.

Every record is folded twice: as it is, and as the journal's codec gives it back. What follows is asked of both states,
and must be the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from build import MINUTE, START, a_group, a_guard, a_policy, a_rule, a_step, minutes, series
from rollback_guard.adapters.journal.codec import ADAPTER, as_json, decode
from rollback_guard.core import step as core
from rollback_guard.core.fold import fold
from rollback_guard.core.incident import intended
from rollback_guard.core.model import (
    Approval,
    Armed,
    Blindness,
    BlindPolicy,
    Flapping,
    Fleet,
    Level,
    Limits,
    Mode,
    Otherwise,
    Policy,
    Storm,
)
from rollback_guard.core.observation import Reading
from rollback_guard.core.operations import Refused
from rollback_guard.core.records import Concluded, Evaluated, Intended, MaintenanceChanged, Outcome, Record
from rollback_guard.core.slots import slot_at_or_before, slots_between
from rollback_guard.core.state import State

LIMITS = Limits(max_actions=2, per=minutes(20), cooldown=MINUTE, flapping=Flapping(incidents=2, per=minutes(30)))
UNDOS = {"flag-off": "flag-on", "rollback": "roll-forward"}


def a_wait(within, otherwise):
    return Approval(within=minutes(within), otherwise=otherwise)


def policies():
    """Return the policy that is always come back to, and what reloads make of it."""
    groups = [
        a_group(a_rule("a", hold=1, labels=series(team="x")), a_rule("b", keep=1), id="g"),
        a_group(a_rule("c", group="h"), id="h", interval=timedelta(seconds=30)),
    ]
    flag, back = a_step("flag-off", within=4), a_step("rollback", within=2)
    steps = {
        "one": (flag, replace(back, approve=a_wait(2, Otherwise.RUN), select=series(team="x")), a_step("page")),
        "two": (a_step("", notify=("dba",), within=1), flag),
        "three": (a_step("flag-off", rules=("g/b",), within=2), replace(back, approve=a_wait(1, Otherwise.SKIP)), back),
        "four": (replace(flag, approve=a_wait(2, Otherwise.HAND_OVER)), back),
    }
    levels = tuple(Level(after=minutes(after), notify=(who,)) for after, who in [(2, "lead"), (5, "boss")])
    changes = {
        "one": {"escalate": levels},
        "two": {"veto": MINUTE, "warm_up": MINUTE},
        "three": {"blind": Blindness(after=minutes(3), do=BlindPolicy.ACT)},
        "four": {"armed": Armed.ROLLOUT, "window": minutes(9)},
    }
    rules = {"one": ["g/a", "h/c"], "two": ["g/b"], "three": ["h/c"], "four": ["g/a", "g/b"]}
    guards = [a_guard(each, rules[each], playbook=steps[each], limits=LIMITS, **changes[each]) for each in rules]
    known = {"storm": Storm(guards=3, within=MINUTE), "fleet": Fleet(max_actions=4, per=minutes(20)), "undos": UNDOS}
    plain = a_policy(groups, guards, **known)
    changed = replace(groups[0], rules=tuple(replace(each, fingerprint="new") for each in groups[0].rules))
    turned = {name: replace(guard, playbook=guard.playbook[::-1], veto=MINUTE) for name, guard in plain.guards.items()}
    return [
        plain,
        replace(plain, mode=Mode.DRY_RUN),
        replace(plain, guards={"one": plain.guards["one"]}),
        replace(plain, groups={"g": changed, "h": groups[1]}),
        a_policy([groups[1]], [a_guard("one", ["h/c"], limits=LIMITS), guards[2]], **known),
        replace(plain, groups={"g": replace(groups[0], interval=timedelta(seconds=45)), "h": groups[1]}),
        replace(plain, guards=turned, fleet=Fleet()),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One record, and what was the case when it was made."""

    record: Record
    policy: Policy
    before: State
    after: State
    shown: dict
    now: datetime


class World:
    """Hold a policy, a journal that may fail, and a target that counts its effects.

    Attributes:
        state: The fold of all records, also of those that wait to be written.
        twin: The same, of what the codec made of them.
        journal: What is durable, as it is read back.
        backlog: Facts that the journal did not take yet.
        running: Intents under way, by key.
        effects: How often each key had its effect.
        shown: By rule what was last seen of it, and in which slot; as the journal knows it after a crash.
        told: Every record with its circumstances, oldest first, also those that a crash forgot.
        turn: How many of them there were when the present turn began.
        turns: How many turns began.
    """

    def __init__(self):
        self.policies = policies()
        self.policy = self.policies[0]
        self.now = START
        self.state = self.twin = State()
        self.journal, self.backlog = [], []
        self.running, self.effects = {}, {}
        self.shown, self.durable = {}, {}
        self.told, self.turn, self.turns = [], 0, 0
        self.begin()

    # the road from a thought to the state

    def think(self, thought, *arguments, **words):
        """Ask one function of the core; the same inputs give the same records."""
        said = thought(self.policy, self.state, *arguments, **words)
        again = thought(self.policy, self.twin, *arguments, **words)
        assert said == again, "the same inputs, other records"
        return said

    def write(self, records, *, broken=False):
        if broken:
            return False
        self.journal += self.backlog
        self.backlog = []
        self.journal += self._take(records)
        self.durable = dict(self.shown)
        return True

    def note(self, records, *, broken=False):
        if not self.write(records, broken=broken):
            self.backlog += self._take(records)

    def _take(self, records):
        """Fold records; return those that are to be written, as they will be read back."""
        due = []
        for record in records:
            read_back = decode(as_json(ADAPTER, record))
            before, self.state = self.state, fold(self.state, record)
            self.twin = fold(self.twin, read_back)
            if core.is_worth_writing(record, None, every=MINUTE):
                due.append(read_back)
            told = Told(
                record=record, policy=self.policy, before=before, after=self.state, shown=dict(self.shown), now=self.now
            )
            self.told.append(told)
            if isinstance(record, Intended) and not record.notify:
                assert record.key not in self.running, "the same intent was started twice"
                self.running[record.key] = record
        return due

    # what the engine does

    def begin(self):
        self.note(core.begin(self.policy, self.state, now=self.now, version="test"))

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

    def tick(self, group, said, letters, *, back, lost, broken=False):
        if group not in self.policy.groups or not (due := self.due(group)):
            return
        *past, present = due
        if past and back and not lost:
            self.note(core.rewind(self.state, group, now=self.now), broken=broken)
            for at in past:
                self._evaluate(group, said, letters, at, present=False, broken=broken)
        self._evaluate(group, said, letters, present, present=True, broken=broken)

    def _evaluate(self, group, said, letters, at, *, present, broken):
        for rule, letter in letters.items():
            self.shown[rule] = (letter, at)
        shown = Reading(group=group, slot=at, observations=said)
        records = self.think(core.step, shown, now=self.now, present=present).records
        if not self.write(records, broken=broken):
            self.note(core.undaunted(self.policy, records), broken=True)

    def operate(self, asked, *, broken=False):
        records = self.think(core.operate, asked, now=self.now)
        if isinstance(records, Refused):
            return records
        if broken and any(isinstance(each, Intended) for each in records):
            return ()
        self.note(records, broken=broken)
        return records

    def attend(self, *, broken=False):
        self.write(self.think(core.attend, now=self.now), broken=broken)

    def maintain(self, windows):
        self.note((MaintenanceChanged(at=self.now, windows=windows),))

    def conclude(self, key, outcome, *, held=False, full=False):
        """End an action; a disk that is `full` takes how it ended, and nothing that follows from it."""
        it = self.running.pop(key)
        ended = Concluded(
            key=key, incident=it.incident, guard=it.guard, action=it.action, at=self.now, outcome=outcome, held=held
        )
        records = self.think(core.conclude, ended)
        begins = any(isinstance(each, Intended) for each in records)
        self.write(records[:1] if full and begins else records)

    def effect(self, key):
        assert any(isinstance(each, Intended) and each.key == key for each in self.journal), "an effect without intent"
        self.effects[key] = self.effects.get(key, 0) + 1

    def reload(self, number, *, broken=False):
        records = core.configure(self.policies[number], self.state, now=self.now)
        self.policy = self.policies[number]
        self.note(records, broken=broken)

    def set_clock(self, by):
        self.now += by
        self.note(core.set_clock(self.state, by=by, now=self.now))
        for known in (self.shown, self.durable):
            known.update({rule: (letter, at + by) for rule, (letter, at) in known.items()})

    def restart(self, *, can_tell):
        """Be killed, forget what was not written, and take up what is open; what nobody can inspect is unknown."""
        self.backlog, self.running, self.shown = [], {}, dict(self.durable)
        self.state = self.twin = State()
        for record in self.journal:
            self.state = fold(self.state, record)
        self.twin = self.state
        resumed = [(each, intent) for each in self.state.incidents.values() for intent in each.open_intents]
        self.begin()
        for incident, intent in resumed:
            self.running[intent.key] = intended(incident, intent)
            if not can_tell:
                self.conclude(intent.key, Outcome.UNKNOWN)
            elif intent.key in self.effects:
                self.conclude(intent.key, Outcome.SUCCEEDED)

    # what tests look at

    def begin_turn(self):
        self.turn = len(self.told)
        self.turns += 1

    def fresh(self):
        """Return what was told since the turn began."""
        return self.told[self.turn :]

    def records(self, *kinds):
        """Return those of some kinds."""
        return [each for each in self.fresh() if isinstance(each.record, kinds)]

    def evaluated(self):
        return any(isinstance(each, Evaluated) for each in self.journal)
