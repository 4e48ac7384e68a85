"""Hold what the guard claims against the shop: its files, and the orders of customers who are still there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from rollback_guard.demo.failure import DemoFailed
from rollback_guard.demo.shop import ShopApi
from rollback_guard.demo.sight import IncidentSight, Sight
from rollback_guard.demo.stage import Stage
from rollback_guard.demo.story import is_over

WINDOW_S = 1.5
"""How long the shop's own orders are counted; the customers who broke it are still ordering."""

FEWEST_ORDERS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What one act must have led to."""

    did: tuple[tuple[str, str], ...]
    reasons: tuple[tuple[str, str], ...]
    flag_on: bool
    release: str


def prove(claim: Claim, incident: IncidentSight, sight: Sight | None, stage: Stage, shop: ShopApi) -> str:
    """Return what was found, in words.

    Raises:
        DemoFailed: Something is not as the guard says.
    """
    if sight is None:
        raise DemoFailed("the guard never answered")
    before, failed_before = shop.orders()
    time.sleep(WINDOW_S)
    after, failed_after = shop.orders()
    orders, failed = after - before, failed_after - failed_before
    wrong = [*_of_guard(claim, incident, sight), *_of_shop(claim, stage)]
    if orders < FEWEST_ORDERS:
        wrong.append(f"only {orders} orders came in, too few to judge")
    if failed:
        wrong.append(f"{failed} of {orders} orders still fail")
    if wrong:
        raise DemoFailed(f"not all is as it should be after {incident.id}: {'; '.join(wrong)}")
    flag = "on" if claim.flag_on else "off"
    return f"checked at the shop itself: flag {flag}, release {claim.release}, {orders} orders, none failed"


def _of_guard(claim: Claim, incident: IncidentSight, sight: Sight) -> Iterator[str]:
    if incident.did() != claim.did:
        yield f"the guard did {incident.did()}, not {claim.did}"
    if not is_over(incident):
        yield f"the incident is {incident.phase}, {incident.decision}: {incident.reason}"
    reasons = tuple(
        (each.decision, each.reason)
        for each in sight.decisions
        if each.incident == incident.id and each.decision in {"act", "recovered"}
    )
    if reasons != claim.reasons:
        yield f"the guard decided {reasons}, not {claim.reasons}"


def _of_shop(claim: Claim, stage: Stage) -> Iterator[str]:
    if stage.flag_is_on() is not claim.flag_on:
        yield f"the flag file says {'on' if stage.flag_is_on() else 'off'}"
    if stage.release() != claim.release:
        yield f"the shop runs release {stage.release()}"
