"""`rollback-guard backtest`, as people run it, against a real Prometheus with a past."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest

import history as made_up
from rollback_guard.adapters.ephemeral import EphemeralPrometheus

HOURS = 8
END = made_up.START + timedelta(hours=HOURS)


@pytest.fixture(scope="module")
def server():
    with EphemeralPrometheus.start() as running:
        running.write(made_up.past(HOURS, 5))
        yield running


@pytest.fixture(scope="module")
def whole(server, tmp_path_factory):
    """What one run says that nothing happens to."""
    place = tmp_path_factory.mktemp("whole")
    (place / "rules.yaml").write_text(made_up.RULES)
    return found(place, server)


@pytest.fixture
def here(tmp_path):
    (tmp_path / "rules.yaml").write_text(made_up.RULES)
    return tmp_path


def command(here, *args):
    return [sys.executable, "-m", "rollback_guard.cli", "backtest", "rules.yaml", *map(str, args)]


def environment(here):
    return {**os.environ, "XDG_CACHE_HOME": str(here / "cache")}


def backtest(here, server, *args, url=None):
    times = ["--from", made_up.START.isoformat(), "--to", END.isoformat()]
    return subprocess.run(
        command(here, *times, "--prometheus", url or server.url, *args),
        cwd=here,
        env=environment(here),
        capture_output=True,
        text=True,
        timeout=120,
    )


def found(here, server, *args):
    done = backtest(here, server, "--output", "json", *args)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def without_times(data):
    return {key: value for key, value in data.items() if key not in ("took", "resumed_at")}


def test_it_tells_when_rules_would_have_fired_and_what_would_have_been_done(here, server):
    done = backtest(here, server)
    assert done.returncode == 0, done.stderr
    assert "shop/Errors" in done.stdout
    assert "flag-off (breach)" in done.stdout
    assert "had that not helped: roll-back at" in done.stdout
    data = found(here, server)
    errors = next(rule for rule in data["rules"] if rule["name"] == "Errors")
    assert errors["firings"] == len(errors["firing"]) > 0
    assert errors["nearest"]["value"] > 0.01
    assert errors["slots"] == HOURS * 240
    assert 0 < len(errors["line"]["at"]) == len(errors["line"]["low"]) == len(errors["line"]["high"])
    assert data["guards"][0]["actions"] == sum(len(each["actions"]) for each in data["guards"][0]["incidents"]) > 0


def test_one_that_was_killed_goes_on_where_it_was(here, server, whole):
    slow = "import sys, time; from rollback_guard.workbench.backtest import history, playback; history.FIRST_SLOTS = 30; history.MOST_SLOTS = 30; playback.SAVED_EVERY *= 0\nfrom rollback_guard.cli import main; main()"
    args = command(here, "--from", made_up.START.isoformat(), "--to", END.isoformat(), "--prometheus", server.url)[3:]
    killed = subprocess.Popen(
        [sys.executable, "-c", slow, *args, "--output", "json"],
        cwd=here,
        env=environment(here),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 60
    while not list(here.glob("cache/rollback-guard/backtest/*/played.json")):
        assert killed.poll() is None, killed.stderr.read()
        assert time.monotonic() < deadline
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    resumed = found(here, server)
    assert resumed["resumed_at"] is not None
    assert without_times(resumed) == without_times(whole)
    assert not list(here.glob("cache/rollback-guard/backtest/*"))


def test_fresh_begins_anew(here, server):
    slow = backtest(here, server, url="http://127.0.0.1:1")
    assert slow.returncode == 3
    assert found(here, server, "--fresh")["resumed_at"] is None


def test_firings_are_classified(here, server, whole):
    firing = next(rule for rule in whole["rules"] if rule["name"] == "Errors")["firing"]
    first, second = firing[0], firing[1]
    (here / "incidents.csv").write_text(f"start,end,name\n{first['active_at']},{first['ended_at']},INC-1\n")
    (here / "deploys.csv").write_text(f"time,version\n{second['active_at']},v2\n")
    data = found(here, server, "--incidents", "incidents.csv", "--deploys", "deploys.csv", "--deploy-window", "15m")
    errors = next(rule for rule in data["rules"] if rule["name"] == "Errors")
    assert [each["kind"] for each in errors["firing"]][:2] == ["incident", "deploy"]
    assert 120 <= errors["score"]["mean_detection_delay_s"] < 121  # the file has whole seconds
    assert errors["score"]["incidents_missed"] == []
    assert data["guards"][0]["score"]["incidents_detected"] == 1


def test_an_incident_outside_of_the_time_is_not_missed(here, server):
    (here / "incidents.csv").write_text("start,end\n2020-01-01T00:00:00Z,2020-01-01T01:00:00Z\n")
    assert found(here, server, "--incidents", "incidents.csv")["incidents"] == []


def test_deploys_are_found_by_a_query(here, server):
    data = found(here, server, "--deploys-query", "queue_length > 0")
    assert data["deploys"]
    assert all(deploy["guard"] == "" for deploy in data["deploys"])
    refused = backtest(here, server, "--deploys-query", "queue_length >")
    assert refused.returncode == 3
    assert "--deploys-query" in refused.stderr


def test_a_sweep_tries_every_combination_in_one_pass(here, server, whole):
    first = next(rule for rule in whole["rules"] if rule["name"] == "Errors")["firing"][0]
    (here / "incidents.csv").write_text(f"start,end\n{first['active_at']},{first['ended_at']}\n")
    grid = ["--sweep", "threshold=1%,90%", "--sweep", "for=1m,2m", "--rule", "Errors", "--incidents", "incidents.csv"]
    data = found(here, server, *grid)
    tried = {(each["threshold"], each["for_s"]): each for each in data["sweep"]["tried"]}
    assert set(tried) == {(0.01, 120), (0.01, 60), (0.9, 60), (0.9, 120)}
    errors = next(rule for rule in data["rules"] if rule["name"] == "Errors")
    assert tried[0.01, 120]["firings"] == errors["firings"]
    assert tried[0.01, 60]["firings"] >= errors["firings"]
    assert tried[0.9, 60]["firings"] == 0
    assert tried[0.01, 120]["current"]
    assert any(each["pareto"] for each in tried.values())
    assert "no other choice is better" in backtest(here, server, *grid).stdout


def test_a_comparison_says_what_would_have_changed(here, server):
    (here / "other.yaml").write_text(made_up.RULES.replace("> 0.01\n        for: 2m", "> 0.01\n        for: 1m"))
    data = found(here, server, "--compare", "other.yaml")
    errors = next(rule for rule in data["compare"]["rules"] if rule["id"] == "shop/Errors")
    assert errors["moved"]
    assert {each["earlier_s"] for each in errors["moved"]} == {60}
    same = found(here, server, "--compare", "rules.yaml")["compare"]
    assert not any(rule["moved"] or rule["only_before"] or rule["only_after"] for rule in same["rules"])


def test_a_server_that_cannot_be_reached_ends_with_3(here, server):
    done = backtest(here, server, url="http://anna:hush@127.0.0.1:1/prom?key=hush")
    assert done.returncode == 3
    assert done.stderr.startswith("Error: prometheus at http://127.0.0.1:1/prom: connect: ")
    assert "hush" not in done.stderr
    assert "kept" not in done.stderr
    queried = backtest(here, server, "--deploys-query", "up", url="http://127.0.0.1:1")
    assert queried.stderr.startswith("Error: prometheus at http://127.0.0.1:1: --deploys-query: connect: ")


def test_rules_with_errors_end_with_4_and_their_problems(here, server):
    (here / "rules.yaml").write_text("groups: [{name: g, rules: [{alert: A, expr: 'up ==='}]}]")
    done = backtest(here, server)
    assert done.returncode == 4
    assert "rules.yaml:1" in done.stderr


@pytest.mark.parametrize(
    "args",
    [
        ["--from", "tomorrow"],
        ["--from", "now", "--to", "7d"],
        ["--step", "0s"],
        ["--sweep", "threshold=2..1"],
        ["--sweep", "threshold=500ms"],
        ["--deploys", "nothing.csv"],
        ["--deploy-window", "soon"],
    ],
)
def test_what_cannot_be_understood_ends_with_2(here, server, args):
    done = subprocess.run(
        command(here, "--prometheus", server.url, *args),
        cwd=here,
        env=environment(here),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_server_it_says_how_to_name_one(here):
    done = subprocess.run(command(here), cwd=here, env=environment(here), capture_output=True, text=True)
    assert done.returncode == 2
    assert "--prometheus URL" in done.stderr
    args = ["--deploys-query", "up"]
    asked = subprocess.run(command(here, *args), cwd=here, env=environment(here), capture_output=True, text=True)
    assert asked.returncode == 2
    assert "no data source is called 'prometheus'" in asked.stderr


def test_files_without_a_rule_that_has_a_history_are_refused(here, server):
    (here / "rules.yaml").write_text("probes: [{probe: ready, url: 'https://x'}]")
    done = backtest(here, server)
    assert done.returncode == 2
    assert "no rule that Prometheus has a history of" in done.stderr


def rule(data, name):
    return next(each for each in data["rules"] if each["name"] == name)


def running(here, url, *args):
    times = ["--from", made_up.START.isoformat(), "--to", END.isoformat(), "--prometheus", url]
    return subprocess.Popen(
        command(here, *times, *args),
        cwd=here,
        env=environment(here),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_server_that_goes_away_in_the_middle_ends_it_and_it_goes_on_when_that_is_back(here, server, whole):
    with made_up.Gate(server.url) as gate:
        gate.answer = lambda asked: made_up.DROPPED if made_up.slots_of(asked) > 300 else None
        lost = backtest(here, server, "--output", "json", url=gate.url)
        assert lost.returncode == 3
        assert lost.stdout == ""
        assert f"Error: prometheus at {gate.url}: connect: " in lost.stderr
        assert "goes on there" in lost.stderr
        gate.answer = lambda asked: None
        asked_before = len(gate.asked)
        resumed = backtest(here, server, "--output", "json", url=gate.url)
        first = min(float(each["start"]) for each in gate.asked[asked_before:])
    assert resumed.returncode == 0, resumed.stderr
    assert "goes on at 2026-03-01 01:00:00, where it was interrupted; --fresh begins anew" in resumed.stderr
    assert first > (made_up.START + timedelta(minutes=55)).timestamp()
    assert without_times(json.loads(resumed.stdout)) == without_times(whole)


def test_ctrl_c_ends_it_at_once_with_a_word_and_keeps_what_was_played(here, server):
    with made_up.Gate(server.url) as gate:
        waiting, released = threading.Event(), threading.Event()

        def hold(asked):
            if made_up.slots_of(asked) > 300:
                waiting.set()
                released.wait(60)

        gate.answer = hold
        slow = "from rollback_guard.workbench.backtest import playback; playback.SAVED_EVERY *= 0\nfrom rollback_guard.cli import main; main()"
        times = ["--from", made_up.START.isoformat(), "--to", END.isoformat(), "--prometheus", gate.url]
        process = subprocess.Popen(
            [sys.executable, "-c", slow, *command(here, *times)[3:]],
            cwd=here,
            env=environment(here),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert waiting.wait(60)
            deadline = time.monotonic() + 60
            while not list(here.glob("cache/rollback-guard/backtest/*/played.json")):
                assert time.monotonic() < deadline
            process.send_signal(signal.SIGINT)
            told, said = process.communicate(timeout=20)
        finally:
            process.kill()
            released.set()
        assert process.returncode == 130
        assert told == ""
        assert said == "Interrupted. What was played so far is kept: the same command goes on there.\n"
        gate.answer = lambda asked: None
        resumed = backtest(here, server, url=gate.url)
        assert "goes on at" in resumed.stderr
        assert resumed.returncode == 0


def test_ctrl_c_before_anything_was_kept_says_that_nothing_is(here, server):
    with made_up.Gate(server.url) as gate:
        waiting, released = threading.Event(), threading.Event()
        gate.answer = lambda asked: waiting.set() or released.wait(60)
        process = running(here, gate.url)
        try:
            assert waiting.wait(60)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=20)
        finally:
            process.kill()
            released.set()
    assert process.returncode == 130
    assert said == "Interrupted. Nothing was kept yet: the same command begins anew.\n"


def test_two_of_the_same_question_at_once_do_not_harm_each_other(here, server, whole):
    both = [running(here, server.url, "--output", "json") for _ in range(2)]
    for process in both:
        told, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
        assert without_times(json.loads(told)) == without_times(whole)


def test_where_nothing_can_be_kept_it_goes_on_without_and_says_so(here, server):
    (here / "cache").write_text("a file is in the way")
    done = backtest(here, server)
    assert done.returncode == 0, done.stderr
    assert "cannot be written (Not a directory): a run that is interrupted begins anew" in done.stderr
    assert done.stderr.count("cannot be written") == 1


def test_kept_files_that_somebody_broke_are_left_aside(here, server, whole):
    with made_up.Gate(server.url) as gate:
        gate.answer = lambda asked: made_up.DROPPED if made_up.slots_of(asked) > 300 else None
        assert backtest(here, server, url=gate.url).returncode == 3
        kept = list(here.glob("cache/rollback-guard/backtest/*/*.json"))
        assert {path.name for path in kept} == {"played.json", "times.json"}
        for path in kept:
            path.write_bytes(b"\xff\x00")
        gate.answer = lambda asked: None
        done = backtest(here, server, "--output", "json", url=gate.url)
    assert done.returncode == 0, done.stderr
    assert without_times(json.loads(done.stdout)) == without_times(whole)


def test_what_was_kept_of_other_rules_is_left_aside(here, server):
    with made_up.Gate(server.url) as gate:
        gate.answer = lambda asked: made_up.DROPPED if made_up.slots_of(asked) > 300 else None
        backtest(here, server, url=gate.url)
        (played,) = here.glob("cache/rollback-guard/backtest/*/played.json")
        kept = json.loads(played.read_text())
        kept["results"]["rules"]["shop/Other"] = kept["results"]["rules"].pop("shop/Slow")
        played.write_text(json.dumps(kept))
        gate.answer = lambda asked: None
        done = backtest(here, server, "--output", "json", url=gate.url)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["resumed_at"] is None


def test_a_file_may_be_a_pipe(here, server, whole):
    firing = rule(whole, "Errors")["firing"][0]
    times = ["--from", made_up.START.isoformat(), "--to", END.isoformat(), "--prometheus", server.url]
    done = subprocess.run(
        command(here, *times, "--incidents", "/dev/stdin", "--output", "json"),
        cwd=here,
        env=environment(here),
        input=f"start,end\n{firing['active_at']},{firing['ended_at']}\n",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert rule(json.loads(done.stdout), "Errors")["score"]["incidents_detected"] == 1


def test_a_file_without_an_end_is_refused(here, server):
    done = backtest(here, server, "--deploys", "/dev/zero")
    assert done.returncode == 2
    assert "larger than" in done.stderr


def test_a_rule_that_the_server_refuses_is_said_loudly_and_ends_with_1(here, server):
    text = made_up.RULES.replace("max(latency_seconds) >= 0.5", "requests_total / on() errors_total >= 0.5")
    (here / "rules.yaml").write_text(text)
    done = backtest(here, server)
    assert done.returncode == 1
    assert "REFUSED: the server does not understand shop/Slow, it was not played: execution: multiple" in done.stdout
    data = json.loads(backtest(here, server, "--output", "json").stdout)
    assert [each["id"] for each in data["refused"]] == ["shop/Slow"]
    assert rule(data, "Errors")["firings"]


def test_what_is_older_than_the_data_is_said_and_counts_for_nothing(here, server):
    early = ["--from", (made_up.START - timedelta(hours=40)).isoformat(), "--to", END.isoformat()]
    (here / "incidents.csv").write_text("start,end,name\n2026-02-28T06:00:00Z,2026-02-28T07:00:00Z,INC-0\n")
    args = [*early, "--incidents", "incidents.csv", "--prometheus", server.url]
    done = subprocess.run(command(here, *args), cwd=here, env=environment(here), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Note: prometheus has nothing of these rules before 2026-03-01 00:00: what is older" in done.stdout
    told = subprocess.run(
        command(here, *args, "--output", "json"), cwd=here, env=environment(here), capture_output=True, text=True
    )
    errors = rule(json.loads(told.stdout), "Errors")
    assert errors["slots"] <= HOURS * 240
    assert errors["score"]["incidents_missed"] == []
    per_week = errors["firings"] * 7 * 24 / HOURS
    assert errors["score"]["false_alarms_per_week"] == pytest.approx(per_week, rel=0.01)


def test_a_server_that_has_nothing_of_the_rules_ends_with_3(here, server):
    (here / "rules.yaml").write_text("groups: [{name: g, rules: [{alert: A, expr: 'nothing_of_the_kind > 1'}]}]")
    done = backtest(here, server)
    assert done.returncode == 3
    assert "prometheus has nothing of these rules in all this time: nothing was played" in done.stdout


def test_a_server_without_the_heartbeat_ends_with_3_and_says_what_to_set(here, server):
    (here / "guard.toml").write_text(
        '[guard]\nname = "shop"\nrules = ["rules.yaml"]\nmode = "dry-run"\n'
        f'[prometheus]\nurl = "{server.url}"\nheartbeat = "count(nobody_has_this)"\n'
        '[actions.flag-off]\ntype = "exec"\ncommand = ["true"]\ninspect = ["true"]\n'
        '[actions.roll-back]\ntype = "exec"\ncommand = ["true"]\ninspect = ["true"]\n'
    )
    (here / "incidents.csv").write_text("start,end\n2026-03-01T01:00:00Z,2026-03-01T02:00:00Z\n")
    times = ["--from", made_up.START.isoformat(), "--to", END.isoformat(), "--incidents", "incidents.csv"]
    toml = [*command(here, *times)[:4], "guard.toml", *times, "--rule", "Errors", "--sweep", "for=1m,2m"]
    done = subprocess.run(toml, cwd=here, env=environment(here), capture_output=True, text=True)
    assert done.returncode == 3, done.stderr
    errors = next(line.split() for line in done.stdout.splitlines() if line.startswith("shop/Errors "))
    assert errors == ["shop/Errors", "?", "?", ">", "0.01", "heartbeat", "100%"]
    told = " ".join(done.stdout.split())
    assert "(heartbeat: the server answers count(nobody_has_this) with nothing). Set `heartbeat` of this" in told
    assert "Note: not swept" in told
    assert "missed" not in told


def test_a_metric_that_does_not_exist_is_said_while_the_other_rules_are_told_of(here, server):
    (here / "rules.yaml").write_text(made_up.RULES.replace("max(latency_seconds)", "max(nobody_has_this)"))
    done = backtest(here, server)
    assert done.returncode == 0, done.stderr
    told = " ".join(done.stdout.split())
    assert "nothing can be told of shop/Slow, unknown all the time (absent" in told
    assert "`rollback-guard check --online` says which series" in told


def test_each_group_is_asked_of_its_own_data_source(here, server, whole):
    (here / "guard.toml").write_text(
        '[guard]\nname = "shop"\nrules = ["rules.yaml"]\nmode = "dry-run"\n'
        f'[prometheus]\nurl = "{server.url}"\nheartbeat = "count(up or queue_length)"\n[datasources.other]\nurl = "http://127.0.0.1:1"\n'
        '[actions.flag-off]\ntype = "exec"\ncommand = ["true"]\ninspect = ["true"]\n'
        '[actions.roll-back]\ntype = "exec"\ncommand = ["true"]\ninspect = ["true"]\n'
        '[[maintenance]]\nname = "night"\ncron = "0 1 * * *"\nfor = "1h"\n'
    )
    times = ["--from", made_up.START.isoformat(), "--to", END.isoformat(), "--output", "json"]
    toml = [*command(here, *times)[:4], "guard.toml", *times]

    def run():
        return subprocess.run(toml, cwd=here, env=environment(here), capture_output=True, text=True)

    done = run()
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert rule(data, "Errors")["firings"] == rule(whole, "Errors")["firings"]
    assert data["guards"][0]["actions"] > 0
    assert "guard.toml says dry-run: this is what would have been done without it" in data["remarks"]
    assert "the maintenance windows of guard.toml are not played: guards act in them here" in data["remarks"]
    rules = made_up.RULES.replace("- name: slow\n", "- name: slow\n    datasource: other\n")
    (here / "rules.yaml").write_text(rules)
    away = run()
    assert away.returncode == 3
    assert "connect" in away.stderr
