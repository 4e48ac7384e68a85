"""Look things up among the records that are told: what one of them means in the light of the others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from rollback_guard.core.model import Verdict
from rollback_guard.core.records import (
    Awaited,
    Decided,
    Decision,
    IncidentEnded,
    IncidentJoined,
    IncidentOpened,
    Intended,
    MaintenanceChanged,
    Reason,
    Record,
    Triggered,
    Window,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that happened.

    Attributes:
        offset: Distance from the incident's first breach, or from the first line.
        notes: What stands below it: the values that were seen, what a target or a person said, what to do.
    """

    at: datetime
    offset: timedelta
    text: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Said:
    """One thing that happened, before it is known what it is counted from."""

    at: datetime
    text: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Account:
    """All that is told of, and whose story it is.

    Attributes:
        guard: Whose; empty where no record says it, so that every guard's orders are told.
        incident: Its incident; empty for the story of the guard itself.
        rules: Those that it is about; where none is known it is about every one.
    """

    records: tuple[Record, ...]
    guard: str = ""
    incident: str = ""
    rules: frozenset[str] = frozenset()

    @classmethod
    def of_incident(cls, records: Iterable[Record]) -> Account:
        """Return the account of the incident that the records are of."""
        records = tuple(records)
        own = next((each for each in records if isinstance(each, IncidentOpened) or _incident_of(each)), None)
        joined = (each.rules for each in records if isinstance(each, IncidentOpened | IncidentJoined))
        return cls(
            records=records,
            guard=getattr(own, "guard", ""),
            incident=_incident_of(own),
            rules=frozenset(rule for rules in joined for rule in rules),
        )

    @cached_property
    def opened(self) -> IncidentOpened | None:
        """How its incident began; missing only where the records do not go back so far."""
        return next((each for each in self.own if isinstance(each, IncidentOpened)), None)

    @cached_property
    def own(self) -> tuple[Record, ...]:
        """The records of its incident."""
        return tuple(each for each in self.records if self.incident and _incident_of(each) == self.incident)

    @cached_property
    def intents(self) -> tuple[Intended, ...]:
        """What was begun, in order; what takes a step back as well."""
        return tuple(each for each in self.records if isinstance(each, Intended))

    @property
    def began_blind(self) -> bool:
        """Whether it was opened for lack of sight and not for a breach."""
        first = next((each for each in self.records if isinstance(each, Decided)), None)
        return first is not None and bool(first.evidence) and {e.verdict for e in first.evidence} == {Verdict.UNKNOWN}

    def is_its(self, guard: str | None) -> bool:
        """Say whether something is about its guard; what is about none in particular is about all of them."""
        return guard is None or not self.guard or guard == self.guard

    def concerns(self, rule: str) -> bool:
        """Say whether a rule is part of the story; without any known rule every one is."""
        return not self.rules or rule in self.rules

    def intent(self, key: str) -> Intended | None:
        """The intent with a key."""
        return next((each for each in reversed(self.intents) if each.key == key), None)

    def steps(self, until: datetime) -> tuple[Intended, ...]:
        """The steps that were begun up to then, the newest last."""
        return tuple(each for each in self.intents if not each.undoes and each.at <= until)

    def asked_for(self, step: Intended) -> bool:
        """Say whether a person had this step run, out of its order."""
        asked = (each for each in self.records if isinstance(each, Triggered) and each.at <= step.at)
        return any(step.action in each.actions if each.actions else step.step in each.steps for each in asked)

    def skipped(self, step: Intended) -> range:
        """Return the steps that the ladder left out right before this one."""
        if step.undoes or self.asked_for(step):
            return range(0)
        before = [
            each.step for each in self.intents if each.at <= step.at and not each.undoes and each.step < step.step
        ]
        return range(max(before, default=-1) + 1, step.step)

    def awaited(self, step: int, until: datetime) -> Awaited | None:
        """The last countdown of a step."""
        found = (each for each in reversed(self.own) if isinstance(each, Awaited) and each.at <= until)
        return next((each for each in found if each.step == step), None)

    def waiting(self, until: datetime) -> Awaited | None:
        """The countdown that was under way then, or the last one."""
        return next((each for each in reversed(self.own) if isinstance(each, Awaited) and each.at <= until), None)

    def action(self, step: int) -> str | None:
        """The name of a step's action, where a record gives it away."""
        named = (
            each.action
            for each in self.own
            if isinstance(each, Intended | Awaited | Decided) and each.step == step and not getattr(each, "undoes", "")
        )
        return next((name for name in named if name), None)

    def windows(self, record: MaintenanceChanged) -> tuple[Window, ...]:
        """The maintenance windows that hold for its guard."""
        return tuple(each for each in record.windows if not each.guards or not self.guard or self.guard in each.guards)

    def windows_before(self, record: MaintenanceChanged) -> tuple[Window, ...] | None:
        """Those that were open before; ``None`` where nobody can tell."""
        before: tuple[Window, ...] | None = None
        for each in self.records:
            if each is record:
                break
            if isinstance(each, MaintenanceChanged):
                before = self.windows(each)
        return before

    def held_for(self, reason: Reason) -> bool:
        """Say whether a decision of it gave this reason."""
        return any(isinstance(each, Decided) and each.reason is reason for each in self.records)

    def held_at_last(self) -> Reason | None:
        """Return why the guard does not act, where that is the last thing it concluded about its steps."""
        last = next((each for each in reversed(self.own) if isinstance(each, Decided | Intended | IncidentEnded)), None)
        return last.reason if isinstance(last, Decided) and last.decision is Decision.HOLD else None


def _incident_of(record: Record | None) -> str:
    """Return the incident that a record belongs to; most kinds know none."""
    return getattr(record, "incident", None) or ""
