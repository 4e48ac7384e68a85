"""BookedBarber's go-live, end to end: each of its five triggers breaches, all of them at once, each in a copy of the pack.

A copy has a simulated service, a guard and actions of its own; Prometheus and the daemon they share.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import ssl
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from accelerate import toml
from rollback_guard.adapters.actions import registry
from rollback_guard.config.load import load
from simulated import HANGS_UP, Daemon, Health, Service, accelerated, guard_toml, scraping

ROOT = Path(__file__).parents[2]
PACK = ROOT / "deploy" / "teams" / "bookedbarber"
RULES = (ROOT / "rules" / "bookedbarber-go-live.yaml").read_text()

COPIES = ("errors", "payments", "downtime", "corruption", "breach", "metrics")
FASTER = dict.fromkeys(COPIES, 240) | {"errors": 120, "downtime": 120}
"""How much faster than life: the four levels of escalation take an hour."""

NEW, OLD = "v2.0.0", "v1.9.3"

LAUNCH_SCRIPTS = {
    "emergency-rollback.sh": """#!/bin/sh
[ "$1" = --confirm-rollback ] || exit 2
for part in backend frontend; do
    curl -fsS -H "Idempotency-Key: $ROLLBACK_GUARD_KEY" -d "{\\"to\\": \\"$ROLLBACK_TO\\"}" \
        "$DEPLOY_API/deployments/bookedbarber-$part/rollback" || exit 1
done
""",
    "invalidate-cache.sh": """#!/bin/sh
curl -fsS -H "Idempotency-Key: $ROLLBACK_GUARD_KEY" -d "{}" "$DEPLOY_API/actions/purge-cache"
""",
    "revert-dns.sh": """#!/bin/sh
curl -fsS -H "Idempotency-Key: $ROLLBACK_GUARD_KEY" -d "{}" "$DEPLOY_API/actions/revert-dns"
""",
}


@dataclass(frozen=True)
class World:
    """The daemon, and the services of the copies; `people` takes the notices of them all."""

    daemon: Daemon
    services: Mapping[str, Service]
    people: Service

    def notices(self, copy: str, channel: str = "", kind: str = "") -> list[dict[str, Any]]:
        return [each for each in self.people.notices(channel, kind) if each["guard"] == name(copy)]

    def ended(self, copy: str, decision: str) -> dict[str, Any]:
        return self.daemon.wait_incident(name(copy), decision=decision)

    def actions(self, copy: str) -> list[tuple[str, str]]:
        """Return what the guard of a copy did, and how it ended."""
        incident = self.daemon.incident(name(copy))
        return [(each["action"].removesuffix(f"-{copy}"), each["outcome"]) for each in incident["intents"]]

    def rolled_back(self, copy: str) -> list[str]:
        calls = self.services[copy].calls_to("/deployments/", "POST")
        assert all(call.key.startswith(name(copy)) for call in calls)
        return [call.path.split("/")[2] for call in calls]


def name(copy: str) -> str:
    return f"bookedbarber-{copy}"


def serve_well(service: Service, copy: str) -> None:
    job = f"{name(copy)}-api"
    service.rate("http_requests_total", 100, job=job, status="200", handler="/api/v1/bookings")
    service.rate("payments_total", 60, job=job, result="succeeded")
    service.latency("http_request_duration_seconds", 0.1, per_s=100, buckets=(0.05, 0.1, 0.15, 0.2, 0.5, 1), job=job)
    service.health = healthy(copy)
    service.deployments = {"bookedbarber-backend": NEW, "bookedbarber-frontend": NEW}


def healthy(copy: str) -> dict[str, Health]:
    return {"/health": Health(body={"status": "healthy"}), "/": Health(body=f"<title>{name(copy)}</title>")}


def rules_of(copy: str, service: Service, tls: str, ca_file: Path) -> str:
    addresses = {
        "https://api.bookedbarber.com/health": f"{service.url}/health",
        "https://bookedbarber.com/": f"{service.url}/",
    }
    text = RULES
    for old, new in addresses.items():
        text = text.replace(old, new)
    rules = json.loads(accelerated(text.replace("bookedbarber", name(copy)), by=FASTER[copy]))
    if copy == "metrics":
        for probe in rules["probes"]:
            if probe["probe"].endswith("-certificate"):
                probe |= {"url": tls, "ca_file": str(ca_file)}
                probe["expect"]["tls_valid_for"] = "60d"  # as it was, before the URL was one without TLS
    else:  # one whole copy is enough
        rules["groups"] = [each for each in rules["groups"] if each["name"].endswith("-triggers")]
        rules["probes"] = [each for each in rules["probes"] if each["probe"].endswith("-down")]
        rules["guards"] = [each for each in rules["guards"] if each["guard"] == name(copy)]
    for guard in rules["guards"]:
        for step in guard["playbook"]:
            if "action" in step:
                step["action"] += f"-{copy}"
            if "approve" in step:
                step["approve"] = "5m"  # people are no faster
    return json.dumps(rules)


def settings(home: Path, services: Mapping[str, Service], people: Service, prometheus: str) -> str:
    """Return the team's guard.toml with the actions of each copy, each leading to that copy's service."""
    found: dict[str, Any] = {}
    for copy, service in services.items():
        addresses = {
            "https://deploy.bookedbarber.internal": service.control_url,
            "https://api.bookedbarber.com https://bookedbarber.com": service.url,
        }
        text = (PACK / "guard.toml").read_text()
        made = guard_toml(text, service=people, prometheus=prometheus, replace=addresses, secrets=home / "secrets")
        data = tomllib.loads(made)
        found = found or data | {"actions": {}, "limits": {"storm": {"guards": 100}}}
        found["actions"] |= {f"{action}-{copy}": keys for action, keys in data["actions"].items()}
    return toml(found)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("bookedbarber")
    scripts = home / "launch" / "scripts"
    scripts.mkdir(parents=True)
    for script, text in LAUNCH_SCRIPTS.items():
        (scripts / script).write_text(text)
        (scripts / script).chmod(0o755)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(home / "ca.pem")
    with contextlib.ExitStack() as stack:
        services = {copy: stack.enter_context(Service()) for copy in COPIES}
        people = stack.enter_context(Service())
        for copy, service in services.items():
            serve_well(service, copy)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", not_after=datetime.now(UTC) + timedelta(days=30)).configure_cert(context)
        tls = services["metrics"].listen_tls(context)
        jobs = {f"{name(copy)}-api": service for copy, service in services.items()}
        prometheus = stack.enter_context(scraping(home / "prometheus", jobs))
        daemon = Daemon(
            home / "guard",
            pack=PACK,
            guard=settings(home, services, people, prometheus.url),
            rules={f"{copy}.yaml": rules_of(copy, services[copy], tls, home / "ca.pem") for copy in COPIES},
        )
        stack.enter_context(pytest.MonkeyPatch.context()).setenv("LAUNCH_DIR", str(scripts.parent))
        stack.enter_context(daemon)
        for copy in COPIES:
            wait_until_seen(daemon, copy)
            daemon.order("/api/v1/rollouts", guard=name(copy), version=NEW, previous_version=OLD)
        breach(services, daemon)
        yield World(daemon, services, people)
        daemon.stop()


def wait_until_seen(daemon: Daemon, copy: str) -> None:
    for rule in ("BookedBarberErrorRate", "BookedBarberPaymentFailures"):
        id_ = f"{name(copy)}-triggers/{rule}"
        daemon.wait(lambda id_=id_: daemon.rule(id_).get("verdict") == "pass", f"{id_} to pass")


def breach(services: Mapping[str, Service], daemon: Daemon) -> None:
    """Let everything go wrong at once, and say what cures it."""
    it = services["errors"]
    it.rate("http_requests_total", 3, job=f"{name('errors')}-api", status="500", handler="/api/v1/bookings")
    it.on_rollback(
        "bookedbarber-frontend",
        lambda it=it: it.rate(
            "http_requests_total", 0, job=f"{name('errors')}-api", status="500", handler="/api/v1/bookings"
        ),
    )
    it = services["payments"]
    it.rate("payments_total", 3, job=f"{name('payments')}-api", result="failed")
    it.on_action(
        "revert-dns", lambda it=it: it.rate("payments_total", 0, job=f"{name('payments')}-api", result="failed")
    )
    it = services["downtime"]
    it.health["/"] = HANGS_UP
    it.go_down()
    it.on_rollback("bookedbarber-frontend", lambda it=it: (it.health.update(healthy("downtime")), it.come_up()))
    it = services["metrics"]
    it.latency(
        "http_request_duration_seconds",
        0.4,
        per_s=100,
        buckets=(0.05, 0.1, 0.15, 0.2, 0.5, 1),
        job=f"{name('metrics')}-api",
    )
    for copy, alert in (("corruption", "DataCorruption"), ("breach", "SecurityBreach")):
        daemon.signal(alert, service=name(copy), watch="triggers")


def test_corrupt_data_is_restored_only_when_a_person_approves(world):
    service, guard = world.services["corruption"], name("corruption")
    world.daemon.wait_incident(guard, phase="waiting")
    assert world.rolled_back("corruption") == ["bookedbarber-backend", "bookedbarber-frontend"]
    assert not service.calls_to("/actions/restore-database", "POST")
    world.daemon.order("/api/v1/approve", guard=guard, reason="the backup of 6:45 AM is good")
    (restored,) = world.daemon.wait(lambda: service.calls_to("/actions/restore-database", "POST"), "the restore")
    assert restored.headers["Authorization"] == "Bearer secret-deploy"
    assert restored.body["recovery_point"] == "pre-launch"
    world.daemon.signal("DataCorruption", status="resolved", service=guard, watch="triggers")
    world.ended("corruption", "recovered")
    assert world.actions("corruption") == [("emergency-rollback", "succeeded"), ("restore-database", "succeeded")]


def test_errors_above_one_percent_roll_the_release_back_and_the_guard_sees_that_this_helped(world):
    incident = world.ended("errors", "recovered")
    assert incident["rules"] == ["bookedbarber-errors-triggers/BookedBarberErrorRate"]
    assert world.actions("errors") == [("emergency-rollback", "succeeded")]
    assert world.rolled_back("errors") == ["bookedbarber-backend", "bookedbarber-frontend"]
    assert set(world.services["errors"].deployments.values()) == {OLD}
    for channel in ("technical-lead", "devops-lead", "war-room"):
        world.daemon.wait(lambda to=channel: world.notices("errors", to, "recovered"), f"the notice to {channel}")
    (seen,) = world.notices("errors", "status-page", "opened")
    assert seen["title"] == "We are looking into a problem with bookings"
    (seen,) = world.daemon.wait(lambda: world.notices("errors", "status-page", "recovered"), "the status page")
    assert seen["title"] == "Bookings work again"
    told = [each["kind"] for each in world.notices("errors", "status-page")]
    assert told == ["opened", "recovered"], "customers read two sentences"
    assert seen["body"] == "The problem is solved."


def test_failing_payments_are_cured_by_the_second_stage_where_the_first_does_not_help(world):
    world.ended("payments", "recovered")
    assert world.actions("payments") == [("emergency-rollback", "succeeded"), ("restore-system", "succeeded")]
    rolled_back = world.services["payments"].calls_to("/deployments/bookedbarber-frontend/rollback")
    purged, reverted = world.services["payments"].calls_to("/actions/", "POST")
    assert [purged.path, reverted.path] == ["/actions/purge-cache", "/actions/revert-dns"]
    assert rolled_back[0].at < purged.at < reverted.at


def test_downtime_of_api_and_website_rolls_the_release_back_once(world):
    incident = world.ended("downtime", "recovered")
    assert set(incident["rules"]) <= {"probe/bookedbarber-downtime-api-down", "probe/bookedbarber-downtime-web-down"}
    assert world.actions("downtime") == [("emergency-rollback", "succeeded")]
    assert world.rolled_back("downtime") == ["bookedbarber-backend", "bookedbarber-frontend"]


def test_a_security_breach_that_no_rollback_cures_is_handed_over_and_climbs_all_four_levels(world):
    guard = name("breach")
    world.ended("breach", "hand_over")
    assert world.actions("breach")[:2] == [("emergency-rollback", "succeeded"), ("restore-system", "succeeded")]
    assert not world.services["breach"].calls_to("/actions/restore-database", "POST"), "no data is corrupt"
    levels = {
        "product-manager": 1,
        "security-lead": 1,
        "executive-team": 2,
        "external-partners": 3,
        "legal": 3,
    }
    for channel, level in levels.items():
        (notice,) = world.daemon.wait(
            lambda to=channel: world.notices("breach", to, "escalated"), f"{channel} to be called"
        )
        assert notice["data"]["level"] in (level, str(level)), notice["data"]
    assert world.notices("breach", "customer-support", "telling")
    assert "SecurityBreach" in world.daemon.explain(world.daemon.incident(guard)["id"])


def test_slow_requests_and_an_old_certificate_call_people_and_roll_nothing_back(world):
    guard = "bookedbarber-metrics-success-metrics"
    incident = world.daemon.wait_incident(guard, rule="BookedBarberApiSlow")
    assert all(intent["notify"] for intent in incident["intents"])
    about = "probe/bookedbarber-metrics-api-certificate"
    world.daemon.wait(
        lambda: [each for each in world.people.notices("war-room", "warning") if each["data"].get("rule") == about],
        "the war room to hear of the certificate",
    )
    assert world.daemon.incident(name("metrics")) is None
    assert world.rolled_back("metrics") == []


def test_the_pack_passes_every_check_where_its_secrets_are(tmp_path):
    shutil.copytree(PACK, tmp_path / "pack")
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    text = (PACK / "guard.toml").read_text().replace("../../../rules", str(ROOT / "rules"))
    for secret in re.findall(r"/run/secrets/bookedbarber/([\w-]+)", text):
        (secrets / secret).write_text("https://hooks.example.com/x\n")
    path = tmp_path / "pack" / "guard.toml"
    path.write_text(text.replace("/run/secrets/bookedbarber", str(secrets)))
    found = load((path,), action_types=registry.settings_types())
    assert [problem.render() for problem in found.problems] == []
    assert all(os.access(script, os.X_OK) for script in PACK.glob("*.sh"))
