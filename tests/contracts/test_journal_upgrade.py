"""A journal of the version before is upgraded or left as it was; one of the version after is refused."""

import os
import re
import shutil
import signal
import sqlite3
import stat
import sys
from contextlib import closing

import pytest
import structlog

from journals import AT, Failures, SmallDisk, concluded, evaluated, intended, notice, rows, strace
from rollback_guard.adapters.journal import audit, schema
from rollback_guard.adapters.journal.codec import encode
from rollback_guard.adapters.journal.sqlite import SqliteJournal
from rollback_guard.core.state import State
from rollback_guard.ports import JournalError

V1 = (
    """CREATE TABLE records (
        seq INTEGER PRIMARY KEY,
        at TEXT NOT NULL,
        kind TEXT NOT NULL,
        incident TEXT,
        body TEXT NOT NULL
    )""",
    "CREATE INDEX records_of_incident ON records (incident) WHERE incident IS NOT NULL",
    "CREATE INDEX records_around ON records (at) WHERE incident IS NULL",
    """CREATE TRIGGER records_are_never_edited BEFORE UPDATE ON records
        BEGIN SELECT RAISE(ABORT, 'a record is never edited'); END""",
    f"PRAGMA application_id = {0x52476A6C}",
    "PRAGMA user_version = 1",
)
"""What version 1 made of an empty file, to the letter."""

KNOWN_TO_V1 = 1
APPLICATION_OF_V1 = 0x52476A6C


def refusal_of_v1(path):
    """Return with which words version 1 refuses a file: its own check, to the letter."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)) as connection:
        version, application, tables = (
            connection.execute(sql).fetchone()[0]
            for sql in ("PRAGMA user_version", "PRAGMA application_id", "SELECT count(*) FROM sqlite_master")
        )
    if application != APPLICATION_OF_V1 and not (tables == 0 and application == version == 0):
        return "this is the SQLite database of another program; give the guard a state file of its own"
    if version > KNOWN_TO_V1:
        return (
            f"it was written by a newer rollback-guard: its schema is {version}, this version knows up to "
            f"{KNOWN_TO_V1}; install the newer version again"
        )
    return None


OLD = [record for n in range(30) for record in (evaluated(n), intended(n), concluded(n, detail="x" * 300))]


def write_v1(path, written=OLD):
    """Write a journal as version 1 did."""
    path.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        for statement in V1:
            connection.execute(statement)
        encoded = [encode(record) for record in written]
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO records (at, kind, incident, body) VALUES (?, ?, ?, ?)",
            [(row.at, row.kind, row.incident, row.body) for row in encoded],
        )
        connection.execute("COMMIT")
    path.chmod(0o600)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "guard.db"


def columns(path, table):
    return rows(path, f"SELECT name, type, \"notnull\", pk FROM pragma_table_info('{table}')")


@pytest.mark.promise(43)
async def test_a_journal_of_version_1_is_read_and_goes_on_with_a_chain_over_all_of_it(path):
    write_v1(path)
    with structlog.testing.capture_logs() as logged:
        journal = SqliteJournal(path, telemetry=Failures())
    assert [each["event"] for each in logged] == ["journal_upgrading", "journal_upgraded"]
    assert list((await journal.load()).records) == OLD
    assert journal.head.seq == len(OLD)
    await journal.append([evaluated(99)], [notice()])
    await journal.checkpoint(State())
    await journal.close()
    with audit.opened(path) as opened:
        found = audit.verify(opened)
    assert (found.flaw, found.whole) == (None, journal.head)
    again = SqliteJournal(path, telemetry=Failures())
    assert list(await again.read()) == [*OLD, evaluated(99)]
    await again.close()


@pytest.mark.promise(43)
async def test_an_upgraded_journal_is_laid_out_as_a_new_one(path, tmp_path):
    write_v1(path)
    await SqliteJournal(path, telemetry=Failures()).close()
    new = tmp_path / "new.db"
    await SqliteJournal(new, telemetry=Failures()).close()
    names = "SELECT type, name, tbl_name FROM sqlite_master ORDER BY type, name"
    assert rows(path, names) == rows(new, names)
    for (table,) in rows(new, "SELECT name FROM sqlite_master WHERE type = 'table'"):
        assert columns(path, table) == columns(new, table)


@pytest.mark.promise(43)
async def test_the_file_of_the_older_version_is_kept_whole_beside_it(path):
    write_v1(path)
    await SqliteJournal(path, telemetry=Failures()).close()
    copy = path.with_name("guard.db.v1")
    assert refusal_of_v1(copy) is None
    assert rows(copy, "PRAGMA user_version") == [(1,)]
    assert [body for (body,) in rows(copy, "SELECT body FROM records ORDER BY seq")] == [encode(r).body for r in OLD]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert not path.with_name("guard.db.v1.part").exists()

    # The way back and forth again: the older version gets its file, and the newer one takes it over once more.
    shutil.copy(copy, path)
    journal = SqliteJournal(path, telemetry=Failures())
    assert list(await journal.read()) == OLD
    await journal.close()


@pytest.mark.promise(43)
async def test_version_1_refuses_a_journal_of_this_version_with_a_clear_text(path):
    journal = SqliteJournal(path, telemetry=Failures())
    await journal.append([intended()])
    await journal.close()
    assert refusal_of_v1(path) == (
        "it was written by a newer rollback-guard: its schema is 2, this version knows up to 1; "
        "install the newer version again"
    )


@pytest.mark.promise(43)
async def test_this_version_refuses_a_newer_journal_and_leaves_it_as_it_is(path):
    await SqliteJournal(path, telemetry=Failures()).close()
    with closing(sqlite3.connect(path)) as other:
        other.execute(f"PRAGMA user_version = {schema.SCHEMA_VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(JournalError, match=r"newer rollback-guard: its schema is 3, this version knows up to 2"):
        SqliteJournal(path, telemetry=Failures())
    assert path.read_bytes() == before


async def test_an_empty_journal_of_version_1_is_upgraded_too(path):
    write_v1(path, [])
    journal = SqliteJournal(path, telemetry=Failures())
    await journal.append([evaluated(1)])
    assert list((await journal.load()).records) == [evaluated(1)]
    await journal.close()


async def test_a_journal_of_version_1_from_which_records_were_removed_is_refused_and_left_as_it_is(path):
    write_v1(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("DELETE FROM records WHERE seq IN (7, 8)")
    with pytest.raises(JournalError, match="records 7 to 8 are missing; put a backup in its place"):
        SqliteJournal(path, telemetry=Failures())
    assert rows(path, "PRAGMA user_version") == [(1,)]
    assert columns(path, "records")[-1][0] == "body"


SOME = 900
"""Enough records that their upgrade is written in many pieces."""

OPEN = (
    "import sys; from rollback_guard.adapters.journal.sqlite import SqliteJournal as J; J(sys.argv[1], telemetry=None)"
)


@pytest.mark.promise(43)
def test_an_upgrade_that_is_killed_in_the_middle_leaves_version_1_and_is_done_by_the_next_start(path):
    write_v1(path, [concluded(n, detail="x" * 2000) for n in range(SOME)])
    original = path.with_name("original.db")
    shutil.copy(path, original)
    command = [sys.executable, "-c", OPEN, str(path)]
    traced = strace("-e", "trace=pwrite64", "-o", path.with_name("calls"), *command)
    assert traced.returncode == 0, traced.stderr
    calls = len(re.findall("pwrite64", path.with_name("calls").read_text()))
    killed = 0
    for nth in [*range(1, calls, calls // 3), calls - 2]:
        for left in path.parent.glob("guard.db*"):
            left.unlink()
        shutil.copy(original, path)
        ended = strace("-o", os.devnull, "-e", f"inject=pwrite64:signal=KILL:when={nth}", *command)
        if ended.returncode == 0:
            continue
        assert ended.returncode in {-signal.SIGKILL, 128 + signal.SIGKILL}, ended.stderr
        killed += 1
        version = rows(path, "PRAGMA user_version")[0][0]
        assert version == 1 or len(columns(path, "records")) == 6
        assert rows(path, "SELECT count(*) FROM records") == [(SOME,)]
        journal = SqliteJournal(path, telemetry=Failures())
        assert journal.head.seq == SOME
        journal._thread.submit(journal._store.close).result()
        journal._thread.shutdown()
        with audit.opened(path) as opened:
            assert audit.verify(opened).flaw is None
    assert killed >= 3


@pytest.mark.promise(24)
@pytest.mark.promise(43)
def test_an_upgrade_for_which_the_disk_has_no_room_is_refused_and_gives_back_what_it_took(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    disk = SmallDisk(place, "6m")
    try:
        path = place / "guard.db"
        write_v1(path, [concluded(n, detail="x" * 2000) for n in range(1000)])
        before = path.read_bytes()
        with pytest.raises(JournalError, match="the disk is full; make room"):
            SqliteJournal(path, telemetry=Failures())
        assert {each.name for each in place.iterdir()} <= {"guard.db", "guard.db.lock", "guard.db-wal", "guard.db-shm"}
        assert rows(path, "PRAGMA user_version") == [(1,)]
        assert rows(path, "SELECT count(*) FROM records") == [(1000,)]
        assert path.stat().st_size == len(before)
    finally:
        disk.end()


def test_the_times_in_these_tests_are_those_of_the_records():
    assert encode(evaluated(0)).at == AT.isoformat()
