"""The simulated service that the teams' packs are tried on does what their tests believe of it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest
import yaml

from chaos.process import wait_for
from simulated import HANGS_UP, Daemon, Health, Service, accelerated, guard_toml, scraping

GUARD = """
[guard]
name = "shop"
rules = ["../../rules/shop.yaml"]
[prometheus]
url = "https://prometheus.internal"
bearer_token_file = "/run/secrets/prometheus"
[notify.oncall]
url_file = "/run/secrets/pagerduty"
[notify.lead]
url_file = "/run/secrets/mail"
[actions.disable-x]
type = "http"
method = "PATCH"
url = "https://flags.internal/flags/x"
headers = { Authorization = "Bearer ${file:/run/secrets/flags}" }
json = { enabled = false }
[actions.disable-x.inspect]
expect = { json = { enabled = false } }
"""

RULES = """
groups:
  - name: shop
    interval: 30s
    labels: {service: shop}
    rules:
      - alert: Errors
        expr: sum(rate(x_total{job="api", code="500"}[1m])) / sum(rate(x_total{job="api"}[1m])) > 0.02
        when: sum(rate(x_total{job="api"}[1m])) > 1
        for: 5m
        labels: {severity: critical}
      - alert: SlowerThanYesterday
        expr: |
          histogram_quantile(0.95, sum by (le) (rate(d_bucket[5m])))
            > 2 * histogram_quantile(0.95, sum by (le) (rate(d_bucket[5m] offset 1d)))
        labels: {severity: warning}
probes:
  - {probe: live, url: "https://shop.internal/live", interval: 30s, timeout: 5s, expect: {tls_valid_for: 60d, latency_below: 2s}}
guards:
  - guard: shop
    select: {service: shop}
    signals: [Corrupt]
    playbook:
      - {action: disable-x, timeout: 1m, verify: {within: 3m, stable_for: 1m}}
      - {notify: [lead], verify: {within: 3m, stable_for: 1m}}
    limits: {cooldown: 15m}
    notify: {warning: [oncall], critical: [oncall]}
    escalate: [{after: 5m, notify: [lead]}]
"""


def ask(url: str, method: str = "GET", body: object = None, key: str = "") -> tuple[int, object]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, method=method, data=data, headers={"Idempotency-Key": key} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.fixture
def service():
    with Service() as running:
        yield running


def test_a_file_in_which_time_passes_faster_keeps_its_thresholds_and_its_tolerances():
    found = yaml.safe_load(accelerated(RULES, by=60, offset={"1d": "12s"}))
    errors, slower = found["groups"][0]["rules"]
    assert found["groups"][0]["interval"] == "1s"
    assert errors["for"] == "5s"
    assert "[3s]" in errors["expr"]
    assert errors["expr"].endswith("> 0.02")
    assert errors["when"].count("[3s]") == 1
    assert "[5s] offset 12s" in slower["expr"]
    (probe,) = found["probes"]
    assert probe["timeout"] == "1s"
    assert probe["expect"]["latency_below"] == "2s"
    assert probe["expect"]["tls_valid_for"] == "60d"
    (guard,) = found["guards"]
    assert guard["playbook"][0]["timeout"] == "1m"
    assert guard["playbook"][0]["verify"] == {"within": "7s", "stable_for": "1s"}
    assert guard["limits"]["cooldown"] == "15s"
    assert guard["escalate"][0]["after"] == "5s"


def test_flags_deployments_and_actions_are_changed_once_per_key_and_cure(service):
    cured = []
    service.flags = {"x": True, "y": True}
    service.deployments = {"api": "v2"}
    service.on_flag_off("x", lambda: cured.append("x"))
    service.on_rollback("api", lambda: cured.append("api"))
    service.on_action("purge", lambda: cured.append("purge"))
    url = service.control_url
    assert ask(f"{url}/flags/x", "PATCH", {"enabled": False}, "a") == (200, {"flag": "x", "enabled": False})
    assert ask(f"{url}/flags/x", "PATCH", {"enabled": False}, "a") == (200, {"flag": "x", "enabled": False})
    assert ask(f"{url}/flags") == (200, {"x": False, "y": True})
    assert ask(f"{url}/flags/z", "PATCH", {"enabled": False})[0] == 404
    assert ask(f"{url}/deployments/api/rollback", "POST", {"to": "v1"}, "b")[0] == 200
    assert ask(f"{url}/deployments/api") == (200, {"deployment": "api", "version": "v1"})
    assert ask(f"{url}/actions/purge") == (200, {"action": "purge", "done": False})
    assert ask(f"{url}/actions/purge", "POST", {}, "c")[0] == 200
    assert ask(f"{url}/actions/purge") == (200, {"action": "purge", "done": True})
    assert cured == ["x", "api", "purge"]
    assert [call.key for call in service.calls_to("/flags/x", "PATCH")] == ["a", "a"]
    service.refuses["POST /actions/purge"] = 500
    assert ask(f"{url}/actions/purge", "POST", {})[0] == 500


def test_health_answers_hangs_up_and_goes_down_as_the_test_says(service):
    service.health = {"/ready": (503, {"status": "down"}), "/hung": HANGS_UP, "/slow": Health(after_s=0.2)}
    assert ask(f"{service.url}/ready") == (503, {"status": "down"})
    assert ask(f"{service.url}/none")[0] == 404
    assert ask(f"{service.url}/slow") == (200, {"status": "ok"})
    with pytest.raises(OSError, match=r"closed|reset"):
        ask(f"{service.url}/hung")
    service.go_down()
    with pytest.raises(OSError, match="refused"):
        ask(f"{service.url}/ready")
    service.come_up()
    assert ask(f"{service.url}/ready")[0] == 503


def test_a_teams_files_run_against_it_from_the_breach_to_the_cure(service, tmp_path):
    service.health["/live"] = Health()
    service.flags["x"] = True
    service.rate("x_total", 50, job="api", code="200")
    service.latency("d", 0.2)
    service.on_flag_off("x", lambda: service.rate("x_total", 0, job="api", code="500"))
    replace = {"https://flags.internal": service.control_url}
    rules = accelerated(RULES, by=300, replace={"https://shop.internal": service.url})
    with scraping(tmp_path / "prometheus", {"api": service, "db": service}) as prometheus:
        guard = guard_toml(
            GUARD, service=service, prometheus=prometheus.url, replace=replace, secrets=tmp_path / "secrets"
        )
        with Daemon(tmp_path / "guard", guard=guard, rules={"shop.yaml": rules}) as daemon:
            prometheus.wait_until('sum(rate(x_total{job="api"}[4s])) > 45 < 55')
            prometheus.wait_until("histogram_quantile(0.95, sum by (le) (rate(d_bucket[4s]))) > 0.15 < 0.3")
            assert not prometheus.ask('x_total{job="db"}')
            service.rate("x_total", 5, job="api", code="500")
            daemon.wait_incident("shop", rule="Errors", decision="recovered")
            (off,) = service.calls_to("/flags/x", "PATCH")
            assert off.headers["Authorization"] == "Bearer secret-flags"
            assert off.key.startswith("shop-")
            assert service.flags == {"x": False}
            wait_for(lambda: service.notices("oncall", "recovered"), "the notice", log=daemon.log)
            assert "recovered" in daemon.explain(daemon.incident("shop")["id"])
            daemon.signal("Corrupt", service="shop")
            assert daemon.rule("Errors")["phase"] == "inactive"
