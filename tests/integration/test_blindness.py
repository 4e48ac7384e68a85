"""Whatever becomes of Prometheus, the daemon takes no action, says why it is blind, and sees again only what is real."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import datetime

import pytest

from chaos.world import wait_for
from contracts.prometheus_server import FaultyServer, Request, Talk, error, is_range, matrix, vector
from integration.test_daemon import Daemon
from real_prometheus import RealPrometheus

CONFIG = """
[guard]
name = "blindness-test"
rules = ["rules/*.yaml"]
state = "state/guard.db"
stop_timeout = "1s"
catch_up = "5m"
[prometheus]
url = "{prometheus}"
timeout = "400ms"
[server]
listen = "127.0.0.1:{port}"
[actions.mark]
type = "exec"
command = ["/bin/sh", "-c", "echo acted >> effects"]
cwd = "."
timeout = "20s"
"""

RULES = """
groups:
  - name: shop
    interval: 250ms
    labels: {service: shop, severity: critical}
    rules:
      - {alert: TooLittle, expr: 'process_start_time_seconds{job="target"} < 1e9'}
      - {alert: TooMuch, expr: 'process_resident_memory_bytes{job="target"} > 1e15'}
      - {alert: Gone, expr: 'absent(up{job="target"})'}
      - {alert: NoDataIsBad, expr: 'process_start_time_seconds{job="target"} < 1e8', no_data: breach}
      - {alert: NoDataIsFine, expr: 'process_start_time_seconds{job="target"} < 1e7', no_data: ok}
      - {alert: Both, expr: 'up{job="target"} < 0.5 and on (job) process_start_time_seconds{job="target"} < 1e9'}
      - {alert: Ratio, expr: 'sum(rate(no_errors_total[8s])) / sum(rate(prometheus_tsdb_head_samples_appended_total[8s])) > 0.5'}
guards:
  - guard: shop
    select: {service: shop}
    blind: {after: 500ms, do: notify}
    playbook:
      - {action: mark, verify: {within: 30s, stable_for: 1s}}
"""

RULE_COUNT = 7
LIES_AT_LEAST = 2
"""Requests that each liar must have answered."""


class WatchedPrometheus(RealPrometheus):
    """One that scrapes itself twice a second."""

    def __init__(self, directory) -> None:
        super().__init__(directory, scrape_interval="500ms")
        self.directory = directory
        self.scraping = json.loads((directory / "prometheus.yml").read_text())
        self.scraping["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{self.port}"]}]

    def write_config(self, config: dict) -> None:
        (self.directory / "prometheus.yml").write_text(json.dumps(config))

    def lose_data(self) -> None:
        shutil.rmtree(self.directory / "data")


class Watcher(Daemon):
    """A daemon with rules that an empty or lying server would have act at once."""

    def __init__(self, home, prometheus: str) -> None:
        super().__init__(home, prometheus)
        (home / "guard.toml").write_text(CONFIG.format(prometheus=prometheus, port=self.port))
        (home / "rules" / "shop.yaml").write_text(RULES)

    def rules(self) -> list[dict]:
        return json.loads(self.get("/api/v1/rules")[1])["rules"]

    def reasons(self) -> set[str | None]:
        return {rule["unknown"] for rule in self.rules()}

    def guard(self) -> dict:
        return json.loads(self.get("/api/v1/guards")[1])["guards"][0]

    def blind_since(self) -> datetime | None:
        since = self.guard()["blind_since"]
        return None if since is None else datetime.fromisoformat(since)

    def wait_to_see(self) -> None:
        wait_for(
            lambda: self.blind_since() is None and self.reasons() <= {None}, "the guard to see again", log=self.log
        )

    def wait_to_be_blind(self, *reasons: str) -> datetime:
        """Wait until nothing is known of any rule, for these reasons, and return since when."""
        wait_for(
            lambda: (found := self.reasons()) and found <= set(reasons),
            f"{reasons}",
            log=self.log,
        )
        since = wait_for(self.blind_since, "since when it is blind", log=self.log)
        wait_for(
            lambda: (self.guard()["last"] or {}).get("reason") == "blind", "the decision to be blind", log=self.log
        )
        assert all(rule["unknown_since"] for rule in self.rules())
        return since

    def status(self) -> tuple[int, str]:
        command = [sys.executable, "-m", "rollback_guard.cli", "status", "--url", f"http://127.0.0.1:{self.port}"]
        done = subprocess.run(command, cwd=self.home, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout

    def assert_idle(self) -> None:
        """Nothing was done, and nothing was even intended."""
        assert self.effects() == [], self.log()
        assert json.loads(self.get("/api/v1/incidents")[1])["total"] == 0, self.log()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = WatchedPrometheus(tmp_path_factory.mktemp("prometheus"))
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def prometheus(server):
    """A server that scrapes itself; it keeps its data from test to test, for its first scrape takes five seconds."""
    server.write_config(server.scraping)
    return server.restart()


@pytest.mark.promise(10)
def test_a_server_that_is_killed_paused_and_robbed_of_its_data_causes_no_action(tmp_path, prometheus):
    with Watcher(tmp_path / "guard", prometheus.url) as guard:
        guard.wait_to_see()

        prometheus.stop()
        since = guard.wait_to_be_blind("connect")
        wait_for(lambda: guard.metric("rollback_guard_guard_blind") == 1, "the gauge", log=guard.log)
        code, text = guard.status()
        assert code == 3
        assert "blind" in text
        assert "connect: Connection refused" in text

        prometheus.start()
        guard.wait_to_see()
        wait_for(lambda: guard.metric("rollback_guard_guard_blind") == 0, "the gauge", log=guard.log)

        prometheus.pause()
        later = guard.wait_to_be_blind("timeout")
        assert later > since
        prometheus.resume()
        guard.wait_to_see()

        prometheus.stop()
        prometheus.lose_data()
        prometheus.write_config({})  # up, and not scraping yet
        prometheus.start()
        guard.wait_to_be_blind("heartbeat")
        assert "heartbeat: the server answers count(up) with nothing" in guard.status()[1]
        prometheus.stop()
        prometheus.write_config(prometheus.scraping)
        prometheus.start()
        guard.wait_to_see()
        guard.assert_idle()


def answers_everything_with(value: str):
    """Have every question, also that for the heartbeat and for ages, one and the same answer."""

    def behave(talk: Talk, request: Request) -> None:
        at = request.form.get("time") or request.form.get("start", "0")
        alone = len(request.queries) == 1
        metrics = [{"job": "target"} if alone else {"job": "target", "__rule__": str(n)} for n in range(99)]
        told = metrics[: len(request.queries)]
        if is_range(request):
            talk.say(matrix({"metric": each, "values": [[float(at), value]]} for each in told))
        else:
            talk.say(vector({"metric": each, "value": [float(at), value]} for each in told))

    return behave


def says(body, **options):
    return lambda talk, request: talk.say(body, **options)


def twins(talk: Talk, request: Request) -> None:
    """Give every question two series that are one once the metric's name is dropped."""
    place = {} if len(request.queries) == 1 else {"__rule__": "0"}
    talk.say(
        vector({"metric": {"__name__": name, "job": "target", **place}, "value": [0, "9e99"]} for name in ("a", "b"))
    )


ONE = {"metric": {"job": "target"}, "value": [0, "9e99"]}
LIARS = {
    "a login page": (says("<html>log in</html>", Content_Type="text/html"), {"bad_response"}),
    "truncated JSON": (says(json.dumps(vector([ONE]))[:-9]), {"bad_response"}),
    "a matrix": (says(matrix([{"metric": {}, "values": [[0, "9e99"]]}])), {"bad_response"}),
    "two series in one": (twins, {"duplicate", "heartbeat"}),
    "nothing": (says(vector([])), {"heartbeat"}),
    "NaN": (answers_everything_with("NaN"), {"heartbeat"}),
    "+Inf": (answers_everything_with("+Inf"), {"heartbeat"}),
    "one": (answers_everything_with("1"), {"heartbeat"}),
    "a huge number": (answers_everything_with("1e308"), {"bad_response"}),
    "warnings": (says(vector([ONE], warnings=["a store is down"])), {"partial"}),
    "a parse error": (says(error("bad_data", "no"), status=400), {"query_error"}),
    "no credentials": (says("Unauthorized", status=401), {"http_error"}),
    "starting": (says("Service Unavailable", status=503, X_Prometheus_Stopping="false"), {"http_error"}),
    "silence": (lambda talk, request: talk.keep_silent(), {"timeout"}),
}


@pytest.mark.promise(10)
def test_a_server_that_is_replaced_by_liars_causes_no_action_and_blindness_lasts_until_it_is_back(tmp_path, prometheus):
    with Watcher(tmp_path / "guard", prometheus.url) as guard:
        guard.wait_to_see()
        prometheus.stop()
        since = guard.wait_to_be_blind("connect")
        for name, (behaviour, reasons) in LIARS.items():
            with FaultyServer(behaviour, port=prometheus.port) as liar:
                wait_for(lambda liar=liar: len(liar.requests) >= LIES_AT_LEAST, f"{name} to be heard", log=guard.log)
                wait_for(
                    lambda reasons=reasons: guard.reasons() <= reasons, f"{name} to be seen through", log=guard.log
                )
            assert guard.blind_since() == since, name
            guard.assert_idle()
        assert guard.metric("rollback_guard_guard_blind") == 1
        prometheus.start()
        guard.wait_to_see()
        guard.assert_idle()


@pytest.mark.promise(11)
def test_a_server_that_answers_and_scrapes_no_more_is_not_believed_for_long(tmp_path, prometheus):
    impatient = CONFIG.replace('timeout = "400ms"', 'timeout = "400ms"\nmax_sample_age = "2s"')
    guard = Watcher(tmp_path / "guard", prometheus.url)
    (tmp_path / "guard" / "guard.toml").write_text(impatient.format(prometheus=prometheus.url, port=guard.port))
    with guard:
        guard.wait_to_see()
        # Samples stay for five minutes, and answers are stamped with the present, while nothing new comes in.
        prometheus.write_config({"scrape_configs": []})
        prometheus.restart()  # it keeps its data
        measured = {"TooLittle", "TooMuch", "NoDataIsBad", "NoDataIsFine"}
        wait_for(
            lambda: {rule["unknown"] for rule in guard.rules() if rule["name"] in measured} == {"stale"},
            "the samples to be old",
            log=guard.log,
        )
        wait_for(guard.blind_since, "since when it is blind", log=guard.log)
        guard.assert_idle()
