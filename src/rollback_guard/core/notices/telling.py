"""Hold what a notice is made of besides its record, and make it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from rollback_guard.core.model import Guard, Policy
from rollback_guard.core.notice import Notice, NoticeKind, Urgency
from rollback_guard.core.notices import message
from rollback_guard.core.records import Decided, Evidence, IncidentOpened, Record
from rollback_guard.core.state import Incident, State

Data = Iterable[tuple[str, str]]

FACT_CHARS = 1000
"""Of one value in a notice's data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """The records of one moment, and what is known beside them.

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
        """Return the channels that hear of a guard's incidents."""
        guard = self.guard(name)
        return guard.notify.critical if guard else ()

    def decided(self, incident: str) -> Decided | None:
        """Return the last of these records that decides about an incident."""
        about = (each for each in reversed(self.records) if isinstance(each, Decided) and each.incident == incident)
        return next(about, None)

    def opens(self, incident: str) -> bool:
        """Say whether these records open an incident."""
        return any(isinstance(each, IncidentOpened) and each.incident == incident for each in self.records)

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
        """Return a notice of bounded size, with what every one of them carries."""
        return Notice(
            id=id_,
            thread=thread,
            at=at,
            kind=kind,
            urgency=urgency,
            channels=tuple(dict.fromkeys(channels)),
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
