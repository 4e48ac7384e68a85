"""Over history without gaps the alerts of a backtest are those of `promtool test rules` and of `vmalert -replay`."""

import json
import random
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

import history as made_up
from loopback import free_port
from rollback_guard.adapters.ephemeral import EphemeralPrometheus, Series
from rollback_guard.adapters.ephemeral.message import requests
from rollback_guard.workbench.backtest import history

HOURS = 3
COUNT = HOURS * 240
STEP = timedelta(seconds=15)
END = made_up.START + (COUNT - 1) * STEP

RULES = """
groups:
  - name: shop
    interval: 15s
    rules:
      - alert: Errors
        expr: sum by (pod) (rate(errors_total[1m])) / sum by (pod) (rate(requests_total[1m])) > 0.02
        for: 1m
      - {alert: Slow, expr: max(latency) >= 0.5, for: 45s}
      - {alert: AtOnce, expr: latency > 0.8}
      - {alert: Awhile, expr: min(latency) < 0.2, for: 100s}
      - {alert: Both, expr: 'max(latency) > 0.5 and sum(rate(requests_total[1m])) > 1', for: 30s}
"""

ENDS = """
groups:
  - name: shop
    interval: 15s
    rules:
      - alert: Errors
        expr: |
          sum by (pod) (rate(errors_total[1m] @ start())) / sum by (pod) (rate(requests_total[1m] @ end())) > 0.02
        for: 1m
      - {alert: Slow, expr: 'max(max_over_time((latency @ end())[2m:15s])) >= 0.5', for: 45s}
"""
"""Two of them in words about the query itself: whenever the subquery asks, it is for the slot."""


def past():
    """Return series without a gap: their values are drawn."""
    draw = random.Random(11)
    for pod in ("a", "b", "c"):
        share = [0.0] * COUNT
        for _ in range(14):
            first, length = draw.randrange(COUNT), draw.randrange(2, 16)
            share[first : first + length] = [0.1] * len(share[first : first + length])
        asked = [100.0 * (number + 1) for number in range(COUNT)]
        failed = [0.0]
        for each in share[1:]:
            failed.append(failed[-1] + 100 * each)
        yield "requests_total", pod, asked
        yield "errors_total", pod, failed
        latency, row = 0.3, []
        for _ in range(COUNT):
            latency = draw.choice([latency, latency, latency, 0.1, 0.3, 0.6, 0.9])
            row.append(latency)
        yield "latency", pod, row


@pytest.fixture(scope="module")
def server():
    with EphemeralPrometheus.start() as running:
        running.write(samples())
        yield running


def samples():
    times = [made_up.ms(made_up.START + number * STEP) for number in range(COUNT)]
    for name, pod, row in past():
        yield Series(labels=(("__name__", name), ("pod", pod)), samples=list(zip(times, row, strict=True)))


@pytest.fixture
def lived(server, tmp_path, monkeypatch):
    """Return the states of all alerts by slot, played in many short stretches: the state is carried over them."""
    monkeypatch.setattr(history, "FIRST_SLOTS", 11)
    monkeypatch.setattr(history, "MOST_SLOTS", 37)
    return played(server.url, tmp_path)


def played(url, directory, *, rules=RULES, offset=timedelta(0)):
    policy = made_up.policy_of(directory, rules)
    aligned = {id_: replace(group, offset=offset) for id_, group in policy.groups.items()}
    return states_of(made_up.played(replace(policy, groups=aligned), url, hours=HOURS, end=END)[0])


def states_of(results):
    """Return who is pending and who fires, by the number of the slot."""
    found = {number: set() for number in range(COUNT)}
    for id_, of_rule in results.rules.items():
        name = id_.rpartition("/")[2]
        for period in of_rule.firing:
            mark(found, (name, period.series, "pending"), period.active_at, period.began_at)
            mark(found, (name, period.series, "firing"), period.began_at, period.ended_at)
        for period in of_rule.pending:
            mark(found, (name, period.series, "pending"), period.began_at, period.ended_at)
    return found


def mark(found, state, first, behind):
    last = END + STEP if behind is None else behind
    for number in range((first - made_up.START) // STEP, (last - made_up.START) // STEP):
        found[number].add(state)


def test_there_is_something_to_compare(lived):
    told = {(name, state) for states in lived.values() for name, _, state in states}
    assert told >= {(name, "firing") for name in ("Errors", "Slow", "AtOnce", "Awhile", "Both")}
    assert told >= {(name, "pending") for name in ("Errors", "Slow", "Awhile", "Both")}


def test_every_alert_is_where_promtool_has_it(lived, tmp_path):
    assert promtool(lived, tmp_path) == ""
    number = next(number for number, states in lived.items() if number > 9 and any("firing" in it for it in states))
    lived[number] = set()
    assert "ALERTS" in promtool(lived, tmp_path), "a single wrong slot is found"


def promtool(states, directory):
    """Return what promtool says against these states, at every slot where one of them changes and the one before."""
    changes = [number for number in range(1, COUNT) if states[number] != states[number - 1]]
    looked_at = sorted({0, COUNT - 1, *changes, *(number - 1 for number in changes)})
    (directory / "rules.yaml").write_text(RULES)
    test = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "15s",
        "tests": [
            {
                "interval": "15s",
                "input_series": [
                    {"series": f'{name}{{pod="{pod}"}}', "values": " ".join(map(repr, row))}
                    for name, pod, row in past()
                ],
                "promql_expr_test": [
                    {
                        "expr": "ALERTS",
                        "eval_time": f"{number * 15}s",
                        "exp_samples": [{"labels": told(*each), "value": 1} for each in sorted(states[number])],
                    }
                    for number in looked_at
                ],
            }
        ],
    }
    (directory / "test.yaml").write_text(json.dumps(test))
    done = subprocess.run(
        ["promtool", "test", "rules", "test.yaml"], cwd=directory, capture_output=True, text=True, timeout=60
    )
    return done.stdout + done.stderr if done.returncode else ""


def told(name, series, state):
    labels = {**dict(series), "alertname": name, "alertstate": state}
    return f"ALERTS{{{', '.join(f'{key}={json.dumps(value)}' for key, value in labels.items())}}}"


def test_a_rule_that_names_the_ends_of_its_query_fires_where_it_does_live(server, tmp_path):
    """An instant query begins and ends at its slot; to a range query both lie somewhere else."""
    lived, ends = (played(server.url, tmp_path, rules=rules) for rules in (RULES, ENDS))
    assert ends == {number: {it for it in states if it[0] in ("Slow", "Errors")} for number, states in lived.items()}
    assert any(ends.values())


needs_victoria_metrics = pytest.mark.skipif(
    not (shutil.which("vmalert") and shutil.which("victoria-metrics")),
    reason="vmalert is not installed (Debian's package victoria-metrics has it)",
)


@needs_victoria_metrics
def test_every_alert_is_where_vmalert_has_it(lived, server, tmp_path):
    (tmp_path / "vm-rules.yaml").write_text(RULES)
    with storage(tmp_path) as url:
        command = [
            "vmalert",
            f"-rule={tmp_path / 'vm-rules.yaml'}",
            f"-datasource.url={server.url}",
            f"-datasource.queryStep={STEP.seconds}s",
            f"-remoteWrite.url={url}",
            "-replay.rulesDelay=0",
            f"-replay.maxDatapointsPerQuery={COUNT + 1}",  # it forgets pending alerts between its queries
            "-replay.disableProgressBar",
            f"-replay.timeFrom={made_up.START:%Y-%m-%dT%H:%M:%SZ}",
            f"-replay.timeTo={END:%Y-%m-%dT%H:%M:%SZ}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert exported(url) == lived


@needs_victoria_metrics
def test_victoria_metrics_is_asked_for_the_very_instants(server, tmp_path):
    """Left to itself it answers for times that suit its cache, at which no slot lies."""
    with storage(tmp_path) as url:
        for message in requests(samples()):
            made_up.write(url, message)
        get(f"{url}/internal/force_flush")
        beside = timedelta(seconds=4)
        of_gauges = [
            {number: {it for it in states if it[0] in ("Slow", "AtOnce", "Awhile")} for number, states in found.items()}
            for found in (played(each, tmp_path, offset=beside) for each in (url, server.url))
        ]
    assert any(of_gauges[1].values())
    assert of_gauges[0] == of_gauges[1]


def exported(url):
    """Return the states that were written, by the number of the slot."""
    found = {number: set() for number in range(COUNT)}
    get(f"{url}/internal/force_flush")
    asked = {"match[]": "ALERTS", "start": made_up.START.timestamp(), "end": END.timestamp()}
    for line in get(f"{url}/api/v1/export?{urllib.parse.urlencode(asked)}").splitlines():
        series = json.loads(line)
        labels = series["metric"]
        own = {key: labels[key] for key in labels.keys() - {"__name__", "alertname", "alertstate", "alertgroup"}}
        for at_ms, value in zip(series["timestamps"], series["values"], strict=True):
            if value == 1:
                number = (at_ms - made_up.ms(made_up.START)) // (STEP.seconds * 1000)
                found[number].add((labels["alertname"], tuple(sorted(own.items())), labels["alertstate"]))
    return found


@contextmanager
def storage(directory):
    """Run a VictoriaMetrics into which vmalert writes."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = ["victoria-metrics", f"-storageDataPath={directory / 'vm'}", f"-httpListenAddr=127.0.0.1:{port}"]
    with (directory / "vm.log").open("wb") as log:
        running = subprocess.Popen([*command, "-retentionPeriod=100y"], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while not is_there(url):
            assert running.poll() is None, (directory / "vm.log").read_text()
            assert time.monotonic() < deadline
        yield url
    finally:
        running.kill()
        running.wait()


def is_there(url):
    try:
        return bool(get(f"{url}/health"))
    except (urllib.error.URLError, OSError):
        return False


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()
