"""Take Prometheus away from the real daemon in every phase of an incident: it begins nothing and claims nothing blindly.

Three services break in turn. `shop` stays bad: it is pending, then waits for a veto, then is verified, each time while
Prometheus is gone. `cart` recovers by itself while nobody sees it. `desk` is cured by its action, and nobody sees that.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chaos import figures
from chaos.process import Guard, wait_for
from chaos.target import Target, target, write_commands
from contracts.prometheus_server import FaultyServer, Request, Talk, is_range, matrix, vector
from real_prometheus import RealPrometheus
from rollback_guard.core.records import IncidentEnded

HOLD = timedelta(seconds=2)
VETO = timedelta(seconds=6)
STABLE = timedelta(seconds=5)

RULES = {
    "groups": [
        {
            "name": "services",
            "interval": "500ms",
            "rules": [
                {
                    "alert": service,
                    "expr": f'bad{{service="{service}"}} > 0',
                    "for": f"{HOLD.seconds}s",
                    "labels": {"service": service, "severity": "critical"},
                }
                for service in ("shop", "cart", "desk")
            ],
        }
    ],
    "guards": [
        {
            "guard": "shop",
            "select": {"service": "shop"},
            "veto": f"{VETO.seconds}s",
            "playbook": [{"action": "flag-off", "verify": {"within": "3s", "stable_for": "1s"}}],
        },
        {
            "guard": "cart",
            "select": {"service": "cart"},
            "playbook": [{"action": "never", "verify": {"within": "1m", "stable_for": "1s"}}],
        },
        {
            "guard": "desk",
            "select": {"service": "desk"},
            "playbook": [{"action": "mend", "verify": {"within": "2m", "stable_for": f"{STABLE.seconds}s"}}],
        },
    ],
}


@contextlib.contextmanager
def killed(prometheus: RealPrometheus, directory: Path) -> Iterator[None]:
    os.kill(prometheus.pid, signal.SIGKILL)
    prometheus.stop()
    yield
    prometheus.start()


@contextlib.contextmanager
def paused(prometheus: RealPrometheus, directory: Path) -> Iterator[None]:
    prometheus.pause()
    yield
    prometheus.resume()


@contextlib.contextmanager
def robbed(prometheus: RealPrometheus, directory: Path) -> Iterator[None]:
    """Restart it without its data, before it scrapes again."""
    config = directory / "prometheus.yml"
    scraping = config.read_text()
    prometheus.stop()
    shutil.rmtree(directory / "data")
    config.write_text("{}")
    prometheus.start()
    yield
    config.write_text(scraping)
    prometheus.restart()


@contextlib.contextmanager
def replaced(prometheus: RealPrometheus, directory: Path) -> Iterator[None]:
    """Put a server in its place that says of everything that it is fine."""
    prometheus.stop()
    with FaultyServer(says_fine, port=prometheus.port):
        yield
    prometheus.start()


def says_fine(talk: Talk, request: Request) -> None:
    at = float(request.form.get("time") or request.form.get("start", "0"))
    alone = len(request.queries) == 1
    told = [{} if alone else {"__rule__": str(number)} for number in range(len(request.queries))]
    if is_range(request):
        talk.say(matrix({"metric": each, "values": [[at, "0"]]} for each in told))
    else:
        talk.say(vector({"metric": each, "value": [at, "0"]} for each in told))


FAULTS = {fault.__name__: fault for fault in (killed, paused, robbed, replaced)}


class Story:
    """One fault, three times."""

    def __init__(self, fault: str, home: Path, prometheus: RealPrometheus, guard: Guard, services: Target) -> None:
        self._fault, self._directory, self._prometheus = fault, home / "prometheus", prometheus
        self.guard, self.services = guard, services
        self.faults = 0

    def away(self) -> AbstractContextManager[None]:
        self.faults += 1
        return FAULTS[self._fault](self._prometheus, self._directory)

    def wait(self, condition, what: str) -> None:
        def log() -> str:
            return f"{self.guard.incidents()}\n{self.guard.ask('/api/v1/rules')}\n{self.guard.log()}"

        wait_for(condition, f"{self._fault}: {what}", log=log)

    def wait_blind(self, service: str, lasting: timedelta) -> None:
        """Wait until nothing was seen of a service for so long."""

        def blind_for() -> bool:
            rule = self.rule(service)
            since = rule["unknown"] and rule["unknown_since"]
            return bool(since) and datetime.now(UTC) - datetime.fromisoformat(since) > lasting

        self.wait(blind_for, f"{service} to be unseen for {lasting}")

    def rule(self, service: str) -> dict:
        return next(each for each in self.guard.ask("/api/v1/rules")["rules"] if each["name"] == service)

    def phase(self, service: str) -> str | None:
        found = [each["phase"] for each in self.guard.incidents() if each["guard"] == service]
        return found[0] if found else None

    def play(self) -> None:
        guard, services = self.guard, self.services
        guard.start()
        guard.wait_ready()
        self.wait(lambda: self.rule("shop")["verdict"] == "pass", "it to see")

        services.say("shop", up=False)
        services.say("cart", up=False)
        self.wait(lambda: {self.rule(each)["phase"] for each in ("shop", "cart")} == {"pending"}, "both to be pending")
        with self.away():
            self.wait_blind("shop", 2 * HOLD)
            assert self.rule("shop")["phase"] == "pending", "time alone fires nothing"
            assert guard.incidents() == []
            services.say("cart", up=True)
        services.say("desk", up=False)

        self.wait(
            lambda: (self.phase("shop"), self.phase("desk")) == ("waiting", "verifying"), "a countdown and a cure"
        )
        with self.away():
            self.wait_blind("shop", VETO + timedelta(seconds=1))
            assert (self.phase("shop"), self.phase("desk")) == ("waiting", "verifying"), "nothing is begun or claimed"
            assert services.steps() == ["mend"]

        self.wait(lambda: "flag-off" in services.steps(), "what still holds to be acted on")
        with self.away():
            self.wait(lambda: self.phase("shop") == "handed_over", "people to be called")
            services.say("shop", up=True)
        self.wait(lambda: {self.phase("shop"), self.phase("desk")} == {"closed"}, "everything to be seen to be fine")
        guard.stop()


def play(fault: str, home: Path) -> Story:
    with target() as services, Guard(home / "guard") as guard:
        for service in ("shop", "cart", "desk"):
            services.say(service, up=True)
        prometheus = RealPrometheus(
            home / "prometheus", targets=[services.url.removeprefix("http://")], scrape_interval="500ms"
        )
        write_commands(guard.home)
        actions = services.action("flag-off") + services.action("never") + services.action("mend", cures="desk")
        guard.configure(
            f'[prometheus]\nurl = "{prometheus.url}"\ntimeout = "400ms"\nmax_sample_age = "1500ms"\n{actions}',
            json.dumps(RULES),
        )
        try:
            prometheus.start()
            story = Story(fault, home, prometheus, guard, services)
            story.play()
            return story
        finally:
            prometheus.stop()


@pytest.mark.promise(10)
async def test_a_prometheus_that_is_gone_in_any_phase_of_an_incident_causes_no_action_and_proves_no_recovery(tmp_path):
    with ThreadPoolExecutor(len(FAULTS)) as hands:
        runs = {fault: hands.submit(play, fault, tmp_path / fault) for fault in FAULTS}
    for fault, run in runs.items():
        story = run.result()
        ends = {each.guard: each.reason for each in await story.guard.records() if isinstance(each, IncidentEnded)}
        figures.add_run(others=story.faults, flaw=story.guard.flaw())
        assert story.guard.flaw() is None
        assert ends == {"desk": "verified", "shop": "cannot_tell"}, fault
