"""The pack of the chatbot platform against a real Prometheus: every trigger is broken, and the guards mend it.

Each trigger has a platform of its own, all with the team's own files, side by side under one daemon.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from simulated import HANGS_UP, Daemon, Service, accelerated, guard_toml, scraping

ROOT = Path(__file__).parents[2]
RULES = ROOT / "rules" / "chatbot-platform.yaml"
PACK = ROOT / "deploy" / "teams" / "chatbot-platform"

RULE_OF = {
    "burnt": "ChatbotErrorBudgetBurnsFast",
    "leaking": "ChatbotErrorBudgetBurnsSlowly",
    "slow": "ChatbotAnswersSlow",
    "full": "ChatbotMemoryNearLimit",
    "down": "-live",
    "unready": "-ready",
    "locked": "-journey-login",
    "silent": "-journey-conversation",
    "tracked": "ChatbotErrorTracker",
    "unannounced": "-ready",
    "canary-errors": "ChatbotCanaryErrors",
    "canary-slow": "ChatbotCanarySlow",
}
"""What fires, by trigger. `unannounced` breaks like `unready`, and nobody told the guard of a rollout."""

CANARIES = ("canary-errors", "canary-slow")
ENDPOINTS = {
    "down": "health/live",
    "unready": "health/ready",
    "unannounced": "health/ready",
    "locked": "synthetic/login",
    "silent": "synthetic/conversation",
}
NO_STORM = "[limits]\nstorm = {guards = 100}\n"
"""That they all break at once is the test's doing."""


def named(text: str, trigger: str) -> str:
    """Give the platform of one trigger names of its own; metrics keep theirs."""
    return re.sub(r"\bchatbot\b", f"chatbot-{trigger}", text)


def guard_of(trigger: str) -> str:
    """Return the name of the guard that answers for a trigger."""
    return f"chatbot-{trigger}-{'canary' if trigger in CANARIES else 'platform'}"


def rules_for(trigger: str, service: Service) -> str:
    """Return the team's rule file for one platform; all of it for the first, else what its guard acts on."""
    text = RULES.read_text()
    for host in ("https://chatbot.example.com", "http://chatbot.example.com", "https://cdn.example.com"):
        assert host in text
        text = text.replace(host, f"{service.url}/{trigger}")
    rules = json.loads(accelerated(named(text, trigger), by=120, longest_range="12s"))
    if trigger == "burnt":
        return json.dumps(rules)
    rules["guards"] = [each for each in rules["guards"] if each["guard"] == guard_of(trigger)]
    selected = rules["guards"][0]["select"].items()
    rules["groups"] = [each for each in rules["groups"] if each["labels"].items() >= selected]
    for group in rules["groups"]:
        severity = group["labels"].get("severity")
        group["rules"] = [
            each for each in group["rules"] if each.get("labels", {}).get("severity", severity) in {None, "critical"}
        ]
    rules["groups"] = [each for each in rules["groups"] if each["rules"]]
    critical = selected | {("severity", "critical")}
    rules["probes"] = [each for each in rules["probes"] if each["labels"].items() >= critical]
    return json.dumps(rules)


def settings(service: Service, prometheus: str, home: Path) -> str:
    """Return the team's guard.toml with the actions of every platform."""
    text = (PACK / "guard.toml").read_text()
    start = text.index("[actions.")
    actions = "\n".join(named(text[start:], trigger) for trigger in RULE_OF)
    hosts = ("flags", "deploy", "traffic")
    return guard_toml(
        text[:start] + actions,
        service=service,
        prometheus=prometheus,
        replace={f"https://{host}.internal": service.control_url for host in hosts},
        secrets=home / "revealed",
        extra=NO_STORM,
    )


class Platform:
    """One of the platforms: what the simulated service shows of it, and how it is broken and mended."""

    def __init__(self, service: Service, trigger: str) -> None:
        self.service = service
        self.trigger = trigger
        self.api = f"chatbot-{trigger}-api"
        self.canary = f"chatbot-{trigger}-canary"
        self.flag = f"chatbot-{trigger}-release"

    def begin(self) -> None:
        """Be well."""
        service, pod = self.service, {"container": self.api, "namespace": "bots", "pod": "a", "job": self.api}
        service.flags[self.flag] = True
        service.deployments |= {self.api: "v2", self.canary: "v2"}
        for track, per_s in (("stable", 20.0), ("canary", 2.0)):
            service.rate("http_requests_total", per_s, job=self.api, track=track, code="200")
            self.answer(track, slow=0)
        service.gauge("container_memory_working_set_bytes", 500, **pod)
        service.gauge("kube_pod_container_resource_limits", 1000, resource="memory", **pod)
        service.gauge("kube_pod_container_info", 1, **pod)
        for path in ("health/live", "health/ready", "health/integrations"):
            service.health[f"/{self.trigger}/{path}"] = (200, {"status": "ok"})
        for path in ("synthetic/login", "synthetic/conversation"):
            service.health[f"/{self.trigger}/{path}"] = (200, {"status": "passed"})
        service.health[f"/{self.trigger}/"] = (301, "")
        service.health[f"/{self.trigger}/chatbot-{self.trigger}/widget.js"] = (200, "'use strict'")

    def fail(self, per_s: float, track: str = "stable") -> None:
        """Let so many requests fail, beside those that do not."""
        self.service.rate("http_requests_total", per_s, job=self.api, track=track, code="500")

    def answer(self, track: str, *, slow: float) -> None:
        """Let this share of the answers take longer than 2.5 s."""
        name, labels = "http_request_duration_seconds", {"job": self.api, "track": track}
        self.service.rate(f"{name}_count", 10, **labels)
        self.service.rate(f"{name}_bucket", 10 * (1 - slow), le="2.5", **labels)

    def use_memory(self, amount: float) -> None:
        """Let the pod use so much of its 1000."""
        pod = {"container": self.api, "namespace": "bots", "pod": "a", "job": self.api}
        self.service.gauge("container_memory_working_set_bytes", amount, **pod)

    def break_down(self, guard: Daemon) -> Callable[[], object]:
        """Break in the way of the trigger, and return what mends it."""
        match self.trigger:
            case "burnt":
                self.fail(5)
                return lambda: self.fail(0)
            case "leaking":
                self.fail(0.2)  # a burn rate of 10: too little for the fast pair
                return lambda: self.fail(0)
            case "slow":
                self.answer("stable", slow=0.2)
                return lambda: self.answer("stable", slow=0)
            case "full":
                self.use_memory(950)
                return lambda: self.use_memory(400)
            case "tracked":
                labels = {"service": f"chatbot-{self.trigger}", "scope": "platform"}
                guard.signal("ChatbotErrorTracker", **labels)
                return lambda: guard.signal("ChatbotErrorTracker", status="resolved", **labels)
            case "canary-errors":
                self.fail(1, "canary")
                return lambda: self.fail(0, "canary")
            case "canary-slow":
                self.answer("canary", slow=0.3)
                return lambda: self.answer("canary", slow=0)
        path = f"/{self.trigger}/{ENDPOINTS[self.trigger]}"
        well, health = self.service.health[path], self.service.health
        health[path] = HANGS_UP if self.trigger == "down" else (200, {"status": "failed"})
        return lambda: health.update({path: well})

    def switch_off(self) -> list[Any]:
        """Return the calls of the first step."""
        if self.trigger in CANARIES:
            return self.service.calls_to(f"/actions/stop-{self.canary}", "POST")
        return self.service.calls_to(f"/flags/{self.flag}", "PATCH")

    def rollbacks(self) -> list[Any]:
        """Return the calls of the second step."""
        deployment = self.canary if self.trigger in CANARIES else self.api
        return self.service.calls_to(f"/deployments/{deployment}/rollback", "POST")


def release(guard: Daemon, *guards: str) -> None:
    """Begin rollouts as the team's pipeline does."""
    program = Path(sys.executable).with_name("rollback-guard")
    command = [program, "rollout", "start", *guards, "--version", "v2", "--previous-version", "v1"]
    environ = {"ROLLBACK_GUARD_URL": f"http://127.0.0.1:{guard.port}"}
    found = subprocess.run(command, env=os.environ | environ, capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stderr


def test_every_trigger_turns_the_release_off_and_back_and_the_canary_away_and_people_hear_of_it(tmp_path):
    home = tmp_path / "guard"
    with Service() as service:
        platforms = {trigger: Platform(service, trigger) for trigger in RULE_OF}
        for platform in platforms.values():
            platform.begin()
        jobs = {platform.api: service for platform in platforms.values()}
        with scraping(tmp_path / "prometheus", jobs) as prometheus:
            daemon = Daemon(
                home,
                guard=settings(service, prometheus.url, home),
                rules={f"{trigger}.yaml": rules_for(trigger, service) for trigger in RULE_OF},
                pack=PACK,
            )
            counted = 'sum by (job) (rate(http_requests_total{job=~"chatbot-.*"}[3s])) > 20'
            prometheus.wait_until(f"count({counted}) == {len(jobs)}")
            with daemon as guard:
                begin_rollouts(guard)
                see_what_burns_nothing(guard)
                for trigger, platform in platforms.items():
                    mend = platform.break_down(guard)
                    if trigger == "canary-errors":
                        service.on_action(f"stop-{platform.canary}", mend)
                    elif trigger == "canary-slow":
                        service.on_rollback(platform.canary, mend)
                    else:
                        service.on_rollback(platform.api, mend)
                for platform in platforms.values():
                    check(guard, platform)


def begin_rollouts(guard: Daemon) -> None:
    """Tell every guard but one of the release."""
    release(guard, guard_of("burnt"), guard_of("canary-errors"))
    for trigger in RULE_OF:
        if trigger not in {"burnt", "canary-errors", "unannounced"}:
            order = {"guard": guard_of(trigger), "version": "v2", "previous_version": "v1"}
            assert guard.post("/api/v1/rollouts", order)[0] == 200


def see_what_burns_nothing(guard: Daemon) -> None:
    """While all is well both windows of a burn rate have a value, which an `and` would not have."""
    for alert in ("ChatbotErrorBudgetBurnsFast", "ChatbotErrorBudgetBurnsSlowly", "ChatbotErrorBudgetLeaks"):
        rule = guard.rule(f"chatbot-burnt-{GROUP_OF[alert]}/{alert}")
        assert (rule["verdict"], rule["value"]) == ("pass", 0), rule


GROUP_OF = {
    "ChatbotErrorBudgetBurnsFast": "slo",
    "ChatbotErrorBudgetBurnsSlowly": "slo-slow",
    "ChatbotErrorBudgetLeaks": "slo-ticket",
}


def check(guard: Daemon, platform: Platform) -> None:
    """See what a guard did at the service, what came of it, and whom it told."""
    trigger, name = platform.trigger, guard_of(platform.trigger)
    decision = "hand_over" if trigger == "unannounced" else "recovered"
    incident = guard.wait_incident(name, rule=RULE_OF[trigger], decision=decision)
    wanted = "playbook_exhausted" if trigger == "unannounced" else "verified"
    assert incident["reason"] == wanted, guard.explain(incident["id"])

    (off,) = platform.switch_off()
    assert off.headers["Authorization"] in {"Bearer secret-flags-token", "Bearer secret-deploy-token"}
    rollbacks = platform.rollbacks()
    if trigger in {"unannounced", "canary-errors"}:
        assert rollbacks == []  # nobody said what to go back to; the canary was all that was wrong
    else:
        (back,) = rollbacks
        assert back.body == {"to": "v1"}
        assert back.headers["Authorization"] == "Bearer secret-deploy-token"
        assert off.at < back.at

    last = "handed_over" if trigger == "unannounced" else "recovered"
    for channel in ("slack", "pagerduty") if trigger in CANARIES else ("slack", "email", "pagerduty"):
        guard.wait(
            lambda channel=channel: last in kinds(guard, platform, channel), f"{channel} to hear {last} of {name}"
        )
        assert kinds(guard, platform, channel).count("opened") == 1


def kinds(guard: Daemon, platform: Platform, channel: str) -> list[str]:
    """Return what kinds of notices a channel got from the guard of a platform."""
    name = guard_of(platform.trigger)
    return [each["kind"] for each in platform.service.notices(channel) if each["guard"] == name]
