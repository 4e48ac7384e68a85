"""Open the journal's file: alone, whole, of a schema that is known, and with every commit on the disk."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from pathlib import Path

import structlog

from rollback_guard.ports import JournalError

log = structlog.get_logger(__name__)

APPLICATION_ID = 0x52476A6C
"""`RGjl`: tells the journal from any other SQLite database."""

SCHEMA_VERSION = 1

SCHEMA = (
    """CREATE TABLE records (
        seq INTEGER PRIMARY KEY,
        at TEXT NOT NULL,
        kind TEXT NOT NULL,
        incident TEXT,
        body TEXT NOT NULL
    )""",
    "CREATE INDEX records_of_incident ON records (incident) WHERE incident IS NOT NULL",
    "CREATE INDEX records_around ON records (at) WHERE incident IS NULL",
    """CREATE TRIGGER records_are_never_edited BEFORE UPDATE ON records
        BEGIN SELECT RAISE(ABORT, 'a record is never edited'); END""",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)

BUSY_TIMEOUT_S = 5.0
"""How long a write waits for somebody who looks at the file with other tools."""

CHECKED_BYTES = 64 * 1024 * 1024
"""A larger file is not checked page by page at the start, which would take seconds; reading it finds damage too."""

WAL_PAGES = 1000
"""So many pages (4 MiB) in the write-ahead log move it into the database."""

WAL_BYTES = 4 * 1024 * 1024
"""The write-ahead log is cut back to this size after that."""

HEADER_BYTES = 100
"""No SQLite database is shorter; SQLite takes such a file for an empty one and would write over it."""

FULL_SYNC = 2
"""`PRAGMA synchronous`: every commit is on the disk before it returns."""


class Lock:
    """Hold the journal for this process alone; the kernel lets go when the process dies.

    The lock is on a file of its own: SQLite loses its locks when anybody in its process closes the database's file.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._file, 20, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._file)
            raise JournalError(
                f"another rollback-guard (process {holder}) uses this journal; "
                "stop it, or give this instance a state file of its own"
            ) from error
        except OSError:
            os.close(self._file)
            raise
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let another process have the journal."""
        os.close(self._file)


def make(path: Path) -> None:
    """Make the folder and an empty file for this user's eyes only, where there are none yet.

    Raises:
        JournalError: The file is certainly something else.
        OSError: The disk refuses.
    """
    if not path.parent.is_dir():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _sync(path.parent.parent)
    if not path.exists():
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        _sync(path.parent)
        return
    there = path.stat()
    if 0 < there.st_size < HEADER_BYTES:
        raise JournalError("this is no SQLite database; move it away")
    if there.st_mode & 0o077:
        path.chmod(0o600)


def _sync(folder: Path) -> None:
    """Have the folder's new entry survive a power loss."""
    file = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def connect(path: Path) -> sqlite3.Connection:
    """Return a connection that writes durably to a journal of this version.

    Raises:
        JournalError: It is no journal, of a newer version, damaged, or its commits would not be durable.
        sqlite3.Error: The disk refuses.
    """
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_S
    )
    try:
        _recognise(connection)
        _make_durable(connection)
        _check(connection, path)
        connection.execute("BEGIN IMMEDIATE")
        if _number(connection, "user_version") == 0:
            for statement in SCHEMA:
                connection.execute(statement)
        connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def _recognise(connection: sqlite3.Connection) -> None:
    version = _number(connection, "user_version")
    application = _number(connection, "application_id")
    empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if application != APPLICATION_ID and not (empty and application == version == 0):
        raise JournalError("this is the SQLite database of another program; give the guard a state file of its own")
    if version > SCHEMA_VERSION:
        raise JournalError(
            f"it was written by a newer rollback-guard: its schema is {version}, this version knows up to "
            f"{SCHEMA_VERSION}; install the newer version again"
        )


def _make_durable(connection: sqlite3.Connection) -> None:
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
    synchronous = _number(connection, "synchronous")
    if mode != "wal" or synchronous != FULL_SYNC:
        raise JournalError(
            f"commits would not be durable here (journal_mode {mode}, synchronous {synchronous}); "
            "the state file must be on a local disk"
        )


def _check(connection: sqlite3.Connection, path: Path) -> None:
    size_bytes = path.stat().st_size
    if size_bytes > CHECKED_BYTES:
        log.info("journal_check_skipped", path=str(path), size_bytes=size_bytes)
        return
    problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if problem != "ok":
        raise JournalError(f"it is damaged ({problem}); put a backup in its place or move it away")


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])
