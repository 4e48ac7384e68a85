"""Chain the records: the hash of each covers the one before it, so that nothing is changed, left out or moved unseen.

Whoever may write the file could make the whole chain anew. What such a one cannot change is a head that was published
elsewhere, as a metric say: it names the last record and, through its hash, all before it.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

BEGINNING = bytes(32)
"""What stands for the hash of the record before the first."""

HEAD = "head"
ANCHOR = "anchor"

Content = tuple[int, str, str, str | None, str]
"""What is hashed of a record: seq, at, kind, incident, body."""

Link = tuple[int, str, str, str | None, str, bytes]
"""A row of the table of records: its content and its hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """One point of the chain: a record's number and its hash."""

    seq: int = 0
    hash: bytes = BEGINNING

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash.hex()}"


def link(previous: bytes, content: Content) -> bytes:
    """Return a record's hash: SHA-256 over the hash before it, a line of JSON with the columns, and the body."""
    *searchable, body = content
    columns = json.dumps(searchable, separators=(",", ":"), default=repr)
    return hashlib.sha256(previous + f"{columns}\n{body}".encode(errors="replace")).digest()


def as_text(at: datetime) -> str:
    """Return an instant as it stands in the database; the order of the texts is that of the instants."""
    return at.astimezone(UTC).isoformat()


def check(before: Head, rows: Sequence[Link]) -> tuple[Head, str | None]:
    """Follow the chain over rows that come right after a point of it.

    Returns:
        The last point up to which it is whole, and what is wrong after it; ``None`` where nothing is.
    """
    for seq, at, kind, incident, body, hash_ in rows:
        if seq != before.seq + 1:
            return before, f"{named(before.seq + 1, seq - 1)} missing"
        if link(before.hash, (seq, at, kind, incident, body)) != hash_:
            return before, f"record {seq} is not what was written: its content and its hash do not belong together"
        before = Head(seq=seq, hash=hash_)
    return before, None


def named(first: int, last: int) -> str:
    """Name some records for people, with the verb."""
    return f"record {first} is" if first == last else f"records {first} to {last} are"


def hash_of(connection: sqlite3.Connection, seq: int) -> bytes:
    """Return the hash of a record, also of the last one that was forgotten; of none it is empty."""
    anchor = point(connection, ANCHOR)
    if seq == anchor.seq:
        return anchor.hash
    found = connection.execute("SELECT hash FROM records WHERE seq = ?", (seq,)).fetchone()
    return as_bytes(found[0]) if found else b""


def seal(at: Head, body: str) -> bytes:
    """Return the hash of a checkpoint, which binds it to the record up to which it stands for all."""
    return hashlib.sha256(at.hash + body.encode(errors="replace")).digest()


def flaw_of_checkpoint(at: Head, record_hash: bytes, hash_: bytes, body: str) -> str | None:
    """Say what is wrong with a checkpoint, as far as its hashes tell; ``None`` where nothing is."""
    if record_hash != at.hash:
        return f"it stands for another record {at.seq} than the one that is there"
    if seal(at, str(body)) != hash_:
        return "it is not what was written"
    return None


def point(connection: sqlite3.Connection, name: str) -> Head:
    """Return the chain's `HEAD`, its last record, or its `ANCHOR`, the last one that was forgotten."""
    found = connection.execute("SELECT CAST(seq AS INTEGER), hash FROM chain WHERE name = ?", (name,)).fetchone()
    return Head(seq=found[0], hash=as_bytes(found[1])) if found else Head()


def set_point(connection: sqlite3.Connection, name: str, head: Head) -> None:
    """Move the chain's `HEAD` or `ANCHOR`."""
    connection.execute("UPDATE chain SET seq = ?, hash = ? WHERE name = ?", (head.seq, head.hash, name))


def as_bytes(value: object) -> bytes:
    """Return a hash; SQLite lets others put anything in its column."""
    return value if isinstance(value, bytes) else repr(value).encode()
