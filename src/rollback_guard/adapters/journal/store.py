"""Hold the open file: what is written is on the disk, and what the disk refuses has its name."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import structlog

from rollback_guard.adapters.journal.ballast import Ballast
from rollback_guard.adapters.journal.failure import kind_of, words_of
from rollback_guard.adapters.journal.file import Lock, connect, make
from rollback_guard.ports import JournalError, Telemetry

log = structlog.get_logger(__name__)

T = TypeVar("T")


class Store:
    """The journal's database, for the one thread that made this.

    Args:
        path: The database; its folder is made if it is not there. ``.lock`` and ``.ballast`` lie beside it.
        telemetry: Hears of every write that failed.

    Raises:
        JournalError: The file cannot be used; the text says why and what to do.
    """

    def __init__(self, path: Path, telemetry: Telemetry) -> None:
        self._path = path
        self._telemetry = telemetry
        self._ballast = Ballast(self._beside(".ballast"))
        with self.named():
            make(path)
            self._lock = Lock(self._beside(".lock"))
            try:
                self.connection = connect(path)
                self._identity = _identity(path)
            except BaseException:
                self._lock.release()
                raise
        self._ballast.fill()

    def query(self, sql: str, values: tuple[object, ...] = ()) -> list[Any]:
        """Return rows.

        Raises:
            JournalError: The file cannot be read.
        """
        with self.named():
            return self.connection.execute(sql, values).fetchall()

    def write(self, work: Callable[[sqlite3.Connection], T], *, ends_an_action: bool = False) -> T:
        """Do some work in one transaction and make it durable, all or none of it.

        A full disk takes only how an action ended, in the room that is kept for it; the work is done twice then.

        Raises:
            JournalError: Nothing of it is durable.
        """
        try:
            with self.named():
                return self._write(work, ends_an_action=ends_an_action)
        except JournalError as error:
            cause = error.__cause__
            self._telemetry.journal_failed(kind_of(cause) if isinstance(cause, Exception) else "other")
            raise

    @contextmanager
    def named(self) -> Iterator[None]:
        """Give errors the file's name, and words for people."""
        try:
            yield
        except JournalError as error:
            raise JournalError(f"{self._path}: {error}") from error
        except (sqlite3.Error, OSError) as error:
            raise JournalError(f"{self._path}: {words_of(error)}") from error

    def close(self) -> None:
        """Move the write-ahead log into the database and release both."""
        try:
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            # Everything is in the write-ahead log, which the next start reads.
            log.warning("journal_checkpoint_failed", path=str(self._path), error=words_of(error))
        finally:
            self.connection.close()
            self._lock.release()

    def expect_in_place(self) -> None:
        """Refuse a file that was moved, removed or replaced under us: nobody would find again what is written to it.

        Raises:
            JournalError: It is another file.
        """
        if _identity(self._path) != self._identity:
            raise JournalError("the file was replaced while it was in use; restart the guard")

    def _write(self, work: Callable[[sqlite3.Connection], T], *, ends_an_action: bool) -> T:
        self.expect_in_place()
        if not ends_an_action and self._ballast.is_spent():
            raise OSError(errno.ENOSPC, "the last room is kept for the outcomes of actions")
        try:
            return self._commit(work)
        except sqlite3.Error as error:
            if not ends_an_action or kind_of(error) != "full" or not self._ballast.spend():
                raise
            self._telemetry.journal_failed("full")
            return self._commit(work)

    def _commit(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = self.connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            result = work(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return result

    def _beside(self, suffix: str) -> Path:
        return self._path.with_name(self._path.name + suffix)


def _identity(path: Path) -> tuple[int, int]:
    """Return what stays the same as long as the path names the same file."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return 0, 0
    return there.st_dev, there.st_ino
