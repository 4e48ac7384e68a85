"""Forget the oldest records: only those of which nothing present depends."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from rollback_guard.adapters.journal import chain
from rollback_guard.adapters.journal import checkpoint as checkpoints
from rollback_guard.adapters.journal.chain import ANCHOR, Head, as_text
from rollback_guard.core.state import Incident, IncidentPhase, State

STEP = 500
"""Records that are forgotten in one transaction: some milliseconds in which nobody else can write."""

MOST = 100_000
"""Records that are forgotten by one call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How far may be forgotten: up to a record, and only what is from before an instant."""

    seq: int
    before: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is to be known of a checkpoint: its record, and the incidents that were open then."""

    seq: int
    incidents: tuple[Incident, ...]


def open_incidents(state: State) -> tuple[Incident, ...]:
    """Return the incidents of which everything is kept."""
    return tuple(each for each in state.incidents.values() if each.phase is not IncidentPhase.CLOSED)


def limit(connection: sqlite3.Connection, before: datetime, known: Known | None) -> Limit | None:
    """Return how far the journal may be forgotten; ``None`` where nothing may be.

    The checkpoints stay usable with the records after them, and an incident that is open keeps all of its records, and
    those of what was seen since it began.

    Args:
        connection: To the journal.
        before: Only what is older than this may be forgotten.
        known: The newest checkpoint, where it is known already; it is read otherwise.
    """
    sound = checkpoints.sound(connection)
    if known is None or known.seq not in sound:
        found = next(checkpoints.usable(connection), None)
        if found is None:
            return None
        known = Known(seq=found.at.seq, incidents=open_incidents(found.state))
    seq = min(known.seq, *sound)
    for incident in known.incidents:
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
