"""Read what was written for those who look, on a connection and in a thread of its own: nobody who writes waits.

Readers take their turns one after the other. Between two chunks no transaction is open, so that the write-ahead log can
always be moved into the database; and records are decoded a few at a time, for the interpreter runs one thread at once.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from rollback_guard.adapters.journal.chain import as_text
from rollback_guard.adapters.journal.codec import decode_all
from rollback_guard.adapters.journal.file import look
from rollback_guard.adapters.journal.store import Store
from rollback_guard.core.records import Record
from rollback_guard.ports import JournalError

T = TypeVar("T")

Row = tuple[str, int, str | None]
"""When, the number, and the body where it is wanted."""

CHUNK = 1000
"""Rows per query: after each of them the read transaction ends."""

SLICE = 10
"""Records that are decoded in one go: about a millisecond, after which all others have their turn."""

MOST_LOOKED_AT = 100_000
"""Rows that are looked through for what belongs to no incident: some hours of two hundred groups."""

MOST_FOUND = 2_000
"""Records that are taken out of them; more than that tell nobody a story, and are megabytes of answer."""

MOST_RULES = 100
"""Rules that the database looks for by name; of more of them all are taken."""

QUIET = """kind = 'evaluated' AND instr(body, '"transitions":[]') AND instr(body, '"sights":[]')"""
"""An evaluation in which nothing changed; inside a text these quotes would stand behind backslashes."""


class Reader:
    """The journal as it is read while it is written.

    Args:
        path: The database.
        store: Who writes to it.
    """

    def __init__(self, path: Path, store: Store) -> None:
        self._path = path
        self._store = store
        self._turn = asyncio.Lock()
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None
        self._closed = False

    async def read(self, incident: str | None, kinds: Collection[str]) -> list[Record]:
        """Return all records that are there now, oldest first, or those of one incident, or of some kinds."""
        sql, values = _query_of(incident, kinds)
        async with self._turn:
            last = await self._do(self._last)
            records: list[Record] = []
            done = 0
            while done < last:
                place = {"after": done, "until": last}
                rows: list[tuple[int, str]] = await self._do(lambda: self._rows(sql, values | place))  # noqa: B023  awaited here
                records += await self._decoded(rows)
                done = rows[-1][0] if len(rows) == CHUNK else last
        return records

    async def around(
        self, start: datetime, end: datetime, rules: Collection[str], most: int, *, newest: bool
    ) -> list[Record]:
        """Return what belongs to no incident and tells something, from then to then, oldest first.

        Args:
            start: Not before this instant.
            end: Not after it.
            rules: Of evaluations only those in which one of these moved; none means any rule.
            most: As many records at most.
            newest: Whether of a long time the end is returned, instead of the beginning.
        """
        found: list[tuple[int, str]] = []
        at, seq = (as_text(end), 2**62) if newest else (as_text(start), -1)
        bound = as_text(start if newest else end)
        sql, values = _query_around(rules, newest=newest)
        async with self._turn:
            for _ in range(MOST_LOOKED_AT // CHUNK):
                place = {"at": at, "seq": seq, "bound": bound}
                rows: list[Row] = await self._do(lambda: self._rows(sql, values | place))  # noqa: B023  awaited here
                found += [(number, body) for _, number, body in rows if body is not None]
                if len(rows) < CHUNK or len(found) >= most:
                    break
                at, seq, _ = rows[-1]
            found = found[:most]
            return await self._decoded(found[::-1] if newest else found)

    async def close(self) -> None:
        """End what is read, and release the file; closing twice is harmless."""
        self._closed = True
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.wrap_future(thread.submit(self._release))
            thread.shutdown(wait=False)

    async def _decoded(self, rows: Sequence[tuple[int, str]]) -> list[Record]:
        records: list[Record] = []
        for begin in range(0, len(rows), SLICE):
            few = rows[begin : begin + SLICE]
            records += await self._do(lambda: decode_all(self._path, few))  # noqa: B023  awaited here
        return records

    async def _do(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise JournalError(f"{self._path}: the journal is closed")
        if self._thread is None:
            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal reader")
        return await asyncio.wrap_future(self._thread.submit(work))

    # What follows runs in the reader's thread.

    def _last(self) -> int:
        return int(self._rows("SELECT coalesce(max(seq), 0) FROM records", {})[0][0])

    def _rows(self, sql: str, values: dict[str, object]) -> list[Any]:
        with self._store.named():
            if self._connection is None:
                self._store.expect_in_place()
                self._connection = look(self._path)
            return self._connection.execute(sql, values).fetchall()

    def _release(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _query_of(incident: str | None, kinds: Collection[str]) -> tuple[str, dict[str, object]]:
    """Return the query for a chunk of records by their number, and the values in it but for the place."""
    values: dict[str, object] = {f"kind{number}": kind for number, kind in enumerate(kinds)}
    which = f"kind IN ({', '.join(f':{name}' for name in values)}) AND " if values else ""
    if incident is not None:
        which, values = f"incident = :incident AND {which}", {**values, "incident": incident}
    # Made of constants and names of parameters.
    sql = f"SELECT seq, body FROM records WHERE {which}seq > :after AND seq <= :until ORDER BY seq LIMIT {CHUNK}"  # noqa: S608
    return sql, values


def _query_around(rules: Collection[str], *, newest: bool) -> tuple[str, dict[str, object]]:
    """Return the query for a chunk of what belongs to no incident, and the values in it but for the place."""
    values: dict[str, object] = {}
    if 0 < len(rules) <= MOST_RULES:
        values = {f"rule{number}": json.dumps(rule, ensure_ascii=False) for number, rule in enumerate(rules)}
    named = " OR ".join(f"instr(body, :{name})" for name in values)
    told = f"NOT ({QUIET})" + (f" AND (kind <> 'evaluated' OR {named})" if named else "")
    after, until, order = ("<", ">=", "DESC") if newest else (">", "<=", "ASC")
    sql = (
        f"SELECT at, seq, CASE WHEN {told} THEN body END FROM records "  # noqa: S608  constants and names of parameters
        f"WHERE incident IS NULL AND at {after}= :at AND at {until} :bound AND (at {after} :at OR seq {after} :seq) "
        f"ORDER BY at {order}, seq {order} LIMIT {CHUNK}"
    )
    return sql, values
