"""Keep the journal in SQLite: one file, one writer, every commit on the disk before it counts."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import structlog

from rollback_guard.adapters.journal import chain, retention
from rollback_guard.adapters.journal import checkpoint as checkpoints
from rollback_guard.adapters.journal.chain import ANCHOR, HEAD, Head, Link
from rollback_guard.adapters.journal.codec import decode_all, encode
from rollback_guard.adapters.journal.outbox import SqliteOutbox, put
from rollback_guard.adapters.journal.reader import MOST_FOUND, Reader
from rollback_guard.adapters.journal.retention import Known, open_incidents
from rollback_guard.adapters.journal.store import Store
from rollback_guard.core.notice import Notice
from rollback_guard.core.records import Concluded, Intended, Record
from rollback_guard.core.state import State
from rollback_guard.ports import JournalError, Past, Telemetry

log = structlog.get_logger(__name__)

T = TypeVar("T")

CHUNK = 1000
"""Records per query at the start; it bounds the memory."""


class SqliteJournal:
    """A journal in one file, for one process.

    It is open once it is made. All that writes runs in one thread of its own, so that the event loop never waits for a
    disk and writes keep their order; those who only look have another thread, and nobody who writes waits for them.

    Args:
        path: The database; its folder is made if it is not there. ``.lock`` and ``.ballast`` lie beside it.
        telemetry: Hears of every write that failed.

    Attributes:
        outbox: What is to be told to people, in the same file.

    Raises:
        JournalError: The file cannot be used; the text says why and what to do.
    """

    def __init__(self, path: Path | str, *, telemetry: Telemetry) -> None:
        self._path = Path(path)
        self._closed = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        try:
            self._store = self._thread.submit(Store, self._path, telemetry).result()
            self._head = self._thread.submit(self._point, HEAD).result()
        except BaseException:
            self._thread.shutdown()
            raise
        self._told = self._head.seq
        self._is_ahead = False
        self._checkpointed: Known | None = None
        self._reader = Reader(self._path, self._store)
        self.outbox = SqliteOutbox(self._store, self._in_thread)

    @property
    def head(self) -> Head:
        """The last record's number and hash; published elsewhere it shows later whether the end was cut off."""
        return self._head

    async def append(self, records: Sequence[Record], notices: Sequence[Notice] = ()) -> None:
        """Make the records durable and put the notices into the outbox, all or none.

        An append that is cancelled may still become durable. After one that failed on a broken disk, and only until
        the next one that succeeds, a kill may leave its records there as the last ones.

        Raises:
            JournalError: They are not durable.
        """
        if records or notices:
            first, last = await self._in_thread(lambda: self._append(records, notices))
            # What was written for a caller that is gone was folded by nobody.
            self._is_ahead = self._is_ahead or first != self._told + 1
            self._told = last

    async def load(self) -> Past:
        """Return the newest checkpoint that can be used, and all records after it.

        Raises:
            JournalError: The file cannot be read, another version wrote it, or it was changed by somebody else.
        """
        start = await self._in_thread(self._newest)
        records: list[Record] = []
        at = start.at
        while True:
            after = at
            chunk, at = await self._in_thread(lambda: self._follow(after))  # noqa: B023  awaited here
            if not chunk:
                self._told, self._is_ahead = at.seq, False
                return Past(state=start.state, records=records)
            records += chunk

    async def checkpoint(self, state: State) -> None:
        """Keep the fold of all records that were loaded and appended so far, for the next start.

        Raises:
            JournalError: It was not kept; nothing else has changed.
        """
        if self._is_ahead:
            raise JournalError(
                f"{self._path}: a record was written whose append was cancelled, so this state lacks it; "
                "the next start folds it"
            )
        stands_for = self._told
        await self._in_thread(lambda: self._keep(state, stands_for))

    async def prune(self, before: datetime) -> int:
        """Forget the oldest records, as far as they are from before then, checkpointed, and of no open incident.

        It goes in small steps, between which others have their turn, and ends after `retention.MOST` records.

        Returns:
            How many were forgotten.

        Raises:
            JournalError: Nothing was forgotten.
        """
        until = await self._in_thread(lambda: self._limit(before))
        forgotten = 0
        while until is not None and forgotten < retention.MOST:
            bound = until
            try:
                step = await self._in_thread(lambda: self._forget(bound))  # noqa: B023  awaited here
            except JournalError as error:
                if not forgotten:
                    raise
                log.warning("journal_prune_interrupted", forgotten=forgotten, error=str(error))
                break
            forgotten += step
            if step < retention.STEP:
                break
        return forgotten

    async def read(self, *, incident: str | None = None, kinds: Collection[str] = ()) -> Sequence[Record]:
        """Return all records, oldest first, or those of one incident, or of some kinds.

        Raises:
            JournalError: The file cannot be read, or another version wrote it.
        """
        return await self._reader.read(incident, kinds)

    async def around(
        self,
        start: datetime,
        end: datetime,
        *,
        rules: Collection[str] = (),
        most: int = MOST_FOUND,
        newest: bool = False,
    ) -> Sequence[Record]:
        """Return what belongs to no incident, from then to then, oldest first; of a long time only the beginning.

        An evaluation in which nothing changed tells nothing, and is left out.

        Args:
            start: Not before this instant.
            end: Not after it.
            rules: Of evaluations only those in which one of these moved; none means any rule.
            most: As many records at most.
            newest: Whether of a long time the end is returned, instead of the beginning.

        Raises:
            JournalError: The file cannot be read, or another version wrote it.
        """
        return await self._reader.around(start, end, rules, most, newest=newest)

    async def close(self) -> None:
        """Move the write-ahead log into the database and release both; closing twice is harmless."""
        if self._closed:
            return
        self._closed = True
        await self._reader.close()
        await asyncio.wrap_future(self._thread.submit(self._store.close))
        self._thread.shutdown(wait=False)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise JournalError(f"{self._path}: the journal is closed")
        return await asyncio.wrap_future(self._thread.submit(work))

    # What follows runs in the journal's thread.

    def _point(self, name: str) -> Head:
        with self._store.named():
            return chain.point(self._store.connection, name)

    def _append(self, records: Sequence[Record], notices: Sequence[Notice]) -> tuple[int, int]:
        """Return the numbers of the first and the last record that were written."""

        def work(connection: sqlite3.Connection) -> tuple[int, Head]:
            before = head = chain.point(connection, HEAD)
            rows: list[Link] = []
            for record in records:
                row = encode(record)
                seq = head.seq + 1
                hash_ = chain.link(head.hash, (seq, row.at, row.kind, row.incident, row.body))
                rows.append((seq, row.at, row.kind, row.incident, row.body, hash_))
                head = Head(seq=seq, hash=hash_)
            connection.executemany(
                "INSERT INTO records (seq, at, kind, incident, body, hash) VALUES (?, ?, ?, ?, ?, ?)", rows
            )
            if rows:
                chain.set_point(connection, HEAD, head)
            put(connection, notices, head.seq)
            return before.seq + 1, head

        first, head = self._store.write(work, ends_an_action=_only_ends_actions(records))
        self._head = head
        return first, head.seq

    def _newest(self) -> checkpoints.Checkpoint:
        with self._store.named():
            connection = self._store.connection
            for found in checkpoints.usable(connection):
                self._checkpointed = Known(seq=found.at.seq, incidents=open_incidents(found.state))
                return found
            anchor = chain.point(connection, ANCHOR)
            if anchor.seq:
                raise JournalError(
                    f"the records up to {anchor.seq} were forgotten, and no checkpoint of what they said can be read; "
                    "put a backup in its place or move it away"
                )
            return checkpoints.Checkpoint(at=Head(), state=State())

    def _follow(self, at: Head) -> tuple[list[Record], Head]:
        """Return the next records after a point of the chain, checked against it."""
        rows: list[Link] = self._store.query(
            "SELECT seq, at, kind, incident, body, hash FROM records WHERE seq > ? ORDER BY seq LIMIT ?",
            (at.seq, CHUNK),
        )
        with self._store.named():
            at, flaw = chain.check(at, rows)
            if flaw:
                raise JournalError(
                    f"{flaw}; `rollback-guard journal verify` says more; put a backup in its place or move it away"
                )
        return decode_all(self._path, [(row[0], row[4]) for row in rows]), at

    def _keep(self, state: State, seq: int) -> None:
        def work(connection: sqlite3.Connection) -> None:
            at = Head(seq=seq, hash=chain.hash_of(connection, seq))
            checkpoints.keep(connection, at, checkpoints.encode(state))

        self._store.write(work)
        self._checkpointed = Known(seq=seq, incidents=open_incidents(state))

    def _limit(self, before: datetime) -> retention.Limit | None:
        with self._store.named():
            return retention.limit(self._store.connection, before, self._checkpointed)

    def _forget(self, until: retention.Limit) -> int:
        return self._store.write(lambda connection: retention.forget(connection, until))


def _only_ends_actions(records: Sequence[Record]) -> bool:
    """Say whether records tell how an action ended, and begin none whose end would need room as well."""
    begun = {record.key for record in records if isinstance(record, Intended)}
    ended = {record.key for record in records if isinstance(record, Concluded)}
    return bool(ended) and begun <= ended
