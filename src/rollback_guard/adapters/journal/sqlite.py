"""Keep the journal in SQLite: one file, one writer, every commit on the disk before it counts."""

from __future__ import annotations

import asyncio
import errno
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import structlog

from rollback_guard.adapters.journal.ballast import Ballast
from rollback_guard.adapters.journal.codec import Row, as_text, decode, encode
from rollback_guard.adapters.journal.failure import kind_of, words_of
from rollback_guard.adapters.journal.file import Lock, connect, make
from rollback_guard.core.records import Concluded, Record
from rollback_guard.ports import JournalError, Telemetry

log = structlog.get_logger(__name__)

T = TypeVar("T")

MOST_AROUND = 20_000
"""Records that are read to tell what was seen during an incident."""

CHUNK = 1000
"""Records per query: between two of them an append has its turn, and no long reader keeps the write-ahead log."""


class SqliteJournal:
    """A journal in one file, for one process.

    It is open once it is made. All that touches the file runs in one thread of its own, so that the event loop never
    waits for a disk and writes keep their order.

    Args:
        path: The database; its folder is made if it is not there. ``.lock`` and ``.ballast`` lie beside it.
        telemetry: Hears of every append that failed.

    Raises:
        JournalError: The file cannot be used; the text says why and what to do.
    """

    def __init__(self, path: Path | str, *, telemetry: Telemetry) -> None:
        self._path = Path(path)
        self._telemetry = telemetry
        self._ballast = Ballast(self._beside(".ballast"))
        self._closed = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        try:
            self._thread.submit(self._open).result()
        except BaseException:
            self._thread.shutdown()
            raise

    async def append(self, records: Sequence[Record]) -> None:
        """Make the records durable, all or none.

        An append that is cancelled may still become durable.

        Raises:
            JournalError: They are not durable.
        """
        if records:
            await self._in_thread(lambda: self._append(records))

    async def read(self, *, incident: str | None = None) -> Sequence[Record]:
        """Return all records, oldest first, or those of one incident.

        Raises:
            JournalError: The file cannot be read, or another version wrote it.
        """
        last = await self._in_thread(self._last)
        records: list[Record] = []
        done = 0
        while done < last:
            after = done
            chunk, done = await self._in_thread(lambda: self._read(incident, after, last))  # noqa: B023  awaited here
            records += chunk
        return records

    async def around(self, start: datetime, end: datetime) -> Sequence[Record]:
        """Return what belongs to no incident, from then to then, oldest first; of a long time only the beginning.

        Raises:
            JournalError: The file cannot be read, or another version wrote it.
        """
        return await self._in_thread(lambda: self._around(start, end))

    async def close(self) -> None:
        """Move the write-ahead log into the database and release both; closing twice is harmless."""
        if self._closed:
            return
        self._closed = True
        await asyncio.wrap_future(self._thread.submit(self._close))
        self._thread.shutdown(wait=False)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise JournalError(f"{self._path}: the journal is closed")
        return await asyncio.wrap_future(self._thread.submit(work))

    # What follows runs in the journal's thread.

    def _open(self) -> None:
        try:
            make(self._path)
            self._lock = Lock(self._beside(".lock"))
            try:
                self._connection = connect(self._path)
                self._identity = _identity(self._path)
            except BaseException:
                self._lock.release()
                raise
        except JournalError as error:
            raise JournalError(f"{self._path}: {error}") from error
        except (sqlite3.Error, OSError) as error:
            raise JournalError(f"{self._path}: {words_of(error)}") from error
        self._ballast.fill()

    def _append(self, records: Sequence[Record]) -> None:
        try:
            self._write(records)
        except (sqlite3.Error, OSError) as error:
            self._telemetry.journal_failed(kind_of(error))
            raise JournalError(f"{self._path}: {words_of(error)}") from error
        except JournalError as error:
            self._telemetry.journal_failed("other")
            raise JournalError(f"{self._path}: {error}") from error

    def _write(self, records: Sequence[Record]) -> None:
        """Commit the records; on a full disk only how an action ended, in the room that is kept for it."""
        rows = [encode(record) for record in records]
        self._stay_with_the_file()
        ends_an_action = any(isinstance(record, Concluded) for record in records)
        if not ends_an_action and self._ballast.is_spent():
            raise OSError(errno.ENOSPC, "the last room is kept for the outcomes of actions")
        try:
            self._commit(rows)
        except sqlite3.Error as error:
            if not ends_an_action or kind_of(error) != "full" or not self._ballast.spend():
                raise
            self._telemetry.journal_failed("full")
            self._commit(rows)

    def _stay_with_the_file(self) -> None:
        """Refuse to write to a file that nobody will find again: moved, removed or replaced under us."""
        if _identity(self._path) != self._identity:
            raise JournalError("the file was replaced while it was in use; restart the guard")

    def _commit(self, rows: Sequence[Row]) -> None:
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT INTO records (at, kind, incident, body) VALUES (?, ?, ?, ?)",
                [(row.at, row.kind, row.incident, row.body) for row in rows],
            )
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _last(self) -> int:
        return int(self._query("SELECT coalesce(max(seq), 0) FROM records", ())[0][0])

    def _read(self, incident: str | None, after: int, until: int) -> tuple[list[Record], int]:
        """Return the records of one chunk, and up to where it goes."""
        which, values = ("", ()) if incident is None else ("incident = ? AND ", (incident,))
        rows = self._query(
            # The fragment is one of two constants.
            f"SELECT seq, body FROM records WHERE {which}seq > ? AND seq <= ? ORDER BY seq LIMIT {CHUNK}",  # noqa: S608
            (*values, after, until),
        )
        return self._decoded(rows), rows[-1][0] if len(rows) == CHUNK else until

    def _around(self, start: datetime, end: datetime) -> list[Record]:
        return self._decoded(
            self._query(
                "SELECT seq, body FROM records WHERE incident IS NULL AND at BETWEEN ? AND ? ORDER BY at, seq LIMIT ?",
                (as_text(start), as_text(end), MOST_AROUND),
            )
        )

    def _decoded(self, rows: Sequence[tuple[int, str]]) -> list[Record]:
        records = []
        for seq, body in rows:
            try:
                records.append(decode(body))
            except JournalError as error:
                raise JournalError(
                    f"{self._path}: record {seq} is not one that this version writes: {error}; "
                    "a newer rollback-guard wrote it, or something else did"
                ) from error
        return records

    def _query(self, sql: str, values: tuple[object, ...]) -> list[tuple[int, str]]:
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise JournalError(f"{self._path}: {words_of(error)}") from error

    def _close(self) -> None:
        try:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            # Everything is in the write-ahead log, which the next start reads.
            log.warning("journal_checkpoint_failed", path=str(self._path), error=words_of(error))
        finally:
            self._connection.close()
            self._lock.release()

    def _beside(self, suffix: str) -> Path:
        return self._path.with_name(self._path.name + suffix)


def _identity(path: Path) -> tuple[int, int]:
    """Return what stays the same as long as the path names the same file."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return 0, 0
    return there.st_dev, there.st_ino
