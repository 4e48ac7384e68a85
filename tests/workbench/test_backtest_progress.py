"""What was played is kept for the next run, and whatever else lies there harms nothing."""

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest

from rollback_guard.core.state import State
from rollback_guard.workbench.backtest.progress import Progress, ProgressFiles
from rollback_guard.workbench.backtest.results import BUCKETS, GuardResult, Results, RuleResult

START = datetime(2026, 3, 1, tzinfo=UTC)
END = START + timedelta(days=7)
RULES, GUARDS = {"g/r"}, {"shop"}


@pytest.fixture
def complaints():
    return []


@pytest.fixture
def files(tmp_path, complaints):
    return ProgressFiles(tmp_path / "cache", {"asked": "this"}, complain=complaints.append)


def progress(**changes):
    results = Results(start=START, end=END, rules={"g/r": RuleResult(slots=7)}, guards={"shop": GuardResult()})
    return Progress(**{"results": results, "state": State(), "done_until": START + timedelta(hours=1)} | changes)


def on_disk(tmp_path):
    return {path.name: path for path in tmp_path.glob("cache/*/*")}


def test_what_was_kept_is_found_again(files):
    assert files.file("played").load(RULES, GUARDS) is None
    files.file("played").save(progress())
    assert files.file("played").load(RULES, GUARDS) == progress()
    assert files.file("swept").load(RULES, GUARDS) is None


def test_another_question_knows_nothing_of_it(files, tmp_path, complaints):
    files.file("played").save(progress())
    other = ProgressFiles(tmp_path / "cache", {"asked": "that"}, complain=complaints.append)
    assert other.file("played").load(RULES, GUARDS) is None


def test_the_window_stays_that_of_the_run_that_was_interrupted(files):
    files.times(START, END)
    later = timedelta(hours=3)
    assert files.times(START + later, END + later) == (START, END)


def test_the_window_of_last_month_is_forgotten(files, tmp_path):
    files.times(START, END)
    files.file("played").save(progress())
    later = timedelta(days=30)
    assert files.times(START + later, END + later) == (START + later, END + later)
    assert files.file("played").load(RULES, GUARDS) is None


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
def test_broken_files_are_left_aside(files, tmp_path, body):
    files.times(START, END)
    files.file("played").save(progress())
    for path in on_disk(tmp_path).values():
        path.write_bytes(body)
    assert files.file("played").load(RULES, GUARDS) is None
    assert files.times(START, END) == (START, END)
    files.file("played").save(progress())
    assert files.file("played").load(RULES, GUARDS) == progress()


@pytest.mark.parametrize(
    "change",
    [
        lambda kept: kept.update(version="0.0"),
        lambda kept: kept.update(done_until="2026-03-01T00:00:00"),
        lambda kept: kept.update(state="{}"),
        lambda kept: kept["results"].update(rules={}),
        lambda kept: kept["results"].update(guards={}),
        lambda kept: kept["results"]["rules"]["g/r"].update(low=[]),
    ],
)
def test_files_of_something_else_are_left_aside(files, tmp_path, change):
    files.file("played").save(progress())
    path = on_disk(tmp_path)["played.json"]
    kept = json.loads(path.read_text())
    change(kept)
    path.write_text(json.dumps(kept))
    assert files.file("played").load(RULES, GUARDS) is None


def test_a_directory_in_the_way_is_said_once(files, tmp_path, complaints):
    files.times(START, END)
    (tmp_path / "cache").rename(tmp_path / "away")
    (tmp_path / "cache").write_text("a file")
    for _ in range(3):
        files.file("played").save(progress())
    assert len(complaints) == 1
    assert "cannot be written (Not a directory)" in complaints[0]
    assert files.file("played").load(RULES, GUARDS) is None


def test_two_that_keep_at_once_leave_one_whole_file(files, tmp_path, complaints):
    file = files.file("played")
    threads = [threading.Thread(target=lambda: [file.save(progress()) for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert complaints == []
    assert file.load(RULES, GUARDS) == progress()


def test_all_is_gone_when_it_is_done(files, tmp_path):
    files.times(START, END)
    files.file("played").save(progress())
    files.forget()
    assert not on_disk(tmp_path)
    files.forget()


def test_what_is_endless_is_kept_too(files):
    endless = progress()
    endless.results.rules["g/r"].high[BUCKETS - 1] = float("inf")
    files.file("played").save(endless)
    assert files.file("played").load(RULES, GUARDS) == endless


def test_something_is_kept_as_soon_as_something_was_played_and_not_before(files):
    files.times(START, END)
    assert not files.has_any
    files.file("played").save(progress())
    assert files.has_any
    files.forget()
    assert not files.has_any
