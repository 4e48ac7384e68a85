"""A checkpoint is the exact state, and a start from it is a start from all records."""

import asyncio
import dataclasses
import hashlib
import math
import sqlite3
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from build import Film, a_group, a_guard, a_policy, a_rule, answered, seen, slot
from fakes import MemoryJournal
from journals import AT, Failures, evaluated, intended, opened, rows, tamper
from rollback_guard.adapters.journal import checkpoint
from rollback_guard.adapters.journal.chain import BEGINNING
from rollback_guard.adapters.journal.sqlite import CHUNK, SqliteJournal
from rollback_guard.core.alert import Alert
from rollback_guard.core.fold import fold_all
from rollback_guard.core.model import Phase, labels_of
from rollback_guard.core.records import Outcome, Paused, Signal, Signalled
from rollback_guard.core.state import GroupState, State
from rollback_guard.ports import JournalError

st.register_type_strategy(datetime, st.datetimes(timezones=st.just(UTC)))


def plain(value):
    """Return a state so that it compares exactly: types, order, and NaN equal to NaN."""
    if dataclasses.is_dataclass(value):
        return type(value), tuple(plain(getattr(value, each.name)) for each in dataclasses.fields(value))
    if isinstance(value, Mapping):
        return dict, tuple((plain(key), plain(each)) for key, each in value.items())
    if isinstance(value, tuple):
        return tuple, tuple(plain(each) for each in value)
    if isinstance(value, frozenset):
        return frozenset, frozenset(plain(each) for each in value)
    if isinstance(value, float):
        return float, value.hex()
    return type(value), value


@pytest.fixture
def path(tmp_path):
    return tmp_path / "guard.db"


@pytest.fixture
async def journal(path):
    journal = SqliteJournal(path, telemetry=Failures())
    yield journal
    await journal.close()


async def reopened(path):
    journal = SqliteJournal(path, telemetry=Failures())
    past = await journal.load()
    await journal.close()
    return past


LABELS = st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2).map(labels_of)
ALERTS = st.builds(Alert, series=LABELS, labels=LABELS, value=st.one_of(st.none(), st.floats()))
GROUPS = st.recursive(
    st.builds(
        GroupState,
        alerts=st.dictionaries(st.text(max_size=3), st.dictionaries(LABELS, ALERTS, max_size=2), max_size=2),
        before_outage=st.none(),
    ),
    lambda inner: st.builds(GroupState, before_outage=inner),
    max_leaves=3,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.builds(State, groups=st.dictionaries(st.text(max_size=3), GROUPS, max_size=2)))
def test_every_state_comes_back_exactly(state):
    assert plain(checkpoint.decode(checkpoint.encode(state))) == plain(state)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.0, 5e-324, 0.1 + 0.2])
def test_every_float_comes_back_exactly(value):
    series = labels_of({"pod": "a", "zone": "b"})
    alert = Alert(rule="g/r", series=series, labels=series, phase=Phase.PENDING, active_at=AT, value=value)
    group = GroupState(slot=AT, alerts={"g/r": {series: alert}})
    outage = dataclasses.replace(group, alerts={}, before_outage=dataclasses.replace(group, before_outage=group))
    state = State(groups={"g": group, "h": outage})
    assert plain(checkpoint.decode(checkpoint.encode(state))) == plain(state)


POLICY = a_policy(
    [a_group(a_rule("r", hold=1), a_rule("s", keep=1)), a_group(a_rule("r", group="h"), id="h")],
    [a_guard(actions=("flag-off", "rollback"), rules=("g/r", "g/s")), a_guard("payment", ("h/r",))],
)

EVENTS = st.one_of(
    st.tuples(st.just("slot"), st.sampled_from("gh"), st.text("bbbpnauqs", min_size=2, max_size=2)),
    st.tuples(st.just("pods"), st.floats(0, 3), st.one_of(st.just(math.nan), st.floats(0, 3))),
    st.tuples(st.just("outcome"), st.sampled_from(list(Outcome))),
    st.tuples(st.just("order"), st.sampled_from(["pause", "signal"])),
    st.tuples(st.just("reload")),
)


def told(events):
    """Return a film of the events, one a minute."""
    film = Film(POLICY)
    for number, (what, *how) in enumerate(events):
        at = slot(number)
        match what:
            case "slot":
                group, letters = how
                rules = POLICY.groups[group].rules
                film.show(at, {rule.id: seen(x) for rule, x in zip(rules, letters, strict=False)}, group=group)
            case "pods":
                film.show(at, {"g/r": answered(a=how[0], b=how[1]), "g/s": seen("p")})
            case "outcome":
                incident = film.incident()
                if incident and incident.open_intent:
                    film.conclude(how[0], at=at)
            case "order":
                signal = Signal(guard="checkout", name="Corrupt", labels=(), firing=True, starts_at=at)
                film.take(
                    [Paused(guard=None, at=at, by="ada", why="why")]
                    if how[0] == "pause"
                    else [Signalled(at=at, signals=(signal,))]
                )
            case "reload":
                film.reload(POLICY, at=at)
    return film


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(EVENTS, min_size=1, max_size=40), st.data())
def test_a_state_that_was_kept_and_the_records_after_it_are_the_state_of_all_records(events, data):
    film = told(events)
    place = data.draw(st.integers(0, len(film.records)))
    kept = checkpoint.decode(checkpoint.encode(fold_all(State(), film.records[:place])))
    assert plain(fold_all(kept, film.records[place:])) == plain(film.state)


def test_the_stories_of_that_test_reach_what_is_hard_to_keep():
    film = told([("slot", "g", "bb"), ("slot", "g", "bb"), ("pods", 2.0, 2.0), ("slot", "g", "uu")])
    assert film.incident().intents
    assert film.state.groups["g"].before_outage.alerts["g/r"]


@pytest.mark.parametrize("make", [lambda path: SqliteJournal(path, telemetry=Failures()), lambda path: MemoryJournal()])
async def test_a_start_reads_the_checkpoint_and_only_what_came_after_it(path, make):
    journal = make(path)
    past = await journal.load()
    assert (past.state, list(past.records)) == (State(), [])
    film = told([("slot", "g", "bb")] * 4)
    await journal.append(film.records)
    assert (await journal.load()).state == State()
    assert list((await journal.load()).records) == film.records

    await journal.checkpoint(film.state)
    assert plain((await journal.load()).state) == plain(film.state)
    assert list((await journal.load()).records) == []
    more = told([("slot", "g", "bb")] * 6).records[len(film.records) :]
    await journal.append(more)
    past = await journal.load()
    assert list(past.records) == more
    assert plain(past.state) == plain(film.state)
    assert list(await journal.read()) == film.records + more
    await journal.close()


async def test_many_records_after_a_checkpoint_are_all_read(journal, path):
    await journal.append([evaluated(0)])
    await journal.checkpoint(State(run="x"))
    await journal.append([evaluated(n) for n in range(1, 2 * CHUNK + 3)])
    past = await journal.load()
    assert [each.slot for each in past.records] == [AT + timedelta(seconds=n) for n in range(1, 2 * CHUNK + 3)]


async def test_only_the_newest_checkpoints_are_kept(journal, path):
    for number in range(5):
        await journal.append([evaluated(number)])
        await journal.checkpoint(State(run=str(number)))
        await journal.checkpoint(State(run=str(number)))
    assert rows(path, "SELECT seq FROM checkpoints ORDER BY seq") == [(4,), (5,)]


async def test_an_append_that_is_under_way_is_not_in_the_checkpoint(journal):
    """The state is that of the moment at which it was given; what comes after it is read as a record."""
    await journal.append([evaluated(1)])
    appending = asyncio.create_task(journal.append([evaluated(2)]))
    await asyncio.sleep(0)
    await journal.checkpoint(State(run="x"))
    await appending
    past = await journal.load()
    assert (past.state.run, list(past.records)) == ("x", [evaluated(2)])


async def test_after_a_cancelled_append_no_checkpoint_claims_to_know_it(journal, path):
    await journal.append([evaluated(1)])
    begun, go_on, write = threading.Event(), threading.Event(), journal._store.write
    journal._store.write = lambda *work, **how: (begun.set(), go_on.wait(10), write(*work, **how))[2]
    cancelled = asyncio.create_task(journal.append([evaluated(2)]))
    await asyncio.to_thread(begun.wait, 10)
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    go_on.set()
    await journal.append([evaluated(3)])
    assert list(await journal.read()) == [evaluated(1), evaluated(2), evaluated(3)]
    with pytest.raises(JournalError, match="was cancelled"):
        await journal.checkpoint(State(run="without 2"))
    assert list((await journal.load()).records) == [evaluated(1), evaluated(2), evaluated(3)]
    await journal.checkpoint(State(run="with 2"))
    assert (await journal.load()).state.run == "with 2"


DAMAGED = {
    "changed": "UPDATE checkpoints SET body = replace(body, 'two', 'six') WHERE seq = 2",
    "cut": "UPDATE checkpoints SET body = substr(body, 1, 20) WHERE seq = 2",
    "no text": "UPDATE checkpoints SET body = x'ff00' WHERE seq = 2",
    "of another record": "UPDATE checkpoints SET record_hash = zeroblob(32) WHERE seq = 2",
    "of no record": "UPDATE checkpoints SET seq = 99 WHERE seq = 2",
}


@pytest.mark.parametrize("statement", DAMAGED.values(), ids=DAMAGED)
async def test_a_damaged_checkpoint_is_left_aside_for_the_one_before_it(journal, path, statement):
    await journal.append([evaluated(1)])
    await journal.checkpoint(State(run="one"))
    await journal.append([evaluated(2)])
    await journal.checkpoint(State(run="two"))
    await journal.append([evaluated(3)])
    await journal.close()
    tamper(path, statement)
    with structlog.testing.capture_logs() as logged:
        past = await reopened(path)
    assert (past.state.run, list(past.records)) == ("one", [evaluated(2), evaluated(3)])
    assert [each["log_level"] for each in logged if each["event"] == "journal_checkpoint_ignored"] == ["error"]


def as_of_another_version(path, change):
    """Rewrite every checkpoint as another version could have written it, with its hashes in order."""
    for seq, record_hash, body in rows(path, "SELECT seq, record_hash, body FROM checkpoints"):
        changed = change(body)
        seal = hashlib.sha256(record_hash + changed.encode()).hexdigest()
        quoted = changed.replace("'", "''")
        tamper(path, f"UPDATE checkpoints SET body = '{quoted}', hash = x'{seal}' WHERE seq = {seq}")


async def test_a_checkpoint_with_what_this_version_does_not_know_is_left_aside_for_the_records(journal, path):
    await journal.append([evaluated(1)])
    await journal.checkpoint(State(run="one"))
    await journal.close()
    as_of_another_version(path, lambda body: body.replace('"run":', '"mood":"good","run":'))
    past = await reopened(path)
    assert (past.state, list(past.records)) == (State(), [evaluated(1)])


async def test_a_checkpoint_that_lacks_a_field_that_has_a_default_is_used(journal, path):
    await journal.append([evaluated(1)])
    await journal.checkpoint(State(run="one"))
    await journal.close()
    as_of_another_version(path, lambda body: body.replace('"pauses":{},', "").replace('"signals":[],', ""))
    past = await reopened(path)
    assert (past.state, list(past.records)) == (State(run="one"), [])


async def test_where_the_records_behind_a_damaged_checkpoint_are_gone_the_guard_says_what_to_do(journal, path):
    await journal.append([evaluated(1), evaluated(2)])
    await journal.checkpoint(State(run="one"))
    assert await journal.prune(AT + timedelta(days=1)) == 2
    assert (await journal.load()).state == State(run="one")
    await journal.close()
    tamper(path, "UPDATE checkpoints SET body = '{}'")
    with pytest.raises(JournalError, match=r"guard\.db: the records up to 2 were forgotten.* put a backup"):
        await reopened(path)


async def test_a_checkpoint_of_an_empty_journal_stands_for_nothing_yet(journal, path):
    await journal.checkpoint(State())
    assert rows(path, "SELECT seq, record_hash FROM checkpoints") == [(0, BEGINNING)]
    await journal.append([evaluated(1)])
    assert list((await journal.load()).records) == [evaluated(1)]


async def test_a_state_that_could_not_be_read_back_is_refused_and_nothing_changes(journal):
    await journal.append([evaluated(1)])
    with pytest.raises(JournalError, match="digest"):
        await journal.checkpoint(State(digest=5))
    await journal.append([evaluated(2)])
    assert len((await journal.load()).records) == 2


async def test_a_checkpoint_that_cannot_be_written_is_refused_by_name(journal, path):
    await journal.append([evaluated(1)])
    await journal._in_thread(lambda: journal._store.connection.execute("PRAGMA busy_timeout = 20"))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalError, match="holds a lock"):
        await journal.checkpoint(State())
    other.execute("ROLLBACK")
    other.close()
    assert rows(path, "SELECT count(*) FROM checkpoints") == [(0,)]


def make(kind, path):
    return SqliteJournal(path, telemetry=Failures()) if kind == "file" else MemoryJournal()


@pytest.mark.parametrize("kind", ["file", "memory"])
class TestForgetting:
    async def test_without_a_checkpoint_nothing_is_forgotten(self, kind, path):
        journal = make(kind, path)
        await journal.append([evaluated(n) for n in range(5)])
        assert await journal.prune(AT + timedelta(days=1)) == 0
        assert len(await journal.read()) == 5
        await journal.close()

    async def test_only_what_is_old_enough_is_forgotten_and_only_from_the_beginning(self, kind, path):
        journal = make(kind, path)
        await journal.append([evaluated(n) for n in (0, 1, 50, 2, 60)])
        await journal.checkpoint(State())
        assert await journal.prune(AT) == 0
        assert await journal.prune(AT + timedelta(seconds=50)) == 2
        assert await journal.prune(AT + timedelta(seconds=50)) == 0
        assert list(await journal.read()) == [evaluated(n) for n in (50, 2, 60)]
        assert await journal.prune(AT + timedelta(seconds=60)) == 2
        await journal.close()

    async def test_what_no_checkpoint_knows_is_not_forgotten(self, kind, path):
        journal = make(kind, path)
        await journal.append([evaluated(n) for n in range(3)])
        await journal.checkpoint(State(run="one"))
        await journal.append([evaluated(n) for n in range(3, 6)])
        await journal.checkpoint(State(run="two"))
        await journal.append([evaluated(n) for n in range(6, 9)])
        assert await journal.prune(AT + timedelta(days=1)) == 3, "the older checkpoint stays of use"
        assert list((await journal.load()).records) == [evaluated(n) for n in range(6, 9)]
        assert (await journal.load()).state.run == "two"
        await journal.close()

    async def test_an_open_incident_keeps_all_its_records_and_what_was_seen_since_it_began(self, kind, path):
        journal = make(kind, path)
        story = [evaluated(0), evaluated(10), opened("checkout-1", at=10), evaluated(20), intended(0, at=20)]
        await journal.append(story)
        state = fold_all(State(), story)
        await journal.checkpoint(state)
        assert await journal.prune(AT + timedelta(days=1)) == 1
        assert list(await journal.read()) == story[1:]
        await journal.close()

    async def test_the_next_append_goes_on_where_the_journal_ended_even_if_all_was_forgotten(self, kind, path):
        journal = make(kind, path)
        await journal.append([evaluated(n) for n in range(3)])
        await journal.checkpoint(State(run="x"))
        assert await journal.prune(AT + timedelta(days=1)) == 3
        assert list(await journal.read()) == []
        await journal.append([evaluated(9)])
        past = await journal.load()
        assert (past.state.run, list(past.records)) == ("x", [evaluated(9)])
        await journal.close()
