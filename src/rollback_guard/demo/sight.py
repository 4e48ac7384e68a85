"""Read what the guard says it sees and does, from its own API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx

from rollback_guard.demo.failure import DemoFailed

TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSight:
    """One rule as of its last slot. `since` is when its present phase began."""

    name: str
    severity: str
    verdict: str
    phase: str
    since: datetime | None
    hold: timedelta
    value: float | None
    op: str
    threshold: float | None
    detail: str
    unknown: str

    def held_for(self, now: datetime) -> timedelta:
        """Return for how long it has been pending, at most `for`."""
        return min(max(now - self.since, timedelta(0)), self.hold) if self.since else timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentSight:
    """One action of an incident; no outcome while it runs."""

    action: str
    at: datetime
    outcome: str
    concluded_at: datetime | None
    stable_for: timedelta
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentSight:
    """One incident, and how far the guard is with it."""

    id: str
    phase: str
    opened_at: datetime
    rules: tuple[str, ...]
    intents: tuple[IntentSight, ...]
    verdict: str
    passing_since: datetime | None
    verified_until: datetime | None
    ended_at: datetime | None
    decision: str
    reason: str

    def did(self) -> tuple[tuple[str, str], ...]:
        """Return what was done and how it ended, in order."""
        return tuple((intent.action, intent.outcome) for intent in self.intents)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionSight:
    """One decision with what was seen when it was made."""

    at: datetime
    decision: str
    reason: str
    incident: str
    action: str
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What the guard said at one instant. Incidents and decisions are oldest first."""

    at: datetime
    ready: bool
    rules: tuple[RuleSight, ...]
    playbook: tuple[str, ...]
    actions_left: int
    incidents: tuple[IncidentSight, ...]
    decisions: tuple[DecisionSight, ...]

    def rule(self, name: str) -> RuleSight | None:
        """Return a rule by its name."""
        return next((rule for rule in self.rules if rule.name == name), None)

    def incident(self) -> IncidentSight | None:
        """Return the newest incident."""
        return self.incidents[-1] if self.incidents else None


class GuardApi:
    """The guard's read-only API."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=TIMEOUT_S, trust_env=False)

    def look(self) -> Sight | None:
        """Return what the guard says now; nothing while it does not answer yet.

        Raises:
            DemoFailed: It answered with an error.
        """
        try:
            status, rules, guards, incidents, decisions = (
                self._get(name) for name in ("status", "rules", "guards", "incidents", "decisions")
            )
        except httpx.ConnectError:
            return None
        except httpx.HTTPError as error:
            raise DemoFailed(f"the guard's API failed: {type(error).__name__} {error}") from error
        guard = guards["guards"][0]
        return Sight(
            at=_time(status["at"]),
            ready=status["ready"],
            rules=tuple(_rule(each) for each in sorted(rules["rules"], key=_file_order)),
            playbook=tuple(guard["playbook"]),
            actions_left=guard["actions_left"],
            incidents=tuple(_incident(each) for each in reversed(incidents["incidents"])),
            decisions=tuple(_decision(each) for each in reversed(decisions["decisions"])),
        )

    def close(self) -> None:
        """Release the connection."""
        self._client.close()

    def _get(self, name: str) -> Any:
        response = self._client.get(f"/api/v1/{name}")
        response.raise_for_status()
        return response.json()


def _file_order(body: Mapping[str, Any]) -> tuple[bool, bool, str]:
    # The API's order is worst first; on a screen rules should stand still.
    return (body["probe"], body["severity"] != "critical", body["name"])


def _rule(body: Mapping[str, Any]) -> RuleSight:
    return RuleSight(
        name=body["name"],
        severity=body["severity"],
        verdict=body["verdict"],
        phase=body["phase"],
        since=_maybe(body["since"]),
        hold=timedelta(seconds=body["hold_s"]),
        value=_number(body["value"]),
        op=body["op"] or "",
        threshold=body["threshold"],
        detail=body["detail"],
        unknown=body["unknown"] or "",
    )


def _incident(body: Mapping[str, Any]) -> IncidentSight:
    watch = body["verification"] or {}
    return IncidentSight(
        id=body["id"],
        phase=body["phase"],
        opened_at=_time(body["opened_at"]),
        rules=tuple(body["rules"]),
        intents=tuple(_intent(each) for each in body["intents"]),
        verdict=body["verdict"],
        passing_since=_maybe(watch.get("passing_since")),
        verified_until=_maybe(watch.get("until")),
        ended_at=_maybe(body["ended_at"]),
        decision=body["decision"] or "",
        reason=body["reason"] or "",
    )


def _intent(body: Mapping[str, Any]) -> IntentSight:
    return IntentSight(
        action=body["action"],
        at=_time(body["at"]),
        outcome=body["outcome"] or "",
        concluded_at=_maybe(body["concluded_at"]),
        stable_for=timedelta(seconds=body["stable_for_s"]),
        detail=body["detail"],
    )


def _decision(body: Mapping[str, Any]) -> DecisionSight:
    return DecisionSight(
        at=_time(body["at"]),
        decision=body["decision"],
        reason=body["reason"],
        incident=body["incident"] or "",
        action=body["action"] or "",
        evidence=", ".join(text for each in body["evidence"] if (text := _evidence(each))),
    )


def _evidence(body: Mapping[str, Any]) -> str:
    name = body["rule"].rpartition("/")[2]
    if body["verdict"] != "breach" or body["value"] is None or body["threshold"] is None:
        return f"{name}: {body['verdict']}"
    return f"{name}: {figure(name, body['value'])} {body['op']} {figure(name, body['threshold'])}"


def figure(rule: str, value: float | None) -> str:
    """Return a value as people say it: seconds for latencies, up and down for probes, else a share of all orders."""
    if value is None:
        return "-"
    if "Latency" in rule or "Slow" in rule:
        return f"{value * 1000:.0f} ms"
    if rule.endswith("-ready"):
        return "up" if value >= 1 else "down"
    return f"{value:.1%}" if value < 1 else f"{value:.0%}"


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _maybe(text: str | None) -> datetime | None:
    return _time(text) if text else None


def _number(value: float | str | None) -> float | None:
    # NaN and the infinities are texts; none of them can be drawn.
    return value if isinstance(value, int | float) else None


def names(rules: Sequence[str]) -> str:
    """Return rule ids as the names that stand in the rule file."""
    return ", ".join(rule.rpartition("/")[2] for rule in rules)
