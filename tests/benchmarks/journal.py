"""Measure the journal: what an append costs, and how long a start takes on a million records.

Beside every figure stands the same work without what is measured: an append without its hash, a start that has no
checkpoint, and SQLite's own smallest commit.
"""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from figures import goal, median, ms, quantile, show

from rollback_guard.adapters.journal import chain
from rollback_guard.adapters.journal.codec import encode
from rollback_guard.adapters.journal.sqlite import SqliteJournal
from rollback_guard.core.alert import Alert
from rollback_guard.core.fold import fold_all
from rollback_guard.core.model import Phase, labels_of
from rollback_guard.core.notice import Notice, NoticeKind, Urgency
from rollback_guard.core.records import Evaluated, Record
from rollback_guard.core.state import GroupState, State

AT = datetime(2024, 5, 1, tzinfo=UTC)
RECORDS = 1_000_000
BATCH = 20_000
GROUPS = 200
ALERTS = 10_000
COMMITS = 500


class Silence:
    """Telemetry that expects nothing."""

    def journal_failed(self, kind: str) -> None:
        sys.exit(f"the journal failed: {kind}")


def alert(number: int) -> Alert:
    series = labels_of({"service": f"service-{number}", "pod": f"pod-{number}", "zone": "eu-west-1"})
    return Alert(
        rule=f"g{number % GROUPS}/ErrorRate",
        series=series,
        labels=series,
        phase=Phase.FIRING,
        active_at=AT,
        fired_at=AT,
        value=0.0421,
        fingerprint="0123456789abcdef",
    )


def record(number: int) -> Evaluated:
    return Evaluated(group=f"g{number % GROUPS}", slot=AT + timedelta(seconds=number))


def notice(number: int) -> Notice:
    return Notice(
        id=f"n-{number}",
        thread=f"t-{number % GROUPS}",
        at=AT,
        kind=NoticeKind.OPENED,
        urgency=Urgency.CRITICAL,
        channels=("oncall", "team"),
        title="checkout: 4.2% errors",
        body="x" * 600,
    )


def a_busy_state() -> State:
    """Return the state of a fleet in which everything breaches."""
    groups: dict[str, GroupState] = {}
    for name in range(GROUPS):
        alerts = [alert(number) for number in range(name, ALERTS, GROUPS)]
        groups[f"g{name}"] = GroupState(slot=AT, alerts={f"g{name}/ErrorRate": {each.series: each for each in alerts}})
    return State(groups=groups)


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


async def appends(home: Path) -> None:
    journal = SqliteJournal(home / "appends.db", telemetry=Silence())
    one: list[float] = []
    told: list[float] = []
    ten: list[float] = []
    for number in range(COMMITS):
        one.append(await timed(lambda n=number: journal.append([record(n)])))  # type: ignore[misc]
        told.append(await timed(lambda n=number: journal.append([record(n)], [notice(n)])))  # type: ignore[misc]
        ten.append(await timed(lambda n=number: journal.append([record(n + k) for k in range(10)])))  # type: ignore[misc]
    await journal.close()
    plain: list[float] = []
    with closing(sqlite3.connect(home / "plain.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE t (a)")
        for _ in range(COMMITS):
            began = time.perf_counter()
            connection.execute("INSERT INTO t VALUES (1)")
            plain.append(time.perf_counter() - began)
    row = encode(record(1))
    began = time.perf_counter()
    for number in range(COMMITS):
        encode(record(number))
    encoding = (time.perf_counter() - began) / COMMITS
    began = time.perf_counter()
    for number in range(COMMITS):
        chain.link(chain.BEGINNING, (number, row.at, row.kind, row.incident, row.body))
    hashing = (time.perf_counter() - began) / COMMITS
    show(
        "One append, on the disk",
        ("", "p50", "p99"),
        [
            (name, ms(median(values)), ms(quantile(values, 0.99)))
            for name, values in (
                ("SQLite's smallest commit", plain),
                ("one record", one),
                ("one record, a notice for two channels", told),
                ("ten records", ten),
            )
        ],
    )
    show("Of it per record", ("", "us"), [("encode", encoding * 1e6), ("hash", hashing * 1e6)])


async def start(path: Path) -> tuple[float, int]:
    """Return how long it takes until the state is known, and how many records were read for it."""
    began = time.perf_counter()
    journal = SqliteJournal(path, telemetry=Silence())
    past = await journal.load()
    fold_all(past.state, past.records)
    took = time.perf_counter() - began
    await journal.close()
    return took, len(past.records)


async def starts(home: Path) -> None:
    path = home / "million.db"
    journal = SqliteJournal(path, telemetry=Silence())
    began = time.perf_counter()
    for first in range(0, RECORDS, BATCH):
        batch: list[Record] = [record(number) for number in range(first, first + BATCH)]
        await journal.append(batch)
    filling = time.perf_counter() - began
    state = a_busy_state()
    checkpoint = await timed(lambda: journal.checkpoint(state))
    await journal.append([record(number) for number in range(500)])
    await journal.close()
    size = path.stat().st_size
    took = [await start(path) for _ in range(5)]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        body = connection.execute("SELECT length(body) FROM checkpoints").fetchone()[0]
    journal = SqliteJournal(path, telemetry=Silence())
    steps: list[float] = []

    async def prune() -> None:
        while await journal.prune(AT + timedelta(seconds=200_000)):
            pass

    pruning = asyncio.create_task(prune())
    began = time.perf_counter()
    while not pruning.done():
        steps.append(await timed(lambda: journal.append([record(1)])))
        await asyncio.sleep(0.005)
    forgetting = time.perf_counter() - began
    await journal.close()
    show(
        f"{RECORDS:,} records, {size / 1e6:.0f} MB; {ALERTS:,} alerts fire, the checkpoint has {body / 1e6:.1f} MB",
        ("", "seconds"),
        [
            ("appending them in batches", filling),
            ("writing the checkpoint", checkpoint),
            (f"start: checkpoint and {took[0][1]} records (median of 5)", median(each for each, _ in took)),
            ("forgetting 200,000 records", forgetting),
            ("an append meanwhile, p50", median(steps)),
            ("an append meanwhile, worst", max(steps)),
        ],
    )
    goal("start on a million records, seconds", median(each for each, _ in took), 1.0)
    print(f"  peak memory of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


async def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with tempfile.TemporaryDirectory() as home:
        await appends(Path(home))
        await starts(Path(home))


if __name__ == "__main__":
    asyncio.run(main())
