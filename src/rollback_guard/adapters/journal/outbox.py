"""Keep what is to be told to people beside the records that say why, until it is delivered."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Protocol, TypeVar

import structlog
from pydantic import TypeAdapter

from rollback_guard.adapters.journal.chain import as_text
from rollback_guard.adapters.journal.codec import as_json, from_json, storable
from rollback_guard.adapters.journal.store import Store
from rollback_guard.core.notice import Notice
from rollback_guard.ports import Backlog, JournalError, Letter

log = structlog.get_logger(__name__)

T = TypeVar("T")

SENT = "sent"
GIVEN_UP = "given_up"

WAITING = """
    SELECT first.number, first.channel, first.put_at, first.attempts, notices.body
    FROM (
        SELECT min(number) AS number, channel, put_at, next_at, attempts FROM letters
        WHERE ended IS NULL AND number NOT IN (SELECT value FROM json_each(?)) GROUP BY channel, thread
    ) AS first JOIN notices ON notices.number = (SELECT notice FROM letters WHERE number = first.number)
    WHERE first.next_at <= ? AND first.channel NOT IN (SELECT value FROM json_each(?))
    ORDER BY first.number LIMIT ?
"""
"""Beside the minimum, SQLite takes the other columns from the row that has it."""

LEFT = """
    SELECT letters.number, channel, put_at, attempts, notices.body
    FROM letters JOIN notices ON notices.number = letters.notice
    WHERE ended IS NULL AND letters.number NOT IN (SELECT value FROM json_each(?))
    AND channel = ? AND letters.number > ? AND (? IS NULL OR thread = ?)
    ORDER BY letters.number LIMIT ?
"""

SHIFT = """
    UPDATE letters SET put_at = moved(put_at), next_at = moved(next_at), ended_at = moved(ended_at)
    WHERE ended IS NULL OR ended = ?
"""
"""What was given up keeps the time at which it was: nothing is counted from it."""

END = (
    "UPDATE letters SET ended = ?, ended_at = ?, error = ?, attempts = attempts + 1 WHERE number = ? AND ended IS NULL"
)


class InThread(Protocol):
    """Run work in the journal's thread."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]:
        """Return what the work returned."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a letter ended."""

    channel: str
    how: str
    at: str
    why: str | None = None


def put(connection: sqlite3.Connection, notices: Sequence[Notice], seq: int) -> None:
    """Put a letter per channel of every notice that is not known yet; `seq` is the record that they came with."""
    for notice in notices:
        known = connection.execute(
            "INSERT INTO notices (id, seq, body) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING RETURNING number",
            (storable(notice.id), seq, as_json(_adapter(), notice)),
        ).fetchone()
        if known is None:
            continue
        at = as_text(notice.at)
        connection.executemany(
            "INSERT INTO letters (notice, channel, thread, put_at, next_at) VALUES (?, ?, ?, ?, ?)",
            [(known[0], channel, storable(notice.thread), at, at) for channel in dict.fromkeys(notice.channels)],
        )


class SqliteOutbox:
    """The letters in the journal's file, in the journal's thread.

    How a letter ended is remembered also where the disk refuses to: as long as the process lives it is not sent again.
    """

    def __init__(self, store: Store, in_thread: InThread) -> None:
        self._store = store
        self._in_thread = in_thread
        self._unwritten: dict[int, End] = {}

    async def due(self, now: datetime, *, most: int, without: Collection[str] = ()) -> Sequence[Letter]:
        """Return letters to be sent now, oldest first: of each channel's thread only the oldest that is left."""
        return await self._in_thread(lambda: self._due(now, most, sorted(without)))

    async def left(self, channel: str, *, after: int, most: int, thread: str | None = None) -> Sequence[Letter]:
        """Return what a channel has not got yet, due or not, oldest first."""
        known = None if thread is None else storable(thread)
        return await self._in_thread(lambda: self._left(channel, after, most, known))

    async def sent(self, letter: Letter, at: datetime) -> None:
        """Forget a letter that was delivered."""
        end = End(channel=letter.channel, how=SENT, at=as_text(at))
        await self._in_thread(lambda: self._end(letter.number, end))

    async def postpone(self, letter: Letter, until: datetime, error: str) -> None:
        """Try a letter again later; the ones after it in its thread wait too."""
        values = (as_text(until), storable(error), letter.number)
        await self._in_thread(
            lambda: self._store.write(
                lambda connection: connection.execute(
                    "UPDATE letters SET next_at = ?, error = ?, attempts = attempts + 1"
                    " WHERE number = ? AND ended IS NULL",
                    values,
                )
            )
        )

    async def give_up(self, letter: Letter, at: datetime, why: str) -> None:
        """Forget a letter that is never delivered; that it was given up stays on record."""
        end = End(channel=letter.channel, how=GIVEN_UP, at=as_text(at), why=storable(why))
        await self._in_thread(lambda: self._end(letter.number, end))

    async def sent_since(self, channel: str, since: datetime) -> int:
        """Return how many letters a channel delivered since then, also before a restart."""
        return await self._in_thread(lambda: self._sent_since(channel, as_text(since)))

    async def backlog(self) -> Mapping[str, Backlog]:
        """Return by channel what waits to be delivered."""
        return await self._in_thread(self._backlog)

    async def shift(self, by: timedelta) -> None:
        """Move every time from which spans are counted, because the wall clock was set by so much."""
        await self._in_thread(lambda: self._shift(by))

    # What follows runs in the journal's thread.

    def _due(self, now: datetime, most: int, without: Sequence[str]) -> list[Letter]:
        letters = []
        for row in self._store.query(WAITING, (self._ended(), as_text(now), json.dumps(without), most)):
            try:
                letters.append(_letter(row))
            except JournalError as error:
                # It can never be sent, and must not keep the ones behind it.
                number, channel, why = row[0], row[1], f"unreadable: {error}"
                log.error("letter_given_up", letter=number, channel=channel, why=why)  # noqa: TRY400  it says it all
                self._unwritten[number] = End(channel=channel, how=GIVEN_UP, at=as_text(now), why=why)
        self._catch_up()
        return letters

    def _left(self, channel: str, after: int, most: int, thread: str | None) -> list[Letter]:
        letters: list[Letter] = []
        while len(letters) < most:
            rows = self._store.query(LEFT, (self._ended(), channel, after, thread, thread, most - len(letters)))
            if not rows:
                break
            for row in rows:
                after = row[0]
                # One that nobody can read is given up when its turn comes.
                with suppress(JournalError):
                    letters.append(_letter(row))
        return letters

    def _shift(self, by: timedelta) -> None:
        def moved(at: str) -> str:
            return as_text(datetime.fromisoformat(at) + by)

        def move(connection: sqlite3.Connection) -> None:
            connection.create_function("moved", 1, lambda at: at and moved(at), deterministic=True)
            connection.execute(SHIFT, (SENT,))

        self._store.write(move)
        self._unwritten = {
            number: replace(end, at=moved(end.at)) if end.how == SENT else end
            for number, end in self._unwritten.items()
        }

    def _end(self, number: int, end: End) -> None:
        self._unwritten[number] = end
        self._write_ends()

    def _catch_up(self) -> None:
        """Write down what the disk refused before, if it takes it by now; telling people does not wait for it."""
        if self._unwritten:
            try:
                self._write_ends()
            except JournalError as error:
                log.warning("letters_unwritten", letters=len(self._unwritten), error=str(error))

    def _write_ends(self) -> None:
        ends = [(end.how, end.at, end.why, number) for number, end in self._unwritten.items()]
        self._store.write(lambda connection: connection.executemany(END, ends))
        self._unwritten.clear()

    def _ended(self) -> str:
        return json.dumps(list(self._unwritten))

    def _sent_since(self, channel: str, since: str) -> int:
        found = self._store.query(
            "SELECT count(*) FROM letters WHERE channel = ? AND ended = ? AND ended_at >= ?", (channel, SENT, since)
        )
        unwritten = self._unwritten.values()
        return int(found[0][0]) + sum(
            end.channel == channel and end.how == SENT and end.at >= since for end in unwritten
        )

    def _backlog(self) -> dict[str, Backlog]:
        rows = self._store.query(
            "SELECT channel, count(*), min(put_at) FROM letters"
            " WHERE ended IS NULL AND number NOT IN (SELECT value FROM json_each(?)) GROUP BY channel",
            (self._ended(),),
        )
        return {
            channel: Backlog(letters=count, oldest=datetime.fromisoformat(oldest)) for channel, count, oldest in rows
        }


def _letter(row: tuple[int, str, str, int, str]) -> Letter:
    number, channel, put_at, attempts, body = row
    return Letter(
        number=number,
        channel=channel,
        notice=from_json(_adapter(), body),
        put_at=datetime.fromisoformat(put_at),
        attempts=attempts,
    )


@cache
def _adapter() -> TypeAdapter[Notice]:
    # What a newer version says more of a notice is left out; what this one knows of it is worth sending.
    return TypeAdapter(Notice)
