"""The pack of the AI booking flow against a real Prometheus: every trigger is broken, and the guard mends it.

Each trigger has a booking service of its own, all with the team's own files, side by side under one daemon.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from simulated import HANGS_UP, Daemon, Service, accelerated, guard_toml, scraping

ROOT = Path(__file__).parents[2]
RULES = ROOT / "rules" / "ai-booking-flow.yaml"
PACK = ROOT / "deploy" / "teams" / "ai-booking"

FAST = ("errors", "ai", "latency", "smoke-en", "smoke-es", "ready", "report")
"""Triggers of the guard `ai-booking`; `conversion` is that of the other one."""

RULE_OF = {
    "errors": "BookingErrorRate",
    "ai": "AIBookingErrors",
    "latency": "BookingLatencyP95",
    "smoke-en": "smoke-en",
    "smoke-es": "smoke-es",
    "ready": "ready",
    "report": "BookingCriticalIssue",
    "conversion": "BookingConversionDrop",
}

WELL = (200, {"status": "ok"})
NO_STORM = "[limits]\nstorm = {guards = 100}\n"
"""That they all break at once is the test's doing."""


def named(text: str, trigger: str) -> str:
    """Give the service of one trigger names of its own."""
    return text.replace("ai-booking", f"ai-booking-{trigger}").replace("booking-api", f"booking-api-{trigger}")


def rules_for(trigger: str, service: Service) -> str:
    """Return the team's rule file for one service; what concerns the other guard, and what only warns, but once."""
    by = 400 if trigger == "conversion" else 120
    address = {"https://booking.example.com": f"{service.url}/{trigger}"}
    rules = json.loads(accelerated(named(RULES.read_text(), trigger), by=by, offset="keep", replace=address))
    if trigger != "errors":
        guard = f"ai-booking-{trigger}" + ("-conversion" if trigger == "conversion" else "")
        rules["guards"] = [each for each in rules["guards"] if each["guard"] == guard]
        (selected,) = (each["select"] for each in rules["guards"])
        rules["groups"] = [
            each
            for each in rules["groups"]
            if each["labels"].items() >= selected.items() and "severity" not in each["labels"]
        ]
        rules["probes"] = [
            each for each in rules["probes"] if each["labels"].items() >= ({"severity": "critical"} | selected).items()
        ]
    return json.dumps(rules)


def settings(service: Service, prometheus: str, home: Path) -> str:
    """Return the team's guard.toml with the actions of every service."""
    text = (PACK / "guard.toml").read_text()
    start = text.index("[actions.")
    actions = "\n".join(named(text[start:], trigger) for trigger in RULE_OF)
    return guard_toml(
        text[:start] + actions,
        service=service,
        prometheus=prometheus,
        replace={"https://flags.internal": service.control_url, "https://deploy.internal": service.control_url},
        secrets=home / "revealed",
        extra=NO_STORM,
    )


def last_week() -> dict[str, list[tuple[datetime, float]]]:
    """Return two minutes of bookings around this time a week ago: ten begun and four completed each second."""
    middle = datetime.now(UTC) - timedelta(weeks=1)
    times = [middle + timedelta(seconds=each) for each in range(-60, 180, 2)]
    job = 'job="booking-api-conversion",instance="then"'
    return {
        f'booking_{what}_total{{{job},language="{language}"}}': [(at, per_s * 2 * n) for n, at in enumerate(times)]
        for what, per_s in (("started", 10), ("completed", 4))
        for language in ("en", "es")
    }


def begin(service: Service) -> None:
    """Let every service be well, with the AI flow on."""
    for trigger in RULE_OF:
        job = f"booking-api-{trigger}"
        service.flags[f"ai-booking-{trigger}-flow"] = True
        service.deployments[job] = "v2"
        service.rate("http_requests_total", 10, job=job, code="200")
        service.latency("http_request_duration_seconds", 0.3, per_s=10, job=job)
        for language in ("en", "es"):
            service.rate("ai_booking_requests_total", 5, job=job, language=language, outcome="ok")
            service.rate("booking_started_total", 10, job=job, language=language)
            service.rate("booking_completed_total", 4, job=job, language=language)
            passed = {"status": "passed", "language": language}
            service.health[f"/{trigger}/smoke/{language}"] = (200, passed)
            service.health[f"/{trigger}/{language}/book"] = (200, f'<!doctype html><html lang="{language}">')
        service.health[f"/{trigger}/health/ready"] = WELL


def break_all(service: Service, guard: Daemon) -> None:
    """Break every service in its own way; all but that of the AI are mended by the rollback only."""

    def job(trigger: str) -> str:
        return f"booking-api-{trigger}"

    def cured(trigger: str, cure) -> None:
        service.on_rollback(job(trigger), cure)

    service.rate("http_requests_total", 5, job=job("errors"), code="500")
    cured("errors", lambda: service.rate("http_requests_total", 0, job=job("errors"), code="500"))

    ai = {"job": job("ai"), "language": "es"}
    service.rate("ai_booking_requests_total", 3, **ai, outcome="error")

    def nobody_asks_the_ai() -> None:
        for outcome in ("ok", "error"):
            service.rate("ai_booking_requests_total", 0, **ai, outcome=outcome)

    service.on_flag_off("ai-booking-ai-flow", nobody_asks_the_ai)

    service.latency("http_request_duration_seconds", 8, per_s=10, job=job("latency"))
    cured("latency", lambda: service.latency("http_request_duration_seconds", 0.3, per_s=10, job=job("latency")))

    english, spanish = "/smoke-en/smoke/en", "/smoke-es/smoke/es"
    passed = {english: service.health[english], spanish: service.health[spanish]}
    service.health[english] = (200, {"status": "failed", "language": "en", "step": "suggest"})
    service.health[spanish] = (200, {"status": "passed", "language": "en"})
    cured("smoke-en", lambda: service.health.update({english: passed[english]}))
    cured("smoke-es", lambda: service.health.update({spanish: passed[spanish]}))

    service.health["/ready/health/ready"] = HANGS_UP
    cured("ready", lambda: service.health.update({"/ready/health/ready": WELL}))

    reported = {"service": "ai-booking-report", "watch": "release"}
    guard.signal("BookingCriticalIssue", **reported)
    cured("report", lambda: guard.signal("BookingCriticalIssue", status="resolved", **reported))

    bookings = {"job": job("conversion"), "language": "es"}
    service.rate("booking_completed_total", 0.5, **bookings)
    cured("conversion", lambda: service.rate("booking_completed_total", 4, **bookings))


def release(guard: Daemon, *guards: str) -> None:
    """Begin the rollout as the team's pipeline does."""
    program = Path(sys.executable).with_name("rollback-guard")
    command = [program, "rollout", "start", *guards, "--version", "v2", "--previous-version", "v1"]
    environ = {"ROLLBACK_GUARD_URL": f"http://127.0.0.1:{guard.port}"}
    found = subprocess.run(command, env=os.environ | environ, capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stderr


def test_every_trigger_turns_the_ai_off_rolls_the_release_back_and_is_told_inside_and_outside(tmp_path):
    home = tmp_path / "guard"
    with Service() as service:
        begin(service)
        jobs = {f"booking-api-{trigger}": service for trigger in RULE_OF}
        with scraping(tmp_path / "prometheus", jobs).load(last_week()) as prometheus:
            daemon = Daemon(
                home,
                guard=settings(service, prometheus.url, home),
                rules={f"{trigger}.yaml": rules_for(trigger, service) for trigger in RULE_OF},
                pack=PACK,
            )
            prometheus.wait_until('count(rate(booking_started_total{job="booking-api-conversion"}[8s])) == 2')
            with daemon as guard:
                guards = {trigger: f"ai-booking-{trigger}" for trigger in FAST}
                guards["conversion"] = "ai-booking-conversion-conversion"
                release(guard, guards["errors"], guards["conversion"])
                for trigger in FAST[1:]:
                    order = {"guard": guards[trigger], "version": "v2", "previous_version": "v1"}
                    assert guard.post("/api/v1/rollouts", order)[0] == 200
                break_all(service, guard)

                for trigger, name in guards.items():
                    incident = guard.wait_incident(name, rule=RULE_OF[trigger], decision="recovered")
                    assert incident["reason"] == "verified", guard.explain(incident["id"])
                    for channel in ("team", "oncall", "status-page"):
                        guard.wait(
                            lambda name=name, channel=channel: kinds(service, channel, name)[-1:] == ["recovered"],
                            f"{channel} to hear of the recovery of {name}",
                        )
                    check(service, trigger, name)
                if os.environ.get("SHOW_EXPLAIN"):
                    for trigger, name in guards.items():
                        print(guard.explain(guard.incident(name, rule=RULE_OF[trigger])["id"]))


def kinds(service: Service, channel: str, guard: str) -> list[str]:
    """Return what kinds of notices a channel got from a guard."""
    return [each["kind"] for each in service.notices(channel) if each["guard"] == guard]


def check(service: Service, trigger: str, name: str) -> None:
    """See what the guard did at the service and told people."""
    (off,) = service.calls_to(f"/flags/ai-booking-{trigger}-flow", "PATCH")
    assert off.body == {"enabled": False}
    assert off.headers["Authorization"] == "Bearer secret-flags-token"
    rollbacks = service.calls_to(f"/deployments/booking-api-{trigger}/rollback", "POST")
    if trigger == "ai":
        assert rollbacks == []  # the flag was the cure
    else:
        (back,) = rollbacks
        assert back.body == {"to": "v1"}
        assert off.at < back.at
        assert service.deployments[f"booking-api-{trigger}"] == "v1"

    assert kinds(service, "team", name).count("opened") == 1
    outside = [each for each in service.notices("status-page") if each["guard"] == name]
    said = [each["body"].partition(" / ")[0] for each in outside]
    back = [] if trigger == "ai" else ["We are going back to the previous version."]
    assert said == [
        "We are looking into a problem with online booking.",
        "We have switched a new feature off.",
        *back,
        "Online booking works again.",
    ]
    assert "Las reservas funcionan de nuevo." in outside[-1]["body"]
    assert {each["title"] for each in outside} == {"Online booking / Reservas en línea"}
