"""What a backtest may find, made by hand and laid out by the code that lays out real ones."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rollback_guard.adapters.actions import registry
from rollback_guard.config.load import load
from rollback_guard.workbench.backtest.compare import compare
from rollback_guard.workbench.backtest.data import Findings, Swept, as_data
from rollback_guard.workbench.backtest.events import Deploy, KnownIncident
from rollback_guard.workbench.backtest.plan import plan
from rollback_guard.workbench.backtest.playback import Played
from rollback_guard.workbench.backtest.results import (
    BUCKETS,
    BegunAction,
    GuardIncident,
    GuardResult,
    Nearest,
    Period,
    Results,
    RuleResult,
)
from rollback_guard.workbench.backtest.score import Past
from rollback_guard.workbench.backtest.sweep import tried, variants_of

START = datetime(2026, 3, 1, tzinfo=UTC)
LENGTH = timedelta(days=14)

RULES = """
groups:
  - name: shop
    interval: 15s
    labels: {service: shop}
    rules:
      - alert: Errors
        expr: sum(rate(requests_total{code=~"5.."}[2m])) / sum(rate(requests_total[2m])) > 0.01
        for: 5m
        labels: {severity: critical}
      - alert: Latency
        expr: sum(rate(latency_seconds_sum[2m])) / sum(rate(latency_seconds_count[2m])) > 0.5
        for: 10m
        labels: {severity: critical}
      - alert: Gone
        expr: absent(up{job="shop"})
        for: 2m
        labels: {severity: warning}
      - alert: Silent
        expr: queue_length < 1
        labels: {severity: warning}
guards:
  - guard: shop
    select: {service: shop}
    playbook:
      - {action: flag-off, verify: {within: 4m, stable_for: 1m}}
      - {action: roll-back, verify: {within: 4m, stable_for: 1m}}
"""

INCIDENTS = (
    KnownIncident(start=START + timedelta(hours=30), end=START + timedelta(hours=31), name="INC-1"),
    KnownIncident(start=START + timedelta(hours=200), end=START + timedelta(hours=201), name="INC-2"),
)
DEPLOYS = (
    Deploy(at=START + timedelta(hours=29, minutes=55), guard="shop", version="v1"),
    Deploy(at=START + timedelta(hours=100), guard="shop", version="v2"),
)


def hours(number):
    return START + timedelta(hours=number)


def period(first, last=None, *, active=None, **more):
    return Period(
        began_at=hours(first),
        ended_at=None if last is None else hours(last),
        active_at=None if active is None else hours(active),
        **more,
    )


def line(results, low, high, known=range(BUCKETS)):
    """Give a rule values: those of a bucket are what two functions say of its number."""
    for number in known:
        results.low[number], results.high[number] = low(number), high(number)
    return results


def errors():
    """A rule that fired in an incident, and once when nothing was the matter."""
    found = RuleResult(
        slots=80640,
        unknown={"no_traffic": 8000, "timeout": 40},
        nearest=Nearest(value=0.23, at=hours(30.5)),
        firing=[
            period(30.1, 30.9, active=30.0, value=0.04, why="passed"),
            period(150, 150.2, active=149.9, value=0.012, why="passed"),
        ],
        firings=2,
        pending=[period(60, 60.05, value=0.011)],
        pendings=1,
        longest_pending=period(60, 60.05),
        unseen=[period(0, 2, why="no_traffic"), period(80, 80.2, why="timeout")],
    )
    return line(found, lambda n: 0.002, lambda n: 0.23 if 178 <= n <= 182 else 0.012 if n == 892 else 0.003)


def latency():
    """A rule that never fired."""
    found = RuleResult(slots=80640, nearest=Nearest(value=0.4, at=hours(9)))
    return line(found, lambda n: 0.1, lambda n: 0.1 + 0.3 * (n % 100) / 100)


def gone():
    """A rule without a threshold."""
    return RuleResult(slots=80640, firing=[period(200.5, 200.9, active=200.4, series=(("job", "shop"),))], firings=1)


def silent():
    """A rule that never had a value."""
    return RuleResult(slots=80640, unknown={"absent": 80640}, unseen=[period(0, why="absent")])


def guard():
    """A guard that acted in one of two incidents, once with a second step, and once without need."""
    return GuardResult(
        incidents=[
            GuardIncident(
                id="shop-1",
                opened_at=hours(30.1),
                breached_at=hours(30),
                rules=("shop/Errors",),
                actions=[
                    BegunAction(at=hours(30.1), action="flag-off", reason="breach"),
                    BegunAction(at=hours(30.2), action="roll-back", reason="not_recovered"),
                ],
                ended_at=hours(30.9),
                decision="hand_over",
                reason="playbook_exhausted",
                closed_at=hours(30.9),
            ),
            GuardIncident(
                id="shop-2",
                opened_at=hours(150),
                breached_at=hours(149.9),
                rules=("shop/Errors",),
                actions=[BegunAction(at=hours(150), action="flag-off", reason="breach")],
                ended_at=hours(150.2),
                decision="recovered",
                reason="verified",
                closed_at=hours(150.2),
            ),
        ],
        held={"not_critical": 1},
    )


@dataclass
class Scene:
    """A backtest that has been played, before it is laid out; tests change of it what they are about."""

    directory: Path
    rules: str = RULES
    by_rule: dict = field(
        default_factory=lambda: {
            "shop/Errors": errors(),
            "shop/Latency": latency(),
            "shop/Gone": gone(),
            "shop/Silent": silent(),
        }
    )
    guards: dict = field(default_factory=lambda: {"shop": guard()})
    deploys: tuple = DEPLOYS
    incidents: tuple = INCIDENTS
    swept: str = ""
    compared: bool = False

    def data(self):
        """Return what `as_data` makes of it."""
        path = self.directory / "rules.yaml"
        path.write_text(self.rules)
        loaded = load([path], action_types=registry.settings_types())
        assert loaded.policy, [problem.render() for problem in loaded.problems]
        planned = plan(loaded.policy, START, START + LENGTH, step=None)
        results = Results(start=START, end=START + LENGTH, rules=self.by_rule, guards=self.guards)
        past = Past(start=START, end=START + LENGTH, deploys=self.deploys, incidents=self.incidents)
        found = Findings(
            files=["rules.yaml"],
            plan=planned,
            played=Played(results=results, read_s=4.5, played_s=4.9),
            past=past,
            swept=self._swept(planned, past) if self.swept else None,
        )
        if self.compared:
            other = replace_firing(results)
            changes = compare((loaded.policy, results), (loaded.policy, other), until=START + LENGTH)
            found = replace(found, compared=(["other.yaml"], changes))
        return as_data(found)

    def _swept(self, planned, past):
        axes = {"threshold": [0.005, 0.01, 0.02], "for": [timedelta(minutes=2), timedelta(minutes=5)]}
        variants = variants_of(planned.policy, self.swept, axes)
        rules = {}
        for number, variant in enumerate(variants):
            firing = [period(30 + number / 50, 30.9), *(period(300 + each, 300.5 + each) for each in range(4 - number))]
            rules[variant.rule.id] = RuleResult(slots=1, firing=firing, firings=len(firing))
        results = Results(start=START, end=START + LENGTH, rules=rules)
        return Swept(rule="shop/Errors", op=">", tried=tried(variants, results, past))


def replace_firing(results):
    """Return the same backtest with other rules: one firing is gone, one is new, one comes earlier."""
    errors, latency = results.rules["shop/Errors"], results.rules["shop/Latency"]
    earlier = period(30.05, 30.9, active=30.0)
    return Results(
        start=results.start,
        end=results.end,
        rules={
            **results.rules,
            "shop/Errors": replace(errors, firing=[earlier]),
            "shop/Latency": replace(latency, firing=[period(201, 202)]),
        },
        guards={
            "shop": GuardResult(
                incidents=[
                    replace(
                        results.guards["shop"].incidents[0],
                        actions=[BegunAction(at=hours(30.05), action="flag-off", reason="breach")],
                    )
                ]
            )
        },
    )
