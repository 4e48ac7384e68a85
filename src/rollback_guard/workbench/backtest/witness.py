"""Hear what a replay says, and count it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import compress

from rollback_guard.core.condition import Comparison
from rollback_guard.core.judgement import Judgement
from rollback_guard.core.model import Phase, Verdict
from rollback_guard.core.observation import Failure
from rollback_guard.core.records import (
    Concluded,
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
from rollback_guard.workbench.backtest.lane import Lane
from rollback_guard.workbench.backtest.tally import (
    MOST_KEPT,
    Conclusion,
    Deed,
    Episode,
    Nearest,
    RuleTally,
    Spell,
    Tally,
)


class Witness:
    """Turn records and judgements into a tally.

    Args:
        tally: Grows; one that was written down goes on.
    """

    def __init__(self, tally: Tally) -> None:
        self.tally = tally

    def hear(self, records: Sequence[Record]) -> None:
        """Count what records say."""
        for record in records:
            match record:
                case Evaluated():
                    for transition in record.transitions:
                        self._moved(transition, record.slot)
                    for sight in record.sights:
                        if sight.reason is not None and sight.rule in self.tally.rules:
                            self.tally.rules[sight.rule].details.setdefault(sight.reason.value, sight.detail)
                case Decided():
                    self._decided(record)
                case (
                    IncidentOpened() | IncidentJoined() | IncidentEnded() | IncidentCleared() | Intended() | Concluded()
                ):
                    self._in_incident(record)
                case _:
                    pass

    def surveyed(self, lane: Lane) -> None:
        """Take note of the values of a stretch."""
        pieces = list(self._pieces(lane))
        for rule in lane.group.rules:
            tally, comparison = self.tally.rules[rule.id], rule.condition.comparison
            tally.slots += lane.count - lane.done
            tally.asked += lane.count
            result = lane.survey.said[rule.condition.query]
            if isinstance(result, Failure):
                tally.refused += lane.count
                tally.details.setdefault(result.reason.value, result.detail)
            elif comparison is not None:
                known, worst = lane.survey.worst(rule)
                _take_values(tally, lane, pieces, (worst, known.to_bytes(lane.count, "little")), comparison)

    def _pieces(self, lane: Lane) -> Iterator[tuple[int, slice]]:
        """Yield the slots that fall into each bucket, by their numbers."""
        first = lane.done
        while first < lane.count:
            bucket = self.tally.bucket_of(lane.slot(first))
            behind = max(first + 1, lane.before(self.tally.end_of(bucket)))
            yield bucket, slice(first, behind)
            first = behind

    def passed_over(self, count: int, sights: Mapping[str, Sight]) -> None:
        """Count slots in which everything stayed as it was."""
        for rule, sight in sights.items():
            if sight.reason is not None:
                unknown = self.tally.rules[rule].unknown
                unknown[sight.reason.value] = unknown.get(sight.reason.value, 0) + count

    def judged(self, slot: datetime, judgements: Mapping[str, Judgement]) -> None:
        """Count what was unknown in a slot."""
        for rule, judgement in judgements.items():
            tally = self.tally.rules[rule]
            reason = judgement.reason if judgement.verdict is Verdict.UNKNOWN else None
            last = tally.unseen[-1] if tally.unseen and tally.unseen[-1].ended_at is None else None
            if last is not None and (reason is None or last.why != reason.value):
                last.ended_at = slot
                last = None
            if reason is not None:
                tally.unknown[reason.value] = tally.unknown.get(reason.value, 0) + 1
                if last is None and len(tally.unseen) < MOST_KEPT:
                    tally.unseen.append(Spell(began_at=slot, why=reason.value))

    def _moved(self, transition: Transition, slot: datetime) -> None:
        tally = self.tally.rules.get(transition.rule)
        if tally is None:
            return
        pending = _open(tally.pending, transition)
        match transition.before, transition.after:
            case _, Phase.PENDING:
                _keep(tally.pending, Spell(began_at=slot, series=transition.series, value=transition.value))
            case before, Phase.FIRING:
                active_at = pending.began_at if pending and before is Phase.PENDING else slot
                if pending is not None:
                    tally.pending.remove(pending)
                tally.firings += 1
                spell = Spell(began_at=slot, series=transition.series, active_at=active_at, value=transition.value)
                _keep(tally.firing, spell)
            case Phase.PENDING, Phase.INACTIVE:
                tally.pendings += 1
                if pending is not None:
                    pending.ended_at, pending.why = slot, transition.because.value
                    longest = tally.longest_pending
                    if longest is None or pending.lasted(slot) > longest.lasted(slot):
                        tally.longest_pending = pending
            case Phase.FIRING, Phase.INACTIVE:
                firing = _open(tally.firing, transition)
                if firing is not None:
                    firing.ended_at, firing.why = slot, transition.because.value
            case _:
                pass

    def _decided(self, decided: Decided) -> None:
        tally = self.tally.guards[decided.guard]
        if decided.decision is Decision.HOLD:
            tally.held[decided.reason.value] = tally.held.get(decided.reason.value, 0) + 1
        if len(tally.conclusions) >= MOST_KEPT:
            tally.left_out += 1
            return
        tally.conclusions.append(
            Conclusion(
                at=decided.at,
                decision=decided.decision.value,
                reason=decided.reason.value,
                action=decided.action or "",
                incident=decided.incident or "",
            )
        )

    def _in_incident(
        self, record: IncidentOpened | IncidentJoined | IncidentEnded | IncidentCleared | Intended | Concluded
    ) -> None:
        episodes = self.tally.guards[record.guard].episodes
        if isinstance(record, IncidentOpened):
            opened = Episode(
                id=record.incident, opened_at=record.at, breached_at=record.breached_at, rules=record.rules
            )
            if len(episodes) < MOST_KEPT:
                episodes.append(opened)
            return
        episode = next((each for each in reversed(episodes) if each.id == record.incident), None)
        if episode is None:
            return
        match record:
            case IncidentJoined():
                episode.rules = (*episode.rules, *record.rules)
            case Intended():
                name = record.action or f"notify {', '.join(record.notify)}"
                episode.deeds.append(Deed(at=record.at, action=name, reason=_reason(self.tally, record)))
            case Concluded():
                if episode.deeds:
                    episode.deeds[-1].outcome = record.outcome.value
            case IncidentEnded():
                episode.ended_at, episode.decision, episode.reason = record.at, record.decision, record.reason
                if record.decision is Decision.RECOVERED:
                    episode.closed_at = record.at
            case IncidentCleared():
                episode.closed_at = record.at


def _take_values(
    tally: RuleTally,
    lane: Lane,
    pieces: Sequence[tuple[int, slice]],
    found: tuple[Sequence[float], bytes],
    comparison: Comparison,
) -> None:
    values, there = found
    is_whole = 0 not in there
    extremes = list[float]()
    for bucket, piece in pieces:
        known = values[piece] if is_whole else list(compress(values[piece], there[piece]))
        if known:
            low, high = min(known), max(known)
            tally.take_extremes(bucket, low, high)
            extremes += (low, high) if comparison.is_ordered else (min(known, key=comparison.margin),)
    if not extremes:
        return
    nearest = min(extremes, key=comparison.margin)
    if tally.nearest is None or comparison.margin(nearest) < comparison.margin(tally.nearest.value):
        at = next(number for number in range(lane.done, lane.count) if there[number] and values[number] == nearest)
        tally.nearest = Nearest(value=nearest, at=lane.slot(at))


def _reason(tally: Tally, intended: Intended) -> str:
    conclusions = tally.guards[intended.guard].conclusions
    return conclusions[-1].reason if conclusions and conclusions[-1].at == intended.at else ""


def _open(spells: Sequence[Spell], transition: Transition) -> Spell | None:
    return next((each for each in reversed(spells) if each.ended_at is None and each.series == transition.series), None)


def _keep(spells: list[Spell], spell: Spell) -> None:
    if len(spells) < MOST_KEPT:
        spells.append(spell)
