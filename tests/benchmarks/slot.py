"""Evaluate 1,000 ratio rules in one group: wall time and CPU of a slot, beside vmalert and Prometheus itself.

All contenders ask the same Prometheus, each at its own quarter of the same twenty seconds, so that they have the
machine to themselves and yet live through the same minutes. A quarter holds exactly one scrape; what Prometheus uses
in a quarter without any contender is subtracted.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import contenders as c
from figures import goal, median, ms, ratio, show, times
from real_prometheus import RealPrometheus
from rollback_guard.config.compile import offset_of
from traffic import Traffic, ratio_rules

RULES = 1000
INTERVAL_S = 20
INTERVAL = f"{INTERVAL_S}s"
QUARTER_S = INTERVAL_S / 4
EARLY_S = 0.3
"""A quarter begins so long before the contender's slot."""

WARM_UP_S = 110
"""The guard asks again how old samples are after 60 to 120 seconds; before that a slot has none of these questions."""

SLOTS = 9
CANDIDATES = 60
"""Names of groups that are tried: each has another phase."""


class Contender(Protocol):
    """Whoever evaluates the rules."""

    name: str

    @property
    def pid(self) -> int: ...


@dataclass
class Entry:
    """One contender, and what was measured of it."""

    contender: Contender
    phase_s: float
    wall: Callable[[], float]
    wall_s: list[float] = field(default_factory=list)
    own_cpu_s: list[float] = field(default_factory=list)
    prometheus_cpu_s: list[float] = field(default_factory=list)


def names() -> list[str]:
    return [f"slot-{number}" for number in range(CANDIDATES)]


def candidates() -> list[dict[str, object]]:
    """Return groups that only show at which phase a group of that name is evaluated."""
    rule = {"alert": "Never", "expr": "vector(0) > 1"}
    return [c.group(name, [rule], interval=INTERVAL) for name in names()]


def nearest(phases: dict[str, float], wanted_s: float) -> tuple[str, float]:
    """Return the name whose phase is nearest to the wanted one."""
    return min(phases.items(), key=lambda item: abs((item[1] - wanted_s + INTERVAL_S / 2) % INTERVAL_S - INTERVAL_S / 2))


def prometheus_phases(server: RealPrometheus) -> dict[str, float]:
    text = c.get(f"{server.url}/metrics")
    metric = "prometheus_rule_group_last_evaluation_timestamp_seconds"
    found = {name: c.total(text, metric, rule_group=f"{server_rules(server)};{name}") for name in names()}
    return {name: at % INTERVAL_S for name, at in found.items() if at > 0}


def server_rules(server: RealPrometheus) -> Path:
    return server.directory_of_rules / "rules.yaml"  # type: ignore[attr-defined]


if __name__ == "__main__":
    sys.exit()
