"""A realistic snapshot: one service in trouble, one fine, one that cannot be seen."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from incidents import ID, RECOVERED, RULE
from rollback_guard.core.fold import fold_all
from rollback_guard.core.model import Mode, Otherwise, Phase, Severity, Verdict
from rollback_guard.core.observation import Family, Unknown
from rollback_guard.core.records import Decided, Decision, Reason, Wait, Window
from rollback_guard.core.remarks import of_guard, of_instance
from rollback_guard.core.snapshot import (
    GroupView,
    GuardView,
    JournalView,
    OutboxView,
    PauseView,
    ReloadView,
    RuleView,
    SeriesView,
    Snapshot,
)
from rollback_guard.core.state import Incident, IncidentPhase, Rollout, State, Waiting

NOW = datetime(2026, 3, 1, 10, 1, 30, tzinfo=UTC)
STARTED_AT = NOW - timedelta(hours=3)


def rule(name: str = "SearchErrorRate", **changes: Any) -> RuleView:
    """A healthy ratio rule."""
    view = RuleView(
        id=f"search/{name}",
        group="search",
        name=name,
        probe=False,
        severity=Severity.CRITICAL,
        shadow=False,
        expr="sum(rate(errors[1m])) / sum(rate(requests[1m])) > 0.01",
        hold=timedelta(minutes=10),
        verdict=Verdict.PASS,
        phase=Phase.INACTIVE,
        since=None,
        value=0.0004,
        threshold=0.01,
        op=">",
        margin=0.0096,
        unknown=None,
        family=None,
        unknown_since=None,
        detail="",
        summary="",
        guards=("search",),
        pending=0,
        firing=0,
        series=(),
    )
    return replace(view, **changes)


FIRING = rule(
    "CheckoutErrorRate",
    id=RULE,
    group="checkout",
    verdict=Verdict.BREACH,
    phase=Phase.FIRING,
    since=NOW - timedelta(seconds=90),
    value=0.01824,
    margin=-0.00824,
    summary="Checkout errors at 1.824%",
    guards=("checkout",),
    firing=1,
    series=(
        SeriesView(
            labels=(("alertname", "CheckoutErrorRate"), ("code", "500")),
            verdict=Verdict.BREACH,
            phase=Phase.FIRING,
            value=0.01824,
            active_at=NOW - timedelta(minutes=11),
            reason=None,
        ),
    ),
)

BLIND = rule(
    "PaymentLatency",
    id="payment/PaymentLatency",
    group="payment",
    verdict=Verdict.UNKNOWN,
    value=None,
    margin=None,
    unknown=Unknown.CONNECT,
    family=Family.BLIND,
    unknown_since=NOW - timedelta(minutes=6),
    detail="connection refused",
    guards=("payment",),
)

PROBE = rule(
    "search-ready",
    id="probe/search-ready",
    group="probe/search-ready",
    probe=True,
    expr="GET https://search.internal/ready",
    value=1.0,
    threshold=1.0,
    op="<",
    margin=0.0,
    detail="HTTP 200",
)

IDLE = rule(
    "NightlyRatio",
    verdict=Verdict.UNKNOWN,
    value=None,
    margin=None,
    unknown=Unknown.NO_TRAFFIC,
    family=Family.IDLE,
    unknown_since=NOW - timedelta(hours=2),
)


def incident() -> Incident:
    """The incident of `incidents.RECOVERED`, while its effect is being watched."""
    return fold_all(State(), RECOVERED[:5]).incidents[ID]


def guard(name: str = "search", **changes: Any) -> GuardView:
    """A guard with nothing to do."""
    view = GuardView(
        name=name,
        rules=(f"{name}/{name.title()}ErrorRate",),
        playbook=(f"disable-new-{name}", f"rollback-{name}"),
        incident=None,
        incident_phase=None,
        last=Decided(
            guard=name, at=NOW - timedelta(hours=1), decision=Decision.NONE, reason=Reason.HEALTHY, incident=None
        ),
        blind_since=None,
        blind_on=(),
        actions_left=2,
        warming_up_until=None,
    )
    return replace(view, **changes)


def group(name: str) -> GroupView:
    """A group that is evaluated in time."""
    return GroupView(
        id=name,
        source="probe" if name.startswith("probe/") else "prometheus",
        interval=timedelta(seconds=15),
        rules=1,
        slot=NOW - timedelta(seconds=5),
        evaluated_at=NOW - timedelta(seconds=4.9),
        duration_s=0.012,
        missed=0,
    )


def snapshot(**changes: Any) -> Snapshot:
    """One service in trouble, one fine, one that cannot be seen; or with anything changed."""
    open_incident = incident()
    decisions = tuple(record for record in reversed(RECOVERED[:5]) if isinstance(record, Decided))
    picture = Snapshot(
        at=NOW,
        name="shop",
        version="0.1.0",
        mode=Mode.ENFORCE,
        digest="5f2a9c",
        started_at=STARTED_AT,
        ready=True,
        reload=ReloadView(at=STARTED_AT, successful=True, succeeded_at=STARTED_AT),
        rules=(PROBE, rule(), IDLE, BLIND, FIRING),
        groups=tuple(group(name) for name in ("checkout", "payment", "search", "probe/search-ready")),
        guards=(
            guard("search"),
            guard("payment", blind_since=NOW - timedelta(minutes=6), blind_on=("payment/PaymentLatency",)),
            guard(
                "checkout",
                incident=open_incident.id,
                incident_phase=open_incident.phase.value,
                last=decisions[0],
                actions_left=1,
            ),
        ),
        incidents=(open_incident,),
        decisions=decisions,
        storm=False,
        intents_open=(),
        journal_failed_since=None,
        clock_steps=0,
    )
    return replace(picture, **changes)


def healthy(**changes: Any) -> Snapshot:
    """Everything is fine."""
    quiet = {"rules": (rule(), PROBE, IDLE), "guards": (guard("search"),), "incidents": (), "decisions": ()}
    return snapshot(**(quiet | changes))


WAITING = Waiting(
    step=1,
    action="rollback-checkout",
    what=Wait.APPROVAL,
    since=NOW - timedelta(minutes=2),
    until=NOW + timedelta(minutes=8),
    otherwise=Otherwise.HAND_OVER,
    reason=Reason.NOT_RECOVERED,
)

PAUSE = PauseView(
    since=NOW - timedelta(minutes=20),
    by="alice",
    why="release <party>",
    until=NOW + timedelta(hours=1),
    everything=True,
)


def hard_day() -> Snapshot:
    """Nearly everything that people have to know, at once."""
    waits = replace(incident(), phase=IncidentPhase.WAITING, waiting=WAITING, escalated=1, verification=None)
    rollout = Rollout(
        id="r-42",
        guard="checkout",
        started_at=NOW - timedelta(minutes=14),
        until=NOW + timedelta(hours=1),
        by="ci",
        version="42",
        previous_version="41",
    )
    busy = guard(
        "checkout",
        incident=waits.id,
        incident_phase=waits.phase.value,
        waiting=WAITING,
        rollout=rollout,
        escalated=1,
        paused=PAUSE,
        braked_by=Reason.PAUSED,
        signals=("DataCorruption",),
        actions_left=1,
    )
    unarmed = guard("search", armed=False, braked_by=Reason.PAUSED, paused=PAUSE, excused=(rule().id,))
    blind = guard("payment", blind_since=NOW - timedelta(minutes=6), blind_on=(BLIND.id,), paused=PAUSE)
    picture = snapshot(
        guards=(
            replace(unarmed, remarks=of_guard(unarmed, None, now=NOW)),
            replace(blind, remarks=of_guard(blind, None, now=NOW)),
            replace(busy, remarks=of_guard(busy, waits, now=NOW)),
        ),
        incidents=(waits,),
        storm=True,
        paused=PAUSE,
        maintenance=(Window(name="night", until=NOW + timedelta(hours=2)),),
        fleet_actions_left=3,
        heartbeat_at=NOW,
        journal_failed_since=NOW - timedelta(minutes=1),
        journal=JournalView(head_seq=812, head_hash="9f3c", size_bytes=65536),
        outbox=(OutboxView(channel="oncall", letters=3, oldest=NOW - timedelta(minutes=9)),),
    )
    return replace(picture, remarks=of_instance(picture))
