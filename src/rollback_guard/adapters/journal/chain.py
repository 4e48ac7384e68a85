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

BEGINNING = bytes(32)
"""What stands for the hash of the record before the first."""

HEAD = "head"
ANCHOR = "anchor"

Link = tuple[int, str, str, str | None, str, bytes]
"""A row of the table of records: seq, at, kind, incident, body, hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """One point of the chain: a record's number and its hash."""

    seq: int = 0
    hash: bytes = BEGINNING

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash.hex()}"


def link(previous: bytes, seq: int, at: str, kind: str, incident: str | None, body: str) -> bytes:
    """Return a record's hash: SHA-256 over the hash before it, a line of JSON with the columns, and the body."""
    columns = json.dumps([seq, at, kind, incident], separators=(",", ":"))
    return hashlib.sha256(previous + f"{columns}\n{body}".encode(errors="replace")).digest()


def check(before: Head, rows: Sequence[Link]) -> tuple[Head, str | None]:
    """Follow the chain over rows that come right after a point of it.

    Returns:
        The last point up to which it is whole, and what is wrong after it; ``None`` where nothing is.
    """
    for seq, at, kind, incident, body, hash_ in rows:
        if seq != before.seq + 1:
            return before, f"{named(before.seq + 1, seq - 1)} missing"
        if link(before.hash, seq, at, kind, incident, body) != hash_:
            return before, f"record {seq} is not what was written: its content and its hash do not belong together"
        before = Head(seq=seq, hash=hash_)
    return before, None


def named(first: int, last: int) -> str:
    """Name some records for people, with the verb."""
    return f"record {first} is" if first == last else f"records {first} to {last} are"


def point(connection: sqlite3.Connection, name: str) -> Head:
    """Return the chain's `HEAD`, its last record, or its `ANCHOR`, the last one that was forgotten."""
    found = connection.execute("SELECT seq, hash FROM chain WHERE name = ?", (name,)).fetchone()
    return Head(seq=found[0], hash=found[1]) if found else Head()


def set_point(connection: sqlite3.Connection, name: str, head: Head) -> None:
    """Move the chain's `HEAD` or `ANCHOR`."""
    connection.execute("UPDATE chain SET seq = ?, hash = ? WHERE name = ?", (head.seq, head.hash, name))
