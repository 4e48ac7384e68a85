"""Hold what a notice is made of besides its record, and make it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from rollback_guard.core.model import Guard, Policy
from rollback_guard.core.notice import Notice, NoticeKind, Urgency
from rollback_guard.core.notices import message, shared
from rollback_guard.core.records import (
    Configured,
    Decided,
    Evidence,
    IncidentOpened,
    MaintenanceChanged,
    Record,
    RolloutStarted,
)
from rollback_guard.core.state import Incident, State

Data = Iterable[tuple[str, str]]

FACT_CHARS = 1000
"""Of one value in a notice's data."""


@dataclass(frozen=True, kw_only=True)
class Telling:
    """The records of one moment, and what is known beside them.

    It has no slots: what many records ask for is looked up once, and kept in the instance.

    Attributes:
        state: After the records were folded.
        before: What was known before them; ``None`` where nobody knows.
    """

    policy: Policy
    state: State
    records: Sequence[Record]
    before: State | None = None

    def guard(self, name: str) -> Guard | None:
        """Return a guard of the configuration."""
        return self.policy.guards.get(name)

    def critical(self, name: str) -> tuple[str, ...]:
        """Return the channels that hear of a guard's incidents.

        Of a guard that a reload took away nobody knows any more whom it told; its end concerns everybody.
        """
        guard = self.guard(name)
        return guard.notify.critical if guard else self._everybody

    def involved(self, incident: Incident) -> tuple[str, ...]:
        """Return the channels that heard of an incident, also by a step that told them or by escalation."""
        guard = self.guard(incident.guard)
        called = (
            [channel for level in guard.escalate[: incident.escalated] for channel in level.notify] if guard else []
        )
        told = [channel for intent in incident.intents for channel in intent.notify]
        return tuple(dict.fromkeys((*self.critical(incident.guard), *called, *told)))

    def decided(self, incident: str) -> Decided | None:
        """Return the last of these records that decides about an incident."""
        return self._decided.get(incident)

    def opens(self, incident: str) -> bool:
        """Say whether these records open an incident."""
        return incident in self._opened

    @cached_property
    def storms(self) -> shared.Storms:
        """The storms that these incidents are part of."""
        return shared.Storms(self.policy, self.state)

    def blind(self, channel: str) -> tuple[str, ...]:
        """Return the guards that a channel hears of and that have been blind for too long, in the order of that."""
        return self._blind.get(channel, ())

    def were_blind(self, channel: str) -> tuple[str, ...]:
        """Return the same as of before these records."""
        return self._were_blind.get(channel, ())

    @cached_property
    def _blind(self) -> Mapping[str, tuple[str, ...]]:
        return shared.blind_by_channel(self.policy, self.state, self._now)

    @cached_property
    def _were_blind(self) -> Mapping[str, tuple[str, ...]]:
        return shared.blind_by_channel(self.policy, self.before, self._now) if self.before else {}

    @cached_property
    def _now(self) -> datetime:
        """When these records were made."""
        timed = Configured | Decided | MaintenanceChanged | RolloutStarted
        return next(each.at for each in self.records if isinstance(each, timed))

    @cached_property
    def _everybody(self) -> tuple[str, ...]:
        return everybody(self.policy)

    @cached_property
    def _decided(self) -> Mapping[str | None, Decided]:
        return {each.incident: each for each in self.records if isinstance(each, Decided)}

    @cached_property
    def _opened(self) -> frozenset[str]:
        return frozenset(each.incident for each in self.records if isinstance(each, IncidentOpened))

    def evidence(self, incident: Incident) -> tuple[Evidence, ...]:
        """Return what was seen of an incident's rules when it was decided about last."""
        decided = self.decided(incident.id)
        return decided.evidence if decided else message.evidence_of(self.state, incident.guard, incident.id)

    def notice(
        self,
        kind: NoticeKind,
        *,
        id_: str,
        thread: str,
        at: datetime,
        urgency: Urgency,
        channels: Sequence[str],
        title: str,
        lines: Iterable[str],
        guard: str = "",
        incident: str = "",
        resolves: bool = False,
        data: Data = (),
    ) -> Notice:
        """Return a notice of bounded size, with what every one of them carries, to those who hear of its kind."""
        return Notice(
            id=id_,
            thread=thread,
            at=at,
            kind=kind,
            urgency=urgency,
            channels=tuple(dict.fromkeys(each for each in channels if self.policy.hears(each, kind))),
            title=message.one_line(title, message.TITLE_CHARS),
            body=message.body(lines),
            guard=guard,
            incident=incident,
            resolves=resolves,
            data=(
                ("instance", self.policy.name),
                ("url", self.policy.url),
                *((name, value[:FACT_CHARS]) for name, value in data if value),
            ),
        )


def everybody(policy: Policy) -> tuple[str, ...]:
    """Return every channel that hears of incidents."""
    return tuple(dict.fromkeys(channel for guard in policy.guards.values() for channel in guard.notify.critical))


def stamp(at: datetime) -> str:
    """Return an instant as a part of an id."""
    return f"{at:%Y%m%dT%H%M%S.%fZ}"
