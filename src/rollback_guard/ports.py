"""Name what the engine needs from outside, as protocols.

Errors at the edge are values inside. A `Source` never raises for what a server or a network does: it answers with a
`Failure`. An `Action` raises `TransientError` or `PermanentError`, or returns that its outcome is unknown; the engine
turns all three into an outcome, and the core never sees an exception.

    GuardError
    ├── TransientError     the effect certainly did not happen and may be tried again
    ├── PermanentError     the effect certainly did not happen and trying again is useless
    │   └── EmptyTextError a channel's templates leave nothing of a notice, so nothing was sent
    ├── UnknownOutcome     the effect may have happened: time-out, lost answer
    └── JournalError       the record could not be written durably
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from rollback_guard.core.model import Group, Labels
from rollback_guard.core.notice import Notice
from rollback_guard.core.observation import Observation
from rollback_guard.core.records import Record
from rollback_guard.core.state import State


class GuardError(Exception):
    """Any error that rollback-guard raises on purpose."""


class TransientError(GuardError):
    """Say that the effect did not happen and that trying again may help.

    Attributes:
        retry_after: What the target asked for (`Retry-After`), if it did.
    """

    def __init__(self, message: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class PermanentError(GuardError):
    """Say that the effect did not happen and that trying again will not help."""


class EmptyTextError(PermanentError):
    """Say that people wanted nothing to be sent of a notice: the templates leave neither title nor body."""


class UnknownOutcome(GuardError):  # noqa: N818  it is no error: not knowing is a state of its own
    """Say that the effect may or may not have happened."""


class JournalError(GuardError):
    """Say that a record is not durable."""


class Source(Protocol):
    """Read what a group's rules measure. Never raises for what the network or the server does."""

    async def read(
        self, group: Group, slot: datetime, expected: Mapping[str, frozenset[Labels]]
    ) -> Mapping[str, Observation]:
        """Observe every rule of the group at one slot.

        Args:
            group: What to ask for. The time asked for is ``slot - group.query_offset``.
            slot: Aware UTC.
            expected: By rule id, the sample labels of its pending and firing series. Where one of them is missing
                from the answer, or the answer is empty, the rule's ratio denominator is asked for too.

        Returns:
            One observation per rule id of the group.
        """
        ...

    async def read_range(
        self, group: Group, slots: Sequence[datetime], expected: Mapping[str, frozenset[Labels]]
    ) -> Mapping[datetime, Mapping[str, Observation]]:
        """Observe past slots, evenly spaced by the group's interval, as `read` would have at their time.

        Returns:
            For each slot that can be read back its observations; a source that cannot look back returns ``{}``.
        """
        ...

    async def close(self) -> None:
        """Release connections and threads."""
        ...


class Goal(StrEnum):
    """Whether an action's goal state is reached, as an inspection saw it."""

    REACHED = "reached"
    NOT_REACHED = "not_reached"
    CANNOT_TELL = "cannot_tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One run of an action: who asks, for what, and under which key.

    Attributes:
        key: Idempotency key of the intent; the same for every attempt and after a restart.
        context: What templates and the environment of commands may use: ``guard``, ``incident``, ``alerts``,
            ``action``; plain data, no secrets.
    """

    key: str
    context: Mapping[str, Any] = field(default_factory=dict)


class Action(Protocol):
    """Bring about one goal state, and tell whether it is reached."""

    @property
    def timeout(self) -> timedelta:
        """Bound of one `execute`; also the time limit of a step's attempts together."""
        ...

    @property
    def idempotent(self) -> bool:
        """Whether people declared that repeating it is harmless."""
        ...

    @property
    def inspectable(self) -> bool:
        """Whether `inspect` can ever say more than CANNOT_TELL."""
        ...

    @property
    def lingers(self) -> bool:
        """Whether an effect may still arrive after the guard that asked for it was killed: nobody can call it back."""
        ...

    @property
    def goal(self) -> str:
        """The goal state for people, as it was written, without secrets: ``PATCH https://flags…/new-checkout``."""
        ...

    async def execute(self, call: Call) -> str:
        """Bring the goal about, within `timeout`.

        Returns:
            What the target said, for people: bounded and redacted.

        Raises:
            TransientError: It did not happen; trying again may help.
            PermanentError: It did not happen; trying again will not help.
            UnknownOutcome: It may have happened.
        """
        ...

    async def inspect(self, call: Call) -> tuple[Goal, str]:
        """Read whether the goal is reached, and what was seen. Never raises for what the target does."""
        ...

    async def sweep(self, call: Call) -> None:
        """End what an earlier run under this key left running; called before an open intent is inspected."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What a journal tells at the start: a state that was kept, and the records since then."""

    state: State
    records: Sequence[Record]


class Journal(Protocol):
    """Keep records, in order, for good. One writer."""

    async def append(self, records: Sequence[Record], notices: Sequence[Notice] = ()) -> None:
        """Make the records durable and put the notices into the outbox, all or none.

        A notice whose id is known already is left out.

        Raises:
            JournalError: They are not durable.
        """
        ...

    async def load(self) -> Past:
        """Return what is needed to fold the present state: the newest checkpoint and all records after it."""
        ...

    async def checkpoint(self, state: State) -> None:
        """Keep the fold of all records so far, so that the next start need not read them.

        Raises:
            JournalError: It was not kept; nothing else has changed.
        """
        ...

    async def prune(self, before: datetime) -> int:
        """Forget the oldest records, as far as they are from before then, checkpointed, and of no open incident.

        Returns:
            How many were forgotten.

        Raises:
            JournalError: Nothing was forgotten.
        """
        ...

    async def read(self, *, incident: str | None = None) -> Sequence[Record]:
        """Return all records, oldest first, or those of one incident."""
        ...

    async def around(self, start: datetime, end: datetime) -> Sequence[Record]:
        """Return what belongs to no incident, from then to then: evaluations that changed things, starts; bounded."""
        ...

    async def close(self) -> None:
        """Release the file."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One notice on its way to one channel.

    Attributes:
        number: Grows with every letter that is put in.
        put_at: When it was put in, on the wall clock as it is set now.
    """

    number: int
    channel: str
    notice: Notice
    put_at: datetime
    attempts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What an outbox still holds; `oldest` is when its oldest letter was put in."""

    letters: int = 0
    oldest: datetime | None = None


class Outbox(Protocol):
    """Keep letters until they are delivered, beside the journal and as durable.

    All of these raise `JournalError` where the database refuses; what was not written down happens again.
    """

    async def due(self, now: datetime, *, most: int, without: Collection[str] = ()) -> Sequence[Letter]:
        """Return letters to be sent now, oldest first: of each channel's thread only the oldest that is left.

        Args:
            now: The wall clock.
            most: How many, in all.
            without: Channels whose letters are of no use now.
        """
        ...

    async def left(self, channel: str, *, after: int, most: int, thread: str | None = None) -> Sequence[Letter]:
        """Return what a channel has not got yet, due or not, oldest first.

        Args:
            channel: Whose letters.
            after: Only letters with a higher number than this.
            most: How many; fewer come only where there are no more of them.
            thread: Only the letters of this one.
        """
        ...

    async def sent(self, letter: Letter, at: datetime) -> None:
        """Forget a letter that was delivered."""
        ...

    async def postpone(self, letter: Letter, until: datetime, error: str) -> None:
        """Try a letter again later; the ones after it in its thread wait too."""
        ...

    async def give_up(self, letter: Letter, at: datetime, why: str) -> None:
        """Forget a letter that is never delivered; that it was given up stays on record."""
        ...

    async def sent_since(self, channel: str, since: datetime) -> int:
        """Return how many letters a channel delivered since then, also before a restart."""
        ...

    async def backlog(self) -> Mapping[str, Backlog]:
        """Return by channel what waits to be delivered."""
        ...

    async def shift(self, by: timedelta) -> None:
        """Move every time from which spans are counted, because the wall clock was set by so much."""
        ...


class Channel(Protocol):
    """Deliver notices to people somewhere."""

    async def send(self, notice: Notice) -> None:
        """Deliver one notice.

        Raises:
            TransientError: It was not delivered; trying again may help.
            PermanentError: It was not and will never be delivered.
            EmptyTextError: There was nothing to deliver.
            UnknownOutcome: It may have been delivered; it is sent again under the same id.
        """
        ...

    async def close(self) -> None:
        """Release connections."""
        ...


class Clock(Protocol):
    """Read the time: the only way in which it enters."""

    def now(self) -> datetime:
        """Return the wall clock, aware UTC."""
        ...

    def elapsed(self) -> timedelta:
        """Return a clock that never steps and counts time asleep; its zero is arbitrary."""
        ...

    async def sleep(self, span: timedelta) -> None:
        """Return after the span."""
        ...


class Telemetry(Protocol):
    """Count what the edges do; the numbers that no record tells."""

    def queried(self, source: str, result: str, seconds: float) -> None:
        """One request to a source ended: ``ok`` or the word of `Unknown` that it became."""
        ...

    def evaluated(self, group: str, seconds: float) -> None:
        """One evaluation of a group ended, reading included."""
        ...

    def attempted(self, action: str, result: str, seconds: float) -> None:
        """One attempt of an action ended: succeeded, transient, failed, unknown."""
        ...

    def inspected(self, action: str, goal: Goal) -> None:
        """One inspection ended."""
        ...

    def journal_failed(self, kind: str) -> None:
        """Records could not be made durable: full, io_error, locked, read_only, other."""
        ...

    def notified(self, channel: str, result: str) -> None:
        """One letter was tried: delivered, transient, unknown, given_up, held_back, empty."""
        ...

    def refused(self, kind: str) -> None:
        """A caller was not let in: no_token, bad_token, scope, rate_limited, signature."""
        ...

    def client_rebuilt(self, client: str) -> None:
        """A connection pool was given up and made anew."""
        ...

    def served(self, route: str, method: str, code: int) -> None:
        """One HTTP request was answered; `route` is the pattern, never the path."""
        ...
