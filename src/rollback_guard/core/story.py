"""Tell an incident's story in plain words, from nothing but its records.

What was seen and when, why it was or was not acted on, what was done, whether that helped, how it ended, and what
people have to do now.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from rollback_guard.core import wording
from rollback_guard.core.model import Verdict
from rollback_guard.core.records import (
    ClockStepped,
    Concluded,
    Configured,
    Decided,
    Decision,
    Evaluated,
    IncidentCleared,
    IncidentEnded,
    IncidentJoined,
    IncidentOpened,
    Intended,
    Outcome,
    Reason,
    Record,
    Rewound,
    Started,
    Stopped,
    Watched,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that happened.

    Attributes:
        offset: Distance from the incident's first breach.
        notes: What stands below it: the values that were seen, what a target said, what to do.
    """

    at: datetime
    offset: timedelta
    text: str
    notes: tuple[str, ...] = ()


Said = tuple[datetime, str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Account:
    """All records of one incident, and what one of them means in the light of the others."""

    records: tuple[Record, ...]

    @property
    def opened(self) -> IncidentOpened | None:
        """How it began; missing only where the records do not go back so far."""
        return next((record for record in self.records if isinstance(record, IncidentOpened)), None)

    @property
    def rules(self) -> frozenset[str]:
        """Every rule that opened or joined it."""
        return frozenset(
            rule
            for record in self.records
            if isinstance(record, IncidentOpened | IncidentJoined)
            for rule in record.rules
        )

    @property
    def began_blind(self) -> bool:
        """Whether it was opened for lack of sight and not for a breach."""
        first = next((record for record in self.records if isinstance(record, Decided)), None)
        return first is not None and bool(first.evidence) and {e.verdict for e in first.evidence} == {Verdict.UNKNOWN}

    def intent(self, key: str | None = None) -> Intended | None:
        """The intent with a key, or the last one."""
        intents = [record for record in self.records if isinstance(record, Intended)]
        return next((intent for intent in reversed(intents) if key in (None, intent.key)), None)

    def concerns(self, rule: str) -> bool:
        """Say whether a rule is part of the incident; without any known rule every one is."""
        return not self.rules or rule in self.rules


def tell(records: Sequence[Record]) -> tuple[Line, ...]:
    """Return the story of one incident, oldest first.

    Args:
        records: Those of one incident, in the journal's order; others among them, such as evaluations and restarts,
            are told where they concern it.
    """
    account = Account(tuple(records))
    said = [each for record in account.records for each in _said(record, account)]
    said.extend(_now(account))
    if not said:
        return ()
    origin = account.opened.breached_at if account.opened else said[0][0]
    said.sort(key=lambda each: each[0])
    return tuple(Line(at=at, offset=at - origin, text=text, notes=notes) for at, text, notes in said)


def _said(record: Record, account: Account) -> Iterator[Said]:
    match record:
        case Started():
            yield record.at, f"rollback-guard {record.version} was started ({record.mode}).", ()
        case Stopped():
            yield record.at, "rollback-guard was stopped.", _left_open(record)
        case Configured():
            yield record.at, f"A new configuration came into force ({record.mode}).", ()
        case ClockStepped():
            yield record.at, f"The machine's clock was set by {wording.offset(record.by)}.", ()
        case Evaluated():
            yield from _evaluated(record, account)
        case Rewound():
            yield (
                record.at,
                f"The data source is back: group {record.group} is read again from {record.slot:%H:%M:%S}.",
                (),
            )
        case Decided():
            yield _decided(record)
        case IncidentOpened():
            yield from _opened(record, account)
        case IncidentJoined():
            yield record.at, f"{wording.names(record.rules)} fired too and joined the incident.", ()
        case Intended():
            yield _intended(record)
        case Concluded():
            yield _concluded(record, account)
        case Watched():
            yield record.at, _watched(record, account), ()
        case IncidentEnded():
            yield _ended(record, account)
        case IncidentCleared():
            yield record.at, "The rules pass again: the incident is closed, and a new breach opens a new one.", ()
        case _:
            assert_never(record)


def _left_open(record: Stopped) -> tuple[str, ...]:
    return tuple(f"Left open, to be looked into at the next start: {key}." for key in record.open_intents)


def _evaluated(record: Evaluated, account: Account) -> Iterator[Said]:
    for change in record.transitions:
        if account.concerns(change.rule):
            value = f" (value {wording.number(change.value)})" if change.value is not None else ""
            subject = wording.name(change.rule) + wording.series(change.series)
            yield record.slot, f"{subject} {wording.moved(change.because)}{value}.", ()
    for sight in record.sights:
        if account.concerns(sight.rule):
            what = f"is unknown ({sight.reason})" if sight.reason else "is known again"
            yield record.slot, f"{wording.name(sight.rule)} {what}.", (sight.detail,) if sight.detail else ()


def _opened(record: IncidentOpened, account: Account) -> Iterator[Said]:
    rules = wording.names(record.rules)
    if account.began_blind:
        yield record.breached_at, f"Nothing is known any more of {rules}.", ()
        yield record.at, f"Guard {record.guard} opened incident {record.incident}: it was blind for too long.", ()
        return
    held = wording.span(record.at - record.breached_at)
    yield record.breached_at, f"The first breach: {rules}.", ()
    yield record.at, f"Guard {record.guard} opened incident {record.incident}: the breach had lasted for {held}.", ()


def _decided(record: Decided) -> Said:
    notes = tuple(wording.seen(evidence) for evidence in record.evidence)
    if record.detail:
        notes = (*notes, record.detail)
    return record.at, f"{_conclusion(record)}.", notes


def _conclusion(record: Decided) -> str:
    why = wording.why(record.reason)
    match record.decision:
        case Decision.NONE:
            return f"Nothing to do: {why}"
        case Decision.HOLD:
            return f"Did not act: {why}"
        case Decision.ACT if record.reason is Reason.BLIND:
            return f"Decided to run {_step(record.step, record.action)}: it was blind for too long, and is told to act"
        case Decision.ACT:
            return f"Decided to run {_step(record.step, record.action)}: {why}"
        case Decision.RECOVERED:
            return f"Recovered: {why}"
        case Decision.HAND_OVER:
            return f"Handed over to people: {why}"
        case _:
            assert_never(record.decision)


def _step(index: int | None, action: str | None) -> str:
    position = f"step {index + 1}" if index is not None else "the next step"
    return f"{position}, {action}" if action else position


def _intended(record: Intended) -> Said:
    asked = (
        f"It has helped if the rules pass for {wording.span(record.stable_for)}, "
        f"within {wording.span(record.within)} after it is done."
    )
    return record.at, f"Began {_step(record.step, record.action)}.", (f"Goal: {record.goal}", asked)


def _concluded(record: Concluded, account: Account) -> Said:
    intent = account.intent(record.key)
    took = f" in {wording.span(record.at - intent.at)}" if intent else ""
    effort = "at the first attempt" if record.attempts == 1 else f"after {record.attempts} attempts"
    notes = (record.detail,) if record.detail else ()
    match record.outcome:
        case Outcome.SUCCEEDED:
            return record.at, f"{record.action} succeeded {effort}{took}; now its effect is watched.", notes
        case Outcome.FAILED:
            return record.at, f"{record.action} failed for good {effort}{took}.", notes
        case Outcome.UNKNOWN:
            return record.at, f"It cannot be told whether {record.action} had its effect, {effort}{took}.", notes
        case _:
            assert_never(record.outcome)


def _watched(record: Watched, account: Account) -> str:
    if record.extended and record.passing_since is None:
        return f"It cannot be told yet whether it helped; watched once more, until {record.until:%H:%M:%S}."
    match record.verdict:
        case Verdict.PASS:
            intent = account.intent()
            lasting = f" for {wording.span(intent.stable_for)}" if intent else ""
            return f"The rules pass; recovered if they do so{lasting}."
        case Verdict.BREACH:
            return "The rules breach."
        case Verdict.UNKNOWN:
            return "It cannot be seen at the moment whether the rules pass."
        case _:
            assert_never(record.verdict)


def _ended(record: IncidentEnded, account: Account) -> Said:
    after = f", {wording.span(record.at - account.opened.breached_at)} after the first breach" if account.opened else ""
    if record.decision is not Decision.HAND_OVER:
        return record.at, f"The incident is over{after}.", ()
    intent = account.intent()
    advice = wording.to_do(
        record.reason, intent.action if intent else "the action", intent.goal if intent else "see the playbook"
    )
    return record.at, f"The guard is done{after}: people have to go on.", (advice,)


def _now(account: Account) -> Iterator[Said]:
    """Say how things stand where the story has no end yet."""
    last = next((record for record in reversed(account.records) if not isinstance(record, Evaluated | Rewound)), None)
    match last:
        case Intended():
            yield last.at, f"{last.action} is under way, or how it ended is not known yet.", ()
        case Concluded() | Watched():
            yield last.at, "Not over yet: the effect is being watched.", ()
        case Decided(decision=Decision.HOLD):
            yield last.at, f"Not over yet: the guard still does not act, because {wording.why(last.reason)}.", ()
        case IncidentEnded(decision=Decision.HAND_OVER):
            yield last.at, "Not closed yet: the rules have not all passed again.", ()
        case _:
            return
