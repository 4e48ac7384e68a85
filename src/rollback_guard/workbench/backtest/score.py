"""Say of each firing whether it was of use: during a known incident, after a deploy, or a false alarm."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from rollback_guard.workbench.backtest.events import Deploy, KnownIncident
from rollback_guard.workbench.backtest.results import Period

WEEK = timedelta(weeks=1)


class Kind(StrEnum):
    """What a firing was."""

    INCIDENT = "incident"
    DEPLOY = "deploy"
    FALSE_ALARM = "false_alarm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What people know of the time that is played.

    Attributes:
        deploys: Oldest first.
        incidents: Oldest first.
        deploy_window: How long after a deploy a firing is put down to it.
        is_told: Whether people were asked, be it that nothing happened.
        left_out: How many deploys and incidents lie outside of the time that is played.
    """

    start: datetime
    end: datetime
    deploys: Sequence[Deploy] = ()
    incidents: Sequence[KnownIncident] = ()
    deploy_window: timedelta = timedelta(hours=1)
    is_told: bool = False
    left_out: int = 0

    @property
    def is_known(self) -> bool:
        """Whether it is known what happened: else nothing can be called a false alarm."""
        return self.is_told or bool(self.deploys or self.incidents)

    def of(self, guards: Iterable[str]) -> Past:
        """Return what concerns these guards."""
        named = {*guards, ""}
        return replace(
            self,
            deploys=[each for each in self.deploys if each.guard in named],
            incidents=[each for each in self.incidents if each.guard in named],
        )

    def within(self, start: datetime, end: datetime) -> Past:
        """Return what lies in a time, wholly or in part; an incident counts from its beginning."""
        deploys = [each for each in self.deploys if start - self.deploy_window < each.at <= end]
        incidents = [
            replace(each, start=max(start, each.start))
            for each in self.incidents
            if each.start < end and each.end > start
        ]
        gone = len(self.deploys) + len(self.incidents) - len(deploys) - len(incidents)
        return replace(self, start=start, end=end, deploys=deploys, incidents=incidents, left_out=self.left_out + gone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How useful firings were.

    Attributes:
        kinds: Of each firing, in their order.
        detected: Known incidents during which something fired.
        missed: Those during which nothing did.
        delays: Of each detected incident, from its start to the first firing; zero where it fired already.
        false_alarms_per_week: Over the whole time.
    """

    kinds: tuple[Kind, ...]
    detected: int
    missed: tuple[KnownIncident, ...]
    delays: tuple[timedelta, ...]
    false_alarms_per_week: float

    def count(self, kind: Kind) -> int:
        """Return how many firings were of a kind."""
        return self.kinds.count(kind)

    @property
    def mean_delay(self) -> timedelta | None:
        """The mean detection delay; ``None`` where nothing was detected."""
        return sum(self.delays, timedelta(0)) / len(self.delays) if self.delays else None


def score(firings: Sequence[Period], past: Past) -> Score:
    """Hold firings against what people know."""
    kinds = tuple(_kind(firing, past) for firing in firings)
    first = [(incident, _first_in(firings, incident, past.end)) for incident in past.incidents]
    delays = [max(timedelta(0), at - incident.start) for incident, at in first if at is not None]
    weeks = (past.end - past.start) / WEEK
    return Score(
        kinds=kinds,
        detected=len(delays),
        missed=tuple(incident for incident, at in first if at is None),
        delays=tuple(delays),
        false_alarms_per_week=kinds.count(Kind.FALSE_ALARM) / weeks if weeks else 0.0,
    )


def _kind(firing: Period, past: Past) -> Kind:
    if any(_overlaps(firing, incident, past.end) for incident in past.incidents):
        return Kind.INCIDENT
    began = firing.active_at or firing.began_at
    if any(deploy.at <= firing.began_at and began <= deploy.at + past.deploy_window for deploy in past.deploys):
        return Kind.DEPLOY
    return Kind.FALSE_ALARM


def _first_in(firings: Sequence[Period], incident: KnownIncident, end: datetime) -> datetime | None:
    return min((each.began_at for each in firings if _overlaps(each, incident, end)), default=None)


def _overlaps(firing: Period, incident: KnownIncident, end: datetime) -> bool:
    return firing.began_at < incident.end and (firing.ended_at or end) > incident.start
