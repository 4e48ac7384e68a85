"""Open the journal's file: alone, whole, of a schema that is known, and with every commit on the disk."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from pathlib import Path

import structlog

from rollback_guard.adapters.journal.chain import ANCHOR, HEAD, Head, named, point
from rollback_guard.adapters.journal.schema import APPLICATION_ID, SCHEMA_VERSION, bring_up_to_date, sync
from rollback_guard.ports import JournalError

log = structlog.get_logger(__name__)

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

LOOKING_KIB = 512
"""Pages that a connection which only reads keeps in memory: it goes through the file once."""

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
        sync(path.parent.parent)
    if not path.exists():
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        sync(path.parent)
        return
    there = path.stat()
    if 0 < there.st_size < HEADER_BYTES:
        raise JournalError("this is no SQLite database; move it away")
    if there.st_mode & 0o077:
        path.chmod(0o600)


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
        version = recognise(connection)
        _make_durable(connection)
        _check(connection, path)
        bring_up_to_date(connection, path, version)
        _check_end(connection)
        # The write-ahead log was made just now; SQLite does not say when its folder could not be synced.
        sync(path.parent)
    except BaseException:
        connection.close()
        raise
    return connection


def look(path: Path) -> sqlite3.Connection:
    """Return a connection that can only read, to a journal that another one of this process has opened.

    Raises:
        sqlite3.Error: The disk refuses.
    """
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_S
    )
    try:
        connection.execute(f"PRAGMA cache_size = -{LOOKING_KIB}")
    except BaseException:
        connection.close()
        raise
    return connection


def recognise(connection: sqlite3.Connection) -> int:
    """Return the version of the journal's schema, 0 where there is nothing yet.

    Raises:
        JournalError: It is no journal, or a newer one.
    """
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
    return version


def _make_durable(connection: sqlite3.Connection) -> None:
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
    # Some builds write zeros over all that is deleted: as much again to write where old records are forgotten.
    connection.execute("PRAGMA secure_delete = FAST")
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


def _check_end(connection: sqlite3.Connection) -> None:
    """Refuse a journal whose last records were cut off: what the guard did may be among them."""
    head = point(connection, HEAD)
    last = connection.execute("SELECT seq, hash FROM records ORDER BY seq DESC LIMIT 1").fetchone()
    there = Head(seq=last[0], hash=last[1]) if last else point(connection, ANCHOR)
    if there.seq < head.seq:
        raise JournalError(
            f"its end was cut off: {named(there.seq + 1, head.seq)} missing; put a backup in its place or move it away"
        )
    if there != head:
        raise JournalError(
            f"its end is not what was written: record {there.seq} is not the last one that the guard wrote; "
            "`rollback-guard journal verify` says more; put a backup in its place or move it away"
        )


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])
