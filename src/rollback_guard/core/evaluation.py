"""Evaluate a group for one slot: judge its rules and move their alerts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from rollback_guard.core.alert import Alert, Because, Timing, advance, begin
from rollback_guard.core.judgement import Judgement, SeriesVerdict, final_labels, judge
from rollback_guard.core.model import PRECEDENCE, Group, Labels, Phase, Rule, Verdict
from rollback_guard.core.observation import Failure, Observation, Reading, Unknown, family
from rollback_guard.core.records import Evaluated, Sight, Transition
from rollback_guard.core.state import GroupState

NO_ALERTS: Mapping[Labels, Alert] = {}
NOT_OBSERVED = Observation(measured=Failure(Unknown.MISSED, "the source did not say"))


def evaluate(
    group: Group, state: GroupState | None, reading: Reading, *, traced: frozenset[str] = frozenset()
) -> tuple[Evaluated, Mapping[str, Judgement]]:
    """Move every alert of a group by one slot.

    Slots between the last one and this one were missed: nothing was known in them, and the alerts move as over any
    other unknown slot.

    Args:
        group: What is evaluated.
        state: The group before this slot; ``None`` at its first.
        reading: What was observed; a later slot than the last one.
        traced: Rules whose alerts are written down in every slot, so that an incident can be told with its values.

    Returns:
        The record of what changed, and what was judged, by rule id.
    """
    gap = reading.slot - state.slot if state else group.interval
    missed = max(0, round(gap / group.interval) - 1)
    alerts, transitions, sights = list[Alert](), list[Transition](), list[Sight]()
    judgements = dict[str, Judgement]()
    for rule in group.rules:
        active, changed = _alerts_of(rule, state)
        observation = reading.observations.get(rule.id, NOT_OBSERVED)
        judgement = judge(rule, observation, active, limit=group.limit)
        judgements[rule.id] = judgement
        if changed:
            transitions += [_ended(alert, Because.RULE_CHANGED) for alert in changed]
        if active or judgement.verdict is Verdict.BREACH:
            moved = _Moved(rule, group.interval, reading.slot, gap=gap, missed=missed, always=rule.id in traced)
            moved.move(active, judgement)
            alerts += moved.alerts
            transitions += moved.transitions
        if judgement.reason is not None or (state and rule.id in state.sights):
            sights += _sight(rule.id, state, judgement, reading)
    gone_transitions, gone_sights = _gone(group, state)
    record = Evaluated(
        group=group.id,
        slot=reading.slot,
        alerts=tuple(alerts),
        transitions=(*gone_transitions, *transitions),
        sights=(*gone_sights, *sights),
        missed=missed,
        lost=reading.is_lost,
    )
    return record, judgements


def _alerts_of(rule: Rule, state: GroupState | None) -> tuple[Mapping[Labels, Alert], tuple[Alert, ...]]:
    """Return the rule's alerts, and apart from them those that began while it measured something else."""
    alerts = state.alerts.get(rule.id) if state else None
    if not alerts:
        return NO_ALERTS, ()
    changed = tuple(alert for alert in alerts.values() if alert.fingerprint != rule.fingerprint)
    if not changed:
        return alerts, ()
    return {series: alert for series, alert in alerts.items() if alert.fingerprint == rule.fingerprint}, changed


def _sight(rule: str, state: GroupState | None, judgement: Judgement, reading: Reading) -> tuple[Sight, ...]:
    known = state.sights.get(rule) if state else None
    if judgement.reason is (known.reason if known else None):
        return ()
    if judgement.reason is None:
        return (Sight(rule=rule, reason=None, detail=judgement.detail),)
    goes_on = known is not None and known.reason is not None and family(known.reason) is family(judgement.reason)
    since = known.since if known is not None and goes_on else None
    return (Sight(rule=rule, reason=judgement.reason, since=since or reading.slot, detail=judgement.detail),)


def _gone(group: Group, state: GroupState | None) -> tuple[list[Transition], list[Sight]]:
    """End what is left of rules that a reload took away."""
    if state is None:
        return [], []
    known = {rule.id for rule in group.rules}
    transitions = [
        _ended(alert, Because.RULE_CHANGED)
        for rule, alerts in state.alerts.items()
        if rule not in known
        for alert in alerts.values()
    ]
    return transitions, [Sight(rule=rule, reason=None) for rule in state.sights if rule not in known]


def _ended(alert: Alert, because: Because | None, value: float | None = None) -> Transition:
    return Transition(
        rule=alert.rule,
        series=alert.series,
        before=alert.phase,
        after=Phase.INACTIVE,
        because=because or Because.PASSED,
        value=value,
    )


def _worst_of_each(said: Iterable[SeriesVerdict]) -> dict[Labels, SeriesVerdict]:
    """Return one verdict per series: metrics of several names may share their labels."""
    worst: dict[Labels, SeriesVerdict] = {}
    for each in said:
        known = worst.get(each.series)
        if known is None or PRECEDENCE.index(each.verdict) < PRECEDENCE.index(known.verdict):
            worst[each.series] = each
    return worst


class _Moved:
    """Collect what one slot does to the alerts of one rule.

    The slot answers for all of the time since the last one that was not missed. That is an interval, but for the slot
    after the clock was set or after a reload changed the group's rhythm.
    """

    def __init__(
        self, rule: Rule, interval: timedelta, slot: datetime, *, gap: timedelta, missed: int, always: bool
    ) -> None:
        self._rule = rule
        self._missed = missed
        self._always = always
        self._before = Timing(
            slot=slot - interval,
            first=slot - interval * missed,
            span=interval * missed,
            hold=rule.hold,
            keep=rule.keep_firing_for,
        )
        self._timing = replace(self._before, slot=slot, first=slot, span=gap - interval * missed)
        self.alerts = list[Alert]()
        self.transitions = list[Transition]()

    def move(self, active: Mapping[Labels, Alert], judgement: Judgement) -> None:
        self._timing = replace(self._timing, others=any(each.reason is None for each in judgement.series))
        said = _worst_of_each(judgement.series)
        for series, alert in active.items():
            self._advance(alert, said.pop(series))
        for each in said.values():
            if each.verdict is Verdict.BREACH:
                self._begin(each)

    def _advance(self, alert: Alert, said: SeriesVerdict) -> None:
        value = said.value if said.verdict is not Verdict.UNKNOWN else None
        present, because = self._over_missed(alert)
        if present is None:
            self.transitions.append(_ended(alert, because, value))
            if said.verdict is Verdict.BREACH:
                self._begin(said)
            return
        moved, because = advance(present, said.verdict, self._timing, reason=said.reason)
        if moved is None:
            self.transitions.append(_ended(alert, because, value))
        else:
            self._keep(alert, moved, because, value)

    def _over_missed(self, alert: Alert) -> tuple[Alert | None, Because | None]:
        if not self._missed:
            return alert, None
        return advance(alert, Verdict.UNKNOWN, self._before, reason=Unknown.MISSED)

    def _keep(self, before: Alert, after: Alert, because: Because | None, value: float | None) -> None:
        if because is not None:
            self.transitions.append(
                Transition(
                    rule=after.rule,
                    series=after.series,
                    before=before.phase,
                    after=after.phase,
                    because=because,
                    value=value,
                )
            )
        moved = after is not before and after != before
        revalued = value is not None and value != before.value
        if moved or (revalued and (self._always or after.phase is Phase.PENDING)):
            self.alerts.append(replace(after, value=value) if revalued else after)

    def _begin(self, said: SeriesVerdict) -> None:
        pending = Alert(
            rule=self._rule.id,
            series=said.series,
            labels=final_labels(self._rule, said.series),
            phase=Phase.PENDING,
            active_at=self._timing.slot,
            value=said.value,
            fingerprint=self._rule.fingerprint,
        )
        alert = begin(pending, self._timing)
        self.alerts.append(alert)
        self.transitions.append(
            Transition(
                rule=alert.rule,
                series=alert.series,
                before=Phase.INACTIVE,
                after=alert.phase,
                because=Because.BREACHED,
                value=said.value,
            )
        )
