"""Forget the oldest records: only those of which nothing present depends."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from rollback_guard.adapters.journal import chain, checkpoint
from rollback_guard.adapters.journal.chain import ANCHOR, Head, as_text
from rollback_guard.core.state import IncidentPhase

STEP = 500
"""Records that are forgotten in one transaction: some milliseconds in which nobody else can write."""

MOST = 100_000
"""Records that are forgotten by one call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How far may be forgotten: up to a record, and only what is from before an instant."""

    seq: int
    before: str


def limit(connection: sqlite3.Connection, before: datetime) -> Limit | None:
    """Return how far the journal may be forgotten; ``None`` where nothing may be.

    The checkpoints that can be used stay usable with the records after them, and an incident that is open keeps all of
    its records, and those of what was seen since it began.
    """
    checkpoints = list(checkpoint.usable(connection))
    if not checkpoints:
        return None
    seq = min(each.at.seq for each in checkpoints)
    for incident in checkpoints[0].state.incidents.values():
        if incident.phase is IncidentPhase.CLOSED:
            continue
        before = min(before, incident.breached_at)
        first = connection.execute("SELECT min(seq) FROM records WHERE incident = ?", (incident.id,)).fetchone()[0]
        seq = min(seq, seq if first is None else first - 1)
    return Limit(seq=seq, before=as_text(before))


def forget(connection: sqlite3.Connection, until: Limit) -> int:
    """Forget one step of the oldest records, and the notices that were given with them; return how many records."""
    anchor = chain.point(connection, ANCHOR)
    last, count = anchor, 0
    for seq, at, hash_ in connection.execute(
        "SELECT seq, at, hash FROM records WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?",
        (anchor.seq, until.seq, STEP),
    ):
        if at >= until.before:
            break
        last, count = Head(seq=seq, hash=hash_), count + 1
    if count:
        chain.set_point(connection, ANCHOR, last)
        connection.execute("DELETE FROM records WHERE seq <= ?", (last.seq,))
        connection.execute(
            "DELETE FROM letters WHERE ended IS NOT NULL AND notice IN (SELECT number FROM notices WHERE seq <= ?)",
            (last.seq,),
        )
        connection.execute(
            "DELETE FROM notices WHERE seq <= ? AND NOT EXISTS (SELECT 1 FROM letters WHERE notice = notices.number)",
            (last.seq,),
        )
    return count
