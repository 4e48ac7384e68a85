"""Small rules, readings and policies for tests of the core: a slot is a letter, a film is a string of them.

b  breach      p  pass      n  NaN          a  nothing there    .  the slot is missed
u  no road     q  refused   s  stale data   w  warnings
"""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from rollback_guard.core import step as core
from rollback_guard.core.condition import Comparison, Condition, Operator
from rollback_guard.core.fold import fold_all
from rollback_guard.core.model import Group, Guard, Limits, Policy, Rule, Severity, Step, Verify, labels_of
from rollback_guard.core.observation import Answer, Failure, Observation, Reading, Sample, Unknown
from rollback_guard.core.operations import Refused
from rollback_guard.core.records import Concluded, Decided, Decision, Intended, Reason
from rollback_guard.core.state import State

MINUTE = timedelta(minutes=1)
START = datetime(2024, 5, 1, 12, tzinfo=UTC)
NO_LABELS = ()

ABOVE_ONE = Condition(expr="m > 1", query="m", comparison=Comparison(op=Operator.GREATER, threshold=1.0))
WHOLE = Condition(expr="m and n", query="m and n")
"""A condition that cannot be split: an empty answer means pass."""


def minutes(number):
    return number * MINUTE


def slot(number):
    return START + minutes(number)


def series(**labels):
    return labels_of(labels)


def a_rule(name="r", *, group="g", hold=0, keep=0, **changes):
    """Return a critical rule `m > 1` whose `for` and `keep_firing_for` are given in minutes."""
    known = {
        "id": f"{group}/{name}",
        "group": group,
        "name": name,
        "fingerprint": "as written",
        "condition": ABOVE_ONE,
        "hold": minutes(hold),
        "keep_firing_for": minutes(keep),
        "severity": Severity.CRITICAL,
    }
    return Rule(**known | changes)


def a_group(*rules, id="g", interval=MINUTE, **changes):  # noqa: A002  it is the field's name
    known = {"id": id, "source": "prometheus", "interval": interval, "offset": timedelta(0), "rules": rules}
    return Group(**known | changes)


def a_step(action="flag-off", *, within=3, stable_for=1, rules=(), idle_passes=False, **changes):
    verify = Verify(within=minutes(within), stable_for=minutes(stable_for), rules=rules, idle_passes=idle_passes)
    return Step(action=action, verify=verify, **changes)


def a_guard(name="checkout", rules=("g/r",), *, actions=("flag-off",), within=3, stable_for=1, **changes):
    known = {
        "name": name,
        "rules": frozenset(rules),
        "playbook": tuple(a_step(action, within=within, stable_for=stable_for) for action in actions),
        "limits": Limits(max_actions=len(actions) * 2, cooldown=timedelta(0)),
    }
    return Guard(**known | changes)


def a_policy(groups, guards=(), **changes):
    return Policy(
        groups={group.id: group for group in groups}, guards={guard.name: guard for guard in guards}, **changes
    )


def seen(letter, labels=NO_LABELS):
    """Return what a source says for one letter of a film."""
    match letter:
        case "b":
            return Observation(measured=Answer((Sample(labels, 2.0),)))
        case "p":
            return Observation(measured=Answer((Sample(labels, 0.0),)))
        case "n":
            return Observation(measured=Answer((Sample(labels, math.nan),)))
        case "a":
            return Observation(measured=Answer())
        case "s":
            return Observation(measured=Answer((Sample(labels, 2.0),)), stale_since=START)
        case "u":
            return Observation(measured=Failure(Unknown.CONNECT, "refused"))
        case "q":
            return Observation(measured=Failure(Unknown.QUERY_ERROR, "many-to-many"))
        case "w":
            return Observation(measured=Failure(Unknown.PARTIAL, "a store did not answer"))
    raise ValueError(letter)


def answered(**values):
    """Return an answer with one sample per pod."""
    return Observation(measured=Answer(tuple(Sample(series(pod=pod), value) for pod, value in values.items())))


def reading(group, at, observations):
    return Reading(group=group.id, slot=at, observations=observations)


def a_film(*rules, guards=None, groups=None, **changes):
    """Return a film of one guard over all rules, unless it is told otherwise."""
    rules = rules or (a_rule(),)
    groups = groups or [a_group(*rules)]
    guards = guards or [a_guard(rules=[rule.id for group in groups for rule in group.rules])]
    return Film(a_policy(groups, guards, **changes))


def play(film, script, *, first=0, rule="g/r"):
    """Show one rule's letters, slot by slot."""
    for number, letter in enumerate(script):
        film.show(slot(first + number), {rule: seen(letter)}, group=rule.split("/")[0])
    return film


BELONG_TOGETHER = {
    Decision.NONE: {Reason.HEALTHY},
    Decision.HOLD: {
        Reason.NOT_CRITICAL,
        Reason.SHADOW,
        Reason.NOT_ARMED,
        Reason.ALREADY_BAD,
        Reason.PAUSED,
        Reason.MAINTENANCE,
        Reason.WARMING_UP,
        Reason.STORM,
        Reason.FLAPPING,
        Reason.COOLDOWN,
        Reason.LIMIT_REACHED,
        Reason.DRY_RUN,
        Reason.IN_PROGRESS,
        Reason.BLIND,
        Reason.AWAITING_VETO,
        Reason.AWAITING_APPROVAL,
    },
    Decision.ACT: {
        Reason.BREACH,
        Reason.BLIND,
        Reason.APPROVED,
        Reason.TRIGGERED,
        Reason.NOT_RECOVERED,
        Reason.ACTION_FAILED,
        Reason.NOT_APPROVED,
    },
    Decision.RECOVERED: {Reason.VERIFIED, Reason.BY_ITSELF},
    Decision.HAND_OVER: {
        Reason.ACTION_FAILED,
        Reason.PLAYBOOK_EXHAUSTED,
        Reason.CANNOT_TELL,
        Reason.OUTCOME_UNKNOWN,
        Reason.VETOED,
        Reason.NOT_APPROVED,
        Reason.GUARD_REMOVED,
        Reason.RULES_REMOVED,
        Reason.STORM,
        Reason.LIMIT_REACHED,
        Reason.DRY_RUN,
    },
}
"""Which reasons a decision may have."""


class Film:
    """Show slot after slot to one policy, and keep all records."""

    def __init__(self, policy, *, began=START - MINUTE):
        self.policy = policy
        self.state = State()
        self.records = []
        self.take(core.begin(policy, self.state, now=began, version="test"))

    def take(self, records):
        self.records += records
        self.state = fold_all(self.state, records)
        return records

    def show(self, at, observations, *, group="g", present=True):
        """Evaluate one group at one slot; the records that followed."""
        shown = reading(self.policy.groups[group], at, observations)
        return self.take(core.step(self.policy, self.state, shown, now=at, present=present).records)

    def reload(self, policy, *, at):
        self.policy = policy
        return self.take(core.configure(policy, self.state, now=at))

    def restart(self, *, at):
        """Begin again with what the records say."""
        self.state = fold_all(State(), self.records)
        return self.take(core.begin(self.policy, self.state, now=at, version="test"))

    def conclude(self, outcome, *, at, guard="checkout", detail="", held=False):
        """End the open intent of a guard."""
        busy = (each for each in self.state.incidents.values() if each.guard == guard and each.open_intents)
        incident = next(busy, None)
        intent = incident.open_intents[0]
        ended = Concluded(
            key=intent.key,
            incident=incident.id,
            guard=guard,
            action=intent.action,
            at=at,
            outcome=outcome,
            detail=detail,
            held=held,
        )
        return self.take(core.conclude(self.policy, self.state, ended))

    def set_clock(self, by, *, at):
        """Tell that the wall clock was set; `at` is what it says now."""
        return self.take(core.set_clock(self.state, by=by, now=at))

    def operate(self, asked, *, at):
        """Do what a person asks for; the records, or why not."""
        answer = core.operate(self.policy, self.state, asked, now=at)
        return answer if isinstance(answer, Refused) else self.take(answer)

    def attend(self, *, at):
        """Let the clock do what it does."""
        return self.take(core.attend(self.policy, self.state, now=at))

    def incident(self, guard="checkout"):
        """Return the guard's incident that is not closed yet, or its last one."""
        own = self.state.guards.get(guard)
        if own and own.incident:
            return self.state.incidents[own.incident]
        return next((each for each in reversed(self.state.incidents.values()) if each.guard == guard), None)

    def conclusions(self, guard="checkout"):
        """Return what the guard concluded, as ``decision/reason``."""
        return [f"{each.decision}/{each.reason}" for each in self.of(Decided) if each.guard == guard]

    def alerts(self, rule="g/r"):
        group = self.state.groups.get(rule.split("/")[0])
        return dict(group.alerts.get(rule, {})) if group else {}

    def intents(self):
        """Return what was begun, as action and time."""
        return [(each.action, each.at) for each in self.of(Intended)]

    def of(self, kind):
        return [record for record in self.records if isinstance(record, kind)]


def phase_letter(alert):
    return "-" if alert is None else alert.phase[0].upper()


def phases(script, rules, labels=NO_LABELS):
    """Return the phases of one series over a film: a rule, or one per slot where a reload changes it."""
    rules = [rules] * len(script) if isinstance(rules, Rule) else rules
    film = Film(a_policy([a_group(rules[0])]))
    shown = ""
    for number, letter in enumerate(script):
        if letter == ".":
            shown += "."
            continue
        film.policy = replace(film.policy, groups={"g": a_group(rules[number])})
        film.show(slot(number), {rules[number].id: seen(letter, labels)})
        shown += phase_letter(film.alerts(rules[number].id).get(labels))
    return shown
