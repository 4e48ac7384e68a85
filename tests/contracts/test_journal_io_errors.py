"""An error of the disk is never taken for success, wherever in a commit it falls."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from contracts.journal_writer import batch_of
from journals import Failures, rows, strace
from rollback_guard.adapters.journal import audit
from rollback_guard.adapters.journal.sqlite import SqliteJournal

WRITER = Path(__file__).parent / "journal_writer.py"
BATCHES = 100

FAULTS = [
    # Which call fails first, and every how many; the steps share no factor with the calls of a commit, so that the
    # error falls on another one each time.
    ("append", ("fdatasync", "EIO", 10, 2)),
    ("vanish", ("fdatasync", "ENOSPC", 11, 3)),
    ("vanish", ("pwrite64", "EIO", 50, 67)),
    ("append", ("pwrite64", "ENOSPC", 50, 73)),
    ("vanish", ("pwrite64,fdatasync,ftruncate", "EIO", 50, 59)),
]


def write(path, plan, count, fault):
    """Let a real process write while every so many-th call fails; return what it said."""
    call, error, first, step = fault
    ended = strace(
        "-o", os.devnull, "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={first}+{step}",
        sys.executable, WRITER, path, plan, str(count),
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return [line.split() for line in ended.stdout.splitlines() if line.strip()]


async def find(path):
    journal = SqliteJournal(path, telemetry=Failures())
    past = await journal.load()
    await journal.close()
    return list(past.records)


def numbers(said, what, place=1):
    return [int(words[place].removeprefix("n-")) for words in said if words[0] == what]


def expect(path, said):
    """Assert that what was acknowledged is there and what was refused is not.

    There is one exception that no database can avoid: after an error the last batch may turn up with the next start,
    if nothing was acknowledged after it. An intent that is found so was never begun: it is inspected, like any other.
    """
    acknowledged, refused = numbers(said, "put"), numbers(said, "refused")
    found = asyncio.run(find(path))
    wanted = [record for number in acknowledged for record in batch_of(number)]
    there = found[: len(wanted)]
    assert there == wanted
    extra = found[len(wanted) :]
    assert extra in ([], *(batch_of(number) for number in refused if number > max(acknowledged, default=-1)))
    told = {id_ for (id_,) in rows(path, "SELECT id FROM notices")}
    assert {f"n-{number}" for number in acknowledged} <= told
    assert len(told) == len(found) / 2
    with audit.opened(path) as opened:
        assert audit.verify(opened).flaw is None
    return acknowledged, refused


@pytest.mark.promise(25)
@pytest.mark.parametrize(("plan", "fault"), FAULTS, ids=str)
def test_what_was_acknowledged_is_there_and_what_was_refused_is_not(tmp_path, plan, fault):
    path = tmp_path / "guard.db"
    said = write(path, plan, BATCHES, fault)
    acknowledged, refused = expect(path, said)
    assert len(acknowledged) > BATCHES / 10, "the journal recovers by itself"
    assert len(refused) > BATCHES / 10
    assert sorted(acknowledged + refused) == list(range(BATCHES))


ADVICE = {"EIO": "the disk fails; look at the kernel's log", "ENOSPC": "the disk is full; make room"}


@pytest.mark.promise(25)
@pytest.mark.parametrize(
    ("call", "error", "nth"),
    [
        ("fsync", "EIO", 2),
        *(("fdatasync", "EIO", nth) for nth in (1, 4, 7)),
        *(("pwrite64", "ENOSPC", nth) for nth in (5, 16)),
    ],
)
def test_a_journal_that_cannot_be_begun_says_why_and_can_be_begun_later(tmp_path, call, error, nth):
    path = tmp_path / "guard.db"
    said = write(path, "begin", 2, (call, error, nth, 1000))
    put, refused = numbers(said, "put"), numbers(said, "refused")
    assert refused == [0, 1], "calls are counted by thread, and each journal has its own"
    assert put == []
    assert all(ADVICE[error] in " ".join(words) for words in said)
    for number in refused:
        assert asyncio.run(find(Path(f"{path}-{number}"))) in ([], batch_of(number))


@pytest.mark.promise(25)
def test_a_disk_that_fails_for_good_takes_nothing_and_spoils_nothing(tmp_path):
    path = tmp_path / "guard.db"
    sound = strace("-o", os.devnull, "-e", "trace=fsync", sys.executable, WRITER, path, "append", "20")
    assert "closed" in sound.stdout
    said = write(path, "append", 20, ("fdatasync", "EIO", 1, 1))
    assert numbers(said, "put") == []
    assert numbers(said, "refused") == list(range(20, 40))
    assert said[-1][:2] == ["closed", "io_error"]
    assert asyncio.run(find(path)) == [record for number in range(20) for record in batch_of(number)]


def test_a_disk_that_turned_read_only_is_named(tmp_path):
    path = tmp_path / "guard.db"
    said = write(path, "append", 20, ("pwrite64", "EROFS", 45, 1))
    assert numbers(said, "refused")[-1] == 19
    assert said[-1][0] == "closed"
    expect(path, said)
