"""See a guard's rules as the folded state knows them: what fires, what breaches now, what is not known."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from rollback_guard.core.alert import Alert, has_expired
from rollback_guard.core.judgement import Judgement, most_telling
from rollback_guard.core.model import Guard, Phase, Policy, Rule, Severity, Verdict, worst
from rollback_guard.core.observation import IDLE, Family, Unknown, family
from rollback_guard.core.records import Evidence, Excused, Outcome
from rollback_guard.core.state import GroupState, GuardState, Incident, IncidentPhase, State

NOTHING = GuardState()

CURRENT_FOR_INTERVALS = 2
"""A group that lags by this many of its intervals has not been evaluated lately; one is the reading under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """All that a decision of one guard looks at.

    Attributes:
        slot: Of the evaluation after which the guard decides.
        now: The wall clock; what is recorded as the time of the decision.
        judgements: Of the rules that were just evaluated; values of what passes stand nowhere else.
    """

    policy: Policy
    state: State
    guard: Guard
    slot: datetime
    now: datetime
    judgements: Mapping[str, Judgement] = field(default_factory=dict)

    @property
    def own(self) -> GuardState:
        """What the guard concluded and did so far."""
        return self.state.guards.get(self.guard.name, NOTHING)

    @property
    def incident(self) -> Incident | None:
        """Its incident that is not closed yet."""
        return self.state.incidents[self.own.incident] if self.own.incident else None

    def rules(self) -> tuple[Rule, ...]:
        """Its rules, in the order of the files."""
        return self.policy.rules_of[self.guard.name]

    def triggers(self) -> Iterator[Rule]:
        """The rules that may make it act: critical and not shadowed."""
        return (rule for rule in self.rules() if is_trigger(rule))

    def restless(self) -> tuple[Rule, ...]:
        """Its rules of which something else is known than that they pass; the others need no second look."""
        groups = self.state.groups
        return tuple(
            rule
            for rule in self.rules()
            if (group := groups.get(rule.group)) and (rule.id in group.alerts or rule.id in group.sights)
        )

    def group(self, rule: str) -> GroupState | None:
        """The state of the group that evaluates a rule."""
        known = self.policy.rules.get(rule)
        return self.state.groups.get(known.group) if known else None

    def alerts(self, rule: str) -> Iterable[Alert]:
        """The active alerts of a rule, but for the series that are excused until they have recovered once."""
        group = self.group(rule)
        alerts = group.alerts.get(rule, {}).values() if group else ()
        excused = self.own.excused
        return [alert for alert in alerts if (rule, alert.series) not in excused] if excused else alerts

    def unexcused(self) -> Situation:
        """The same where everything counts: what is excused is told as what it is."""
        guards = {**self.state.guards, self.guard.name: replace(self.own, excused=frozenset())}
        return replace(self, state=replace(self.state, guards=guards))

    def excused(self) -> tuple[str, ...]:
        """The rules of which a series fires that does not count, in the order of the files."""
        fires = {
            rule
            for rule, series in self.own.excused
            if (group := self.group(rule))
            and (alert := group.alerts.get(rule, {}).get(series))
            and alert.phase is Phase.FIRING
        }
        return tuple(rule.id for rule in self.rules() if rule.id in fires)

    def already_bad(self, rules: Iterable[str], *, since: datetime) -> tuple[Excused, ...]:
        """The series of these rules that fired already at a time, and were not seen to pass since.

        One that is not known in the very slot of a deployment, whose instances are just restarting, was bad before it;
        one that has had nothing to judge for long was not: a canary that is gone says nothing of the next one.
        """
        return tuple(
            (rule, alert.series)
            for rule in rules
            for alert in self.alerts(rule)
            if alert.phase is Phase.FIRING and alert.verdict is not Verdict.PASS and alert.active_at <= since
            if not (alert.unknown in IDLE and has_expired(alert, self.policy.rules[rule].hold, since))
        )

    def watched(self, incident: Incident) -> tuple[str, ...]:
        """The rules that tell whether an incident is over: its step's own, its own, or all that may make it act.

        A step's own rules say whether it helped. They say nothing where it was not done, and nothing any more once
        people have the incident: what made the guard act would open the next one as soon as this one is closed.
        """
        return _its_rules(incident) or tuple(rule.id for rule in self.triggers())

    def is_gone(self, incident: Incident) -> bool:
        """Say whether a reload took all rules of an incident away: nothing would ever tell that it is over."""
        return bool(incident.rules) and not any(rule in self.policy.rules for rule in incident.rules)

    def is_current(self, rule: str) -> bool:
        """Say whether the rule was evaluated lately: after a restart its group may not have caught up yet."""
        group = self.group(rule)
        if group is None:
            return False
        interval = self.policy.groups[self.policy.rules[rule].group].interval
        return self.slot - group.slot < CURRENT_FOR_INTERVALS * interval

    def fires_now(self, rule: str) -> bool:
        """Say whether an alert of the rule fires and breached in its last slot: no action starts on less."""
        return self.is_current(rule) and any(
            alert.phase is Phase.FIRING and alert.verdict is Verdict.BREACH for alert in self.alerts(rule)
        )

    def breaches_now(self, rules: Iterable[str]) -> bool:
        """Say whether one of the rules is known to breach at present."""
        return any(self.verdict_of(rule) is Verdict.BREACH and self.is_current(rule) for rule in rules)

    def persists(self, incident: Incident) -> bool:
        """Say whether what is watched over is known to breach at present: no further step begins on less.

        Where an incident has no rules, for a person opened it, all are watched, and only what fires is about it.
        """
        rules = _its_rules(incident)
        return self.breaches_now(rules) if rules else any(map(self.fires_now, self.watched(incident)))

    def is_quiet(self, rules: Iterable[str]) -> bool:
        """Say whether nothing fires any more, not even kept, and everything is known to pass at present."""
        rules = tuple(rule for rule in rules if rule in self.policy.rules)
        fires = any(alert.phase is Phase.FIRING for rule in rules for alert in self.alerts(rule))
        return not fires and all(map(self.is_current, rules)) and self.verdict(rules) is Verdict.PASS

    def verdict(self, rules: Iterable[str], *, since: datetime | None = None, idle_passes: bool = False) -> Verdict:
        """Return the verdict over several rules; one that was not evaluated `since` then is unknown.

        Rules that a reload took away say nothing; where none is left nothing is known.
        """
        known = (rule for rule in rules if rule in self.policy.rules)
        return worst({self.verdict_of(rule, since=since, idle_passes=idle_passes) for rule in known})

    def verdict_of(self, rule: str, *, since: datetime | None = None, idle_passes: bool = False) -> Verdict:
        """Return what the last slot said of a rule; `idle_passes` has it pass where there is nothing to judge."""
        group = self.group(rule)
        if group is None or (since is not None and group.slot - self._look_back(rule) < since):
            return Verdict.UNKNOWN
        excepted = IDLE if idle_passes else frozenset()
        verdicts = {alert.verdict for alert in self.alerts(rule) if alert.unknown not in excepted}
        sight = group.sights.get(rule)
        if sight is not None and sight.reason not in excepted:
            verdicts.add(Verdict.UNKNOWN)
        return worst(verdicts or {Verdict.PASS})

    def seen_until(self, rules: Iterable[str]) -> datetime:
        """Return the time up to which all of the rules were seen: their slots, less what they look back."""
        seen = ((self.group(rule), self._look_back(rule)) for rule in rules)
        return min((group.slot - back for group, back in seen if group), default=self.slot)

    def _look_back(self, rule: str) -> timedelta:
        known = self.policy.rules.get(rule)
        return self.policy.groups[known.group].query_offset if known else timedelta(0)

    def blind_since(self, rule: str) -> datetime | None:
        """Return since when the guard cannot see a rule; nothing to judge is not blindness."""
        group = self.group(rule)
        if group is None:
            return None
        times = [alert.blind_since for alert in self.alerts(rule)]
        sight = group.sights.get(rule)
        if sight is not None and _is_blind(sight.reason):
            times.append(sight.since)
        return min((at for at in times if at is not None), default=None)

    def evidence(self, rules: Iterable[str]) -> tuple[Evidence, ...]:
        """Return what was last seen of these rules, the worst series of each."""
        return tuple(self._evidence(rule) for rule in rules if rule in self.policy.rules)

    def _evidence(self, rule: str) -> Evidence:
        comparison = self.policy.rules[rule].condition.comparison
        alert = min(self.alerts(rule), key=_first_to_name, default=None)
        judgement = self.judgements.get(rule)
        seen = most_telling(judgement, comparison) if judgement else None
        value, series = (_number(seen.value), seen.series) if seen else (None, ())
        if alert is not None:
            value, series = _value_now(judgement, alert), alert.series
        return Evidence(
            rule=rule,
            verdict=self.verdict_of(rule),
            value=value,
            threshold=comparison.threshold if comparison else None,
            op=comparison.op.value if comparison else None,
            series=series,
            active_at=alert.active_at if alert else None,
            detail=(judgement.detail if judgement else "") or self._sight_of(rule),
        )

    def _sight_of(self, rule: str) -> str:
        group = self.group(rule)
        sight = group.sights.get(rule) if group else None
        return ": ".join(part for part in (sight.reason, sight.detail) if part) if sight else ""


def _its_rules(incident: Incident) -> tuple[str, ...]:
    last = incident.intents[-1] if incident.intents else None
    done = last is not None and last.outcome is Outcome.SUCCEEDED
    own = last.rules if last and done and incident.phase is not IncidentPhase.HANDED_OVER else ()
    return own or incident.rules


def is_trigger(rule: Rule) -> bool:
    """Say whether the rule may make a guard act."""
    return rule.severity is Severity.CRITICAL and not rule.shadow


def _value_now(judgement: Judgement | None, alert: Alert) -> float | None:
    """Return the value that was just judged; the alert itself may remember an older one."""
    values = (each.value for each in judgement.series if each.series == alert.series) if judgement else ()
    return next((value for value in map(_number, values) if value is not None), alert.value)


def _number(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


def _is_blind(reason: Unknown | None) -> bool:
    return reason is not None and family(reason) is Family.BLIND


def _first_to_name(alert: Alert) -> tuple[bool, datetime]:
    return (alert.phase is not Phase.FIRING, alert.active_at)
