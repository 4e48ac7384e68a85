"""The real daemon with a team's files, and a real Prometheus that scrapes a simulated service every second."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from chaos.process import Guard, wait_for
from real_prometheus import RealPrometheus

T = TypeVar("T")


class Scraped(Protocol):
    """The simulated service, as far as Prometheus knows it."""

    @property
    def target(self) -> str: ...


class Scraping(RealPrometheus):
    """A real Prometheus, to be started with `with`."""

    def ask(self, query: str) -> dict[str, float]:
        """Return what a query gives now, by its labels as JSON; for messages and for waiting."""
        url = f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            found = json.load(answer)["data"]["result"]
        return {json.dumps(each["metric"], sort_keys=True): float(each["value"][1]) for each in found}

    def wait_until(self, query: str, *, within_s: float = 60) -> None:
        """Wait until a query gives something: `sum(rate(x[3s])) > 1`."""
        wait_for(lambda: self.ask(query), query, within_s=within_s)


def scraping(directory: Path, jobs: Mapping[str, Scraped]) -> Scraping:
    """Return a Prometheus that scrapes services under the names of their jobs, each once per second.

    Several jobs may be one service; a series with a `job` label is then shown to that job only.
    """
    made = Scraping(directory)
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [
            {"job_name": job, "params": {"job": [job]}, "static_configs": [{"targets": [service.target]}]}
            for job, service in jobs.items()
        ],
    }
    (directory / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    return made


class Daemon(Guard):
    """One `rollback-guard run` with a team's guard.toml and rule files, in a folder of its own.

    Ask it with `incidents`, `guard`, `metric`, `events`, `post`, `log`; see `Guard`.
    """

    def __init__(self, home: Path, *, guard: str, rules: Mapping[str, str], pack: Path | None = None) -> None:
        """Write the files.

        Args:
            home: A folder that may not exist yet.
            guard: What `guard_toml` returned, with port 0.
            rules: By file name, what `accelerated` returned.
            pack: The folder of the team, whose scripts are copied beside guard.toml.
        """
        super().__init__(home)
        if pack is not None:
            shutil.copytree(pack, home, dirs_exist_ok=True)
        (home / "guard.toml").write_text(guard.replace('"127.0.0.1:0"', f'"127.0.0.1:{self.port}"'))
        (home / "rules").mkdir(exist_ok=True)
        for name, text in rules.items():
            (home / "rules" / name).write_text(text)

    def __enter__(self) -> Self:
        self.start()
        try:
            self.wait_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def wait(self, condition: Callable[[], T], what: str, *, within_s: float = 60) -> T:
        """Return the condition's first true value; a failure shows the guard's log."""
        return wait_for(condition, what, within_s=within_s, log=self.log, every_s=0.05)

    def incident(self, guard: str, *, rule: str = "", **fields: Any) -> dict[str, Any] | None:
        """Return the newest incident of a guard that a rule is part of and which has these fields, if there is one."""
        for each in self.incidents():
            is_meant = each["guard"] == guard and any(id_.endswith(rule) for id_ in each["rules"])
            if is_meant and fields.items() <= each.items():
                return each
        return None

    def wait_incident(self, guard: str, *, rule: str = "", within_s: float = 60, **fields: Any) -> dict[str, Any]:
        """Wait until a guard has such an incident: `decision="recovered"`, `decision="hand_over"`, `phase="closed"`."""
        return self.wait(
            lambda: self.incident(guard, rule=rule, **fields),
            f"an incident of {guard} with {rule or 'any rule'} and {fields}",
            within_s=within_s,
        )

    def decisions(self, guard: str) -> list[tuple[str, str]]:
        """Return decisions and reasons of a guard, oldest first."""
        found = (self.ask("/api/v1/decisions") or {}).get("decisions", [])
        return [(each["decision"], each["reason"]) for each in reversed(found) if each["guard"] == guard]

    def rule(self, name: str) -> dict[str, Any]:
        """Return a rule or probe by its name or id, as the API shows it."""
        rules = (self.ask("/api/v1/rules") or {}).get("rules", [])
        return next((each for each in rules if name in (each["name"], each["id"])), {})

    def signal(self, alertname: str, *, status: str = "firing", **labels: str) -> None:
        """Send an alert from elsewhere, in the format of Alertmanager's webhook."""
        now = datetime.now(UTC).isoformat()
        alert = {"status": status, "labels": {"alertname": alertname, **labels}, "annotations": {}, "startsAt": now}
        body = {"version": "4", "status": status, "receiver": "guard", "alerts": [alert]}
        code, said = self.post("/api/v1/alerts", body)
        assert code == 200, said

    def order(self, path: str, **body: Any) -> None:
        """Give an order that must be taken: `order("/api/v1/approve", guard="shop")`."""
        code, said = self.post(path, body)
        assert code == 200, said

    def explain(self, incident: str) -> str:
        """Return what `rollback-guard explain` prints of an incident."""
        command = [sys.executable, "-m", "rollback_guard.cli", "explain", incident]
        url = f"http://127.0.0.1:{self.port}"
        found = subprocess.run([*command, "--url", url], capture_output=True, text=True, timeout=60)
        assert found.returncode in (0, 1), found.stderr
        return found.stdout
