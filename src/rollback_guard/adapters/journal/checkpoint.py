"""Keep the whole state now and then, so that a start need not fold all that ever happened.

A checkpoint is a shortcut, never the truth: it is bound to one record by that record's hash, and one that cannot be
used is left aside for the records themselves. A field that is added to the state needs a default, and a change of what
a field means a new version of the schema: the records behind an old checkpoint may be forgotten by then.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import TypeVar

import structlog
from pydantic import ConfigDict, TypeAdapter

from rollback_guard.adapters.journal.chain import Head, flaw_of_checkpoint, hash_of, seal
from rollback_guard.adapters.journal.codec import as_json, from_json
from rollback_guard.core.alert import Alert
from rollback_guard.core.model import Labels
from rollback_guard.core.state import GroupState, State
from rollback_guard.ports import JournalError

log = structlog.get_logger(__name__)

KEPT = 2
"""The newest, and one to fall back on; their records are kept too, from the older one on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A state, and the record up to which it is the fold of all."""

    at: Head
    state: State


def encode(state: State) -> str:
    """Return a state as JSON.

    It is made piece by piece: of a large state at once it would keep every other thread waiting for long.

    Raises:
        JournalError: It could not be read back.
    """
    rest = _piece(_adapter_of_rest(), replace(state, groups={}))
    groups = [_piece(_adapter_of_group(), (name, _stored(group))) for name, group in state.groups.items()]
    return f"[{rest},[{','.join(groups)}]]"


def decode(body: str) -> State:
    """Return the state that was written as this JSON.

    Raises:
        JournalError: It was written by another version, or by nobody.
    """
    rest, groups = from_json(_adapter(), body)
    return replace(rest, groups={name: _restored(group) for name, group in groups})


def keep(connection: sqlite3.Connection, at: Head, body: str) -> None:
    """Write a checkpoint down, and drop the ones that are not needed any more."""
    connection.execute(
        "INSERT OR REPLACE INTO checkpoints (seq, record_hash, hash, body) VALUES (?, ?, ?, ?)",
        (at.seq, at.hash, seal(at, body), body),
    )
    connection.execute(
        "DELETE FROM checkpoints WHERE seq NOT IN (SELECT seq FROM checkpoints ORDER BY seq DESC LIMIT ?)", (KEPT,)
    )


def sound(connection: sqlite3.Connection) -> list[int]:
    """Return the records at which there are checkpoints that are what was written."""
    found = connection.execute("SELECT seq, record_hash, hash, body FROM checkpoints ORDER BY seq")
    return [
        seq
        for seq, record_hash, hash_, body in found
        if flaw_of_checkpoint(Head(seq=seq, hash=hash_of(connection, seq)), record_hash, hash_, body) is None
    ]


def usable(connection: sqlite3.Connection) -> Iterator[Checkpoint]:
    """Yield the checkpoints that can be used, newest first; the others are named in the log."""
    for (seq,) in connection.execute("SELECT seq FROM checkpoints ORDER BY seq DESC").fetchall():
        try:
            yield _read(connection, seq)
        except (JournalError, sqlite3.DatabaseError) as error:
            log.error("journal_checkpoint_ignored", seq=seq, error=str(error))  # noqa: TRY400  the text says it all


def _read(connection: sqlite3.Connection, seq: int) -> Checkpoint:
    record_hash, hash_, body = connection.execute(
        "SELECT record_hash, hash, body FROM checkpoints WHERE seq = ?", (seq,)
    ).fetchone()
    at = Head(seq=seq, hash=hash_of(connection, seq))
    if flaw := flaw_of_checkpoint(at, record_hash, hash_, body):
        raise JournalError(flaw)
    return Checkpoint(at=at, state=decode(body))


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoredGroup:
    """A group's state without what JSON has no form for: label sets as keys."""

    rest: GroupState
    alerts: tuple[tuple[str, tuple[tuple[Labels, Alert], ...]], ...]
    before_outage: _StoredGroup | None


_Stored = tuple[State, tuple[tuple[str, _StoredGroup], ...]]
"""A state whose groups stand beside it."""


_Piece = TypeVar("_Piece")

EXACT = ConfigDict(extra="forbid", ser_json_inf_nan="strings")


@cache
def _adapter() -> TypeAdapter[_Stored]:
    return TypeAdapter(_Stored, config=EXACT)


@cache
def _adapter_of_rest() -> TypeAdapter[State | None]:
    return TypeAdapter(State | None, config=EXACT)


@cache
def _adapter_of_group() -> TypeAdapter[tuple[str, _StoredGroup]]:
    return TypeAdapter(tuple[str, _StoredGroup], config=EXACT)


def _piece(adapter: TypeAdapter[_Piece], value: _Piece) -> str:
    body = as_json(adapter, value)
    from_json(adapter, body)
    return body


def _stored(group: GroupState) -> _StoredGroup:
    return _StoredGroup(
        rest=replace(group, alerts={}, before_outage=None),
        alerts=tuple((rule, tuple(alerts.items())) for rule, alerts in group.alerts.items()),
        before_outage=_stored(group.before_outage) if group.before_outage else None,
    )


def _restored(stored: _StoredGroup) -> GroupState:
    return replace(
        stored.rest,
        alerts={rule: dict(alerts) for rule, alerts in stored.alerts},
        before_outage=_restored(stored.before_outage) if stored.before_outage else None,
    )
