"""The packs of rules/library against a real Prometheus: each critical rule is broken, and the guard mends it.

Every rule that acts has a service of its own with the whole pack it is from, all side by side under one daemon; what
they are operated with is the guard.toml of docs/library.md. Payments are counted by the real client library.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from library_services import FLAG, ROLLBACK, SERVICES, Counting, Line, Trigger, triggers
from real_prometheus import Samples
from rollback_guard.adapters.actions import registry
from rollback_guard.config.load import load
from simulated import Daemon, Service, accelerated, guard_toml, scraping
from team_daemon import Scraping

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "rules" / "library"
RECORDING = LIBRARY / "prometheus" / "slo-recording.yaml"
PAGE = ROOT / "docs" / "library.md"
PACKS = sorted(path.stem for path in LIBRARY.glob("*.yaml"))
SLO = "slo-burn-rate"

OUR_KEYS = ("when", "no_data", "max_age", "shadow")
NO_STORM = "[limits]\nstorm = {guards = 100}\n"
"""That they all break at once is the test's doing."""

FASTER_BY = 120
INTERVAL = "1s"
CLUSTER = "cluster"
"""The scrape job of what is not scraped at the service itself."""


def run(*command: str | Path) -> str:
    """Run a program that must end with 0, and return what it said."""
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout + found.stderr


@pytest.mark.parametrize("pack", PACKS)
def test_a_pack_passes_check_without_any_finding(pack):
    loaded = load((LIBRARY / f"{pack}.yaml",), action_types=registry.settings_types(), lint=True)
    assert [problem.message for problem in loaded.problems] == []


def test_check_takes_a_pack_with_the_guard_toml_of_the_page(tmp_path):
    (tmp_path / "guard.toml").write_text(guard_toml_of_the_page())
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "my-service.yaml").write_text((LIBRARY / "payments.yaml").read_text())
    (tmp_path / "secrets").mkdir()
    for channel in ("slack", "pagerduty", "mail"):
        (tmp_path / "secrets" / channel).write_text("json://example.com/hook\n")
        (tmp_path / "secrets" / channel).chmod(0o600)
    said = run(sys.executable, "-m", "rollback_guard.cli", "check", tmp_path / "guard.toml")
    assert "warning" not in said
    assert "notice" not in said


def test_prometheus_accepts_the_rules_of_all_packs_once_our_own_keys_are_taken_out(tmp_path):
    files: list[Path] = [RECORDING]
    for pack in PACKS:
        groups = yaml.safe_load((LIBRARY / f"{pack}.yaml").read_text())["groups"]
        for group in groups:
            shared = group.pop("labels")  # Prometheus knows labels of a group since version 3
            for rule in group["rules"]:
                rule["labels"] = shared | rule["labels"]
                for key in OUR_KEYS:
                    rule.pop(key, None)
        files.append(tmp_path / f"{pack}.yaml")
        files[-1].write_text(yaml.safe_dump({"groups": groups}))
    assert run("promtool", "check", "rules", "--lint=all", "--lint-fatal", *files).count("SUCCESS") == len(files)


def test_each_pack_has_a_test_file_and_a_section_of_the_page_and_a_service_here():
    played = {path.name.removesuffix(".test.yaml") for path in (ROOT / "rules/tests/library").glob("*.test.yaml")}
    assert played == {*PACKS, "payments-last-week"}
    assert set(re.findall(r"^### ([a-z0-9-]+)\.yaml$", PAGE.read_text(), re.MULTILINE)) == set(PACKS)
    acting = {
        (pack, rule["alert"])
        for pack in PACKS
        for group in yaml.safe_load((LIBRARY / f"{pack}.yaml").read_text())["groups"]
        for rule in group["rules"]
        if rule["labels"]["severity"] == "critical"
    }
    assert {(pack, rule) for pack, (_, rules) in SERVICES.items() for rule in rules} == acting


def rules_for(trigger: Trigger) -> str:
    """Return a pack for one service, with names and a speed of its own."""
    rules = json.loads(
        accelerated(adopted(LIBRARY / f"{trigger.pack}.yaml", trigger.name), by=FASTER_BY, offset="keep")
    )
    for group in rules["groups"]:
        group["interval"] = INTERVAL
    return json.dumps(rules)


def adopted(path: Path, name: str) -> str:
    """Do with a file what its head tells people to do."""
    text = re.sub("my-(service|queue|group|sidekiq)", name, path.read_text()).replace("my-namespace", "shop")
    # A key `window` is a span of time to `accelerated`; as a label it is a text.
    return re.sub(r"(slo: [a-z]+, )window:", r"\1slo_window:", text).replace("window=", "slo_window=")


def guard_toml_of_the_page() -> str:
    (text,) = re.findall(r"^```toml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return text


def settings(service: Service, prometheus: str) -> str:
    """Return the guard.toml of the page, with its two actions for each service."""
    head, _, actions = guard_toml_of_the_page().replace("dry-run", "enforce").partition("[actions.")
    every = "\n".join(("[actions." + actions).replace("my-service", each.name) for each in triggers())
    return guard_toml(
        head + every,
        service=service,
        prometheus=prometheus,
        replace={"https://flags.internal": service.control_url, "https://deploy.internal": service.control_url},
        secrets=None,
        extra=NO_STORM,
    )


def past() -> Samples:
    """Return a few minutes of every service that was well, around the time to which its rule looks back."""
    found: dict[str, list[tuple[datetime, float]]] = {}
    for trigger in triggers():
        middle = datetime.now(UTC) - timedelta(minutes=trigger.past)
        times = [middle + timedelta(seconds=each) for each in range(-60, 180)] if trigger.past else []
        for line in trigger.well:
            labels = ",".join(f'{name}="{value}"' for name, value in line.labels.items())
            values = [(at, line.value * n if line.grows else line.value) for n, at in enumerate(times)]
            if values:
                found[f'{line.metric}{{{labels},instance="then"}}'] = values
    return found


class World:
    """The services of all triggers, where Prometheus and the actions find them."""

    def __init__(self, stack: ExitStack) -> None:
        self.apps = stack.enter_context(Service())
        """Those that are scraped themselves, flags, deployments and channels."""
        self.cluster = stack.enter_context(Service())
        """What others say of services: proxies, exporters, kube-state-metrics."""
        self._counting = {each.name: stack.enter_context(Counting()) for each in triggers() if each.pack == "payments"}
        for trigger in triggers():
            self.apps.flags[f"{trigger.name}-feature"] = True
            self.apps.deployments[trigger.name] = "v2"
            self._show(trigger, trigger.well)

    def jobs(self) -> Mapping[str, Service | Counting]:
        scraped = {line.labels["job"] for each in triggers() for line in each.well if "job" in line.labels}
        return {CLUSTER: self.cluster} | {job: self._counting.get(job, self.apps) for job in scraped}

    def break_all(self) -> None:
        """Break each service, to be cured by the last of the steps it needs."""
        for trigger in triggers():

            def cure(trigger: Trigger = trigger) -> None:
                self._show(trigger, trigger.well)

            self._show(trigger, trigger.broken)
            if trigger.steps[-1] == FLAG:
                self.apps.on_flag_off(f"{trigger.name}-feature", cure)
            else:
                self.apps.on_rollback(trigger.name, cure)

    def _show(self, trigger: Trigger, lines: tuple[Line, ...]) -> None:
        for line in lines:
            if "job" not in line.labels:
                line.show(self.cluster)
            elif counting := self._counting.get(line.labels["job"]):
                counting.show(line)
            else:
                line.show(self.apps)


def recorded(directory: Path, prometheus: Scraping) -> None:
    """Give Prometheus the recording rules of each service with an objective, before it is started."""
    config = json.loads((directory / "prometheus.yml").read_text())
    config["rule_files"] = [str(directory / "recording-*.yaml")]
    (directory / "prometheus.yml").write_text(json.dumps(config))
    for trigger in triggers():
        if trigger.pack == SLO:
            rules = json.loads(accelerated(adopted(RECORDING, trigger.name), by=FASTER_BY))
            for group in rules["groups"]:
                group["name"] += trigger.name
            (directory / f"recording-{trigger.name}.yaml").write_text(json.dumps(rules))


def test_every_rule_that_acts_makes_the_guard_act_until_it_helps(tmp_path):
    with ExitStack() as stack:
        world = World(stack)
        directory = tmp_path / "prometheus"
        prometheus = scraping(directory, world.jobs())
        recorded(directory, prometheus)
        stack.enter_context(prometheus.load(past()))
        daemon = Daemon(
            tmp_path / "guard",
            guard=settings(world.apps, prometheus.url),
            rules={f"{each.name}.yaml": rules_for(each) for each in triggers()},
        )
        guard = stack.enter_context(daemon)
        prometheus.wait_until("count(service:slo_errors:ratio) == 40")
        prometheus.wait_until("count(rate(http_requests_total[3s])) == 20")
        for trigger in triggers():
            order = {"guard": trigger.name, "version": "v2", "previous_version": "v1"}
            assert guard.post("/api/v1/rollouts", order)[0] == 200
        world.break_all()
        guards = {each.name for each in triggers()}
        guard.wait(
            lambda: guards <= {each["guard"] for each in world.apps.notices("team", "recovered")},
            f"the recovery of all {len(guards)} services",
        )
        for trigger in triggers():
            check(world.apps, guard, trigger)


def check(service: Service, guard: Daemon, trigger: Trigger) -> None:
    """See what the guard did for one service, and told people."""
    told = [each for each in service.notices("team") if each["guard"] == trigger.name and each["incident"]]
    opened = next(each for each in told if each["kind"] == "opened")
    seen = {
        "incidents": {each["incident"] for each in told},
        "began with": opened["data"]["rule"].rpartition("/")[2],
        "flag": [call.body for call in service.calls_to(f"/flags/{trigger.name}-feature", "PATCH")],
        "rollback": [call.body for call in service.calls_to(f"/deployments/{trigger.name}/rollback", "POST")],
        "ended with": told[-1]["kind"],
    }
    assert seen == {
        "incidents": {opened["incident"]},
        "began with": trigger.rule,
        "flag": [{"enabled": False}] * (FLAG in trigger.steps),
        "rollback": [{"to": "v1"}] * (ROLLBACK in trigger.steps),
        "ended with": "recovered",
    }, guard.explain(opened["incident"])
