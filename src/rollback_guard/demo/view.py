"""Hold what the demo shows at one instant, and say in words what happened and what comes next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from rollback_guard.demo.sight import IncidentSight, IntentSight, RuleSight, Sight, figure, names

WATCHED = "CheckoutErrorRate"
"""The rule that is drawn."""


class Who(StrEnum):
    """Whose doing an entry of the timeline is."""

    SHOP = "shop"  # what the demo does to the shop
    RULE = "rule"
    GUARD = "guard"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the timeline; `good` and `bad` only colour it."""

    at: datetime
    who: Who
    text: str
    mood: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One picture.

    Attributes:
        scene: What the demo is doing, and its number.
        errors: The watched rule's value, evenly spaced in time, oldest first.
        sight: What the guard said; nothing before it answers.
        flag_on: What the shop's flag file says.
        release: What the shop runs.
    """

    began_at: datetime
    now: datetime
    scene: str
    errors: tuple[float | None, ...] = ()
    sight: Sight | None = None
    flag_on: bool = True
    release: str = ""
    timeline: tuple[Entry, ...] = ()

    def second(self, at: datetime) -> str:
        """Return a time as the second of the demo."""
        return f"{(at - self.began_at).total_seconds():5.1f}s"


@dataclass(slots=True)
class Timeline:
    """Collect what happened, each thing once, in the order of its time."""

    _entries: dict[str, Entry] = field(default_factory=dict)
    _phases: dict[str, str] = field(default_factory=dict)
    seen: set[tuple[str, str]] = field(default_factory=set)
    """Every phase in which a rule was seen."""

    def did(self, at: datetime, text: str, mood: str = "") -> None:
        """Add what the demo did to the shop."""
        self._entries[f"shop {at} {text}"] = Entry(at=at, who=Who.SHOP, text=text, mood=mood)

    def take(self, sight: Sight) -> None:
        """Add what is new in what the guard says."""
        for rule in sight.rules:
            self._rule(rule, sight.at)
        for decision in sight.decisions:
            if decision.decision == "none":
                continue
            text = f"decides {decision.decision}: {decision.reason}" + (
                f" → {decision.action}" if decision.action else ""
            )
            mood = {"act": "bad", "hand_over": "bad", "recovered": "good"}.get(decision.decision, "")
            shown = f"{text} ({decision.evidence})" if decision.evidence and decision.decision == "act" else text
            self._add(f"decision {decision.at} {text}", decision.at, shown, mood)
        for incident in sight.incidents:
            for intent in incident.intents:
                self._intent(incident, intent)

    def entries(self) -> tuple[Entry, ...]:
        """Return everything so far, oldest first."""
        return tuple(sorted(self._entries.values(), key=lambda entry: entry.at))

    def _rule(self, rule: RuleSight, now: datetime) -> None:
        before = self._phases.get(rule.name, "inactive")
        self._phases[rule.name] = rule.phase
        self.seen.add((rule.name, rule.phase))
        if rule.phase == before:
            return
        at = rule.since or now
        compared = f": {figure(rule.name, rule.value)} {rule.op} {figure(rule.name, rule.threshold)}"
        match rule.phase:
            case "pending":
                text, mood = f"{rule.name} pending{compared}", "warn"
            case "firing":
                text, mood = f"{rule.name} firing{compared}", "bad"
            case _:
                text, mood = f"{rule.name} passes again", "good"
        self._entries[f"rule {rule.name} {rule.phase} {at}"] = Entry(at=at, who=Who.RULE, text=text, mood=mood)

    def _intent(self, incident: IncidentSight, intent: IntentSight) -> None:
        if intent.concluded_at is None:
            return
        took = (intent.concluded_at - intent.at).total_seconds()
        detail = f": {intent.detail}" if intent.detail else ""
        text = f"{intent.action} {intent.outcome} in {took * 1000:.0f} ms{detail}"
        mood = "good" if intent.outcome == "succeeded" else "bad"
        self._add(f"intent {incident.id} {intent.action} {intent.at}", intent.concluded_at, text, mood)

    def _add(self, key: str, at: datetime, text: str, mood: str) -> None:
        self._entries.setdefault(key, Entry(at=at, who=Who.GUARD, text=text, mood=mood))


def forecast(sight: Sight | None, now: datetime) -> str:
    """Say what comes next if things go on as they are."""
    if sight is None or not sight.ready:
        return "the guard's first complete look at everything"
    incident = sight.incident()
    if incident is not None and incident.phase not in {"closed", "handed_over"}:
        return _next_of(incident, sight, now)
    pending = [rule for rule in sight.rules if rule.phase == "pending"]
    if not pending:
        unknown = next((rule for rule in sight.rules if rule.verdict == "unknown"), None)
        return f"the first value of {unknown.name}" if unknown else "nothing: everything passes"
    first = min(pending, key=lambda rule: rule.hold - rule.held_for(now))
    left = _seconds(first.hold - first.held_for(now))
    return f"if it goes on, {first.name} fires in {left}, and {next(iter(sight.playbook), 'people')} runs"


def _next_of(incident: IncidentSight, sight: Sight, now: datetime) -> str:
    if not incident.intents:
        return "the decision"
    last = incident.intents[-1]
    if not last.outcome:
        return f"the outcome of {last.action}"
    if incident.passing_since is not None:
        left = last.stable_for - (now - incident.passing_since)
        return f"recovered, if {names(incident.rules)} keeps passing for another {_seconds(left)}"
    rest = sight.playbook[len(incident.intents) :]
    after = rest[0] if rest else "people are called"
    left = (incident.verified_until or now) - now
    return f"has {last.action} helped? If not, in {_seconds(left)}: {after}"


def _seconds(span: timedelta) -> str:
    return f"{max(0.0, span.total_seconds()):.0f} s"


def describe(view: View) -> Iterator[str]:
    """Yield the state of the watched rule and of the shop, in a few words each."""
    rule = view.sight.rule(WATCHED) if view.sight else None
    if rule is not None:
        yield (
            f"errors {figure(rule.name, rule.value)} {'>' if rule.verdict == 'breach' else '≤'} "
            f"{figure(rule.name, rule.threshold)}"
            if rule.value is not None
            else f"errors unknown ({rule.unknown})"
        )
        held = f" {_seconds(rule.held_for(view.now))} of {_seconds(rule.hold)}" if rule.phase == "pending" else ""
        yield f"{rule.name} {rule.phase}{held}"
    yield f"flag {'on' if view.flag_on else 'off'}"
    yield f"release {view.release or '-'}"
