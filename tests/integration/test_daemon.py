"""The daemon as people run it: a real process, a real Prometheus, real signals."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from chaos.world import wait_for
from loopback import free_port
from real_prometheus import RealPrometheus
from rollback_guard import app
from rollback_guard.setup import Overrides, load

CONFIG = """
[guard]
name = "daemon-test"
rules = ["rules/*.yaml"]
state = "state/guard.db"
stop_timeout = "1s"
[prometheus]
url = "{prometheus}"
heartbeat = ""
timeout = "2s"
[server]
listen = "127.0.0.1:{port}"
[actions.mark]
type = "exec"
command = ["/bin/sh", "-c", "echo $ROLLBACK_GUARD_KEY >> effects; {extra}"]
cwd = "."
timeout = "20s"
"""

RULES = """
groups:
  - name: self
    interval: 1s
    rules:
      - alert: Always
        expr: {always}
        for: {hold}
        labels: {{service: shop, severity: critical}}
      - alert: Answered
        expr: sum(scrape_samples_scraped) < 0
guards:
  - guard: shop
    select: {{service: shop}}
    playbook:
      - {{action: mark, verify: {{within: 30s, stable_for: 1s}}}}
"""


class Daemon:
    """One `rollback-guard run` in a folder of its own."""

    def __init__(
        self, home: Path, prometheus: str, *, extra: str = "true", always: str = "vector(1) > 2", hold: str = "0s"
    ):
        self.home = home
        self.port = free_port()
        self.process: subprocess.Popen | None = None
        (home / "rules").mkdir(parents=True)
        config = CONFIG.format(prometheus=prometheus, port=self.port, extra=extra)
        (home / "guard.toml").write_text(config)
        self.write_rules(always=always, hold=hold)

    def write_rules(self, *, always: str, hold: str = "0s") -> None:
        (self.home / "rules" / "shop.yaml").write_text(RULES.format(always=always, hold=hold))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def start(self) -> None:
        with (self.home / "log").open("ab") as log:
            command = [sys.executable, "-m", "rollback_guard.cli", "run", "--config", "guard.toml"]
            self.process = subprocess.Popen(command, cwd=self.home, stderr=log, stdin=subprocess.DEVNULL)
        wait_for(lambda: self.get("/-/ready")[0] == 200, "the guard to be ready", log=self.log)

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(30)

    def get(self, path: str, method: str = "GET") -> tuple[int, str]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def metric(self, name: str) -> float:
        lines = [line for line in self.get("/metrics")[1].splitlines() if line.split("{")[0].split(" ")[0] == name]
        assert lines, name
        return float(lines[0].rsplit(" ", 1)[1])

    def rule(self, name: str) -> dict:
        rules = json.loads(self.get("/api/v1/rules")[1])
        found = rules.get("rules", rules) if isinstance(rules, dict) else rules
        return next(each for each in found if each["name"] == name)

    def slot(self, group: str) -> str:
        groups = json.loads(self.get("/api/v1/status")[1])["groups"]
        return next(each["slot"] for each in groups if each["id"] == group)

    def log(self) -> str:
        return (self.home / "log").read_text()[-6000:]

    def effects(self) -> list[str]:
        path = self.home / "effects"
        return path.read_text().split() if path.exists() else []


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory):
    with RealPrometheus(tmp_path_factory.mktemp("prometheus")) as running:
        yield running


@pytest.mark.promise(17)
def test_a_broken_configuration_is_refused_and_the_old_one_stays_in_force(tmp_path, prometheus):
    with Daemon(tmp_path, prometheus.url) as guard:
        digest = json.loads(guard.get("/api/v1/status")[1])["digest"]
        guard.write_rules(always="sum(rate(")
        status, said = guard.get("/-/reload", "POST")
        assert status == 400
        assert "rules/shop.yaml:7:" in said
        assert "promql-syntax" in said

        unlogged = (tmp_path / "guard.toml").read_text()
        (tmp_path / "guard.toml").write_text(unlogged + '[log]\nlevel = "debug"\n')
        guard.write_rules(always="vector(1) > 2")
        status, said = guard.get("/-/reload", "POST")
        assert status == 400
        assert "log.level cannot change from info to debug without a restart" in said
        (tmp_path / "guard.toml").write_text(unlogged)
        guard.write_rules(always="sum(rate(")
        assert guard.get("/-/reload", "POST")[0] == 400
        assert guard.metric("rollback_guard_config_last_reload_successful") == 0
        assert json.loads(guard.get("/api/v1/status")[1])["digest"] == digest

        guard.process.send_signal(signal.SIGHUP)
        wait_for(lambda: guard.log().count("configuration_refused") >= 2, "SIGHUP to be refused too", log=guard.log)
        guard.write_rules(always="vector(1) > 3")
        guard.process.send_signal(signal.SIGHUP)
        wait_for(
            lambda: json.loads(guard.get("/api/v1/status")[1])["digest"] != digest, "the mended file", log=guard.log
        )
        successful = "rollback_guard_config_last_reload_successful"
        wait_for(lambda: guard.metric(successful) == 1, "the metric, which is a second old at most", log=guard.log)
        assert guard.stop() == 0


async def test_a_reload_during_the_start_waits_until_the_journal_is_known(tmp_path, monkeypatch):
    """Else it would tick, and act, before it knows what it did already."""
    Daemon(tmp_path, "http://127.0.0.1:9")
    path = tmp_path / "guard.toml"
    loaded = load(path, Overrides())
    daemon = app.Daemon(path, Overrides(), loaded.setup)
    reads, may_read = asyncio.Event(), asyncio.Event()
    load_journal = daemon._journal.load

    async def read_slowly():
        reads.set()
        await may_read.wait()
        return await load_journal()

    monkeypatch.setattr(daemon._journal, "load", read_slowly)
    running = asyncio.create_task(daemon.run())
    await reads.wait()
    reloading = asyncio.create_task(daemon.reload())
    done, _ = await asyncio.wait({reloading}, timeout=1)
    assert not done
    assert daemon._ticker._rhythms == {}
    may_read.set()
    assert (await reloading).successful
    daemon._stopping.set()
    await running


@pytest.mark.promise(18)
def test_a_reload_keeps_the_state_of_unchanged_rules_and_begins_changed_ones_anew(tmp_path, prometheus):
    with Daemon(tmp_path, prometheus.url, always="vector(1) > 0", hold="1h") as guard:
        wait_for(lambda: guard.rule("Always")["phase"] == "pending", "the alert to be pending", log=guard.log)
        since = guard.rule("Always")["since"]
        guard.write_rules(always="vector(1) > 0", hold="2h")
        assert guard.get("/-/reload", "POST")[0] == 200
        assert guard.rule("Always")["since"] == since
        guard.write_rules(always="vector(2) > 0", hold="2h")
        assert guard.get("/-/reload", "POST")[0] == 200
        wait_for(lambda: guard.rule("Always")["since"] not in {since, None}, "it to begin anew", log=guard.log)
        assert guard.stop() == 0


@pytest.mark.promise(26)
def test_a_stop_during_an_action_leaves_the_intent_open_and_the_next_start_settles_it(tmp_path, prometheus):
    with Daemon(tmp_path, prometheus.url, extra="sleep 60", always="vector(1) > 0") as guard:
        wait_for(guard.effects, "the action to run", log=guard.log)
        assert guard.stop() == 0
        assert "intents_left_open" in guard.log()
        guard.start()
        wait_for(lambda: "outcome_unknown" in guard.get("/api/v1/incidents")[1], "the hand-over", log=guard.log)
        assert len(guard.effects()) == 1, "nobody can tell whether it helped, so it is not run again"
        assert guard.stop() == 0


@pytest.mark.promise(26)
def test_a_short_action_is_awaited_by_a_stop(tmp_path, prometheus):
    with Daemon(tmp_path, prometheus.url, extra="sleep 0.5; echo done >> effects", always="vector(1) > 0") as guard:
        wait_for(guard.effects, "the action to run", log=guard.log)
        assert guard.stop() == 0
        assert guard.effects()[-1] == "done"
        assert "intents_left_open" not in guard.log()


@pytest.mark.promise(19)
def test_a_guard_that_selects_nothing_is_refused_at_the_start_and_by_a_reload(tmp_path, prometheus):
    with Daemon(tmp_path, prometheus.url) as guard:
        rules = tmp_path / "rules" / "shop.yaml"
        for selector in ("{}", "{service: nothing-like-this}", '{service: ".*"}'):
            rules.write_text(
                RULES.format(always="vector(1) > 2", hold="0s").replace(
                    "{service: shop}\n    playbook", f"{selector}\n    playbook"
                )
            )
            status, said = guard.get("/-/reload", "POST")
            assert status == 400, said
            assert "select" in said
        assert guard.stop() == 0
        command = [sys.executable, "-m", "rollback_guard.cli", "run", "--config", "guard.toml"]
        refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert refused.returncode == 4
        assert "select" in refused.stderr


@pytest.mark.promise(10)
def test_a_stopped_prometheus_blinds_the_guard_and_causes_no_action(tmp_path, tmp_path_factory):
    with (
        RealPrometheus(tmp_path_factory.mktemp("own")) as own,
        Daemon(tmp_path, own.url, always="vector(1) > 0", hold="3s") as guard,
    ):
        wait_for(lambda: guard.rule("Always")["phase"] == "pending", "the alert to be pending", log=guard.log)
        own.stop()
        wait_for(lambda: guard.rule("Always")["unknown"] == "connect", "the guard to be blind", log=guard.log)
        began = guard.metric("rollback_guard_group_evaluations_total")
        wait_for(
            lambda: guard.metric("rollback_guard_group_evaluations_total") >= began + 5, "it to go on", log=guard.log
        )
        assert guard.effects() == []
        assert guard.rule("Always")["phase"] == "pending", "not knowing advances nothing"
        assert guard.stop() == 0


def test_a_second_instance_on_the_same_journal_is_refused(tmp_path, prometheus):
    with Daemon(tmp_path, prometheus.url) as guard:
        command = [sys.executable, "-m", "rollback_guard.cli", "run", "--listen", f"127.0.0.1:{free_port()}"]
        second = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert second.returncode == 4
        assert "another rollback-guard" in second.stderr
        assert guard.stop() == 0


def test_a_restart_forgets_nothing_that_a_probe_saw(tmp_path, prometheus):
    guard = Daemon(tmp_path, prometheus.url)
    dead = free_port()
    probe = f"probes:\n  - {{probe: dead, url: 'http://127.0.0.1:{dead}', interval: 1s, for: 1h}}\n"
    rules = tmp_path / "rules" / "shop.yaml"
    rules.write_text(probe + rules.read_text())
    with guard:
        for stop in ("terminate", "kill"):
            wait_for(lambda: guard.rule("dead")["phase"] == "pending", "the probe to be down", log=guard.log)
            since = guard.rule("dead")["since"]
            slot = guard.slot("probe/dead")
            wait_for(lambda before=slot: guard.slot("probe/dead") > before, "another slot", log=guard.log)
            getattr(guard.process, stop)()
            guard.process.wait(30)
            guard.start()
            assert guard.rule("dead")["since"] == since
            missed = [line for line in guard.log().splitlines() if '"slots_missed"' in line and "probe/dead" in line]
            assert all(json.loads(line)["slots"] < 10 for line in missed), "only those of the restart itself"
        assert guard.stop() == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--listen", "foo"], "--listen foo: error"),
        (["--prometheus-url", "http://u:p@h:1"], "without user and password"),
        (["--config", "rules/shop.yaml"], "this is a rule file"),
    ],
)
def test_wrong_options_are_explained_and_nothing_is_started(tmp_path, options, said):
    Daemon(tmp_path, "http://127.0.0.1:9")
    command = [sys.executable, "-m", "rollback_guard.cli", "run", *options]
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 4
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr
