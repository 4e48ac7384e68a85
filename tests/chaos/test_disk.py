"""What a bad disk does to the journal: full again and again, torn, strewn with rubbish, taken away."""

import asyncio
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from journals import CHILD_ENVIRONMENT, Failures, SmallDisk, concluded, evaluated, intended, notice
from rollback_guard.adapters.journal import audit, retention
from rollback_guard.adapters.journal.ballast import SIZE_BYTES
from rollback_guard.adapters.journal.sqlite import SqliteJournal
from rollback_guard.core.records import Concluded, Intended
from rollback_guard.core.state import State
from rollback_guard.ports import JournalError

WRITER = Path(__file__).parents[1] / "contracts" / "journal_writer.py"


@pytest.fixture(params=["8m", "1m"], ids=["with room for a reserve", "without"])
def disk(request, tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    disk = SmallDisk(place, request.param)
    yield disk
    disk.end()


async def until_refused(journal):
    """Use up what is left of the last pages."""
    for number in range(3000):
        try:
            await journal.append([evaluated(number, "x" * 500)])
        except JournalError as error:
            return str(error)
    return None


async def tried(work):
    try:
        await work
    except JournalError:
        return False
    return True


def verified(path):
    with audit.opened(path) as opened:
        return audit.verify(opened).flaw


@pytest.mark.promise(24)
async def test_a_disk_that_is_full_again_and_again_takes_no_intent_without_room_and_the_guard_recovers_by_itself(disk):
    path, failures = disk.place / "guard.db", Failures()
    journal = SqliteJournal(path, telemetry=failures)
    has_reserve = (disk.place / "guard.db.ballast").exists()
    acknowledged, refused = [], []
    for cycle in range(6):
        before, after = intended(3 * cycle), intended(3 * cycle + 1)
        await journal.append([before], [notice(cycle)])
        acknowledged.append(before)
        disk.fill()
        assert "the disk is full; make room, the guard goes on by itself" in await until_refused(journal)

        # Nothing begins, while how it ended can still be written: from the reserve, where there is one.
        (acknowledged if await tried(journal.append([after])) else refused).append(after)
        assert after in refused
        told = await tried(journal.append([concluded(3 * cycle)]))
        assert told or not has_reserve
        if told:
            acknowledged.append(concluded(3 * cycle))
        assert not await tried(journal.append([intended(3 * cycle + 2)]))
        assert not await tried(journal.checkpoint(State()))

        disk.free()
        await journal.append([intended(100 + cycle)])
        acknowledged.append(intended(100 + cycle))
        assert (disk.place / "guard.db.ballast").exists() == has_reserve
        if has_reserve:
            assert (disk.place / "guard.db.ballast").stat().st_size == SIZE_BYTES
        # What retention gives back is room for what comes, in the file.
        await journal.checkpoint(State())
    assert set(failures.kinds) == {"full"}

    kept = [record for record in await journal.read() if isinstance(record, Intended | Concluded)]
    assert kept == acknowledged
    await journal.close()
    assert verified(path) is None
    again = SqliteJournal(path, telemetry=failures)
    assert [record for record in await again.read() if isinstance(record, Intended | Concluded)] == acknowledged
    await again.close()


async def test_a_journal_of_which_the_old_is_forgotten_stays_as_large_as_it_is(tmp_path):
    """The file does not shrink, but what is forgotten in it is written over."""
    journal = SqliteJournal(tmp_path / "guard.db", telemetry=Failures())
    sizes = []
    for day in range(12):
        await journal.append([evaluated(1000 * day + n, "x" * 500) for n in range(1000)])
        await journal.checkpoint(State(run=str(day)))
        await journal.prune(evaluated(1000 * (day - 1)).slot)
        await journal._in_thread(lambda: journal._store.query("PRAGMA wal_checkpoint(TRUNCATE)"))
        sizes.append((tmp_path / "guard.db").stat().st_size)
    await journal.close()
    assert sizes[-1] <= 1.1 * sizes[3]
    assert verified(tmp_path / "guard.db") is None


async def test_forgetting_goes_in_steps_between_which_appends_have_their_turn(tmp_path, monkeypatch):
    monkeypatch.setattr(retention, "STEP", 50)
    journal = SqliteJournal(tmp_path / "guard.db", telemetry=Failures())
    await journal.append([evaluated(n) for n in range(2000)])
    await journal.checkpoint(State())
    order = []
    pruning = asyncio.create_task(journal.prune(evaluated(1990).slot))
    pruning.add_done_callback(lambda _: order.append("pruned"))
    for number in range(3):
        await journal.append([evaluated(5000 + number)])
        order.append("appended")
    assert await pruning == 1990
    await asyncio.sleep(0)
    assert order == ["appended"] * 3 + ["pruned"]
    await journal.close()
    assert verified(tmp_path / "guard.db") is None


async def test_one_call_forgets_no_more_than_it_should_and_the_next_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(retention, "STEP", 10)
    monkeypatch.setattr(retention, "MOST", 30)
    journal = SqliteJournal(tmp_path / "guard.db", telemetry=Failures())
    await journal.append([evaluated(n) for n in range(70)])
    await journal.checkpoint(State())
    assert [await journal.prune(evaluated(65).slot) for _ in range(4)] == [30, 30, 5, 0]
    await journal.close()
    assert verified(tmp_path / "guard.db") is None


def left_by_a_kill(path, count=40):
    """Let a process write, kill it, and return how many records it had acknowledged."""
    child = subprocess.Popen(
        [sys.executable, WRITER, path, "append", "100000"], stdout=subprocess.PIPE, env=CHILD_ENVIRONMENT
    )
    said = []
    for line in child.stdout:
        said.append(line.split())
        if sum(words[0] == b"records" for words in said) >= count:
            break
    child.send_signal(signal.SIGKILL)
    said += [line.split() for line in child.stdout]
    child.wait()
    child.stdout.close()
    return max(int(words[1]) for words in said if words[0] == b"records")


async def read(path):
    journal = SqliteJournal(path, telemetry=Failures())
    found = list((await journal.load()).records)
    await journal.close()
    return found


def test_a_torn_tail_of_the_write_ahead_log_costs_nothing_that_was_acknowledged_before_it(tmp_path):
    """After a kill the log is whole; cut or overwritten it ends at its last commit that is whole."""
    path = tmp_path / "guard.db"
    acknowledged = left_by_a_kill(path)
    chance = random.Random(7)
    whole = asyncio.run(read(shutil.copytree(tmp_path, tmp_path / "whole") / "guard.db"))
    assert len(whole) >= acknowledged
    for number in range(12):
        home = tmp_path / f"torn-{number}"
        home.mkdir()
        for each in ("guard.db", "guard.db-wal"):
            shutil.copy(tmp_path / each, home / each)
        log = home / "guard.db-wal"
        content = bytearray(log.read_bytes())
        if number == 0:
            content += b"\xa5" * 5000
        elif number % 2:
            del content[chance.randrange(len(content) // 2, len(content)) :]
        else:
            place = chance.randrange(len(content) // 2, len(content) - 100)
            content[place : place + 100] = chance.randbytes(100)
        log.write_bytes(content)
        found = asyncio.run(read(home / "guard.db"))
        assert found == whole[: len(found)]
        assert len(found) % 2 == 0, "no half of a batch"
        assert len(found) == len(whole) if number == 0 else 0 < len(found) <= len(whole)
        assert verified(home / "guard.db") is None


def damage_page(path, page, content=b"\xa5" * 4096):
    with path.open("r+b") as file:
        file.seek(page * 4096)
        file.write(content)


@pytest.fixture
def large(tmp_path):
    """A journal of some hundred pages, closed in order."""
    path = tmp_path / "guard.db"

    async def write():
        journal = SqliteJournal(path, telemetry=Failures())
        await journal.append([concluded(n, detail="x" * 700) for n in range(500)])
        await journal.close()

    asyncio.run(write())
    return path


DAMAGE = {
    "torn last page": lambda path: path.write_bytes(path.read_bytes()[:-2000]),
    "half of the file": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "rubbish in the last page": lambda path: damage_page(path, path.stat().st_size // 4096 - 1),
    "rubbish in the middle": lambda path: damage_page(path, 40),
    "zeros in the middle": lambda path: damage_page(path, 40, bytes(4096)),
    "rubbish in the first page": lambda path: damage_page(path, 0),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_journal_stops_the_start_with_what_to_do_and_is_left_as_it_is(large, damage):
    damage(large)
    before = large.read_bytes()
    for _ in range(2):  # a supervisor starts it again
        with pytest.raises(JournalError) as caught:
            asyncio.run(read(large))
        text = str(caught.value)
        assert text.startswith(f"{large}: ")
        assert "damaged" in text
        assert "put a backup in its place or move it away" in text
        assert large.read_bytes() == before


def test_rubbish_after_the_end_of_the_file_does_no_harm(large):
    with large.open("ab") as file:
        file.write(b"\xa5" * 6000)
    assert len(asyncio.run(read(large))) == 500
    assert verified(large) is None


async def test_a_disk_that_is_taken_away_while_the_guard_runs_is_named_and_nothing_is_written_beside_it(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    disk = SmallDisk(place, "8m")
    journal = SqliteJournal(place / "guard.db", telemetry=Failures())
    await journal.append([intended(0)])
    disk.end()
    with pytest.raises(JournalError, match="the file was replaced while it was in use; restart the guard"):
        await journal.append([intended(1)])
    with pytest.raises(JournalError, match="the file was replaced while it was in use; restart the guard"):
        await journal.read()
    await journal.close()
