"""Hold the folded state, and let nothing change it but records that are written down.

What cannot be written down does not happen; what has happened already is kept in memory until it can be.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import structlog

from rollback_guard.core import step as core
from rollback_guard.core.fold import fold_all
from rollback_guard.core.notice import Notice, Urgency
from rollback_guard.core.records import Concluded, Evaluated, Record
from rollback_guard.core.state import State
from rollback_guard.ports import Clock, Journal, JournalError

log = structlog.get_logger()

SLOTS_WRITTEN_EVERY = timedelta(minutes=1)
"""An uneventful evaluation is written down this often: a restart reads back no more than that plus its own absence."""

BACKLOG = 10_000
"""Records kept in memory while the journal takes none; then the oldest are given up."""

CHECKPOINT_EVERY = 5_000
"""Records after which the state is kept whole: a start reads no more of them than this."""


class Ledger:
    """The state and its journal, one behind the other.

    Args:
        journal: Where records are made durable.
        clock: For when the journal began to fail.
        announce: The notices that records give rise to, from the state before and after them.
        taken: Hears of records that count from now on.
        is_due: Whether a record must be written although nothing in it has changed.
        urgent: Gets what people must hear although the journal cannot keep it.
        trouble: Hears since when the journal fails and why; an empty text says that this is over.

    Attributes:
        state: The fold of everything that happened.
        failed_since: Since when records can not be made durable.
        checkpointed_at: When the state was kept last.
    """

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        *,
        announce: Callable[[State, State, Sequence[Record]], Sequence[Notice]],
        taken: Callable[[Sequence[Record]], None],
        is_due: Callable[[Evaluated], bool],
        urgent: Callable[[Notice], None],
        trouble: Callable[[datetime, str], None],
    ) -> None:
        self.state = State()
        self.failed_since: datetime | None = None
        self.checkpointed_at: datetime | None = None
        self._journal = journal
        self._clock = clock
        self._announce = announce
        self._taken = taken
        self._forced = is_due
        self._urgent = urgent
        self._trouble = trouble
        self._written: dict[str, datetime] = {}
        self._backlog: list[Record] = []
        self._untold: deque[Notice] = deque(maxlen=BACKLOG)
        self._since_checkpoint = 0

    async def load(self) -> None:
        """Fold what the journal tells."""
        past = await self._journal.load()
        self.state = fold_all(past.state, past.records)
        self._since_checkpoint = len(past.records)

    async def note(self, facts: Sequence[Record]) -> None:
        """Write down what is the case; it is so even where the journal can not take it."""
        if not await self.write(facts):
            self.keep(facts)

    async def write(self, records: Sequence[Record]) -> bool:
        """Make records durable, fold them, and tell those who watch.

        Returns:
            Whether the records are durable; if not, nothing has changed.
        """
        after = fold_all(self.state, records)
        notices = self._announce(self.state, after, records)
        durable, told = [*self._backlog, *self._due(records)], [*self._untold, *notices]
        if durable or told:
            if not await self._append(durable, told):
                return False
            self._backlog.clear()
            self._untold.clear()
            self._mended()
        self._take(after, records)
        return True

    async def write_outcome(self, ended: Concluded) -> bool:
        """Make durable how an action ended, before anything that has to wait: its room is kept on a full disk.

        Returns:
            Whether it is durable. It is not where what it follows from is itself not written yet.
        """
        if any(getattr(record, "incident", None) == ended.incident for record in self._backlog):
            return False
        after = fold_all(self.state, [ended])
        if not await self._append([ended], self._announce(self.state, after, [ended])):
            return False
        self._take(after, [ended])
        return True

    async def _append(self, records: Sequence[Record], notices: Sequence[Notice]) -> bool:
        try:
            await self._journal.append(records, notices)
        except JournalError as error:
            self._lost(error)
            return False
        self._since_checkpoint += len(records)
        return True

    def keep(self, facts: Sequence[Record]) -> None:
        """Hold facts in memory that the journal did not take; they are written before whatever comes next."""
        after = fold_all(self.state, facts)
        self._backlog += self._due(facts)
        self._shed()
        for notice in self._announce(self.state, after, facts):
            if notice.urgency is Urgency.CRITICAL:
                self._urgent(notice)
            else:
                self._untold.append(notice)
        self._take(after, facts)

    def _shed(self) -> None:
        """Give up the oldest evaluations where too much waits: what was decided and done must be found again."""
        surplus = len(self._backlog) - BACKLOG
        if surplus <= 0:
            return
        shed = {number for number, record in enumerate(self._backlog) if isinstance(record, Evaluated)}
        shed = set(sorted(shed)[:surplus])
        self._backlog = [record for number, record in enumerate(self._backlog) if number not in shed]
        self._since_checkpoint = CHECKPOINT_EVERY  # the state knows what they said

    def write_slots_anew(self) -> None:
        """Have every group's next slot written, whatever was written before."""
        self._written.clear()

    def unwritten_slots(self) -> tuple[Evaluated, ...]:
        """Return the last slots of groups that were left out so far, but for those whose source is out of reach."""
        return tuple(
            Evaluated(group=name, slot=group.slot)
            for name, group in self.state.groups.items()
            if group.before_outage is None and self._written.get(name) != group.slot
        )

    async def checkpoint(self, *, at_once: bool = False) -> None:
        """Keep the state whole, if enough has been written since the last time and nothing waits to be written."""
        if self._backlog or not (at_once or self._since_checkpoint >= CHECKPOINT_EVERY):
            return
        try:
            await self._journal.checkpoint(self.state)
        except JournalError as error:
            log.warning("checkpoint_failed", error=str(error))
            return
        self._since_checkpoint = 0
        self.checkpointed_at = self._clock.now()

    async def prune(self, before: datetime) -> None:
        """Forget records from before then, as far as no open incident needs them."""
        try:
            while forgotten := await self._journal.prune(before):
                log.info("records_forgotten", records=forgotten, before=before)
        except JournalError as error:
            log.warning("prune_failed", error=str(error))

    def _take(self, after: State, records: Sequence[Record]) -> None:
        for record in self._due(records):
            if isinstance(record, Evaluated):
                self._written[record.group] = record.slot
        self.state = after
        self._taken(records)

    def _due(self, records: Sequence[Record]) -> list[Record]:
        return [record for record in records if self._is_due(record)]

    def _is_due(self, record: Record) -> bool:
        if not isinstance(record, Evaluated):
            return True
        last = self._written.get(record.group)
        return self._forced(record) or core.is_worth_writing(record, last, every=SLOTS_WRITTEN_EVERY)

    def _lost(self, error: JournalError) -> None:
        began, since = self.failed_since is None, self.failed_since or self._clock.now()
        self.failed_since = since
        log.error("journal_failed", error=str(error), since=since, kept=len(self._backlog))
        if began:
            self._trouble(since, str(error))

    def _mended(self) -> None:
        since, self.failed_since = self.failed_since, None
        if since is not None:
            log.info("journal_writes_again", since=since)
            self._trouble(since, "")
