"""Tell the demo's two acts: break the shop, and wait until the guard has mended it.

Act one breaks the new feature; turning its flag off cures that. Act two breaks the release itself; turning the flag
off does not cure that, so the guard rolls the release back. The story only breaks things and waits: what heals the
shop is the guard.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from rollback_guard.adapters.clock import SystemClock
from rollback_guard.demo.failure import DemoFailed
from rollback_guard.demo.shop import ShopApi
from rollback_guard.demo.sight import GuardApi, IncidentSight, Sight
from rollback_guard.demo.stage import FLAG, Stage
from rollback_guard.demo.view import WATCHED, Timeline, View

LOOK_EVERY_S = 0.2
START_WITHIN = timedelta(seconds=30)
FIRE_WITHIN = timedelta(seconds=20)
ACT_WITHIN = timedelta(seconds=10)
RECOVER_WITHIN = timedelta(seconds=25)
CALM = timedelta(seconds=3)
"""How long all is well on the screen before the next thing breaks."""

COLUMN = timedelta(seconds=0.5)
"""Time between two columns of the picture."""

LAST_CUSTOMERS = timedelta(seconds=0.5)
"""After this no order of the old mix is under way."""

DISABLE, ROLL_BACK = "disable-new-checkout", "rollback-shop"
COUPONS, YEN = 0.35, 0.4
"""Shares of the customers that meet the mistakes of release v2."""


class Audience(Protocol):
    """Whoever is shown the demo."""

    def show(self, view: View) -> None:
        """Take in one picture."""
        ...

    def say(self, text: str) -> None:
        """Take in one line."""
        ...


@dataclass(kw_only=True)
class Story:
    """The demo as it goes on."""

    stage: Stage
    audience: Audience
    clock: SystemClock = field(default_factory=SystemClock)
    timeline: Timeline = field(default_factory=Timeline)
    sight: Sight | None = None
    _scene: str = ""
    _errors: dict[int, float | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._began_at = self.clock.now()
        self._guard = GuardApi(self.stage.guard_url)
        self.shop = ShopApi(self.stage.shop_url)

    def close(self) -> None:
        """Release the connections."""
        self._guard.close()
        self.shop.close()

    def prologue(self) -> None:
        """Start everything, and wait until the guard sees a healthy shop."""
        self._scene = "a shop, a Prometheus, a guard"
        for note in self.stage.notes:
            self._did(note)
        self.stage.start_shop()
        self._did("release v2 serves, its feature new-checkout is on, customers order")
        self.stage.start_prometheus()
        self._did(f"Prometheus scrapes the shop every second at {self.stage.prometheus_url}")
        self.stage.start_guard()
        self._did(f"rollback-guard run --config guard.toml, at {self.stage.guard_url}")
        self._until("the guard sees a healthy shop", lambda sight: sight.ready and is_well(sight), START_WITHIN)
        self._calm()

    def act_one(self) -> IncidentSight:
        """Break the new feature."""
        self._scene = "act 1 of 2: the new feature breaks"
        known = self._known()
        self.stage.set_traffic(coupon=COUPONS)
        self._did(f"{COUPONS:.0%} of the customers bring a coupon, which the new checkout cannot read", "bad")
        self._fires()
        self._until_new(
            "the guard turns the flag off", known, lambda it: it.did() == ((DISABLE, "succeeded"),), ACT_WITHIN
        )
        return self._until_new("the guard verifies the recovery", known, is_over, RECOVER_WITHIN)

    def interlude(self) -> None:
        """Turn the feature on again, as people do after such a night."""
        self._scene = "between the acts: the campaign is over, the feature goes on again"
        self.stage.set_traffic()
        self._calm(LAST_CUSTOMERS)
        self.shop.set_flag(FLAG, enabled=True)
        self._did("nobody brings coupons any more; people turn new-checkout on again")
        self._until("the shop is healthy with the feature on", is_well, RECOVER_WITHIN)
        self._calm()

    def act_two(self) -> IncidentSight:
        """Break the release, which no flag cures."""
        self._scene = "act 2 of 2: the release breaks, and the flag does not cure it"
        known = self._known()
        self.stage.set_traffic(yen=YEN)
        self._did(f"{YEN:.0%} of the customers pay in yen, which the payment client of release v2 does not know", "bad")
        self._fires()
        self._until_new(
            "the guard turns the flag off", known, lambda it: it.did() == ((DISABLE, "succeeded"),), ACT_WITHIN
        )
        self._until_new(
            "the guard sees that this did not help and rolls the release back",
            known,
            lambda it: it.did() == ((DISABLE, "succeeded"), (ROLL_BACK, "succeeded")),
            RECOVER_WITHIN,
        )
        return self._until_new("the guard verifies the recovery", known, is_over, RECOVER_WITHIN)

    def keep(self) -> None:
        """Leave everything running until somebody ends it."""
        while not (dead := self.stage.dead()):
            time.sleep(LOOK_EVERY_S)
        raise DemoFailed(dead.died())

    def report(self, found: str) -> None:
        """Add to the timeline what was found at the shop itself."""
        self._did(found, "good")
        self.audience.show(self._view())

    def took(self) -> timedelta:
        """Return for how long the demo has been running."""
        return self.clock.now() - self._began_at

    def _known(self) -> frozenset[str]:
        return frozenset(incident.id for incident in self.sight.incidents) if self.sight else frozenset()

    def _fires(self) -> None:
        self._until(
            f"{WATCHED} goes pending and fires",
            lambda _: {(WATCHED, "pending"), (WATCHED, "firing")} <= self.timeline.seen,
            FIRE_WITHIN,
        )
        self.timeline.seen.clear()

    def _calm(self, span: timedelta = CALM) -> None:
        until = self.clock.elapsed() + span
        self._until("a moment has passed", lambda _: self.clock.elapsed() >= until, span + CALM)

    def _until_new(
        self, what: str, known: frozenset[str], holds: Callable[[IncidentSight], bool], within: timedelta
    ) -> IncidentSight:
        def found(sight: Sight) -> bool:
            incident = sight.incident()
            if incident is None or incident.id in known:
                return False
            if incident.decision and incident.decision != "recovered":
                raise DemoFailed(f"{what}: instead the guard decided {incident.decision}: {incident.reason}")
            return holds(incident)

        sight = self._until(what, found, within)
        incident = sight.incident()
        assert incident is not None  # noqa: S101  `found` held
        return incident

    def _until(self, what: str, holds: Callable[[Sight], bool], within: timedelta) -> Sight:
        deadline = self.clock.elapsed() + within
        while True:
            sight = self._look()
            if sight is not None and holds(sight):
                return sight
            if self.clock.elapsed() > deadline:
                raise DemoFailed(f"waited {within.total_seconds():.0f} s in vain until {what}")

    def _look(self) -> Sight | None:
        time.sleep(LOOK_EVERY_S)
        if dead := self.stage.dead():
            raise DemoFailed(dead.died())
        self.sight = self._guard.look() or self.sight
        if self.sight is not None:
            self.timeline.take(self.sight)
            rule = self.sight.rule(WATCHED)
            self._errors[int(self.took() / COLUMN)] = rule.value if rule else None
        self.audience.show(self._view())
        return self.sight

    def _view(self) -> View:
        return View(
            began_at=self._began_at,
            now=self.clock.now(),
            scene=self._scene,
            errors=tuple(self._errors.values()),
            sight=self.sight,
            flag_on=self.stage.flag_is_on(),
            release=self.stage.release(),
            timeline=self.timeline.entries(),
        )

    def _did(self, text: str, mood: str = "") -> None:
        self.timeline.did(self.clock.now(), text, mood)


def is_well(sight: Sight) -> bool:
    """Say whether every critical rule passes, with a value."""
    critical = [rule for rule in sight.rules if rule.severity == "critical"]
    return bool(critical) and all(rule.verdict == "pass" and rule.phase == "inactive" for rule in critical)


def is_over(incident: IncidentSight) -> bool:
    """Say whether the incident ended well and is proven to have."""
    return (incident.phase, incident.decision, incident.reason) == ("closed", "recovered", "verified")
