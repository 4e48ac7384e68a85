"""Lay out the journal's tables, and bring a file of an older version up to this one."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import structlog

from rollback_guard.adapters.journal.chain import ANCHOR, BEGINNING, HEAD, Head, link, named, set_point
from rollback_guard.ports import JournalError

log = structlog.get_logger(__name__)

APPLICATION_ID = 0x52476A6C
"""`RGjl`: tells the journal from any other SQLite database."""

SCHEMA_VERSION = 2
"""1: records. 2: their chain, checkpoints, the outbox."""

RECORDS = (
    """CREATE TABLE records (
        seq INTEGER PRIMARY KEY,
        at TEXT NOT NULL,
        kind TEXT NOT NULL,
        incident TEXT,
        body TEXT NOT NULL,
        hash BLOB NOT NULL DEFAULT x''
    )""",
    "CREATE INDEX records_of_incident ON records (incident) WHERE incident IS NOT NULL",
    "CREATE INDEX records_around ON records (at) WHERE incident IS NULL",
)

NEVER_EDITED = """CREATE TRIGGER records_are_never_edited BEFORE UPDATE ON records
    BEGIN SELECT RAISE(ABORT, 'a record is never edited'); END"""

CHAIN = (
    "CREATE TABLE chain (name TEXT PRIMARY KEY, seq INTEGER NOT NULL, hash BLOB NOT NULL) WITHOUT ROWID",
    f"INSERT INTO chain VALUES ('{HEAD}', 0, x'{BEGINNING.hex()}'), ('{ANCHOR}', 0, x'{BEGINNING.hex()}')",  # noqa: S608
    NEVER_EDITED,
    # Forgetting moves the anchor first; nothing else ever deletes.
    f"""CREATE TRIGGER records_are_only_forgotten BEFORE DELETE ON records
        WHEN OLD.seq > coalesce((SELECT seq FROM chain WHERE name = '{ANCHOR}'), 0)
        BEGIN SELECT RAISE(ABORT, 'a record is never deleted; the guard forgets the oldest by itself'); END""",  # noqa: S608  constants
)

CHECKPOINTS = (
    """CREATE TABLE checkpoints (
        seq INTEGER PRIMARY KEY,
        record_hash BLOB NOT NULL,
        hash BLOB NOT NULL,
        body TEXT NOT NULL
    )""",
)

OUTBOX = (
    """CREATE TABLE notices (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        seq INTEGER NOT NULL,
        body TEXT NOT NULL
    )""",
    "CREATE INDEX notices_of_record ON notices (seq)",
    """CREATE TABLE letters (
        number INTEGER PRIMARY KEY,
        notice INTEGER NOT NULL,
        channel TEXT NOT NULL,
        thread TEXT NOT NULL,
        put_at TEXT NOT NULL,
        next_at TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        ended TEXT,
        ended_at TEXT,
        error TEXT
    )""",
    "CREATE INDEX letters_of_notice ON letters (notice)",
    "CREATE INDEX letters_left ON letters (channel, thread, number, next_at) WHERE ended IS NULL",
    "CREATE INDEX letters_ended ON letters (channel, ended, ended_at) WHERE ended IS NOT NULL",
)

TRIGGERS = frozenset({"records_are_never_edited", "records_are_only_forgotten"})

BATCH = 1000
"""Records that are chained at a time; it bounds the memory of an upgrade."""


def bring_up_to_date(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """Make the tables of this version out of none, or out of those of an older one: all in one transaction.

    A process that is killed in the middle leaves the file as it was.
    """
    if version == SCHEMA_VERSION:
        return
    copy = path.with_name(f"{path.name}.v{version}")
    if version:
        log.warning("journal_upgrading", path=str(path), schema=version, to=SCHEMA_VERSION)
        _keep_copy(connection, copy)
    connection.execute("BEGIN IMMEDIATE")
    try:
        for upgrade in [UPGRADES[number] for number in range(version, SCHEMA_VERSION)] if version else [_make_new]:
            upgrade(connection)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        copy.unlink(missing_ok=True)
        raise
    if version:
        log.warning("journal_upgraded", path=str(path), schema=SCHEMA_VERSION)


def _make_new(connection: sqlite3.Connection) -> None:
    for statement in (*RECORDS, *CHAIN, *CHECKPOINTS, *OUTBOX):
        connection.execute(statement)


def _chain_what_is_there(connection: sqlite3.Connection) -> None:
    """Upgrade from 1: hash every record, and make the tables that were not there yet."""
    connection.execute("DROP TRIGGER records_are_never_edited")
    connection.execute("ALTER TABLE records ADD COLUMN hash BLOB NOT NULL DEFAULT x''")
    head = Head()
    while rows := connection.execute(
        "SELECT seq, at, kind, incident, body FROM records WHERE seq > ? ORDER BY seq LIMIT ?", (head.seq, BATCH)
    ).fetchall():
        hashed = []
        for row in rows:
            if row[0] != head.seq + 1:
                raise JournalError(f"{named(head.seq + 1, row[0] - 1)} missing; put a backup in its place")
            head = Head(seq=row[0], hash=link(head.hash, row))
            hashed.append((head.hash, head.seq))
        connection.executemany("UPDATE records SET hash = ? WHERE seq = ?", hashed)
    for statement in (*CHAIN, *CHECKPOINTS, *OUTBOX):
        connection.execute(statement)
    set_point(connection, HEAD, head)


UPGRADES: Mapping[int, Callable[[sqlite3.Connection], None]] = {1: _chain_what_is_there}
"""By the version from which each leads to the next."""


def _keep_copy(connection: sqlite3.Connection, path: Path) -> None:
    """Keep the file as it was, for a way back to the older version; half a copy is never taken for one."""
    unfinished = path.with_name(f"{path.name}.part")
    unfinished.unlink(missing_ok=True)
    os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    try:
        with closing(sqlite3.connect(unfinished)) as copy:
            connection.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
        sync(unfinished)
    except BaseException:
        unfinished.unlink()
        raise
    unfinished.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Have a file's content, or a folder's new entry, survive a power loss."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
