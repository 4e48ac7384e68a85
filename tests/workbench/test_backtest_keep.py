"""What was played is kept for the next run, and whatever else lies there harms nothing."""

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest

from rollback_guard.core.state import State
from rollback_guard.workbench.backtest.keep import Keeper, Progress
from rollback_guard.workbench.backtest.tally import BUCKETS, GuardTally, RuleTally, Tally

START = datetime(2026, 3, 1, tzinfo=UTC)
END = START + timedelta(days=7)
RULES, GUARDS = {"g/r"}, {"shop"}


@pytest.fixture
def complaints():
    return []


@pytest.fixture
def keeper(tmp_path, complaints):
    return Keeper(tmp_path / "cache", {"asked": "this"}, complain=complaints.append)


def progress(**changes):
    tally = Tally(start=START, end=END, rules={"g/r": RuleTally(slots=7)}, guards={"shop": GuardTally()})
    return Progress(**{"tally": tally, "state": State(), "done_until": START + timedelta(hours=1)} | changes)


def files(tmp_path):
    return {path.name: path for path in tmp_path.glob("cache/*/*")}


def test_what_was_kept_is_found_again(keeper):
    assert keeper.part("played").load(RULES, GUARDS) is None
    keeper.part("played").save(progress())
    assert keeper.part("played").load(RULES, GUARDS) == progress()
    assert keeper.part("swept").load(RULES, GUARDS) is None


def test_another_question_knows_nothing_of_it(keeper, tmp_path, complaints):
    keeper.part("played").save(progress())
    other = Keeper(tmp_path / "cache", {"asked": "that"}, complain=complaints.append)
    assert other.part("played").load(RULES, GUARDS) is None


def test_the_window_stays_that_of_the_run_that_was_interrupted(keeper):
    keeper.window(START, END)
    later = timedelta(hours=3)
    assert keeper.window(START + later, END + later) == (START, END)


def test_the_window_of_last_month_is_forgotten(keeper, tmp_path):
    keeper.window(START, END)
    keeper.part("played").save(progress())
    later = timedelta(days=30)
    assert keeper.window(START + later, END + later) == (START + later, END + later)
    assert keeper.part("played").load(RULES, GUARDS) is None


BROKEN = [
    b"",
    b"\xff\x00",
    b"7",
    b"[]",
    b"{}",
    b"null",
    b'["2026-03-01T00:00:00"]',
    b'["2026-03-01T00:00:00", "2026-03-08T00:00:00"]',
    b'["2026-03-08T00:00:00+00:00", "2026-03-01T00:00:00+00:00"]',
    b"[1, 2]",
    b"[" * 100_000,
]


@pytest.mark.parametrize("body", BROKEN)
def test_broken_files_are_left_aside(keeper, tmp_path, body):
    keeper.window(START, END)
    keeper.part("played").save(progress())
    for path in files(tmp_path).values():
        path.write_bytes(body)
    assert keeper.part("played").load(RULES, GUARDS) is None
    assert keeper.window(START, END) == (START, END)
    keeper.part("played").save(progress())
    assert keeper.part("played").load(RULES, GUARDS) == progress()


@pytest.mark.parametrize(
    "change",
    [
        lambda kept: kept.update(version="0.0"),
        lambda kept: kept.update(done_until="2026-03-01T00:00:00"),
        lambda kept: kept.update(state="{}"),
        lambda kept: kept["tally"].update(rules={}),
        lambda kept: kept["tally"].update(guards={}),
        lambda kept: kept["tally"]["rules"]["g/r"].update(low=[]),
    ],
)
def test_files_of_something_else_are_left_aside(keeper, tmp_path, change):
    keeper.part("played").save(progress())
    path = files(tmp_path)["played.json"]
    kept = json.loads(path.read_text())
    change(kept)
    path.write_text(json.dumps(kept))
    assert keeper.part("played").load(RULES, GUARDS) is None


def test_a_directory_in_the_way_is_said_once(keeper, tmp_path, complaints):
    keeper.window(START, END)
    (tmp_path / "cache").rename(tmp_path / "away")
    (tmp_path / "cache").write_text("a file")
    for _ in range(3):
        keeper.part("played").save(progress())
    assert len(complaints) == 1
    assert "cannot be written (Not a directory)" in complaints[0]
    assert keeper.part("played").load(RULES, GUARDS) is None


def test_two_that_keep_at_once_leave_one_whole_file(keeper, tmp_path, complaints):
    part = keeper.part("played")
    threads = [threading.Thread(target=lambda: [part.save(progress()) for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert complaints == []
    assert part.load(RULES, GUARDS) == progress()


def test_all_is_gone_when_it_is_done(keeper, tmp_path):
    keeper.window(START, END)
    keeper.part("played").save(progress())
    keeper.forget()
    assert not files(tmp_path)
    keeper.forget()


def test_what_is_endless_is_kept_too(keeper):
    endless = progress()
    endless.tally.rules["g/r"].high[BUCKETS - 1] = float("inf")
    keeper.part("played").save(endless)
    assert keeper.part("played").load(RULES, GUARDS) == endless
