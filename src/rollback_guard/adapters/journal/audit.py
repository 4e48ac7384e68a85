"""Look at a journal from outside, while a guard uses it or not: is its chain whole, and what is in it.

Nothing is written, no lock is taken, and no reading lasts: the guard never waits for those who look.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rollback_guard.adapters.journal import chain
from rollback_guard.adapters.journal.chain import ANCHOR, HEAD, Head, Link
from rollback_guard.adapters.journal.failure import words_of
from rollback_guard.adapters.journal.file import BUSY_TIMEOUT_S, HEADER_BYTES, recognise
from rollback_guard.adapters.journal.schema import SCHEMA_VERSION, TRIGGERS
from rollback_guard.ports import JournalError

CHUNK = 2000
"""Records per reading."""

ROWS = "SELECT seq, at, kind, incident, body, hash FROM records WHERE seq > ? ORDER BY seq LIMIT ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What came out of following the chain.

    Attributes:
        forgotten: The last record that was forgotten in order, 0 for none.
        whole: The last point up to which the chain is whole.
        flaw: What is wrong after that, ``None`` where nothing is.
    """

    forgotten: int
    whole: Head
    flaw: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Which:
    """Which records are wanted: from an instant to before another, and of one incident."""

    since: datetime | None = None
    until: datetime | None = None
    incident: str | None = None


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a journal to look at it.

    Raises:
        JournalError: There is none, or it cannot be read.
    """
    try:
        with closing(_connect(path)) as connection:
            # Bytes that are no text are a change like any other: their hash tells.
            connection.text_factory = lambda raw: raw.decode(errors="replace")
            _expect_chain(recognise(connection))
            yield connection
    except JournalError as error:
        raise JournalError(f"{path}: {error}") from error
    except sqlite3.Error as error:
        raise JournalError(f"{path}: {words_of(error)}") from error


def _connect(path: Path) -> sqlite3.Connection:
    try:
        size_bytes = path.stat().st_size
    except OSError as error:
        raise JournalError(error.strerror) from error
    if size_bytes < HEADER_BYTES:
        raise JournalError("there is no journal in this file")
    # Without a write-ahead log nobody uses the file: then SQLite must not make one, which would stay behind.
    in_use = path.with_name(f"{path.name}-wal").exists()
    uri = f"{path.absolute().as_uri()}?{'mode=ro' if in_use else 'immutable=1'}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_S)


def _expect_chain(version: int) -> None:
    if version == 0:
        raise JournalError("there is no journal in this file yet")
    if version != SCHEMA_VERSION:
        raise JournalError(f"its schema is {version}, which has no chain; the daemon upgrades it when it starts")


def verify(connection: sqlite3.Connection, published: tuple[int, str] | None = None) -> Verified:
    """Follow the chain from the oldest record to the newest.

    Args:
        connection: From `opened`.
        published: Number and hash, or how it begins, of a record as it was published once.
    """
    at: Head | None = None
    forgotten = 0
    while True:
        with _reading(connection):
            anchor, head = chain.point(connection, ANCHOR), chain.point(connection, HEAD)
            if at is None or at.seq < anchor.seq:  # what we were at may have been forgotten meanwhile
                at, forgotten = anchor, anchor.seq
            rows: list[Link] = connection.execute(ROWS, (at.seq, CHUNK)).fetchall()
            at, flaw = chain.check(at, rows)
            is_end = len(rows) < CHUNK
            if flaw is None and is_end:
                flaw = _flaw_of_end(at, head) or _flaw_beside(connection) or _flaw_of(connection, at, anchor, published)
        if flaw or is_end:
            return Verified(forgotten=forgotten, whole=at, flaw=flaw)


def export(connection: sqlite3.Connection, which: Which) -> Iterator[str]:
    """Yield records as lines of JSON, oldest first, with their number and hash."""
    since = which.since and chain.as_text(which.since)
    until = which.until and chain.as_text(which.until)
    at = connection.execute("SELECT coalesce(min(seq), 1) - 1 FROM records").fetchone()[0]
    last = connection.execute("SELECT coalesce(max(seq), 0) FROM records").fetchone()[0]
    while at < last:
        # A stretch of the file, not a number of hits: where few records are wanted, reading stays short too.
        rows: list[Link] = connection.execute(
            "SELECT seq, at, kind, incident, body, hash FROM records WHERE seq > ? AND seq <= ?"
            " AND (?3 IS NULL OR at >= ?3) AND (?4 IS NULL OR at < ?4) AND (?5 IS NULL OR incident = ?5) ORDER BY seq",
            (at, at + CHUNK, since, until, which.incident),
        ).fetchall()
        for row in rows:
            yield _line(row)
        at += CHUNK


def _line(row: Link) -> str:
    seq, at, kind, incident, body, hash_ = row
    columns = json.dumps(
        {"seq": seq, "hash": chain.as_bytes(hash_).hex(), "at": at, "kind": kind, "incident": incident}
    )
    try:
        json.loads(body)
    except ValueError:
        body = json.dumps(body, default=repr)
    # The body stays as it is, to the byte: so others can follow the chain too.
    return f'{columns[:-1]}, "record": {body}}}'


@contextmanager
def _reading(connection: sqlite3.Connection) -> Iterator[None]:
    """See one state of the file for a moment."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("COMMIT")


def _flaw_of_end(at: Head, head: Head) -> str | None:
    if at.seq < head.seq:
        return f"{chain.named(at.seq + 1, head.seq)} missing at the end"
    if at.seq > head.seq:
        return f"record {head.seq + 1} was not written by the guard: it ended with record {head.seq}"
    if at != head:
        return f"record {at.seq} is not the one with which the guard ended"
    return None


def _flaw_beside(connection: sqlite3.Connection) -> str | None:
    there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")}
    missing = sorted(TRIGGERS - there)
    if missing:
        return f"what keeps others from changing the file was removed from it: {', '.join(missing)}"
    for seq, record_hash, hash_, body in connection.execute("SELECT seq, record_hash, hash, body FROM checkpoints"):
        at = Head(seq=seq, hash=chain.hash_of(connection, seq))
        if flaw := chain.flaw_of_checkpoint(at, record_hash, hash_, body):
            return f"the checkpoint at record {seq} cannot be used: {flaw}"
    return None


def _flaw_of(connection: sqlite3.Connection, at: Head, anchor: Head, published: tuple[int, str] | None) -> str | None:
    """Say what is wrong with the chain in view of a head that was published."""
    if published is None:
        return None
    seq, hash_ = published
    if seq > at.seq:
        return f"{chain.named(at.seq + 1, seq)} missing at the end: they were there when the head was published"
    if seq < anchor.seq:
        return f"record {seq} was forgotten: a head that is so old tells nothing, give one after {anchor.seq}"
    if not chain.hash_of(connection, seq).hex().startswith(hash_):
        return f"record {seq} is not the one of the published head: the chain was made anew"
    return None
