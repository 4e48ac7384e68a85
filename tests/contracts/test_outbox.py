"""What every outbox keeps: letters in order, until they are delivered, whatever happens to the process."""

import asyncio
import sqlite3
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from fakes import MemoryJournal
from journals import (
    AT,
    CHILD_ENVIRONMENT,
    Failures,
    SmallDisk,
    after,
    concluded,
    evaluated,
    intended,
    notice,
    rows,
    tamper,
)
from rollback_guard.adapters.journal.sqlite import SqliteJournal
from rollback_guard.core.notice import Notice, NoticeKind, Urgency
from rollback_guard.ports import JournalError

LATER = after(3600)
WRITER = Path(__file__).parent / "journal_writer.py"


class OnDisk:
    """A journal in a file, which can be left and found again."""

    def __init__(self, path):
        self._path = path
        self.failures = Failures()
        self.journal = SqliteJournal(path, telemetry=self.failures)

    async def restart(self):
        await self.journal.close()
        self.journal = SqliteJournal(self._path, telemetry=self.failures)

    async def end(self):
        await self.journal.close()


class InMemory:
    def __init__(self, path):
        self.journal = MemoryJournal()

    async def restart(self):
        self.journal = self.journal.copy()

    async def end(self):
        """Nothing to release."""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "guard.db"


@pytest.fixture(params=[OnDisk, InMemory], ids=["file", "memory"])
async def kept(request, path):
    kept = request.param(path)
    yield kept
    await kept.end()


@pytest.fixture
async def journal(path):
    journal = SqliteJournal(path, telemetry=Failures())
    yield journal
    await journal.close()


async def ids(outbox, now=LATER, most=100):
    return [letter.notice.id for letter in await outbox.due(now, most=most)]


async def only(outbox, now=LATER):
    (letter,) = await outbox.due(now, most=100)
    return letter


async def test_an_outbox_begins_empty(kept):
    assert list(await kept.journal.outbox.due(LATER, most=10)) == []
    assert await kept.journal.outbox.backlog() == {}
    assert await kept.journal.outbox.sent_since("oncall", AT) == 0


async def test_a_notice_becomes_one_letter_for_each_of_its_channels(kept):
    told = notice(channels=("team", "oncall", "team"))
    await kept.journal.append([evaluated(1)], [told])
    letters = await kept.journal.outbox.due(LATER, most=10)
    assert [(letter.channel, letter.notice, letter.attempts) for letter in letters] == [
        ("team", told, 0),
        ("oncall", told, 0),
    ]
    assert len({letter.number for letter in letters}) == 2


async def test_notices_need_no_record(kept):
    await kept.journal.append([], [notice()])
    assert await ids(kept.journal.outbox) == ["n-1"]
    assert list(await kept.journal.read()) == []


async def test_every_field_of_a_notice_comes_back(kept):
    told = Notice(
        id="i",
        thread="t",
        at=AT + timedelta(microseconds=7),
        kind=NoticeKind.RECOVERED,
        urgency=Urgency.INFO,
        channels=("a",),
        title="ä \N{SNOWMAN} \x00",
        body="line\nline",
        guard="g",
        incident="i",
        resolves=True,
        data=(("k", "v"), ("k", "w")),
    )
    await kept.journal.append([], [told])
    await kept.restart()
    assert (await only(kept.journal.outbox)).notice == told


async def test_a_notice_that_is_known_is_left_out_whatever_became_of_it(kept):
    await kept.journal.append([evaluated(1)], [notice(1), notice(2), notice(3, thread="b")])
    outbox = kept.journal.outbox
    await outbox.sent((await outbox.due(LATER, most=1))[0], LATER)
    await outbox.give_up((await outbox.due(LATER, most=1))[0], LATER, "refused")
    await kept.restart()
    await kept.journal.append([evaluated(2)], [notice(n, title="again") for n in (1, 2, 3)])
    letter = await only(kept.journal.outbox)
    assert (letter.notice.id, letter.notice.title) == ("n-3", "checkout: notice 3")


async def test_one_notice_twice_in_an_append_is_one(kept):
    await kept.journal.append([evaluated(1)], [notice(), notice()])
    assert len(await kept.journal.outbox.due(LATER, most=10)) == 1


async def test_letters_of_a_thread_come_one_after_the_other_in_their_order(kept):
    await kept.journal.append([], [notice(n) for n in (1, 2, 3)])
    outbox, told = kept.journal.outbox, []
    for _ in range(3):
        letter = await only(outbox)
        told.append(letter.notice.id)
        await outbox.sent(letter, LATER)
    assert told == ["n-1", "n-2", "n-3"]


async def test_a_postponed_letter_holds_its_thread_and_nothing_else(kept):
    await kept.journal.append([], [notice(1), notice(2), notice(3, thread="payment"), notice(4, channels=("team",))])
    outbox = kept.journal.outbox
    first = (await outbox.due(LATER, most=1))[0]
    await outbox.postpone(first, LATER + timedelta(minutes=1), "503")
    assert await ids(outbox) == ["n-3", "n-4"]
    assert await ids(outbox, LATER + timedelta(seconds=59)) == ["n-3", "n-4"]
    assert await ids(outbox, LATER + timedelta(minutes=1)) == ["n-1", "n-3", "n-4"]


async def test_attempts_are_counted_also_over_a_restart(kept):
    await kept.journal.append([], [notice()])
    for count in range(3):
        letter = await only(kept.journal.outbox)
        assert letter.attempts == count
        await kept.journal.outbox.postpone(letter, AT, "503")
        await kept.restart()
    assert (await only(kept.journal.outbox)).attempts == 3


async def test_a_letter_that_is_given_up_lets_the_next_of_its_thread_go(kept):
    await kept.journal.append([], [notice(1), notice(2)])
    await kept.journal.outbox.give_up(await only(kept.journal.outbox), LATER, "404: no such channel")
    assert await ids(kept.journal.outbox) == ["n-2"]


async def test_no_more_than_asked_for_the_oldest_first(kept):
    await kept.journal.append([], [notice(n, thread=f"t-{n}") for n in range(10)])
    assert await ids(kept.journal.outbox, most=3) == ["n-0", "n-1", "n-2"]


async def test_a_letter_is_not_due_before_its_notice_is(kept):
    await kept.journal.append([], [notice(at=60)])
    assert await ids(kept.journal.outbox, after(59)) == []
    assert await ids(kept.journal.outbox, after(60)) == ["n-1"]


async def test_what_a_channel_delivered_is_counted_by_time_also_over_a_restart(kept):
    await kept.journal.append([], [notice(n, thread=f"t-{n}", channels=("team", "oncall")) for n in range(4)])
    for number, letter in enumerate(await kept.journal.outbox.due(LATER, most=100)):
        if letter.channel == "team":
            await kept.journal.outbox.sent(letter, after(number))
        elif number < 2:
            await kept.journal.outbox.give_up(letter, after(number), "no")
    await kept.restart()
    outbox = kept.journal.outbox
    assert [await outbox.sent_since("team", after(n)) for n in (0, 2, 3, 6, 7)] == [4, 3, 2, 1, 0]
    assert await outbox.sent_since("oncall", AT) == 0


async def test_the_backlog_is_told_by_channel_with_its_age(kept):
    await kept.journal.append(
        [], [notice(1, at=5, channels=("team", "oncall")), notice(2, at=3, thread="b", channels=("team",))]
    )
    held = await kept.journal.outbox.backlog()
    assert {name: (each.letters, each.oldest) for name, each in held.items()} == {
        "team": (2, after(3)),
        "oncall": (1, after(5)),
    }
    for letter in await kept.journal.outbox.due(LATER, most=10):
        await kept.journal.outbox.sent(letter, LATER)
    assert await kept.journal.outbox.backlog() == {}


async def test_channels_that_take_nothing_now_can_be_left_out(kept):
    await kept.journal.append([], [notice(n, thread=f"t-{n}", channels=("team", "oncall")) for n in range(5)])
    due = await kept.journal.outbox.due(LATER, most=3, without=["team"])
    assert [(letter.channel, letter.notice.id) for letter in due] == [("oncall", f"n-{n}") for n in range(3)]
    assert list(await kept.journal.outbox.due(LATER, most=3, without=["team", "oncall"])) == []


async def test_all_that_a_channel_has_not_got_is_read_in_its_order_page_by_page(kept):
    await kept.journal.append([], [notice(n, thread=f"t-{n % 2}\ud83d", channels=("team", "oncall")) for n in range(6)])
    outbox = kept.journal.outbox
    first = (await outbox.due(LATER, most=1))[0]
    await outbox.postpone(first, LATER + timedelta(hours=1), "503")
    await outbox.sent((await outbox.due(LATER, most=100, without=["team"]))[0], LATER)

    async def read(channel, after=0, most=100, **asked):
        return [letter.notice.id for letter in await outbox.left(channel, after=after, most=most, **asked)]

    assert await read("team") == [f"n-{n}" for n in range(6)]
    assert await read("oncall") == [f"n-{n}" for n in range(1, 6)]
    assert await read("team", thread="t-1\ud83d") == ["n-1", "n-3", "n-5"]
    (second,) = await outbox.left("team", after=first.number, most=1)
    assert second.notice.id == "n-1"
    assert await read("team", after=second.number, most=2) == ["n-2", "n-3"]
    assert await read("nobody") == []


async def test_when_the_clock_is_set_every_time_from_which_a_span_is_counted_moves(kept):
    await kept.journal.append([], [notice(n, thread=f"t-{n}") for n in range(3)])
    outbox, by = kept.journal.outbox, timedelta(hours=-1, microseconds=1)
    waiting, told, lost = await outbox.due(LATER, most=3)
    await outbox.postpone(waiting, LATER, "503")
    await outbox.sent(told, LATER)
    await outbox.give_up(lost, LATER, "404")
    assert waiting.put_at == AT
    await outbox.shift(by)
    await kept.restart()
    outbox = kept.journal.outbox
    assert await ids(outbox, LATER + by - timedelta(microseconds=1)) == []
    assert (await only(outbox, LATER + by)).put_at == AT + by
    assert (await outbox.backlog())["oncall"].oldest == AT + by
    assert await outbox.sent_since("oncall", LATER + by) == 1
    assert await outbox.sent_since("oncall", LATER + by + timedelta(microseconds=1)) == 0
    await outbox.shift(-by)
    assert (await only(outbox, LATER)).put_at == AT


async def test_ending_a_letter_twice_changes_nothing(kept):
    await kept.journal.append([], [notice()])
    outbox = kept.journal.outbox
    letter = await only(outbox)
    await outbox.sent(letter, LATER)
    await outbox.sent(letter, LATER)
    await outbox.give_up(letter, LATER, "late")
    await outbox.postpone(letter, LATER, "late")
    assert await outbox.sent_since("oncall", AT) == 1
    assert await ids(outbox) == []


async def test_a_batch_that_fails_leaves_no_letter(kept):
    with pytest.raises(JournalError):
        await kept.journal.append([evaluated(1), evaluated(2, group=None)], [notice()])
    assert await ids(kept.journal.outbox) == []
    await kept.journal.append([evaluated(1)], [notice()])
    assert await ids(kept.journal.outbox) == ["n-1"]


async def test_ids_are_known_as_long_as_the_journal_keeps_their_records(kept):
    journal = kept.journal
    await journal.append([evaluated(0)], [notice(1), notice(2, thread="b")])
    await journal.outbox.sent((await journal.outbox.due(LATER, most=1))[0], LATER)
    await journal.append([evaluated(10)])
    await journal.checkpoint((await journal.load()).state)
    assert await journal.prune(after(5)) == 1

    await journal.append([evaluated(20)], [notice(1), notice(2, thread="b")])
    assert await ids(journal.outbox) == ["n-2", "n-1"], "one that waits stays known; one that was sent may come again"


async def test_a_letter_that_was_given_up_stays_on_record(journal, path):
    await journal.append([], [notice()])
    await journal.outbox.postpone(await only(journal.outbox), AT, "503 and \ud83d")
    await journal.outbox.give_up(await only(journal.outbox), LATER, "404: no such channel")
    assert rows(path, "SELECT ended, ended_at, error, attempts FROM letters") == [
        ("given_up", "2024-05-01T13:00:00+00:00", "404: no such channel", 2)
    ]


async def test_half_a_character_from_outside_blocks_no_notice(journal):
    await journal.append([evaluated(1)], [notice(1, thread="\ud83d", title="cut \ud83d off"), notice("\ud83d")])
    assert [letter.notice.title for letter in await journal.outbox.due(LATER, most=10)] == [
        "cut ? off",
        "checkout: notice ?",
    ]


async def test_a_letter_that_nobody_can_read_is_given_up_loudly_and_holds_nobody(journal, path):
    await journal.append([], [notice(1), notice(2), notice(3, thread="b")])
    tamper(path, "UPDATE notices SET body = '{}' WHERE id = 'n-1'")
    assert await ids(journal.outbox) == ["n-3"]
    assert await ids(journal.outbox) == ["n-2", "n-3"]
    (why,) = rows(path, "SELECT error FROM letters WHERE ended = 'given_up'")[0]
    assert why.startswith("unreadable: ")


async def test_a_letter_that_nobody_can_read_ends_no_reading(journal, path):
    await journal.append([], [notice(n) for n in range(6)])
    tamper(path, "UPDATE notices SET body = '{}' WHERE id IN ('n-0', 'n-1', 'n-2', 'n-4')")
    letters = await journal.outbox.left("oncall", after=0, most=2)
    assert [letter.notice.id for letter in letters] == ["n-3", "n-5"]


async def test_a_delivery_that_is_not_written_down_yet_moves_with_the_clock_too(journal):
    await journal.append([], [notice()])
    letter = await only(journal.outbox)
    write = journal._store.write

    def full(work):
        raise JournalError("disk full")

    journal._store.write = full
    with pytest.raises(JournalError):
        await journal.outbox.sent(letter, LATER)
    journal._store.write = write
    await journal.outbox.shift(timedelta(hours=1))
    assert await journal.outbox.sent_since("oncall", LATER + timedelta(hours=1)) == 1


async def test_a_notice_of_a_newer_version_is_told_as_far_as_it_is_understood(journal, path):
    await journal.append([], [notice()])
    tamper(path, "UPDATE notices SET body = json_set(body, '$.mood', 'good')")
    assert (await only(journal.outbox)).notice == notice()


async def test_a_delivery_that_could_not_be_written_down_is_not_repeated_by_this_process(journal, path):
    failures = journal._store._telemetry
    await journal.append([], [notice(1), notice(2)])
    await journal._in_thread(lambda: journal._store.connection.execute("PRAGMA busy_timeout = 20"))
    letter = await only(journal.outbox)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalError, match="holds a lock"):
        await journal.outbox.sent(letter, LATER)
    assert failures.kinds == ["locked"]
    assert await ids(journal.outbox) == ["n-2"]
    assert await journal.outbox.sent_since("oncall", AT) == 1
    assert (await journal.outbox.backlog())["oncall"].letters == 1

    other.execute("ROLLBACK")
    assert await ids(journal.outbox) == ["n-2"]
    assert rows(path, "SELECT ended FROM letters ORDER BY number") == [("sent",), (None,)]
    assert await journal.outbox.sent_since("oncall", AT) == 1
    other.close()


async def test_everything_the_outbox_is_asked_fails_by_name_when_the_journal_is_closed(journal):
    await journal.append([], [notice()])
    letter = await only(journal.outbox)
    await journal.close()
    outbox = journal.outbox
    for asked in (
        outbox.due(LATER, most=1),
        outbox.sent(letter, LATER),
        outbox.postpone(letter, LATER, ""),
        outbox.give_up(letter, LATER, ""),
        outbox.sent_since("oncall", AT),
        outbox.backlog(),
        outbox.left("oncall", after=0, most=1),
        outbox.shift(timedelta(hours=1)),
    ):
        with pytest.raises(JournalError, match="closed"):
            await asked


async def test_thousands_of_letters_are_looked_through_by_an_index(journal):
    await journal.append([], [notice(n, thread=f"t-{n}", channels=("team", "oncall")) for n in range(1000)])
    asked = []
    await journal._in_thread(lambda: journal._store.connection.set_trace_callback(asked.append))
    assert len(await journal.outbox.due(LATER, most=5)) == 5
    await journal._in_thread(lambda: journal._store.connection.set_trace_callback(None))
    query = next(sql for sql in asked if "min(number)" in sql)
    plan = await journal._in_thread(lambda: journal._store.connection.execute(f"EXPLAIN QUERY PLAN {query}").fetchall())
    assert any("INDEX letters_left" in row[-1] for row in plan)


@pytest.mark.promise(40)
def test_letters_survive_a_kill_and_are_told_again_only_where_it_fell_between_telling_and_noting(path):
    said, rounds = [], 5
    for number in range(rounds):
        child = subprocess.Popen(
            [sys.executable, WRITER, path, "deliver", "100000"], stdout=subprocess.PIPE, env=CHILD_ENVIRONMENT
        )
        for line in child.stdout:
            said.append(line.decode().split())
            if len(said) > 20 * (number + 1) + number * 7 % 5:
                break
        child.kill()
        said += [line.decode().split() for line in child.stdout]
        child.wait()
        child.stdout.close()

    async def rest():
        journal, letters = SqliteJournal(path, telemetry=Failures()), []
        for _ in range(100):
            letters += (due := await journal.outbox.due(LATER, most=100))
            for letter in due:
                await journal.outbox.sent(letter, LATER)
        there = len(await journal.read())
        await journal.close()
        return [letter.notice.id for letter in letters], there

    left, there = asyncio.run(rest())
    of = {what: [words[1] for words in said if words[0] == what] for what in ("put", "told", "sent")}
    told = of["told"] + left
    assert there >= len(of["put"]) >= 20
    assert set(told) == {f"n-{number}" for number in range(there)}, "at least once"
    assert len(told) - len(set(told)) <= rounds, "once more only where a kill fell in between"
    assert not set(left) & set(of["sent"])
    order = [int(each[2:]) for each in dict.fromkeys(told)]
    assert order == sorted(order)


@pytest.mark.promise(24)
@pytest.mark.promise(40)
async def test_on_a_full_disk_what_was_put_in_is_still_told_and_only_once(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    disk = SmallDisk(place, "8m")
    try:
        journal = SqliteJournal(place / "guard.db", telemetry=Failures())
        await journal.append([intended()], [notice(n, thread=f"t-{n}") for n in range(50)])
        disk.fill()
        with pytest.raises(JournalError, match="full"):
            await append_for_ever(journal)
        await journal.append([concluded()], [notice(50, thread="t-50")])

        told = []
        for _ in range(20):
            for letter in await journal.outbox.due(LATER, most=7):
                told.append(letter.notice.id)
                with pytest.raises(JournalError, match="full"):
                    await journal.outbox.sent(letter, LATER)
        assert told == [f"n-{n}" for n in range(51)]
        disk.free()
        assert await ids(journal.outbox) == []
        assert rows(place / "guard.db", "SELECT count(*) FROM letters WHERE ended IS NULL") == [(0,)]
        assert await journal.outbox.sent_since("oncall", AT) == 51
        await journal.close()
    finally:
        disk.end()


async def append_for_ever(journal):
    for number in range(2000):
        await journal.append([evaluated(number, "x" * 2000)])


async def test_the_known_fields_of_a_letter_are_those_that_were_put_in(kept):
    await kept.journal.append([], [notice()])
    letter = await only(kept.journal.outbox)
    assert letter == replace(letter, channel="oncall", notice=notice(), attempts=0)
