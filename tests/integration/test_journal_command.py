"""`journal verify` and `journal export`, as a person and as a script use them, while the guard runs and after it."""

import asyncio
import hashlib
import json
import stat
import subprocess
import sys

import pytest
from click.testing import CliRunner

from journals import AT, CHILD_ENVIRONMENT, Failures, concluded, evaluated, intended, rows, tamper
from rollback_guard.adapters.journal import audit
from rollback_guard.adapters.journal.sqlite import SqliteJournal
from rollback_guard.cli.journal import command
from rollback_guard.core.state import State

STORY = [evaluated(0), intended(0, at=60), concluded(0, at=70), evaluated(120), intended(0, "payment-1", at=180)]


def run(*arguments):
    return CliRunner().invoke(command, [str(each) for each in arguments])


def lines(result):
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


async def written(path, story=STORY):
    journal = SqliteJournal(path, telemetry=Failures())
    await journal.append(story)
    await journal.close()
    return journal.head


@pytest.fixture
def path(tmp_path):
    return tmp_path / "guard.db"


@pytest.fixture
def head(path):
    return asyncio.run(written(path))


def test_a_whole_chain_is_said_to_be_with_its_head(path, head):
    result = run("verify", path)
    assert result.exit_code == 0
    assert result.stdout == f"{path}: 5 records, the chain is whole.\nhead {head}\n"


def test_the_head_that_was_said_is_what_is_asked_for_later(path, head):
    said = run("verify", path).stdout.split()[-1]
    assert run("verify", path, "--head", said).exit_code == 0
    seq, _, hash_ = said.partition(":")
    assert run("verify", path, "--head", f"{seq}:{hash_[:16].upper()}").exit_code == 0
    result = run("verify", path, "--head", f"9:{hash_}")
    assert result.exit_code == 1
    assert "records 6 to 9 are missing at the end: they were there when the head was published" in result.stdout


@pytest.mark.promise(38)
def test_a_broken_chain_is_told_from_its_first_record_and_fails(path, head):
    tamper(path, "UPDATE records SET body = replace(body, 'succeeded', 'failed') WHERE seq = 3")
    result = run("verify", path)
    assert result.exit_code == 1
    first, second = result.stdout.splitlines()
    assert first == (
        f"{path}: BROKEN: record 3 is not what was written: its content and its hash do not belong together."
    )
    assert second.startswith("whole up to 2:")


def test_scripts_are_told_in_json(path, head):
    assert json.loads(run("verify", path, "--output", "json").stdout) == {
        "schema_version": 1,
        "whole": True,
        "flaw": None,
        "forgotten": 0,
        "seq": 5,
        "hash": head.hash.hex(),
    }
    tamper(path, "DELETE FROM records WHERE seq = 4")
    found = json.loads(run("verify", path, "-o", "json").stdout)
    assert (found["whole"], found["flaw"], found["seq"]) == (False, "record 4 is missing", 3)


def test_what_was_forgotten_in_order_breaks_nothing(path, head):
    async def forget():
        journal = SqliteJournal(path, telemetry=Failures())
        await journal.checkpoint(State())
        await journal.prune(evaluated(100).slot)
        await journal.close()

    asyncio.run(forget())
    result = run("verify", path, "--head", head)
    assert result.exit_code == 0
    assert "2 records, the chain is whole, those up to 3 were forgotten in order." in result.stdout
    old = run("verify", path, "--head", f"2:{'0' * 64}")
    assert old.exit_code == 1
    assert "record 2 was forgotten: a head that is so old tells nothing, give one after 3" in old.stdout
    assert [each["seq"] for each in lines(run("export", path))] == [4, 5]


def test_records_are_exported_as_they_are_with_number_and_hash(path, head):
    exported = lines(run("export", path))
    assert [each["seq"] for each in exported] == [1, 2, 3, 4, 5]
    assert exported[-1]["hash"] == head.hash.hex()
    assert exported[1]["kind"] == "intended"
    assert exported[1]["incident"] == "checkout-1"
    assert exported[1]["at"] == "2024-05-01T12:01:00+00:00"
    assert exported[1]["record"]["goal"] == "flag off"
    assert exported[0]["incident"] is None


def test_the_chain_can_be_followed_from_an_export_alone(path, head):
    previous = bytes(32)
    for line in run("export", path).stdout.splitlines():
        each = json.loads(line)
        body = line.split(', "record": ', 1)[1][:-1]
        columns = json.dumps([each["seq"], each["at"], each["kind"], each["incident"]], separators=(",", ":"))
        previous = hashlib.sha256(previous + f"{columns}\n{body}".encode()).digest()
        assert previous.hex() == each["hash"]
    assert previous == head.hash


@pytest.mark.parametrize(
    ("arguments", "seqs"),
    [
        (["--incident", "checkout-1"], [2, 3]),
        (["--incident", "nobody"], []),
        (["--since", "2024-05-01T12:01:10Z"], [3, 4, 5]),
        (["--until", "2024-05-01T12:01:10"], [1, 2]),
        (["--since", "2024-05-01T14:01:00+02:00", "--until", "2024-05-01T12:02:00.5Z"], [2, 3, 4]),
        (["--since", "2024-05-02"], []),
        (["--since", "2024-05-01", "--incident", "payment-1"], [5]),
    ],
)
def test_an_export_is_narrowed_by_time_and_incident(path, head, arguments, seqs):
    assert [each["seq"] for each in lines(run("export", path, *arguments))] == seqs


def test_a_record_that_is_no_json_any_more_is_exported_as_text(path, head):
    tamper(
        path, "UPDATE records SET body = '{\"kind\": ' WHERE seq = 2", "UPDATE records SET body = x'ff' WHERE seq = 3"
    )
    exported = lines(run("export", path))
    assert exported[1]["record"] == '{"kind": '
    assert len(exported) == 5


@pytest.mark.parametrize("verb", ["verify", "export"])
class TestFinding:
    def test_the_journal_that_guard_toml_names(self, verb, tmp_path, path, head, monkeypatch):
        (tmp_path / "guard.toml").write_text(
            '[guard]\nrules = ["r.yaml"]\nstate = "guard.db"\n[actions.x]\ntype = "?"\n'
        )
        assert run(verb, "-c", tmp_path / "guard.toml").exit_code == 0
        monkeypatch.chdir(tmp_path)
        assert run(verb).exit_code == 0

    def test_the_default_beside_a_guard_toml_that_names_none(self, verb, tmp_path):
        (tmp_path / "guard.toml").write_text("")
        (tmp_path / "state").mkdir()
        asyncio.run(written(tmp_path / "state" / "guard.db"))
        assert run(verb, "-c", tmp_path / "guard.toml").exit_code == 0

    @pytest.mark.parametrize("text", ["[guard\n", "guard = 5\n", "[guard]\nstate = 5\n"])
    def test_no_journal_in_a_guard_toml_that_is_wrong(self, verb, tmp_path, text):
        (tmp_path / "guard.toml").write_text(text)
        result = run(verb, "-c", tmp_path / "guard.toml")
        assert result.exit_code == 2
        assert "names no journal" in result.stderr

    def test_no_guard_toml(self, verb, tmp_path):
        result = run(verb, "-c", tmp_path / "guard.toml")
        assert result.exit_code == 2
        assert "give the PATH of a journal, or -c with a guard.toml" in result.stderr

    @pytest.mark.parametrize(
        ("make", "says"),
        [
            (lambda path: None, "No such file"),
            (lambda path: path.touch(), "there is no journal in this file"),
            (lambda path: path.write_text("apiVersion: v1\n" * 100), "no SQLite database"),
            (lambda path: path.write_bytes(b"SQLite format 3\x00" + b"\xff" * 8000), "damaged"),
        ],
        ids=["missing", "empty", "text", "damaged"],
    )
    def test_no_journal_where_it_should_be(self, verb, path, make, says):
        make(path)
        result = run(verb, path)
        assert result.exit_code == 3
        assert result.stdout == ""
        assert result.stderr.startswith(f"{path}: ")
        assert says in result.stderr

    def test_one_of_another_version(self, verb, path, head):
        for version, says in ((1, "its schema is 1, which has no chain"), (9, "written by a newer rollback-guard")):
            tamper(path, f"PRAGMA user_version = {version}", drop_triggers=False)
            result = run(verb, path)
            assert result.exit_code == 3
            assert says in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify", "--head", "five"],
        ["verify", "--head", "5:abc"],
        ["verify", "--head", "5:" + "g" * 64],
        ["export", "--since", "yesterday"],
        ["export", "--until", "2024-13-01"],
        ["export", "--output", "xml"],
        ["shred"],
    ],
)
def test_wrong_usage_is_named(path, head, arguments):
    result = run(*arguments[:1], *([path] if arguments[0] != "shred" else []), *arguments[1:])
    assert result.exit_code == 2
    assert "Error" in result.stderr


async def test_a_guard_that_runs_does_not_notice_that_somebody_looks(path):
    """Reading goes on while appends, checkpoints and forgetting do; none of them waits or fails, the chain is whole."""
    failures = Failures()
    journal = SqliteJournal(path, telemetry=failures)
    await journal.append([evaluated(n) for n in range(3000)])
    looking = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "rollback_guard.cli", "journal", verb, str(path), stdout=subprocess.PIPE
        )
        for verb in ("verify", "export")
    ]
    ends = [asyncio.create_task(each.communicate()) for each in looking]
    number = 3000
    while not all(end.done() for end in ends):
        await journal.append([evaluated(number + n) for n in range(20)])
        number += 20
        if number % 400 == 0:
            await journal.checkpoint(State())
            await journal.prune(evaluated(number - 1000).slot)
    verify, export = [(await end)[0].decode() for end in ends]
    assert [each.returncode for each in looking] == [0, 0], verify
    assert "the chain is whole" in verify
    seqs = [json.loads(line)["seq"] for line in export.splitlines()]
    assert seqs == sorted(set(seqs))
    assert failures.kinds == []
    await journal.close()


def test_looking_leaves_nothing_behind_and_needs_no_right_to_write(tmp_path):
    home = tmp_path / "state"
    home.mkdir()
    asyncio.run(written(home / "guard.db"))
    before = {each.name: each.stat().st_mtime_ns for each in home.iterdir()}
    assert run("verify", home / "guard.db").exit_code == 0
    assert {each.name: each.stat().st_mtime_ns for each in home.iterdir()} == before
    home.chmod(0o555)
    (home / "guard.db").chmod(0o444)
    for folder in home.parents[:-1]:
        if not folder.stat().st_mode & 0o005:
            folder.chmod(folder.stat().st_mode | 0o055)
    script = (
        "import os, pathlib, sys\n"
        "from rollback_guard.adapters.journal import audit\n"
        "if os.getuid() == 0:\n"
        "    os.setgid(65534); os.setuid(65534)\n"
        "with audit.opened(pathlib.Path(sys.argv[1])) as journal:\n"
        "    print(audit.verify(journal).whole.seq)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(home / "guard.db")], capture_output=True, text=True)
    assert ended.stdout == "5\n", ended.stderr


def test_a_journal_whose_guard_was_killed_is_read_with_what_is_in_its_log(path):
    script = (
        "import asyncio, os, sys\n"
        "from journals import Failures, evaluated\n"
        "from rollback_guard.adapters.journal.sqlite import SqliteJournal\n"
        "async def main():\n"
        "    journal = SqliteJournal(sys.argv[1], telemetry=Failures())\n"
        "    await journal.append([evaluated(n) for n in range(7)])\n"
        "    os._exit(0)\n"
        "asyncio.run(main())\n"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=True, env=CHILD_ENVIRONMENT)
    assert path.with_name("guard.db-wal").stat().st_size > 0
    result = run("verify", path)
    assert (result.exit_code, "7 records" in result.stdout) == (0, True)
    assert len(lines(run("export", path))) == 7
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert rows(path, "SELECT count(*) FROM records") == [(7,)]


def test_help_teaches_and_needs_neither_sqlite_nor_pydantic():
    script = (
        "import sys\n"
        "from rollback_guard.cli import main\n"
        "try:\n"
        "    main(['journal', sys.argv[1], '--help'])\n"
        "finally:\n"
        "    print(sorted({'sqlite3', 'pydantic', 'structlog', 'httpx'} & set(sys.modules)))\n"
    )
    for verb, teaches in (("verify", "SHA-256"), ("export", "JSON Lines")):
        ended = subprocess.run([sys.executable, "-c", script, verb], capture_output=True, text=True)
        assert teaches in ended.stdout
        assert "Exit codes:\n    0" in ended.stdout
        assert ended.stdout.endswith("[]\n"), ended.stdout
    assert "export" in run("--help").stdout


def test_whoever_reads_an_export_may_stop_in_the_middle(path):
    asyncio.run(written(path, [evaluated(n) for n in range(5000)]))
    verb = subprocess.Popen(
        [sys.executable, "-m", "rollback_guard.cli", "journal", "export", path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert json.loads(verb.stdout.readline())["seq"] == 1
    verb.stdout.close()
    assert verb.stderr.read() == b""
    verb.stderr.close()
    verb.wait()


def test_verifying_reads_no_more_than_a_part_at_a_time(path, monkeypatch):
    monkeypatch.setattr(audit, "CHUNK", 2)
    asyncio.run(written(path, [evaluated(n) for n in range(9)]))
    with audit.opened(path) as opened:
        assert audit.verify(opened).whole.seq == 9
        assert len(list(audit.export(opened, audit.Which(since=AT)))) == 9
    tamper(path, "UPDATE records SET kind = 'x' WHERE seq = 8")
    with audit.opened(path) as opened:
        assert audit.verify(opened).whole.seq == 7
