"""My Hibachi's pack, end to end: each trigger breaks a simulated My Hibachi of its own.

The pack's own files are used: the rules with time divided, guard.toml with the addresses replaced, release.sh and
start-batch.sh as they are. There is one daemon; see `tests/copies.py`.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from copies import renamed, rules_of, settings_of
from rollback_guard.adapters.actions import registry
from rollback_guard.config.load import load
from simulated import Daemon, Service, accelerated, guard_toml, scraping

REPOSITORY = Path(__file__).parents[2]
PACK = REPOSITORY / "deploy" / "teams" / "my-hibachi"
RULES = REPOSITORY / "rules" / "my-hibachi-batches.yaml"
NAME = "my-hibachi"
FASTER = 240

API = "https://api.my-hibachi.example"
PLAIN = "http://api.my-hibachi.example"
FLAGS = (
    "FEATURE_CORE_API", "FEATURE_AUTH", "FEATURE_CLOUDFLARE_TUNNEL", "FEATURE_RBAC", "FEATURE_AUDIT_TRAIL",
    "FEATURE_SOFT_DELETE", "FEATURE_FAILED_BOOKING_LEAD_CAPTURE", "FEATURE_STRIPE_PAYMENTS", "FEATURE_DYNAMIC_PRICING",
    "FEATURE_AI_CHAT", "FEATURE_RINGCENTRAL", "FEATURE_META_MESSAGING", "FEATURE_GOOGLE_MESSAGES", "FEATURE_ADVANCED_AI",
    "FEATURE_CUSTOMER_REVIEWS", "FEATURE_SHADOW_LEARNING", "FEATURE_TRAINING_EXPORT", "FEATURE_LOYALTY",
    "FEATURE_GOOGLE_SYNC",
)  # fmt: skip
HEALTH = ("/health", "/health/ready", "/health/live")
BOOKINGS = {"handler": "/api/bookings", "method": "POST"}


class MyHibachi(Service):
    """The API in the release v2, whose batch went live a moment ago."""

    def __init__(self) -> None:
        super().__init__()
        self.flags = dict.fromkeys(FLAGS, True)
        self.deployments = {"api": "v2"}
        self.health |= dict.fromkeys(HEALTH, (200, {"status": "ok"}))
        self.health |= {"/api/admin/users": (401, {}), "/api/customers": (403, {})}
        self.rate("http_requests_total", 50, status="2xx", **BOOKINGS)
        self.rate("audit_log_entries_total", 50)
        self.latency("http_request_duration_seconds", 0.2, per_s=50)
        self.gauge("probe_success", 0)

    @property
    def off(self) -> set[str]:
        """The flags that are off."""
        return {flag for flag, enabled in self.flags.items() if not enabled}


Change = Callable[[MyHibachi], object]


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """What breaks, and what cures it: a flag, the release before, or, with neither, people; `signal` is said to be so."""

    batch: int
    rule: str
    breaks: Change = lambda _: None
    cure: Change = lambda _: None
    flag: str = ""
    action: str = ""
    is_signal: bool = False

    @property
    def guard(self) -> str:
        return f"{NAME}-batch-{self.batch}"


def counter(name: str, bad: float = 5.0, good: float = 0.0, /, **labels: str) -> tuple[Change, Change]:
    """Return how a counter begins to grow, and how it ends to."""
    return (lambda it: it.rate(name, bad, **labels), lambda it: it.rate(name, good, **labels))


def share(name: str, bad: dict[str, str], good: dict[str, str]) -> tuple[Change, Change]:
    """Return how a third of something fails, and how nobody uses it any more."""

    def breaks(it: MyHibachi) -> None:
        it.rate(name, 5, **bad)
        it.rate(name, 10, **good)

    def cure(it: MyHibachi) -> None:
        it.rate(name, 0, **bad)
        it.rate(name, 0, **good)

    return breaks, cure


def answers(path: str, bad: int, good: int) -> tuple[Change, Change]:
    return (lambda it: it.health.update({path: (bad, {})}), lambda it: it.health.update({path: (good, {})}))


def latency(name: str, bad: float, good: float) -> tuple[Change, Change]:
    return (lambda it: it.latency(name, bad, per_s=50), lambda it: it.latency(name, good, per_s=50))


def gauge(name: str, bad: float, good: float) -> tuple[Change, Change]:
    return (lambda it: it.gauge(name, bad), lambda it: it.gauge(name, good))


def release(rule: str, change: tuple[Change, Change]) -> Trigger:
    return Trigger(batch=1, rule=rule, breaks=change[0], cure=change[1], action="release-back")


def flag(batch: int, rule: str, name: str, change: tuple[Change, Change]) -> Trigger:
    action = name.removeprefix("FEATURE_").removeprefix("FAILED_BOOKING_").lower().replace("_", "-")
    return Trigger(batch=batch, rule=rule, breaks=change[0], cure=change[1], flag=name, action=f"{action}-off")


OK, ERROR = {"result": "ok"}, {"result": "error"}


def message(channel: str) -> tuple[Change, Change]:
    return share("communications_total", ERROR | {"channel": channel}, OK | {"channel": channel})


TRIGGERS = {
    "error-rate": release("HibachiErrorRate", counter("http_requests_total", 1, status="5xx", **BOOKINGS)),
    "latency": release("HibachiLatencyAverage", latency("http_request_duration_seconds", 2.0, 0.2)),
    "route": release("HibachiRouteFailing", counter("http_requests_total", 5, status="5xx", handler="/api/quote/calculate", method="POST")),
    "health": release("my-hibachi-health", answers("/health", 503, 200)),
    "ready": release("my-hibachi-ready", answers("/health/ready", 503, 200)),
    "live": release("my-hibachi-live", answers("/health/live", 500, 200)),
    "rbac": release("my-hibachi-rbac", answers("/api/admin/users", 200, 401)),
    "critical-bug": Trigger(batch=1, rule="HibachiCriticalBug", action="release-back", is_signal=True),
    "lead-capture": flag(1, "HibachiLeadCaptureFails", "FEATURE_FAILED_BOOKING_LEAD_CAPTURE", share("lead_captures_total", ERROR, OK)),
    "payment-errors": flag(2, "HibachiPaymentErrors", "FEATURE_STRIPE_PAYMENTS", counter("payments_total", **ERROR)),
    "doubled": flag(2, "HibachiPaymentDoubled", "FEATURE_STRIPE_PAYMENTS", counter("payments_duplicate_total", 1)),
    "webhooks": flag(2, "HibachiStripeWebhooksFail", "FEATURE_STRIPE_PAYMENTS", share("stripe_webhook_events_total", ERROR, OK)),
    "price": flag(2, "HibachiPriceNegative", "FEATURE_DYNAMIC_PRICING", gauge("pricing_price_dollars", -5, 55)),
    "reconciliation": Trigger(batch=2, rule="HibachiReconciliationMismatch", flag="FEATURE_STRIPE_PAYMENTS",
                              action="stripe-payments-off", is_signal=True),
    "chat-slow": flag(3, "HibachiChatSlow", "FEATURE_AI_CHAT", (latency("ai_chat_response_seconds", 15, 1)[0],
                                                               lambda it: it.latency("ai_chat_response_seconds", 1, per_s=0))),
    "chat-errors": flag(3, "HibachiChatErrors", "FEATURE_AI_CHAT", share("ai_chat_requests_total", ERROR, OK)),
    "ringcentral": flag(4, "HibachiRingCentralFails", "FEATURE_RINGCENTRAL", message("sms")),
    "forged": flag(4, "HibachiForgedWebhook", "FEATURE_RINGCENTRAL",
                   counter("communications_webhooks_total", 1, signature="invalid", accepted="true")),
    "meta": flag(4, "HibachiMetaFails", "FEATURE_META_MESSAGING", message("whatsapp")),
    "google": flag(4, "HibachiGoogleMessagesFail", "FEATURE_GOOGLE_MESSAGES", message("google")),
    "tools": flag(5, "HibachiToolCallsFail", "FEATURE_ADVANCED_AI", share("ai_tool_calls_total", ERROR, OK)),
    "reviews": flag(5, "HibachiReviewsFail", "FEATURE_CUSTOMER_REVIEWS",
                    counter("http_requests_total", 5, status="5xx", handler="/api/v1/reviews", method="POST")),
    "shadow": flag(6, "HibachiShadowExposed", "FEATURE_SHADOW_LEARNING", counter("shadow_responses_exposed_total", 1)),
    "pii": flag(6, "HibachiPiiInTrainingData", "FEATURE_TRAINING_EXPORT", counter("training_export_pii_findings_total", 1)),
    "loyalty": flag(6, "HibachiLoyaltyFails", "FEATURE_LOYALTY", share("loyalty_transactions_total", ERROR, OK)),
    "google-sync": flag(6, "HibachiGoogleSyncFails", "FEATURE_GOOGLE_SYNC", share("google_sync_runs_total", ERROR, OK)),
}  # fmt: skip
FOR_PEOPLE = {
    "origin": Trigger(batch=1, rule="HibachiOriginExposed", breaks=lambda it: it.gauge("probe_success", 1)),
    "security": Trigger(batch=1, rule="HibachiSecurityIncident", is_signal=True),
}
NOT_CURED = {
    "chat-lost": flag(3, "HibachiChatErrors", "FEATURE_AI_CHAT", share("ai_chat_requests_total", ERROR, OK)),
}
WARNED = {
    "warned-platform": Trigger(batch=1, rule=""),
    "warned-payments": Trigger(batch=2, rule=""),
}
EVERYTHING = TRIGGERS | FOR_PEOPLE | NOT_CURED | WARNED


class Town:
    """All copies of My Hibachi, the daemon that guards them, and the people it tells."""

    def __init__(self, folder: Path, people: Service, apis: dict[str, MyHibachi], prometheus: str) -> None:
        self.apis, self.people, self.folder = apis, people, folder
        text = settings_of((PACK / "guard.toml").read_text(), NAME, apis)
        for copy, api in apis.items():
            own = renamed(NAME, NAME, copy)
            text = text.replace(f"https://api.{own}.example/api/admin", api.control_url)
            text = text.replace(f"/srv/{own}", self._releases(copy)).replace(
                f"systemctl restart {own}-api", self._restart(copy)
            )
        settings = guard_toml(
            text,
            service=people,
            prometheus=prometheus,
            replace={"guards = 2,": "guards = 1000,"},
            secrets=folder / "secrets",
        )
        rules = {f"{copy}.yaml": self._rules(copy) for copy in apis}
        self.daemon = Daemon(folder / "guard", pack=PACK, guard=settings, rules=rules)

    def _rules(self, copy: str) -> str:
        api, severities = self.apis[copy], ("critical", "warning") if copy in WARNED else ("critical",)
        faster = accelerated(RULES.read_text(), by=FASTER, replace={API: api.url, PLAIN: api.url})
        return renamed(rules_of(faster, EVERYTHING[copy].guard, severities=severities), NAME, copy)

    def _releases(self, copy: str) -> str:
        """Make the folder of a machine on which v2 serves and v1 did before."""
        folder = self.folder / "machines" / copy
        for version in ("v1", "v2"):
            (folder / "releases" / version).mkdir(parents=True)
        (folder / "current").symlink_to("releases/v2")
        (folder / "running").write_text("v2\n")
        return str(folder)

    def _restart(self, copy: str) -> str:
        """Return a command that starts what `current` leads to."""
        script = self.folder / "machines" / copy / "restart.sh"
        url = f"{self.apis[copy].control_url}/deployments/api/rollback"
        script.write_text(
            f'#!/bin/sh\nexec curl -fsS --json "{{\\"to\\": \\"$(basename "$(readlink "$RELEASES/current")")\\"}}" {url}\n'
        )
        script.chmod(0o755)
        return str(script)

    def guard(self, copy: str) -> str:
        return renamed(EVERYTHING[copy].guard, NAME, copy)

    def arm(self) -> None:
        """Say that every batch goes live."""
        for copy in self.apis:
            order = {"guard": self.guard(copy), "version": "v2", "previous_version": "v1", "window": "1h"}
            status, said = self.daemon.post("/api/v1/rollouts", order)
            assert status in (200, 201), said

    def signal(self, copy: str, *, firing: bool) -> None:
        trigger = EVERYTHING[copy]
        labels = {"service": renamed(NAME, NAME, copy), "batch": str(trigger.batch)}
        self.daemon.signal(trigger.rule, status="firing" if firing else "resolved", **labels)

    def break_all(self) -> None:
        """Let every copy break in its own way, and be cured by its flag or by the release before."""
        for copy, trigger in (TRIGGERS | FOR_PEOPLE | NOT_CURED).items():
            api = self.apis[copy]
            if copy in TRIGGERS:
                on, name = (api.on_flag_off, trigger.flag) if trigger.flag else (api.on_rollback, "api")
                on(name, lambda api=api, trigger=trigger: trigger.cure(api))
                if trigger.is_signal:
                    on(name, lambda copy=copy: self.signal(copy, firing=False))
            trigger.breaks(api)
            if trigger.is_signal:
                self.signal(copy, firing=True)
        platform, payments = self.apis["warned-platform"], self.apis["warned-payments"]
        platform.health["/api/customers"] = (200, [])
        platform.rate("audit_log_entries_total", 20)
        platform.gauge("cloudflared_tunnel_ha_connections", 0)
        payments.rate("payments_total", 10, result="succeeded")
        payments.rate("invoices_generated_total", 5)

    def incident(self, copy: str, **fields: Any) -> dict[str, Any]:
        rule = renamed(EVERYTHING[copy].rule, NAME, copy)
        return self.daemon.wait_incident(self.guard(copy), rule=rule, within_s=90, **fields)


def actions(incident: dict[str, Any], copy: str) -> list[str]:
    """Return what was run, without the name of the copy."""
    return [each["action"].removeprefix(f"{NAME}-{copy}-") for each in incident["intents"]]


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("my-hibachi")
    with contextlib.ExitStack() as until_the_end:
        people = until_the_end.enter_context(Service())
        apis = {copy: until_the_end.enter_context(MyHibachi()) for copy in EVERYTHING}
        jobs = {f"{NAME}-{copy}-api": api for copy, api in apis.items()}
        jobs |= {f"blackbox-{NAME}-{copy}-origin": apis[copy] for copy in EVERYTHING if EVERYTHING[copy].batch == 1}
        jobs |= {"cloudflared": apis["warned-platform"]}
        prometheus = until_the_end.enter_context(scraping(folder / "prometheus", jobs))
        made = Town(folder, people, apis, prometheus.url)
        prometheus.wait_until(f"count(rate(audit_log_entries_total[3s]) > 1) >= {len(jobs)}")
        until_the_end.enter_context(made.daemon)
        made.arm()
        made.break_all()
        yield made


@pytest.mark.parametrize("copy", TRIGGERS)
def test_each_trigger_turns_off_its_flag_or_brings_the_release_before_back_and_is_over(town, copy):
    trigger, api = TRIGGERS[copy], town.apis[copy]
    over = town.incident(copy, phase="closed")
    assert over["decision"] == "recovered"
    assert actions(over, copy) == [trigger.action]
    assert api.off == ({trigger.flag} if trigger.flag else set())
    assert api.deployments == {"api": "v2" if trigger.flag else "v1"}


@pytest.mark.parametrize("copy", FOR_PEOPLE)
def test_what_no_machine_should_mend_is_told_to_security_and_nothing_is_changed(town, copy):
    town.incident(copy)
    channel = f"{NAME}-{copy}-security"
    town.daemon.wait(lambda: town.people.notices(channel, "telling"), f"a word to {channel}")
    assert town.apis[copy].off == set()
    assert town.apis[copy].deployments == {"api": "v2"}


def test_what_the_flag_does_not_cure_brings_the_release_back_and_is_then_handed_over(town):
    over = town.incident("chat-lost", phase="handed_over")
    assert over["reason"] == "playbook_exhausted"
    assert actions(over, "chat-lost") == ["ai-chat-off", "release-back"]
    assert town.apis["chat-lost"].deployments == {"api": "v1"}
    lead = f"{NAME}-chat-lost-technical-lead"
    town.daemon.wait(lambda: town.people.notices(lead, "escalated"), "the escalation")


@pytest.mark.parametrize(
    ("copy", "rule"),
    [
        ("warned-platform", "my-hibachi-warned-platform-waf-sql"),
        ("warned-platform", "HibachiAuditTrailGap"),
        ("warned-platform", "HibachiTunnelDown"),
        ("warned-payments", "HibachiInvoicesMissing"),
    ],
)
def test_what_people_have_to_look_at_is_told_to_the_team(town, copy, rule):
    team = f"{NAME}-{copy}-team"
    town.daemon.wait(
        lambda: any(rule in each["body"] for each in town.people.notices(team, "warning")), f"a word about {rule}"
    )
    assert town.apis[copy].off == set()


def test_the_script_that_starts_a_batch_arms_its_guard_and_that_of_the_platform_for_its_stability_period(tmp_path):
    rules = RULES.read_text()
    with Service() as people:
        settings = guard_toml((PACK / "guard.toml").read_text(), service=people, prometheus=people.url)
        with Daemon(tmp_path, pack=PACK, guard=settings, rules={"rules.yaml": without_rules(rules)}) as daemon:
            environment = {
                "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
                "ROLLBACK_GUARD_URL": f"http://127.0.0.1:{daemon.port}",
            }
            command = [tmp_path / "start-batch.sh", "2", "v2.0.0", "v1.4.2"]
            done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
            assert done.returncode == 0, done.stderr
            rollouts = {each["guard"]: each for each in daemon.ask("/api/v1/rollouts")["rollouts"]}
    assert set(rollouts) == {"my-hibachi-batch-1", "my-hibachi-batch-2"}
    assert {(each["version"], each["previous_version"]) for each in rollouts.values()} == {("v2.0.0", "v1.4.2")}


def without_rules(text: str) -> str:
    """Leave one probe for each guard, of an address that refuses: nothing has to be scraped."""
    found = yaml.safe_load(text)
    found["groups"] = []
    found["probes"] = [
        {"probe": f"batch-{number}", "url": "http://127.0.0.1:9", "for": "1h", "interval": "1s",
         "labels": {"service": NAME, "batch": str(number), "severity": "critical", "cure": "release"}}
        for number in range(1, 7)
    ]  # fmt: skip
    for guard in found["guards"]:
        guard["playbook"] = guard["playbook"][-1:]
        guard["playbook"][0].pop("select", None)
    return yaml.safe_dump(found)


def test_flags_that_keep_the_platform_safe_have_no_action_that_turns_them_off():
    text = (PACK / "guard.toml").read_text()
    safe = ("CORE_API", "AUTH", "RBAC", "AUDIT_TRAIL", "SOFT_DELETE", "CLOUDFLARE_TUNNEL")
    assert not [name for name in safe if f"/flags/FEATURE_{name}" in text]


def test_payments_are_watched_for_72_hours_and_every_other_batch_for_48():
    guards = yaml.safe_load(RULES.read_text())["guards"]
    assert {each["guard"][-1]: each["window"] for each in guards} == dict.fromkeys("13456", "48h") | {"2": "72h"}
    assert {each["armed"] for each in guards} == {"rollout"}


def test_the_teams_own_files_have_nothing_to_mend_but_secrets_that_are_not_here():
    found = load([PACK / "guard.toml"], action_types=registry.settings_types(), lint=True)
    assert {problem.id for problem in found.problems} <= {"missing-file"}, found.problems
