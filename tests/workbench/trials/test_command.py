"""The verb: its exit codes, its output, several files side by side, and nothing left behind however it ends."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from xml.etree import ElementTree as ET

import psutil
import pytest

RULES = "groups: [{name: g, rules: [{alert: Above, expr: m > 1, labels: {severity: page}}]}]\n"
TEST = """rule_files: [rules.yaml]
tests:
  - name: %s
    input_series: [{series: m, values: %sx10}]
    alert_rule_test: [{eval_time: 2m, alertname: Above, exp_alerts: [{exp_labels: {severity: page}}]}]
"""
LONG = """rule_files: [turns.yaml]
evaluation_interval: 1s
tests:
  - name: long
    promql_expr_test: [{expr: turns, eval_time: 20h, exp_samples: []}]
"""
TURNS = "groups: [{name: g, rules: [{record: turns, expr: (turns or vector(0)) + 1}]}]\n"
PATIENCE_S = 60


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "rules.yaml").write_text(RULES)
    (tmp_path / "turns.yaml").write_text(TURNS)
    (tmp_path / "tmp").mkdir()
    return tmp_path


def command(*args):
    return [sys.executable, "-c", "from rollback_guard.cli import main; main()", "test", *map(str, args)]


@pytest.fixture
def run(folder):
    """Run the verb in a directory of its own, and return how it ended."""

    def ran(*args, **env):
        return subprocess.run(
            command(*args),
            cwd=folder,
            env=os.environ | {"TMPDIR": str(folder / "tmp")} | env,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    return ran


def files(folder, *succeed):
    for number, good in enumerate(succeed):
        (folder / f"{number:02}.test.yaml").write_text(TEST % (f"test {number}", 2 if good else 0))


def left_in(folder):
    return [path.name for path in (folder / "tmp").iterdir()]


def test_all_is_well(run, folder):
    files(folder, True)
    done = run("00.test.yaml")
    assert (done.returncode, done.stdout) == (0, "")
    assert "1 test in 1 file: all succeeded" in done.stderr
    assert left_in(folder) == []


def test_files_are_played_side_by_side_and_told_in_their_order(run, folder):
    files(folder, *(number % 3 == 0 for number in range(7)))
    (folder / "01.test.yaml").write_text((folder / "01.test.yaml").read_text() + "#" * 9000)  # the largest comes first
    done = run("-v", ".")
    told = re.findall(r"^(ok  |FAIL) (\d\d)\.test\.yaml:3: test", done.stdout, re.MULTILINE)
    assert told == [("ok  " if number % 3 == 0 else "FAIL", f"{number:02}") for number in range(7)]
    assert done.returncode == 1
    assert "7 tests in 7 files: 4 failed" in done.stderr
    assert left_in(folder) == []


def test_a_file_that_is_wrong_is_told_beside_those_that_are_not(run, folder):
    files(folder, True)
    (folder / "wrong.test.yaml").write_text("rule_files: [rules.yaml]\nteste: []\n")
    (folder / "binary.test.yaml").write_bytes(bytes(range(256)))
    done = run("00.test.yaml", "wrong.test.yaml", "binary.test.yaml", "missing.test.yaml")
    assert done.returncode == 1
    assert "wrong.test.yaml:2:1: error: unknown key `teste` (unknown-key)" in done.stdout
    assert "Did you mean `tests`?" in done.stdout
    assert re.search(r"binary\.test\.yaml:\d+:\d+: error: .*\(not-text\)", done.stdout)
    assert "\nmissing.test.yaml: error: this does not exist (unreadable-file)\n" in done.stdout
    assert "1 test in 4 files: 3 files could not be played" in done.stderr


def test_mistakes_of_the_rule_files_are_shown_where_they_are(run, folder):
    files(folder, True)
    (folder / "rules.yaml").write_text(RULES.replace("m > 1", "m >"))
    done = run("00.test.yaml")
    assert done.returncode == 1
    assert re.search(r"rules\.yaml:1:\d+: error: .*\(promql-syntax\)", done.stdout)


@pytest.mark.parametrize("args", [("--run", "(", "x"), (), ("--output", "xml", "x")])
def test_usage(run, args):
    assert run(*args).returncode == 2


def test_without_a_prometheus_nothing_is_played(run, folder):
    files(folder, True, True)
    done = run("--prometheus-binary", "no-such-prometheus", ".")
    assert (done.returncode, done.stdout) == (3, "")
    assert "no-such-prometheus" in done.stderr
    assert "apt-get install" in done.stderr


def test_a_prometheus_that_does_not_start_is_told_once(run, folder):
    files(folder, True, True)
    done = run("--prometheus-binary", "/bin/false", ".")
    assert done.returncode == 3
    assert done.stderr.count("Error:") == 1
    assert left_in(folder) == []


def test_a_directory_without_a_test_file_is_told(run, folder):
    done = run("tmp")
    assert done.returncode == 1
    assert "there is no test file under these paths" in done.stderr


def test_a_name_that_no_test_has_is_told(run, folder):
    files(folder, True, True)
    assert run("--run", "test 1", ".").returncode == 0
    done = run("--run", "test 9", ".")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "Error: no test has a name that --run matches.\n")
    assert json.loads(run("--run", "test 9", "--output", "json", "00.test.yaml").stdout)["succeeded"] is False


def test_a_pattern_that_no_file_matches_has_no_place_in_a_file(run):
    done = run("rules/*people*")
    assert done.returncode == 1
    assert done.stdout.startswith("rules/*people*: error: no file matches this pattern (unreadable-file)\n")


def test_one_file_is_played_in_one_process_that_imports_no_actions(folder):
    files(folder, True)
    script = (
        "import multiprocessing, sys\n"
        "from rollback_guard.cli import main\n"
        "try:\n"
        "    main(['test', '00.test.yaml'])\n"
        "finally:\n"
        "    print(sorted({'httpx', 'structlog', 'rich', 'multiprocessing.popen_spawn_posix'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_the_actions_of_a_guard_toml_are_known(run, folder):
    files(folder, True)
    (folder / "guard.toml").write_text(
        '[guard]\nname = "g"\nrules = ["rules.yaml"]\n[prometheus]\nurl = "http://127.0.0.1:9090"\n'
        '[actions.x]\ntype = "exec"\ncommand = ["/bin/true"]\n'
    )
    test = folder / "00.test.yaml"
    test.write_text(test.read_text().replace("rules.yaml", "guard.toml"))
    assert (run(".").returncode, run(".").stdout) == (0, "")
    (folder / "guard.toml").write_text((folder / "guard.toml").read_text().replace('"exec"', '"exce"'))
    done = run(".")
    assert done.returncode == 1
    assert "Did you mean `exec`?" in done.stdout


def test_a_server_that_nobody_needs_is_ended_and_its_failure_is_not_told(run, folder):
    (folder / "wrong.test.yaml").write_text("rule_files: [rules.yaml]\nteste: []\n")
    assert run("wrong.test.yaml").returncode == 1
    assert left_in(folder) == []
    done = run("--prometheus-binary", "/bin/false", "wrong.test.yaml")
    assert done.returncode == 1
    assert "Did you mean `tests`?" in done.stdout


def test_the_result_is_there_for_machines(run, folder):
    files(folder, True, False)
    data = json.loads(run("--output", "json", ".").stdout)
    assert (data["succeeded"], data["tests"], data["failed"]) == (False, 2, 1)
    assert [file["path"] for file in data["files"]] == ["00.test.yaml", "01.test.yaml"]
    (failure,) = data["files"][1]["tests"][0]["failures"]
    assert failure["line"] == 5
    assert failure["missing"] == ['{severity="page"}']
    assert failure["hints"] == ["`Above` measures 0 then, not above 1"]
    tree = ET.fromstring(run("--output", "junit", ".").stdout)
    assert (tree.get("tests"), tree.get("failures")) == ("2", "1")
    assert [case.find("failure") is None for case in tree.iter("testcase")] == [True, False]


def test_colours_and_progress_are_for_terminals(folder):
    files(folder, True, False, True)
    plain = on_terminal(folder, NO_COLOR="1")
    assert "\x1b[3" not in plain.replace("\x1b[K", "")
    assert "playing: " in plain
    assert "\x1b[31m" in on_terminal(folder)


def on_terminal(folder, **env):
    """Run the verb on a terminal of 100 columns, and return all that it showed."""
    ours, theirs = pty.openpty()
    env = os.environ | {"TERM": "xterm", "TMPDIR": str(folder / "tmp"), "COLUMNS": "100"} | env
    with subprocess.Popen(command("."), cwd=folder, env=env, stdout=theirs, stderr=theirs, stdin=theirs) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # that is how a terminal's end is told
            while piece := os.read(ours, 65536):
                shown += piece
        process.wait(PATIENCE_S)
    os.close(ours)
    return shown.decode()


def started(folder, *args):
    return subprocess.Popen(
        command(*args),
        cwd=folder,
        env=os.environ | {"TMPDIR": str(folder / "tmp")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)
    return found


def servers_in(folder):
    """Return the servers whose storage lies in this directory."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        with contextlib.suppress(psutil.Error):
            args = process.info["cmdline"] or []
            if (
                any(str(folder / "tmp") in each for each in args)
                and "storage" in " ".join(args)
                and "sh" not in args[0]
            ):
                found.append(process)
    return found


@pytest.mark.parametrize(("end", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -9), (signal.SIGTERM, -15)])
@pytest.mark.parametrize("count", [1, 2])
def test_nothing_is_left_however_it_ends(folder, end, status, count):
    for number in range(count):
        (folder / f"{number}.test.yaml").write_text(LONG)
    with started(folder, ".") as process:
        wait_for(lambda: len(servers_in(folder)) == min(count, len(os.sched_getaffinity(0))))
        process.send_signal(end)
        _, told = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == status
    assert "Traceback" not in told
    wait_for(lambda: not servers_in(folder) and not left_in(folder))


def test_a_prometheus_that_dies_in_the_middle_is_replaced(folder):
    (folder / "long.test.yaml").write_text(LONG.replace("20h", "1h").replace("[]", "[{labels: turns, value: 3601}]"))
    with started(folder, "long.test.yaml") as process:
        (first,) = wait_for(lambda: servers_in(folder))
        wait_for(lambda: any(log.stat().st_size for log in (folder / "tmp").glob("*/data/wal/0*")))
        first.kill()
        wait_for(lambda: [server for server in servers_in(folder) if server.pid != first.pid])
        _, told = process.communicate(timeout=PATIENCE_S)
    assert "all succeeded" in told
    assert process.returncode == 0


def test_a_worker_that_dies_costs_only_its_own_file(folder):
    files(folder, True, True)
    (folder / "long.test.yaml").write_text(LONG + "#" * 5000)
    with started(folder, "-v", ".") as process:
        wait_for(lambda: len(servers_in(folder)) == min(2, len(os.sched_getaffinity(0))))
        workers = [each for each in psutil.Process(process.pid).children() if "spawn_main" in " ".join(each.cmdline())]
        min(workers, key=lambda worker: worker.create_time()).kill()  # it has the largest file
        out, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert re.findall(r"^ok   (\S+)\.test", out, re.MULTILINE) == ["00", "01"]
    assert "long.test.yaml: error: the process that played this file ended with status -9 (test-crashed)" in out
