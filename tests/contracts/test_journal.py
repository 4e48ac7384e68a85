"""What every journal keeps: records in order, for good, for one process."""

import asyncio
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from journals import AT, Failures, SmallDisk, after, concluded, evaluated, intended
from rollback_guard.adapters.journal import file, reader
from rollback_guard.adapters.journal.ballast import SIZE_BYTES
from rollback_guard.adapters.journal.sqlite import CHUNK, SqliteJournal
from rollback_guard.core import records
from rollback_guard.core.alert import Alert, Because
from rollback_guard.core.model import Phase
from rollback_guard.ports import JournalError

KILLER = Path(__file__).parent / "journal_killer.py"


@pytest.fixture
def failures():
    return Failures()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "guard.db"


@pytest.fixture
async def journal(path, failures):
    journal = SqliteJournal(path, telemetry=failures)
    yield journal
    await journal.close()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 8 MiB, which a test may fill."""
    place = tmp_path / "disk"
    place.mkdir()
    disk = SmallDisk(place, "8m")
    yield disk
    disk.end()


async def append_until_it_fails(journal):
    """Use up what is left of the last pages."""
    for number in range(200):
        await journal.append([evaluated(number)])


async def test_a_new_journal_is_empty(journal):
    assert list(await journal.read()) == []


async def test_records_come_back_in_the_order_in_which_they_were_appended(journal):
    batches = [[evaluated(1), intended()], [concluded()], [evaluated(2)]]
    for batch in batches:
        await journal.append(batch)
    assert list(await journal.read()) == [record for batch in batches for record in batch]


async def test_appending_nothing_writes_nothing(journal):
    await journal.append([])
    assert list(await journal.read()) == []


async def test_appends_from_many_tasks_keep_each_batch_together_and_in_the_order_of_their_begin(journal):
    await asyncio.gather(*(journal.append([evaluated(n), evaluated(n, "h")]) for n in range(50)))
    read = await journal.read()
    assert [(record.group, record.slot) for record in read] == [
        (group, AT + timedelta(seconds=n)) for n in range(50) for group in "gh"
    ]


async def asked_of(journal, reading, mark):
    """Return the query with a mark in it that a reading makes, and how the database goes about it."""
    asked = []
    reader = journal._reader
    await journal.read()
    await reader._do(lambda: reader._connection.set_trace_callback(asked.append))
    await reading
    await reader._do(lambda: reader._connection.set_trace_callback(None))
    query = next(sql for sql in asked if mark in sql)
    return await reader._do(lambda: reader._connection.execute(f"EXPLAIN QUERY PLAN {query}").fetchall())


async def test_one_incident_is_read_alone_and_by_an_index(journal):
    await journal.append([evaluated(1), intended(0, "a-1"), intended(0, "b-1"), concluded(0, "a-1")])
    assert list(await journal.read(incident="a-1")) == [intended(0, "a-1"), concluded(0, "a-1")]
    assert list(await journal.read(incident="a-1", kinds=["concluded", "vetoed"])) == [concluded(0, "a-1")]
    assert list(await journal.read(incident="nobody")) == []

    for kinds in ((), ("concluded", "vetoed")):
        plan = await asked_of(journal, journal.read(incident="a-1", kinds=kinds), "'a-1'")
        assert "records_of_incident" in plan[0][-1]
        assert len(plan) == 1, "no sorting either"


def moved(number, rule="g/r"):
    """Return an evaluation in which something changed."""
    change = records.Transition(
        rule=rule, series=(), before=Phase.INACTIVE, after=Phase.PENDING, because=next(iter(Because))
    )
    return replace(evaluated(number), transitions=(change,))


def dark(number, rule="g/r"):
    return replace(evaluated(number), sights=(records.Sight(rule=rule, reason=None),))


async def test_what_belongs_to_no_incident_is_found_by_its_time_and_an_index(journal):
    await journal.append([*(moved(n) for n in range(5)), intended(9, "a-1", at=2)])
    assert list(await journal.around(after(1), after(3))) == [moved(1), moved(2), moved(3)]
    for newest in (False, True):
        plan = await asked_of(journal, journal.around(after(1), after(3), newest=newest), "instr")
        assert "records_around" in plan[0][-1]
        assert len(plan) == 1, "no sorting either"


async def test_an_evaluation_in_which_nothing_changed_is_no_part_of_a_story(journal):
    alert = Alert(rule='g/"transitions":[],"sights":[]', series=(), labels=(), phase=Phase.FIRING, active_at=AT)
    quiet = replace(evaluated(1), alerts=(alert,))
    pause = records.Paused(guard="checkout", at=after(2), until=None, by="ann", why='"transitions":[] "sights":[]')
    await journal.append([quiet, pause, moved(3, alert.rule), dark(4)])
    assert list(await journal.around(AT, after(9))) == [pause, moved(3, alert.rule), dark(4)]


@pytest.mark.parametrize("rule", ["g/r", "g/r\u00e9", 'g/"r"', "g/\\r", "g/\x01\n", "g/" + "\N{PILE OF POO}"])
async def test_only_evaluations_of_the_rules_that_are_asked_for_are_found(journal, rule):
    restart = records.Stopped(at=after(1))
    told = [restart, moved(2, rule), dark(3, rule)]
    await journal.append([*told, moved(4, "g/r2"), moved(5, "other/r")])
    assert list(await journal.around(AT, after(9), rules={rule, "g/none"})) == told
    assert len(await journal.around(AT, after(9), rules=[f"g/{n}" for n in range(1000)])) == 5, "too many to look for"


async def test_of_a_long_time_the_beginning_or_the_end_is_returned(journal):
    # Half of them in one instant, so that no page ends between two instants.
    await journal.append([*(moved(1) for n in range(CHUNK + 7)), *(moved(n) for n in range(2, CHUNK + 9))])
    kept = list(await journal.read())
    assert list(await journal.around(AT, after(CHUNK * 2), most=CHUNK * 3)) == kept
    assert list(await journal.around(AT, after(CHUNK * 2), most=CHUNK * 3, newest=True)) == kept
    assert list(await journal.around(AT, after(CHUNK * 2))) == kept[: reader.MOST_FOUND]
    assert list(await journal.around(AT, after(CHUNK * 2), most=CHUNK + 10)) == kept[: CHUNK + 10]
    assert list(await journal.around(AT, after(CHUNK * 2), most=CHUNK + 10, newest=True)) == kept[-CHUNK - 10 :]


async def test_not_more_than_a_bounded_part_of_the_journal_is_looked_through(journal, monkeypatch):
    monkeypatch.setattr(reader, "MOST_LOOKED_AT", CHUNK)
    await journal.append([moved(0), *(evaluated(n) for n in range(CHUNK)), moved(CHUNK)])
    assert list(await journal.around(AT, after(CHUNK))) == [moved(0)]
    assert list(await journal.around(AT, after(CHUNK), newest=True)) == [moved(CHUNK)]


async def test_reading_more_than_a_chunk_loses_nothing_and_lets_appends_through(journal):
    await journal.append([evaluated(n) for n in range(3 * CHUNK)])
    reading = asyncio.create_task(journal.read())
    await journal.append([evaluated(-1)])
    read = await reading
    assert [record.slot for record in read[: 3 * CHUNK]] == [AT + timedelta(seconds=n) for n in range(3 * CHUNK)]
    assert len(await journal.read()) == 3 * CHUNK + 1


@pytest.fixture
async def held(journal):
    """A journal in which many read, and the one whose turn it is stays in the middle."""
    await journal.append([evaluated(n) for n in range(2 * CHUNK)])
    reads = [asyncio.create_task(journal.read()) for _ in range(20)]
    first = await journal._reader._do(lambda: threading.current_thread().name)
    gate = threading.Event()
    holding = asyncio.create_task(journal._reader._do(lambda: gate.wait(60)))
    assert first.startswith("journal reader")
    yield reads
    gate.set()
    await holding
    assert all(len(each) >= 2 * CHUNK for each in await asyncio.gather(*reads))


async def test_nobody_who_writes_waits_for_those_who_read(journal, held):
    await asyncio.wait_for(journal.append([intended()]), 20)
    await asyncio.wait_for(journal.append([concluded()]), 20)
    assert not any(each.done() for each in held)


async def test_the_write_ahead_log_can_be_moved_into_the_database_while_somebody_reads(journal, path, held):
    move = "PRAGMA wal_checkpoint(TRUNCATE)"
    busy, *_ = await journal._in_thread(lambda: journal._store.connection.execute(move).fetchone())
    assert not busy
    assert path.with_name(f"{path.name}-wal").stat().st_size == 0
    assert not any(each.done() for each in held)


async def test_a_journal_that_is_closed_while_somebody_reads_says_so_and_leaves_one_file(journal, path):
    await journal.append([evaluated(n) for n in range(2 * CHUNK)])
    reads = [asyncio.create_task(journal.read()) for _ in range(3)]
    await journal._reader._do(lambda: None)
    await journal.close()
    ends = await asyncio.gather(*reads, return_exceptions=True)
    assert {type(each) for each in ends} == {JournalError}
    assert "the journal is closed" in str(ends[0])
    assert not path.with_name(f"{path.name}-wal").exists()


async def test_a_file_that_was_replaced_is_not_read_in_place_of_the_journal(journal, path):
    await journal.append([evaluated(1)])
    path.rename(path.with_name("elsewhere.db"))
    shutil.copy(path.with_name("elsewhere.db"), path)
    with pytest.raises(JournalError, match="the file was replaced"):
        await journal.read()


async def test_those_who_read_can_not_write(journal):
    await journal.append([evaluated(1)])
    await journal.read()
    with pytest.raises(JournalError, match="readonly"):
        await journal._reader._do(lambda: journal._reader._rows("DELETE FROM notices", {}))


async def test_a_batch_that_cannot_be_written_whole_is_not_written_at_all(journal, failures):
    with pytest.raises(JournalError):
        await journal.append([evaluated(1), records.Evaluated(group=None, slot=AT)])
    assert list(await journal.read()) == []
    assert failures.kinds == ["other"]


async def test_what_was_appended_is_there_after_a_restart(path, failures):
    first = SqliteJournal(path, telemetry=failures)
    await first.append([intended(), concluded()])
    await first.close()
    second = SqliteJournal(path, telemetry=failures)
    await second.append([evaluated(1)])
    assert list(await second.read()) == [intended(), concluded(), evaluated(1)]
    await second.close()


async def test_every_commit_goes_to_the_disk(journal):
    look = await journal._in_thread(
        lambda: {
            pragma: journal._store.connection.execute(f"PRAGMA {pragma}").fetchone()[0]
            for pragma in ("journal_mode", "synchronous", "busy_timeout", "wal_autocheckpoint", "journal_size_limit")
        }
    )
    assert look == {
        "journal_mode": "wal",
        "synchronous": file.FULL_SYNC,
        "busy_timeout": 5000,
        "wal_autocheckpoint": file.WAL_PAGES,
        "journal_size_limit": file.WAL_BYTES,
    }


def test_a_place_where_commits_are_not_durable_is_refused(path):
    path.parent.mkdir()
    with pytest.raises(JournalError, match="not be durable"):
        file._make_durable(sqlite3.connect(":memory:"))


async def test_the_event_loop_never_waits_for_the_disk(journal):
    threads = set()
    write = journal._store.write
    journal._store.write = lambda *work, **how: (threads.add(threading.get_ident()), write(*work, **how))[1]
    await asyncio.gather(*(journal.append([evaluated(n)]) for n in range(10)))
    assert len(threads) == 1
    assert threading.get_ident() not in threads


async def test_only_the_user_of_the_guard_can_look_into_it(journal, path):
    await journal.append([evaluated(1)])
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    for each in path.parent.iterdir():
        assert stat.S_IMODE(each.stat().st_mode) == 0o600, each.name


async def test_a_file_that_others_could_read_is_closed_to_them(path, failures):
    path.parent.mkdir()
    path.touch(0o644)
    path.chmod(0o644)
    await SqliteJournal(path, telemetry=failures).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_second_instance_on_the_same_journal_is_refused_by_name(journal, path, failures):
    with pytest.raises(JournalError) as caught:
        SqliteJournal(path, telemetry=failures)
    assert "another rollback-guard" in str(caught.value)
    assert str(os.getpid()) in str(caught.value)
    assert str(path) in str(caught.value)
    await journal.append([evaluated(1)])


async def test_after_a_close_the_next_instance_may_have_it(path, failures):
    for _ in range(3):
        journal = SqliteJournal(path, telemetry=failures)
        await journal.close()
        await journal.close()
    assert failures.kinds == []


async def test_closing_moves_everything_into_the_one_file(journal, path, tmp_path):
    await journal.append([intended()])
    await journal.close()
    moved = tmp_path / "backup.db"
    shutil.copy(path, moved)
    with sqlite3.connect(moved) as copy:
        assert copy.execute("SELECT count(*) FROM records").fetchone() == (1,)
    copy.close()
    assert not path.with_name("guard.db-wal").exists()


async def test_a_closed_journal_says_that_it_is_closed(journal):
    await journal.close()
    with pytest.raises(JournalError, match="closed"):
        await journal.append([evaluated(1)])
    with pytest.raises(JournalError, match="closed"):
        await journal.read()


async def test_the_write_ahead_log_does_not_grow_for_ever(journal, path):
    for _ in range(60):
        await journal.append([concluded(detail="x" * 200_000)])
    assert path.with_name("guard.db-wal").stat().st_size < 3 * file.WAL_BYTES


async def test_a_record_cannot_be_edited_with_other_tools(journal, path):
    await journal.append([intended()])
    other = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match="never edited"):
        other.execute("UPDATE records SET body = '{}'")
    other.close()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"apiVersion: v1\nkind: ConfigMap\n" * 100, "no SQLite database"),
        (b"SQLite format 3\x00" + b"\xff" * 8000, "damaged"),
        (b"x", "no SQLite database"),
    ],
    ids=["text", "header only", "one byte"],
)
def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(path, failures, content, says):
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(JournalError) as caught:
        SqliteJournal(path, telemetry=failures)
    assert str(path) in str(caught.value)
    assert says in str(caught.value)
    assert path.read_bytes() == content


async def test_a_damaged_page_is_found_at_the_start(path, failures):
    journal = SqliteJournal(path, telemetry=failures)
    await journal.append([concluded(n, detail="x" * 500) for n in range(200)])
    await journal.close()
    with path.open("r+b") as damaged:
        damaged.seek(3 * 4096)
        damaged.write(b"\xa5" * 4096)
    with pytest.raises(JournalError, match="damaged"):
        SqliteJournal(path, telemetry=failures)


async def test_damage_in_a_file_too_large_to_check_is_found_by_reading(path, failures, monkeypatch):
    journal = SqliteJournal(path, telemetry=failures)
    await journal.append([concluded(n, detail="x" * 500) for n in range(200)])
    await journal.close()
    with path.open("r+b") as damaged:
        damaged.seek(20 * 4096)
        damaged.write(b"\xa5" * 4096)
    monkeypatch.setattr(file, "CHECKED_BYTES", 0)
    journal = SqliteJournal(path, telemetry=failures)
    with pytest.raises(JournalError, match="damaged"):
        await journal.read()
    await journal.close()


def test_the_database_of_another_program_is_refused_and_left_as_it_is(path, failures):
    path.parent.mkdir()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE songs (title TEXT)")
    other.commit()
    other.close()
    with pytest.raises(JournalError, match="another program"):
        SqliteJournal(path, telemetry=failures)
    other = sqlite3.connect(path)
    assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("songs",)]
    other.close()


async def test_a_newer_schema_is_refused_with_both_numbers(path, failures):
    await SqliteJournal(path, telemetry=failures).close()
    other = sqlite3.connect(path)
    other.execute(f"PRAGMA user_version = {file.SCHEMA_VERSION + 1}")
    other.close()
    with pytest.raises(JournalError) as caught:
        SqliteJournal(path, telemetry=failures)
    assert f"its schema is {file.SCHEMA_VERSION + 1}, this version knows up to {file.SCHEMA_VERSION}" in str(
        caught.value
    )


async def test_a_record_of_a_newer_version_is_refused_with_its_number(journal, path):
    await journal.append([intended()])
    other = sqlite3.connect(path)
    other.execute("""INSERT INTO records (at, kind, body) VALUES ('', 'foreseen', '{"kind": "foreseen"}')""")
    other.commit()
    other.close()
    with pytest.raises(JournalError, match=r"record 2 .*foreseen.* newer rollback-guard"):
        await journal.read()


async def test_a_lock_held_by_another_tool_is_named_and_the_next_append_succeeds(journal, path, failures):
    await journal._in_thread(lambda: journal._store.connection.execute("PRAGMA busy_timeout = 50"))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalError, match="another program holds a lock"):
        await journal.append([evaluated(1)])
    other.execute("ROLLBACK")
    other.close()
    await journal.append([evaluated(2)])
    assert failures.kinds == ["locked"]
    assert list(await journal.read()) == [evaluated(2)]


@pytest.mark.parametrize("what", ["removed", "replaced"])
async def test_a_journal_whose_file_went_away_takes_no_more_records(journal, path, failures, what):
    await journal.append([evaluated(1)])
    path.rename(path.with_name("elsewhere.db"))
    if what == "replaced":
        path.touch()
    with pytest.raises(JournalError, match="replaced while it was in use"):
        await journal.append([intended()])
    assert failures.kinds == ["other"]


def test_a_file_that_this_user_cannot_write_is_refused(path, failures):
    asyncio.run(SqliteJournal(path, telemetry=failures).close())
    path.parent.chmod(0o755)
    path.chmod(0o400)
    path.with_name("guard.db.lock").chmod(0o666)
    if os.getuid() == 0:
        for folder in path.parents[:-1]:
            if not folder.stat().st_mode & 0o005:
                folder.chmod(folder.stat().st_mode | 0o055)
        path.chmod(0o444)
    script = (
        "import os, sys\n"
        "from rollback_guard.adapters.journal.sqlite import SqliteJournal\n"
        "if os.getuid() == 0:\n"
        "    os.setgid(65534); os.setuid(65534)\n"
        "SqliteJournal(sys.argv[1], telemetry=None)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True)
    assert ended.returncode == 1
    assert "JournalError" in ended.stderr
    assert "cannot be written by this user" in ended.stderr


def test_a_file_system_mounted_read_only_is_refused(small_disk, failures):
    asyncio.run(SqliteJournal(small_disk.place / "guard.db", telemetry=failures).close())
    subprocess.run(["mount", "-o", "remount,ro", small_disk.place], check=True)
    with pytest.raises(JournalError, match="cannot be written"):
        SqliteJournal(small_disk.place / "guard.db", telemetry=failures)


@pytest.mark.promise(24)
async def test_a_full_disk_takes_no_intent_yet_still_the_outcome_of_what_had_begun(small_disk, failures):
    path = small_disk.place / "guard.db"
    journal = SqliteJournal(path, telemetry=failures)
    await journal.append([intended(0)])
    assert (small_disk.place / "guard.db.ballast").stat().st_size == SIZE_BYTES
    small_disk.fill()
    with pytest.raises(JournalError, match="disk is full"):
        await append_until_it_fails(journal)
    assert failures.kinds == ["full"]

    await journal.append([concluded(0)])
    for batch in ([intended(1)], [evaluated(-1)], [concluded(5), intended(1)]):
        with pytest.raises(JournalError, match="disk is full"):
            await journal.append(batch)
    await journal.append([concluded(2)])
    await journal.append([intended(4), concluded(4)])

    small_disk.free()
    await journal.append([intended(3)])
    assert (small_disk.place / "guard.db.ballast").stat().st_size == SIZE_BYTES
    await journal.close()
    again = SqliteJournal(path, telemetry=failures)
    kept = [record for record in await again.read() if not isinstance(record, records.Evaluated)]
    assert kept == [intended(0), concluded(0), concluded(2), intended(4), concluded(4), intended(3)]
    await again.close()


@pytest.mark.promise(25)
async def test_an_append_that_failed_on_a_full_disk_is_not_there_afterwards(small_disk, failures):
    path = small_disk.place / "guard.db"
    journal = SqliteJournal(path, telemetry=failures)
    acknowledged = []
    small_disk.fill()
    for number in range(300):
        batch = [evaluated(number), evaluated(number, "x" * 5000)]
        try:
            await journal.append(batch)
        except JournalError:
            continue
        acknowledged += batch
    assert failures.kinds
    small_disk.free()
    assert list(await journal.read()) == acknowledged
    await journal.close()
    again = SqliteJournal(path, telemetry=failures)
    assert list(await again.read()) == acknowledged
    await again.close()


@pytest.mark.promise(1)
@pytest.mark.promise(25)
@pytest.mark.promise(26)
def test_nothing_acknowledged_is_lost_when_the_process_is_killed_in_the_middle_of_appends(tmp_path):
    ended = subprocess.run(
        [sys.executable, KILLER, tmp_path / "guard.db", "30"], capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    rounds = [line.split() for line in ended.stdout.splitlines()]
    assert len(rounds) == 30
    acknowledged = [int(words[1]) for words in rounds]
    assert acknowledged == sorted(acknowledged)
    assert acknowledged[-1] > 100
