"""The records of incidents, as a journal holds them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from rollback_guard.core.model import Verdict
from rollback_guard.core.records import (
    Concluded,
    Decided,
    Decision,
    Evidence,
    IncidentCleared,
    IncidentEnded,
    IncidentOpened,
    Intended,
    Outcome,
    Reason,
    Record,
    Watched,
)

BREACHED_AT = datetime(2026, 3, 1, 9, 50, tzinfo=UTC)
RULE = "checkout/CheckoutErrorRate"
PROBE = "probe/checkout-ready"
ID = "checkout-20260301T100000Z"
GOAL = "PATCH https://flags.internal/api/flags/new-checkout"


def after(**span: float) -> datetime:
    return BREACHED_AT + timedelta(**span)


BREACH = Evidence(
    rule=RULE,
    verdict=Verdict.BREACH,
    value=0.01824,
    threshold=0.01,
    op=">",
    series=(("code", "500"),),
    active_at=BREACHED_AT,
)
DOWN = Evidence(rule=PROBE, verdict=Verdict.BREACH, value=0.0, threshold=1.0, op="<", detail="HTTP 503, expected 200")
BLIND = Evidence(rule=RULE, verdict=Verdict.UNKNOWN, detail="connect: connection refused")
FINE = replace(BREACH, verdict=Verdict.PASS, value=0.0004)

OPENED = IncidentOpened(incident=ID, guard="checkout", at=after(minutes=10), breached_at=BREACHED_AT, rules=(RULE,))


def decided(decision: Decision, reason: Reason, at: datetime, *evidence: Evidence, step: int | None = None) -> Decided:
    action = None if step is None else ("disable-new-checkout", "rollback-checkout")[step]
    return Decided(
        guard="checkout",
        at=at,
        decision=decision,
        reason=reason,
        incident=ID,
        step=step,
        action=action,
        evidence=evidence,
    )


def intended(step: int, at: datetime) -> Intended:
    return Intended(
        key=f"{ID}-{step + 1}",
        incident=ID,
        guard="checkout",
        step=step,
        action=("disable-new-checkout", "rollback-checkout")[step],
        goal=(GOAL, "deploy/at-version.sh 41")[step],
        at=at,
        within=timedelta(minutes=3),
        stable_for=timedelta(minutes=1),
    )


def concluded(step: int, at: datetime, outcome: Outcome, *, attempts: int = 1, detail: str = "") -> Concluded:
    intent = intended(step, at)
    return Concluded(
        key=intent.key,
        incident=ID,
        guard="checkout",
        action=intent.action,
        at=at,
        outcome=outcome,
        attempts=attempts,
        detail=detail,
    )


def watched(
    at: datetime, verdict: Verdict, *, passing_since: datetime | None = None, extended: bool = False
) -> Watched:
    return Watched(
        incident=ID,
        guard="checkout",
        at=at,
        verdict=verdict,
        passing_since=passing_since,
        until=at + timedelta(minutes=3),
        extended=extended,
    )


def ended(at: datetime, decision: Decision, reason: Reason) -> IncidentEnded:
    return IncidentEnded(incident=ID, guard="checkout", at=at, decision=decision, reason=reason)


RECOVERED: tuple[Record, ...] = (
    OPENED,
    decided(Decision.ACT, Reason.BREACH, after(minutes=10), BREACH, DOWN, step=0),
    intended(0, after(minutes=10)),
    concluded(0, after(minutes=10, seconds=1.2), Outcome.SUCCEEDED, detail="HTTP 200"),
    watched(after(minutes=11), Verdict.PASS, passing_since=after(minutes=11)),
    decided(Decision.RECOVERED, Reason.VERIFIED, after(minutes=12), FINE),
    ended(after(minutes=12), Decision.RECOVERED, Reason.VERIFIED),
)

HANDED_OVER: tuple[Record, ...] = (
    OPENED,
    decided(Decision.ACT, Reason.BREACH, after(minutes=10), BREACH, step=0),
    intended(0, after(minutes=10)),
    concluded(0, after(minutes=10, seconds=2), Outcome.FAILED, attempts=3, detail="HTTP 401, expected 200"),
    decided(Decision.ACT, Reason.ACTION_FAILED, after(minutes=10, seconds=2), BREACH, step=1),
    intended(1, after(minutes=10, seconds=2)),
    concluded(1, after(minutes=12), Outcome.UNKNOWN, detail="no answer within 2m"),
    decided(Decision.HAND_OVER, Reason.OUTCOME_UNKNOWN, after(minutes=12), BREACH),
    ended(after(minutes=12), Decision.HAND_OVER, Reason.OUTCOME_UNKNOWN),
)

CLEARED = IncidentCleared(incident=ID, guard="checkout", at=after(minutes=30))
