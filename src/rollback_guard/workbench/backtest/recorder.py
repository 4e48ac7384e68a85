"""Record what a replay says, and what a stretch of history measured, as results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from rollback_guard.core.judgement import Judgement
from rollback_guard.core.model import Phase, Verdict
from rollback_guard.core.observation import Failure
from rollback_guard.core.records import (
    Decided,
    Decision,
    Evaluated,
    IncidentCleared,
    IncidentEnded,
    IncidentJoined,
    IncidentOpened,
    Intended,
    Record,
    Sight,
    Transition,
)
from rollback_guard.workbench.backtest.cursor import Cursor
from rollback_guard.workbench.backtest.line import pieces_of, take_values
from rollback_guard.workbench.backtest.results import (
    MOST_KEPT,
    BegunAction,
    Conclusion,
    GuardIncident,
    Period,
    Results,
)


class Recorder:
    """Turn records and judgements into results.

    Args:
        results: Grows; those that were written down go on.
    """

    def __init__(self, results: Results) -> None:
        self.results = results

    def hear(self, records: Sequence[Record]) -> None:
        """Count what records say."""
        for record in records:
            match record:
                case Evaluated():
                    for transition in record.transitions:
                        self._moved(transition, record.slot)
                    for sight in record.sights:
                        if sight.reason is not None and sight.rule in self.results.rules:
                            self.results.rules[sight.rule].details.setdefault(sight.reason.value, sight.detail)
                case Decided():
                    self._decided(record)
                case IncidentOpened() | IncidentJoined() | IncidentEnded() | IncidentCleared() | Intended():
                    self._in_incident(record)
                case _:
                    pass

    def surveyed(self, cursor: Cursor) -> None:
        """Take note of the values of a stretch."""
        pieces = list(pieces_of(self.results, cursor))
        for rule in cursor.group.rules:
            of_rule, comparison = self.results.rules[rule.id], rule.condition.comparison
            of_rule.slots += cursor.count - cursor.done
            of_rule.asked += cursor.count
            result = cursor.survey.said[rule.condition.query]
            if isinstance(result, Failure):
                of_rule.refused += cursor.count
                of_rule.details.setdefault(result.reason.value, result.detail)
            elif comparison is not None:
                take_values(of_rule, cursor, pieces, rule, comparison)

    def passed_over(self, count: int, sights: Mapping[str, Sight]) -> None:
        """Count slots in which everything stayed as it was."""
        for rule, sight in sights.items():
            if sight.reason is not None:
                unknown = self.results.rules[rule].unknown
                unknown[sight.reason.value] = unknown.get(sight.reason.value, 0) + count

    def judged(self, slot: datetime, judgements: Mapping[str, Judgement]) -> None:
        """Count what was unknown in a slot."""
        for rule, judgement in judgements.items():
            of_rule = self.results.rules[rule]
            reason = judgement.reason if judgement.verdict is Verdict.UNKNOWN else None
            last = of_rule.unseen[-1] if of_rule.unseen and of_rule.unseen[-1].ended_at is None else None
            if last is not None and (reason is None or last.why != reason.value):
                last.ended_at = slot
                last = None
            if reason is not None:
                of_rule.unknown[reason.value] = of_rule.unknown.get(reason.value, 0) + 1
                if last is None and len(of_rule.unseen) < MOST_KEPT:
                    of_rule.unseen.append(Period(began_at=slot, why=reason.value))

    def _moved(self, transition: Transition, slot: datetime) -> None:
        of_rule = self.results.rules.get(transition.rule)
        if of_rule is None:
            return
        pending = _open(of_rule.pending, transition)
        match transition.before, transition.after:
            case _, Phase.PENDING:
                _keep(of_rule.pending, Period(began_at=slot, series=transition.series, value=transition.value))
            case before, Phase.FIRING:
                active_at = pending.began_at if pending and before is Phase.PENDING else slot
                if pending is not None:
                    of_rule.pending.remove(pending)
                of_rule.firings += 1
                period = Period(began_at=slot, series=transition.series, active_at=active_at, value=transition.value)
                _keep(of_rule.firing, period)
            case Phase.PENDING, Phase.INACTIVE:
                of_rule.pendings += 1
                if pending is not None:
                    pending.ended_at, pending.why = slot, transition.because.value
                    longest = of_rule.longest_pending
                    if longest is None or pending.lasted(slot) > longest.lasted(slot):
                        of_rule.longest_pending = pending
            case Phase.FIRING, Phase.INACTIVE:
                firing = _open(of_rule.firing, transition)
                if firing is not None:
                    firing.ended_at, firing.why = slot, transition.because.value
            case _:
                pass

    def _decided(self, decided: Decided) -> None:
        of_guard = self.results.guards[decided.guard]
        if decided.decision is Decision.HOLD:
            of_guard.held[decided.reason.value] = of_guard.held.get(decided.reason.value, 0) + 1
        if len(of_guard.conclusions) >= MOST_KEPT:
            of_guard.left_out += 1
            return
        of_guard.conclusions.append(
            Conclusion(
                at=decided.at,
                decision=decided.decision.value,
                reason=decided.reason.value,
                action=decided.action or "",
            )
        )

    def _in_incident(
        self, record: IncidentOpened | IncidentJoined | IncidentEnded | IncidentCleared | Intended
    ) -> None:
        incidents = self.results.guards[record.guard].incidents
        if isinstance(record, IncidentOpened):
            opened = GuardIncident(
                id=record.incident, opened_at=record.at, breached_at=record.breached_at, rules=record.rules
            )
            if len(incidents) < MOST_KEPT:
                incidents.append(opened)
            return
        incident = next((each for each in reversed(incidents) if each.id == record.incident), None)
        if incident is None:
            return
        match record:
            case IncidentJoined():
                incident.rules = (*incident.rules, *record.rules)
            case Intended():
                name = record.action or f"notify {', '.join(record.notify)}"
                incident.actions.append(BegunAction(at=record.at, action=name, reason=_reason(self.results, record)))
            case IncidentEnded():
                incident.ended_at, incident.decision, incident.reason = record.at, record.decision, record.reason
                if record.decision is Decision.RECOVERED:
                    incident.closed_at = record.at
            case IncidentCleared():
                incident.closed_at = record.at


def _reason(results: Results, intended: Intended) -> str:
    conclusions = results.guards[intended.guard].conclusions
    return conclusions[-1].reason if conclusions and conclusions[-1].at == intended.at else ""


def _open(periods: Sequence[Period], transition: Transition) -> Period | None:
    return next(
        (each for each in reversed(periods) if each.ended_at is None and each.series == transition.series), None
    )


def _keep(periods: list[Period], period: Period) -> None:
    if len(periods) < MOST_KEPT:
        periods.append(period)
