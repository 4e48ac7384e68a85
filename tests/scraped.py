"""Metrics over a picture and a clock that a test may change, and what a scrape of them says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from prometheus_client.parser import text_string_to_metric_families

from rollback_guard.adapters.metrics.exposition import CONTENT_TYPE, Metrics
from rollback_guard.core import records
from rollback_guard.core.model import Mode, Phase, Severity, Verdict
from rollback_guard.core.snapshot import GroupView, GuardView, PauseView, ReloadView, RuleView, Snapshot

AT = datetime(2024, 5, 1, 12, tzinfo=UTC)
S = timedelta(seconds=1)
M = timedelta(minutes=1)
P = "rollback_guard_"


def rule(name="errors", **changes):
    return replace(
        RuleView(
            id=f"shop/{name}",
            group="shop",
            name=name,
            probe=False,
            severity=Severity.CRITICAL,
            shadow=False,
            expr="x > 1",
            hold=10 * M,
            verdict=Verdict.PASS,
            phase=Phase.INACTIVE,
            since=None,
            value=0.25,
            threshold=1.0,
            op=">",
            margin=0.75,
            unknown=None,
            family=None,
            unknown_since=None,
            detail="",
            summary="",
            guards=("checkout",),
            pending=0,
            firing=0,
            series=(),
        ),
        **changes,
    )


GROUP = GroupView(
    id="shop",
    source="prometheus",
    interval=15 * S,
    rules=1,
    slot=AT,
    evaluated_at=AT + S,
    duration_s=0.5,
    missed=3,
)

GUARD = GuardView(
    name="checkout",
    rules=("shop/errors",),
    playbook=("flag-off", "rollback"),
    incident=None,
    incident_phase=None,
    last=None,
    blind_since=None,
    blind_on=(),
    actions_left=2,
    warming_up_until=None,
)

SNAPSHOT = Snapshot(
    at=AT,
    name="shop",
    version="0.1.0",
    mode=Mode.ENFORCE,
    digest="cafe",
    started_at=AT - M,
    ready=True,
    reload=ReloadView(at=AT, successful=True, succeeded_at=AT),
    rules=(rule(),),
    groups=(GROUP,),
    guards=(GUARD,),
    incidents=(),
    decisions=(),
    storm=False,
    intents_open=(),
    journal_failed_since=None,
    clock_steps=0,
)

PAUSE = PauseView(since=AT - M, by="ann", why="hands off", until=AT + M, everything=False)


class World:
    """Metrics over a snapshot and a clock that a test may change."""

    def __init__(self, **changes):
        self.snapshot = replace(SNAPSHOT, **changes)
        self.time = timedelta(0)
        self.looks = 0
        self.metrics = Metrics(lambda: self.look, self, incident=self.find)

    def look(self):
        self.looks += 1
        return self.snapshot

    def find(self, incident):
        return next((each for each in self.snapshot.incidents if each.id == incident), None)

    def elapsed(self):
        return self.time

    async def scrape(self):
        self.time += 2 * S
        body, content_type = await self.metrics.render()
        assert content_type == CONTENT_TYPE
        return Scrape(body.decode())


class Scrape:
    def __init__(self, text):
        self.text = text
        self.families = list(text_string_to_metric_families(text))
        self.samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families
            for sample in family.samples
        }

    def __call__(self, name, /, **labels):
        return self.samples.get((P + name, frozenset(labels.items())))

    def all(self, name):
        return {labels: value for (each, labels), value in self.samples.items() if each == P + name}


def opened(incident="checkout-1", at=AT, breached_at=AT - 10 * M):
    return records.IncidentOpened(
        incident=incident, guard="checkout", at=at, breached_at=breached_at, rules=("shop/errors",)
    )


def decided(decision, reason, at=AT, incident="checkout-1", guard="checkout"):
    return records.Decided(guard=guard, at=at, decision=decision, reason=reason, incident=incident)


def intended(key, at, action="flag-off", incident="checkout-1"):
    return records.Intended(
        key=key,
        incident=incident,
        guard="checkout",
        step=0,
        action=action,
        goal="off",
        at=at,
        within=M,
        stable_for=M,
    )


def concluded(key, at, outcome=records.Outcome.SUCCEEDED, action="flag-off", incident="checkout-1"):
    return records.Concluded(
        key=key, incident=incident, guard="checkout", action=action, at=at, outcome=outcome, attempts=1
    )


def ended(at, decision=records.Decision.RECOVERED, reason=records.Reason.VERIFIED, incident="checkout-1"):
    return records.IncidentEnded(incident=incident, guard="checkout", at=at, decision=decision, reason=reason)
