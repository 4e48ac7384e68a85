"""`rollback-guard backtest`, as people run it, against a real Prometheus with a past."""

import json
import os
import signal
import subprocess
import sys
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


def test_one_that_was_killed_goes_on_where_it_was(here, server, monkeypatch):
    whole = found(here, server)
    slow = "import sys, time; from rollback_guard.workbench.backtest import history, run; history.FIRST_SLOTS = 30; history.MOST_SLOTS = 30; run.SAVED_EVERY *= 0\nfrom rollback_guard.cli import main; main()"
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


def test_firings_are_classified(here, server):
    plain = found(here, server)
    firing = next(rule for rule in plain["rules"] if rule["name"] == "Errors")["firing"]
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


def test_a_sweep_tries_every_combination_in_one_pass(here, server):
    plain = found(here, server)
    first = next(rule for rule in plain["rules"] if rule["name"] == "Errors")["firing"][0]
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
    done = backtest(here, server, url="http://127.0.0.1:1")
    assert done.returncode == 3
    assert "connect" in done.stderr
    assert "goes on there" in done.stderr


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
    assert done.returncode == 3
    assert "--prometheus" in done.stderr
