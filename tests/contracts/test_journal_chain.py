"""A record that somebody changed, removed, added or moved shows; also to a guard that starts on it."""

import hashlib
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from journals import Failures, evaluated, intended, rows, tamper
from rollback_guard.adapters.journal import audit, chain
from rollback_guard.adapters.journal.sqlite import CHUNK, SqliteJournal
from rollback_guard.ports import JournalError

TEN = 10


@pytest.fixture
def path(tmp_path):
    return tmp_path / "guard.db"


async def written(path, count=TEN):
    """Write some records and return the head that was published at the end."""
    journal = SqliteJournal(path, telemetry=Failures())
    await journal.append([evaluated(n) if n % 2 else intended(n) for n in range(count)])
    await journal.close()
    return journal.head


def verified(path, published=None):
    with audit.opened(path) as journal:
        return audit.verify(journal, published)


def published(head):
    return head.seq, head.hash.hex()


async def test_the_chain_of_an_untouched_journal_is_whole(path):
    head = await written(path)
    found = verified(path, published(head))
    assert (found.flaw, found.whole, found.forgotten) == (None, head, 0)
    assert head.seq == TEN


async def test_an_empty_journal_is_whole_too(path):
    head = await written(path, 0)
    assert head == chain.Head()
    assert verified(path, published(head)).flaw is None


async def test_the_head_goes_with_every_append_and_is_known_again_after_a_restart(path):
    journal = SqliteJournal(path, telemetry=Failures())
    heads = [journal.head]
    for number in range(5):
        await journal.append([evaluated(number), evaluated(number, "h")])
        heads.append(journal.head)
    await journal.close()
    assert [head.seq for head in heads] == [0, 2, 4, 6, 8, 10]
    assert len({head.hash for head in heads}) == 6
    again = SqliteJournal(path, telemetry=Failures())
    assert again.head == heads[-1]
    await again.close()
    assert all(verified(path, published(head)).flaw is None for head in heads)


async def test_a_failed_append_leaves_the_head_where_it_was(path):
    journal = SqliteJournal(path, telemetry=Failures())
    await journal.append([evaluated(1)])
    before = journal.head
    with pytest.raises(JournalError):
        await journal.append([evaluated(2), evaluated(3, group=None)])
    assert journal.head == before
    await journal.append([evaluated(4)])
    await journal.close()
    assert verified(path).flaw is None


async def test_others_can_follow_the_chain_with_what_the_docs_say(path):
    await written(path)
    previous = bytes(32)
    for seq, at, kind, incident, body, hash_ in rows(path, "SELECT seq, at, kind, incident, body, hash FROM records"):
        line = json.dumps([seq, at, kind, incident], separators=(",", ":"))
        previous = hashlib.sha256(previous + f"{line}\n{body}".encode()).digest()
        assert previous == hash_


TAMPERED = {
    "changed body": ("UPDATE records SET body = replace(body, 'flag off', 'flag on') WHERE seq = 5", "record 5 is not"),
    "changed time": ("UPDATE records SET at = '2020-01-01T00:00:00+00:00' WHERE seq = 5", "record 5 is not"),
    "changed kind": ("UPDATE records SET kind = 'concluded' WHERE seq = 5", "record 5 is not"),
    "changed incident": ("UPDATE records SET incident = NULL WHERE seq = 5", "record 5 is not"),
    "no text": ("UPDATE records SET body = x'ff00ff' WHERE seq = 5", "record 5 is not"),
    "no text in a column": ("UPDATE records SET incident = x'ff00ff' WHERE seq = 5", "record 5 is not"),
    "changed hash": ("UPDATE records SET hash = zeroblob(32) WHERE seq = 5", "record 5 is not"),
    "a hash that is none": ("UPDATE records SET hash = 'abc' WHERE seq = 5", "record 5 is not"),
    "deleted": ("DELETE FROM records WHERE seq = 5", "record 5 is missing"),
    "deleted several": ("DELETE FROM records WHERE seq BETWEEN 4 AND 7", "records 4 to 7 are missing"),
    "deleted the first": ("DELETE FROM records WHERE seq = 1", "record 1 is missing"),
    "truncated": ("DELETE FROM records WHERE seq > 7", "records 8 to 10 are missing at the end"),
    "emptied": ("DELETE FROM records", "records 1 to 10 are missing at the end"),
    "inserted": (
        "INSERT INTO records (seq, at, kind, body, hash) SELECT 11, at, kind, body, hash FROM records WHERE seq = 10",
        "record 11 is not",
    ),
    "head moved": ("UPDATE chain SET seq = 9 WHERE name = 'head'", "record 10 was not written by the guard"),
    "head of another": ("UPDATE chain SET hash = zeroblob(32) WHERE name = 'head'", "is not the one with which"),
    "anchor moved": ("UPDATE chain SET seq = 3 WHERE name = 'anchor'", "record 4 is not"),
    "no chain": ("DELETE FROM chain", "record 1 was not written by the guard"),
}


@pytest.mark.promise(38)
@pytest.mark.parametrize(("statement", "says"), TAMPERED.values(), ids=TAMPERED)
async def test_tampering_shows_with_the_first_record_that_it_concerns(path, statement, says):
    await written(path)
    tamper(path, statement)
    assert says in verified(path).flaw


@pytest.mark.promise(38)
async def test_two_records_that_changed_places_show(path):
    await written(path)
    tamper(
        path,
        "UPDATE records SET seq = 99 WHERE seq = 4",
        "UPDATE records SET seq = 4 WHERE seq = 6",
        "UPDATE records SET seq = 6 WHERE seq = 99",
    )
    assert "record 4 is not what was written" in verified(path).flaw


def forge(path, *, upto, change=None):
    """Make the whole chain anew over the first records, as somebody would who knows how."""
    there = rows(path, "SELECT seq, at, kind, incident, body FROM records WHERE seq <= ? ORDER BY seq", upto)
    statements, previous = [f"DELETE FROM records WHERE seq > {upto}"], bytes(32)
    for seq, at, kind, incident, body in there:
        forged = change(body) if change else body
        previous = chain.link(previous, (seq, at, kind, incident, forged))
        statements.append(f"UPDATE records SET body = '{forged}', hash = x'{previous.hex()}' WHERE seq = {seq}")
    statements.append(f"UPDATE chain SET seq = {upto}, hash = x'{previous.hex()}' WHERE name = 'head'")
    tamper(path, *statements)


@pytest.mark.promise(38)
async def test_an_end_cut_off_with_all_that_tells_of_it_shows_against_a_published_head(path):
    head = await written(path)
    forge(path, upto=7)
    assert verified(path).flaw is None, "by itself such a file tells nothing"
    assert "records 8 to 10 are missing at the end" in verified(path, published(head)).flaw


@pytest.mark.promise(38)
async def test_a_chain_made_anew_shows_against_a_published_head(path):
    head = await written(path)
    forge(path, upto=TEN, change=lambda body: body.replace("flag off", "flag on"))
    assert verified(path).flaw is None, "by itself such a file tells nothing"
    assert "record 10 is not the one of the published head" in verified(path, published(head)).flaw
    assert "record 10 is not the one" in verified(path, (TEN, head.hash.hex()[:16])).flaw


@pytest.mark.promise(38)
async def test_triggers_that_were_removed_show(path):
    await written(path)
    tamper(path, "DROP TRIGGER records_are_never_edited", drop_triggers=False)
    assert "records_are_never_edited" in verified(path).flaw


@pytest.mark.promise(38)
def test_any_one_flipped_bit_in_a_record_shows(tmp_path_factory):
    import asyncio

    path = tmp_path_factory.mktemp("flip") / "guard.db"
    asyncio.run(written(path))
    links = rows(path, "SELECT seq, at, kind, incident, body, hash FROM records")

    @settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.integers(0, TEN - 1), st.sampled_from([1, 2, 3, 4, 5]), st.integers(0), st.integers(0, 6))
    def shows(row, column, place, bit):
        changed = list(links[row])
        if not changed[column]:
            return
        raw = bytearray(changed[column] if column == 5 else changed[column].encode())
        raw[place % len(raw)] ^= 1 << bit
        changed[column] = bytes(raw) if column == 5 else raw.decode(errors="replace")
        whole, flaw = chain.check(chain.Head(), [*links[:row], tuple(changed), *links[row + 1 :]])
        assert whole.seq == row
        assert f"record {row + 1} is not what was written" in flaw

    shows()


@pytest.mark.parametrize(
    "statement", ["UPDATE records SET body = '{}' WHERE seq = 5", "DELETE FROM records WHERE seq = 10"]
)
async def test_the_file_itself_refuses_to_be_changed(path, statement):
    await written(path)
    with pytest.raises(Exception, match=r"a record is never (edited|deleted)"):
        tamper(path, statement, drop_triggers=False)
    assert verified(path).flaw is None


@pytest.mark.promise(38)
async def test_a_guard_does_not_start_on_a_journal_whose_end_was_cut_off(path):
    await written(path)
    tamper(path, "DELETE FROM records WHERE seq > 7")
    with pytest.raises(JournalError, match=r"its end was cut off: records 8 to 10 are missing; put a backup"):
        SqliteJournal(path, telemetry=Failures())


@pytest.mark.promise(38)
async def test_a_guard_does_not_begin_with_records_that_were_changed(path):
    await written(path, CHUNK + 5)
    tamper(path, f"UPDATE records SET body = replace(body, 'g', 'h') WHERE seq = {CHUNK + 2}")
    journal = SqliteJournal(path, telemetry=Failures())
    with pytest.raises(JournalError, match=rf"record {CHUNK + 2} is not what was written.*journal verify"):
        await journal.load()
    await journal.close()


async def test_a_record_that_another_tool_added_takes_nobody_s_place(path):
    journal = SqliteJournal(path, telemetry=Failures())
    await journal.append([evaluated(1)])
    tamper(
        path,
        "INSERT INTO records (seq, at, kind, body, hash) SELECT 2, at, kind, body, hash FROM records",
        drop_triggers=False,
    )
    with pytest.raises(JournalError, match="UNIQUE"):
        await journal.append([evaluated(2)])
    await journal.close()
