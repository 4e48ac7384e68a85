"""Felix hub's pack, end to end: each trigger breaks a simulated Felix hub of its own, on a simulated Render.

The pack's own files are used: the rules with time divided, guard.toml with the addresses replaced, flags.py as it is.
There is one daemon. Every trigger has a copy of the service, of the guard that answers it and of its actions, under a
name of its own, so that they run side by side and do not know each other.
"""

from __future__ import annotations

import contextlib
import json
import tomllib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from copies import renamed, rules_of, settings_of
from rollback_guard.adapters.actions import registry
from rollback_guard.config.load import load
from simulated import Daemon, Service, accelerated, guard_toml, scraping

REPOSITORY = Path(__file__).parents[2]
PACK = REPOSITORY / "deploy" / "teams" / "felix-hub"
RULES = REPOSITORY / "rules" / "felix-hub-flags.yaml"
NAME = "felix-hub"
FASTER = 120

BACKEND = ("ENABLE_CAR_NUMBER", "ENABLE_PART_CATEGORIES", "ENABLE_TG_ADMIN_NOTIFS", "ENABLE_TG_MECH_NOTIFS")
FRONTEND = ("ENABLE_MECH_I18N", "ENABLE_UI_REFRESH")
FLAGS = BACKEND + FRONTEND
REQUESTS = "flask_http_request_duration_seconds"
MEMORY = 512 * 1024 * 1024


class FelixHub(Service):
    """The service on Render: a variable counts from the next deploy on, and users read what is deployed."""

    def __init__(self) -> None:
        super().__init__()
        self.flags = dict.fromkeys(FLAGS, True)
        self.variables: dict[str, str] = {}
        self.health |= dict.fromkeys(("/health", "/api/orders", "/admin", "/mechanic/login"), (200, {}))
        self._publish()
        self.rate(f"{REQUESTS}_count", 50, url_rule="/api/parts", method="GET", status="200")
        self.rate(f"{REQUESTS}_count", 10, url_rule="/api/orders", method="POST", status="200")
        self.latency(REQUESTS, 0.2, per_s=50)
        self.gauge("process_resident_memory_bytes", 0.4 * MEMORY)
        self.rate("frontend_page_views_total", 20)
        self.latency("frontend_page_load_seconds", 0.8)
        for audience in ("admin", "mechanic"):
            self.rate("telegram_notifications_total", 5, audience=audience, result="sent")

    def operate(self, method: str, path: str, body: Any, key: str | None) -> tuple[int, Any]:
        """Answer as Render does."""
        match method, path.strip("/").split("/"):
            case "PUT", ["v1", "services", _, "env-vars", name]:
                self.variables[name] = body["value"]
                return 200, {"key": name, "value": body["value"]}
            case "POST", ["v1", "services", "backend", "deploys"]:
                return self._deploy(
                    {flag: self.variables[flag] == "true" for flag in BACKEND if flag in self.variables}
                )
            case "POST", ["v1", "services", "frontend", "deploys"]:
                built = {flag: self.variables.get(f"VITE_{flag}") for flag in FRONTEND}
                return self._deploy({flag: value == "true" for flag, value in built.items() if value})
            case "POST", ["v1", "services", "frontend", "rollback"] if body == {"deployId": "dep-before-phase-2"}:
                return self._deploy(dict.fromkeys(FRONTEND, False))
        return super().operate(method, path, body, key)

    def _deploy(self, flags: dict[str, bool]) -> tuple[int, Any]:
        super().operate("PATCH", "/flags", flags, None)
        self._publish()
        return 201, {"status": "live"}

    def _publish(self) -> None:
        self.health["/api/config/feature-flags"] = (200, {flag: self.flags[flag] for flag in BACKEND})
        self.health["/feature-flags.json"] = (200, {flag: self.flags[flag] for flag in FRONTEND})

    @property
    def off(self) -> set[str]:
        """The flags that are off for users."""
        return {flag for flag, enabled in self.flags.items() if not enabled}

    def fails(self, per_s: float, **labels: str) -> None:
        """Let so many requests fail per second."""
        self.rate(f"{REQUESTS}_count", per_s, status="500", **labels)

    def notifications_fail(self, per_s: float, audience: str) -> None:
        """Let so many notifications fail per second."""
        self.rate("telegram_notifications_total", per_s, audience=audience, result="failed")

    def no_notifications(self, audience: str) -> None:
        """Send none any more."""
        for result in ("sent", "failed"):
            self.rate("telegram_notifications_total", 0, audience=audience, result=result)


Change = Callable[[FelixHub], object]


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """What breaks, which guard answers it, and what cures it; without a cure nothing does."""

    guard: str
    rule: str
    breaks: Change
    cure: Change | None = None
    off: tuple[str, ...] = FLAGS
    """The flags that are off at the end."""


ORDERS = {"url_rule": "/api/orders", "method": "POST"}
PARTS = {"url_rule": "/api/parts", "method": "GET"}


def health(path: str, status: int = 200) -> Change:
    return lambda hub: hub.health.update({path: (status, {})})


def no_catalogue(hub: FelixHub) -> None:
    hub.fails(0, **PARTS)
    hub.rate(f"{REQUESTS}_count", 0, status="200", **PARTS)


EMERGENCY = "felix-hub-emergency"
TRIGGERS = {
    "errors": Trigger(guard=EMERGENCY, rule="FelixHubErrorRate", breaks=lambda hub: hub.fails(20), cure=lambda hub: hub.fails(0)),
    "latency": Trigger(guard=EMERGENCY, rule="FelixHubLatencyP95", breaks=lambda hub: hub.latency(REQUESTS, 12, per_s=50),
                       cure=lambda hub: hub.latency(REQUESTS, 0.2, per_s=50)),
    "memory": Trigger(guard=EMERGENCY, rule="FelixHubMemory",
                      breaks=lambda hub: hub.gauge("process_resident_memory_bytes", 0.95 * MEMORY),
                      cure=lambda hub: hub.gauge("process_resident_memory_bytes", 0.4 * MEMORY)),
    "health": Trigger(guard=EMERGENCY, rule="felix-hub-health", breaks=health("/health", 503), cure=health("/health")),
    "orders": Trigger(guard=EMERGENCY, rule="felix-hub-orders", breaks=health("/api/orders", 500), cure=health("/api/orders")),
    "admin": Trigger(guard=EMERGENCY, rule="felix-hub-admin", breaks=health("/admin", 500), cure=health("/admin")),
    "frontend": Trigger(guard=EMERGENCY, rule="felix-hub-frontend", breaks=health("/mechanic/login", 502), cure=health("/mechanic/login")),
    "data-loss": Trigger(guard=EMERGENCY, rule="FelixHubDataLoss", breaks=lambda _: None, cure=lambda _: None),
    "car-number": Trigger(guard="felix-hub-car-number", rule="FelixHubOrderErrors", breaks=lambda hub: hub.fails(3, **ORDERS),
                          cure=lambda hub: hub.fails(0, **ORDERS), off=("ENABLE_CAR_NUMBER",)),
    "part-categories": Trigger(guard="felix-hub-part-categories", rule="FelixHubCategoryErrors", breaks=lambda hub: hub.fails(10, **PARTS),
                               cure=no_catalogue, off=("ENABLE_PART_CATEGORIES",)),
    "mech-i18n": Trigger(guard="felix-hub-mech-i18n", rule="FelixHubTranslationsMissing",
                         breaks=lambda hub: hub.rate("frontend_views_with_missing_translation_total", 5),
                         cure=lambda hub: hub.rate("frontend_views_with_missing_translation_total", 0), off=("ENABLE_MECH_I18N",)),
    "ui-errors": Trigger(guard="felix-hub-ui-refresh", rule="FelixHubBrowserErrors",
                         breaks=lambda hub: hub.rate("frontend_views_with_javascript_error_total", 5),
                         cure=lambda hub: hub.rate("frontend_views_with_javascript_error_total", 0), off=("ENABLE_UI_REFRESH",)),
    "ui-slow": Trigger(guard="felix-hub-ui-refresh", rule="FelixHubPageLoadSlow", breaks=lambda hub: hub.latency("frontend_page_load_seconds", 8),
                       cure=lambda hub: hub.latency("frontend_page_load_seconds", 0.8), off=("ENABLE_UI_REFRESH",)),
    "tg-admin": Trigger(guard="felix-hub-tg-admin-notifs", rule="FelixHubAdminNotificationsFail",
                        breaks=lambda hub: hub.notifications_fail(2, "admin"), cure=lambda hub: hub.no_notifications("admin"),
                        off=("ENABLE_TG_ADMIN_NOTIFS",)),
    "tg-mech": Trigger(guard="felix-hub-tg-mech-notifs", rule="FelixHubMechanicNotificationsFail",
                       breaks=lambda hub: hub.notifications_fail(2, "mechanic"), cure=lambda hub: hub.no_notifications("mechanic"),
                       off=("ENABLE_TG_MECH_NOTIFS",)),
}  # fmt: skip
CURED = tuple(TRIGGERS)
NOT_CURED = {
    "no-way-out": Trigger(guard=EMERGENCY, rule="FelixHubErrorRate", breaks=lambda hub: hub.fails(20)),
    "telegram-down": Trigger(
        guard="felix-hub-tg-admin-notifs",
        rule="FelixHubAdminNotificationsFail",
        breaks=lambda hub: hub.notifications_fail(2, "admin"),
        off=("ENABLE_TG_ADMIN_NOTIFS", "ENABLE_TG_MECH_NOTIFS"),
    ),
}
FALSE_ALARM = {"false-alarm": TRIGGERS["car-number"]}
EVERYTHING = TRIGGERS | NOT_CURED | FALSE_ALARM
WARNED = "warned"


def rules(world: str, hub: FelixHub, guard: str, severities: Collection[str]) -> str:
    addresses = {
        f"https://{NAME}-backend.onrender.com": hub.url,
        f"https://{NAME}-mechanics-frontend.onrender.com": hub.url,
    }
    faster = accelerated(RULES.read_text(), by=FASTER, replace=addresses)
    return renamed(rules_of(faster, guard, severities=severities), NAME, world)


class Town:
    """All copies of Felix hub, the daemon that guards them, and the people it tells."""

    def __init__(self, folder: Path, people: Service, hubs: dict[str, FelixHub], prometheus: str) -> None:
        self.hubs, self.people = hubs, people
        text = settings_of((PACK / "guard.toml").read_text(), NAME, hubs)
        self.daemon = Daemon(
            folder,
            pack=PACK,
            guard=guard_toml(text, service=people, prometheus=prometheus, replace={"guards = 7,": "guards = 1000,"}),
            rules={f"{world}.yaml": self._rules(world) for world in hubs},
        )
        (folder / "key").write_text("render-key")
        for world, hub in hubs.items():
            where = json.loads((PACK / "felix-hub.json").read_text())
            where |= {"api": f"{hub.control_url}/v1", "api_key_file": str(folder / "key")}
            where |= {"backend": "backend", "frontend": "frontend", "backend_url": hub.url, "frontend_url": hub.url}
            (folder / f"{NAME}-{world}.json").write_text(json.dumps(where))

    def _rules(self, world: str) -> str:
        if world == WARNED:
            return rules(world, self.hubs[world], EMERGENCY, ("critical", "warning", "info"))
        return rules(world, self.hubs[world], EVERYTHING[world].guard, ("critical",))

    def arm(self) -> None:
        """Say that the flags go on."""
        for world in self.hubs:
            guard = EMERGENCY if world == WARNED else EVERYTHING[world].guard
            order = {"guard": renamed(guard, NAME, world), "version": "on", "previous_version": "off", "window": "1h"}
            status, said = self.daemon.post("/api/v1/rollouts", order)
            assert status in (200, 201), said

    def signal(self, *, firing: bool) -> None:
        """Let somebody say that data is lost, or found again."""
        labels = {"service": renamed(NAME, NAME, "data-loss"), "scope": "all"}
        self.daemon.signal("FelixHubDataLoss", status="firing" if firing else "resolved", **labels)

    def break_all(self) -> None:
        """Let every copy break in its own way, and be cured by its own flags."""
        for world, trigger in EVERYTHING.items():
            hub = self.hubs[world]
            for flag in trigger.off if trigger.cure else ():
                hub.on_flag_off(flag, lambda hub=hub, trigger=trigger: self._cure(hub, trigger))
            trigger.breaks(hub)
        self.hubs["data-loss"].on_flag_off("ENABLE_UI_REFRESH", lambda: self.signal(firing=False))
        self.signal(firing=True)
        warned = self.hubs[WARNED]
        warned.fails(5)
        warned.gauge("process_resident_memory_bytes", 0.8 * MEMORY)
        warned.notifications_fail(1, "mechanic")
        warned.latency(REQUESTS, 1.5, per_s=50)

    @staticmethod
    def _cure(hub: FelixHub, trigger: Trigger) -> None:
        if trigger.cure and hub.off >= set(trigger.off):
            trigger.cure(hub)

    def incident(self, world: str, trigger: Trigger, **fields: Any) -> dict[str, Any]:
        return self.daemon.wait_incident(
            renamed(trigger.guard, NAME, world), rule=renamed(trigger.rule, NAME, world), **fields
        )

    def actions(self, incident: dict[str, Any]) -> list[str]:
        return [each["action"] for each in incident["intents"]]


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("felix-hub")
    with contextlib.ExitStack() as open_until_the_end:
        people = open_until_the_end.enter_context(Service())
        worlds = (*EVERYTHING, WARNED)
        hubs = {world: open_until_the_end.enter_context(FelixHub()) for world in worlds}
        jobs = {f"{NAME}-{world}-backend": hub for world, hub in hubs.items()}
        prometheus = open_until_the_end.enter_context(scraping(folder / "prometheus", jobs))
        made = Town(folder / "guard", people, hubs, prometheus.url)
        prometheus.wait_until(f"count(sum by (job) (rate({REQUESTS}_count[3s])) > 1) == {len(jobs)}")
        open_until_the_end.enter_context(made.daemon)
        made.arm()
        made.break_all()
        yield made


@pytest.mark.parametrize("world", CURED)
def test_each_trigger_turns_off_its_flags_and_no_other_and_is_over(town, world):
    trigger, hub = TRIGGERS[world], town.hubs[world]
    acted = town.incident(world, trigger)
    over = town.incident(world, trigger, phase="closed", within_s=90)
    assert over["decision"] == "recovered"
    assert over["id"] == acted["id"]
    assert hub.off == set(trigger.off)
    suffix = "all-flags-off" if trigger.guard == EMERGENCY else f"{trigger.guard.removeprefix('felix-hub-')}-off"
    assert town.actions(over) == [f"{NAME}-{world}-{suffix}"]
    assert hub.calls_to("/v1/")[0].headers["Authorization"] == "Bearer render-key"


def test_the_emergency_rollback_of_all_six_is_one_action_and_takes_less_than_two_minutes(town):
    hub = town.hubs["errors"]
    over = town.incident("errors", TRIGGERS["errors"], phase="closed", within_s=90)
    (intent,) = over["intents"]
    took = datetime.fromisoformat(intent["concluded_at"]) - datetime.fromisoformat(intent["at"])
    assert took < timedelta(minutes=2)
    written = [call.path.rpartition("/")[2] for call in hub.calls_to("/v1/services", "PUT")]
    assert written == [*BACKEND, *(f"VITE_{flag}" for flag in FRONTEND)], "all variables are written first"
    restarted = [call.path for call in hub.calls_to("/v1/services", "POST")]
    assert restarted == ["/v1/services/backend/deploys", "/v1/services/frontend/rollback"], "and nothing is built"


def test_what_turning_all_flags_off_does_not_cure_goes_to_devops_and_then_to_the_product_owner(town):
    trigger = NOT_CURED["no-way-out"]
    over = town.incident("no-way-out", trigger, phase="handed_over", within_s=90)
    assert over["reason"] == "playbook_exhausted"
    told = f"{NAME}-no-way-out"
    assert town.people.notices(f"{told}-devops", "telling"), "a quarter of an hour to look at the migrations"
    town.daemon.wait(lambda: town.people.notices(f"{told}-product-owner", "escalated"), "the escalation")
    assert town.hubs["no-way-out"].off == set(FLAGS)


def test_where_notifications_are_the_problem_the_other_kind_goes_off_too(town):
    trigger = NOT_CURED["telegram-down"]
    over = town.incident("telegram-down", trigger, phase="handed_over", within_s=90)
    prefix = f"{NAME}-telegram-down-tg"
    assert town.actions(over) == [f"{prefix}-admin-notifs-off", f"{prefix}-mech-notifs-off"]
    assert town.hubs["telegram-down"].off == set(trigger.off)


def test_after_a_false_alarm_a_person_has_the_flag_turned_on_again(town):
    hub = town.hubs["false-alarm"]
    over = town.incident("false-alarm", FALSE_ALARM["false-alarm"], phase="closed", within_s=90)
    status, said = town.daemon.post("/api/v1/undo", {"incident": over["id"], "reason": "a customer tried things out"})
    assert status in (200, 201, 202), said
    town.daemon.wait(lambda: not hub.off, "the flag to be on again")
    assert hub.variables == {"ENABLE_CAR_NUMBER": "true"}


def test_what_is_to_be_investigated_is_told_to_the_team_and_turns_nothing_off(town):
    team = f"{NAME}-{WARNED}-team"
    wanted = (
        "FelixHubErrorRateRaised",
        "FelixHubMemoryRaised",
        "FelixHubNotificationFailures",
        "FelixHubLatencyAboveBaseline",
    )
    for rule in wanted:
        town.daemon.wait(
            lambda rule=rule: any(rule in each["body"] for each in town.people.notices(team, "warning")),
            f"a word about {rule}",
        )
    assert town.hubs[WARNED].off == set()
    assert town.daemon.incident(f"{NAME}-{WARNED}-emergency") is None


def test_the_teams_own_files_have_nothing_to_mend_but_secrets_that_are_not_here():
    found = load([PACK / "guard.toml"], action_types=registry.settings_types(), lint=True)
    assert {problem.id for problem in found.problems} <= {"missing-file"}, found.problems


def test_seven_guards_that_break_together_are_no_storm_for_that_is_when_the_emergency_rollback_is_needed():
    guards = yaml.safe_load(RULES.read_text())["guards"]
    storm = tomllib.loads((PACK / "guard.toml").read_text())["limits"]["storm"]["guards"]
    assert storm >= len(guards) == 7
