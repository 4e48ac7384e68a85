"""Move every time from which spans are counted, so that a set wall clock changes none of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from rollback_guard.core.alert import Alert
from rollback_guard.core.state import GroupState, GuardState, Incident, IncidentPhase, Intent, State


def shift(state: State, by: timedelta) -> State:
    """Return the state with all its clocks moved; what is over keeps the times at which it was."""
    shifted = _Shift(by)
    return replace(
        state,
        started_at=shifted.moved(state.started_at),
        groups={name: shifted.group(each) for name, each in state.groups.items()},
        incidents={name: shifted.incident(each) for name, each in state.incidents.items()},
        guards={name: shifted.guard(each) for name, each in state.guards.items()},
        pauses={
            name: replace(each, since=each.since + by, until=shifted.moved(each.until))
            for name, each in state.pauses.items()
        },
        signals=tuple(replace(each, heard_at=shifted.moved(each.heard_at)) for each in state.signals),
    )


@dataclass(frozen=True, slots=True)
class _Shift:
    by: timedelta

    def moved(self, at: datetime | None) -> datetime | None:
        return at and at + self.by

    def alert(self, of: Alert) -> Alert:
        return replace(
            of,
            active_at=of.active_at + self.by,
            fired_at=self.moved(of.fired_at),
            unknown_since=self.moved(of.unknown_since),
            blind_since=self.moved(of.blind_since),
            absent_since=self.moved(of.absent_since),
            passing_since=self.moved(of.passing_since),
        )

    def group(self, of: GroupState) -> GroupState:
        alerts = {
            rule: {series: self.alert(each) for series, each in alerts.items()} for rule, alerts in of.alerts.items()
        }
        sights = {rule: replace(sight, since=self.moved(sight.since)) for rule, sight in of.sights.items()}
        before = of.before_outage and self.group(of.before_outage)
        return replace(of, slot=of.slot + self.by, alerts=alerts, sights=sights, before_outage=before)

    def incident(self, of: Incident) -> Incident:
        if of.phase is IncidentPhase.CLOSED:
            return of
        by = self.by
        watch = of.verification and replace(
            of.verification,
            since=of.verification.since + by,
            until=of.verification.until + by,
            passing_since=self.moved(of.verification.passing_since),
        )
        waiting = of.waiting and replace(of.waiting, since=of.waiting.since + by, until=of.waiting.until + by)
        return replace(
            of,
            opened_at=of.opened_at + by,
            breached_at=of.breached_at + by,
            intents=self.intents(of.intents),
            undos=self.intents(of.undos),
            verification=watch,
            waiting=waiting,
        )

    def intents(self, of: tuple[Intent, ...]) -> tuple[Intent, ...]:
        return tuple(replace(each, at=each.at + self.by, concluded_at=self.moved(each.concluded_at)) for each in of)

    def guard(self, of: GuardState) -> GuardState:
        under_way = of.rollout and of.rollout.finished_at is None
        return replace(
            of,
            acted_at=tuple(at + self.by for at in of.acted_at),
            rested_at=self.moved(of.rested_at),
            opened_at=tuple(at + self.by for at in of.opened_at),
            rollout=replace(of.rollout, started_at=of.rollout.started_at + self.by, until=of.rollout.until + self.by)
            if of.rollout and under_way
            else of.rollout,
        )
