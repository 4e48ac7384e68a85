"""Evaluate 1,000 ratio rules in one group: wall time and CPU of a slot, beside vmalert and Prometheus itself.

All contenders ask the same Prometheus, each in its own quarter of the same sixteen seconds, so that they have the
machine to themselves and yet live through the same minutes. A quarter holds exactly one scrape; what Prometheus uses
in a quarter without any contender is subtracted.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import contenders as c
from figures import goal, median, ms, ratio, show, times
from traffic import Traffic, ratio_rules

from real_prometheus import RealPrometheus
from rollback_guard.config.compile import offset_of

RULES = 1000
INTERVAL_S = 16
INTERVAL = f"{INTERVAL_S}s"
QUARTER_S = INTERVAL_S / 4
SCRAPES = f"{QUARTER_S:g}s"
EARLY_S = 0.4
"""A quarter begins so long before the contender's slot."""

READ_S = 0.3
"""The end of a quarter, in which the figures are read."""

WARM_UP_S = 90
"""The guard asks again how old samples are after 60 to 120 seconds; before that its slots have few of these questions."""

SLOTS = 8
QUIET_QUARTERS = 5
NAMES = [f"slot-{number}" for number in range(60)]
"""Of groups that are tried: each has another phase, by which the contenders are kept apart."""


@dataclass
class Entry:
    """One contender, and what was measured of it."""

    name: str
    pid: int
    phase_s: float
    wall: Callable[[], float]
    wall_s: list[float] = field(default_factory=list)
    own_cpu_s: list[float] = field(default_factory=list)
    prometheus_cpu_s: list[float] = field(default_factory=list)


@dataclass
class World:
    """The Prometheus that all ask, and the files of those who do."""

    server: RealPrometheus
    rules: Path
    guard: c.Guard
    vmalerts: Mapping[int, c.Vmalert]


def group(name: str, rules: c.Rules, **more: object) -> dict[str, object]:
    return c.group(name, rules, interval=INTERVAL, **more)


def phases(world: World) -> list[dict[str, float]]:
    """Return by contender at which phase of the interval it evaluates a group of each name."""
    rule = {"alert": "Never", "expr": "vector(0) > 1"}
    for file in (world.rules, *(each.rules for each in world.vmalerts.values())):
        c.write_rules(file, *(group(name, [rule]) for name in NAMES))
    c.reload(world.server)
    with ExitStack() as running:
        for each in world.vmalerts.values():
            running.enter_context(each)
        time.sleep(INTERVAL_S + 5)
        text = c.get(f"{world.server.url}/metrics")
        metric = "prometheus_rule_group_last_evaluation_timestamp_seconds"
        by_prometheus = {name: c.total(text, metric, rule_group=f"{world.rules};{name}") for name in NAMES}
        by_vmalert = [evaluated_at(each) for each in world.vmalerts.values()]
    by_guard = {name: offset_of(name, timedelta(seconds=INTERVAL_S)).total_seconds() for name in NAMES}
    return [by_guard, by_prometheus, *by_vmalert]


def evaluated_at(vmalert: c.Vmalert) -> dict[str, float]:
    groups = json.loads(c.get(f"{vmalert.url}/api/v1/rules"))["data"]["groups"]
    return {each["name"]: datetime.fromisoformat(each["lastEvaluation"]).timestamp() for each in groups}


def nearest(by_name: Mapping[str, float], wanted_s: float) -> tuple[str, float]:
    """Return the name with the phase nearest to the wanted one, and that phase."""

    def distance(phase_s: float) -> float:
        return abs((phase_s - wanted_s + INTERVAL_S / 2) % INTERVAL_S - INTERVAL_S / 2)

    name, phase_s = min(by_name.items(), key=lambda item: distance(item[1]))
    return name, phase_s % INTERVAL_S


def entries(world: World, by_name: list[dict[str, float]], running: ExitStack) -> Iterator[Entry]:
    """Start all contenders, a quarter apart."""
    by_guard, by_prometheus, *by_vmalert = by_name
    rules = ratio_rules(RULES)

    name, phase_s = nearest(by_guard, 0)
    c.write_rules(world.guard.rules / "rules.yaml", group(name, rules))
    guard = running.enter_context(world.guard)
    last = "rollback_guard_group_last_duration_seconds"
    yield Entry("rollback-guard", guard.pid, phase_s, lambda: guard.figure(last))

    name, phase_s = nearest(by_prometheus, QUARTER_S)
    c.write_rules(world.rules, group(name, rules))
    c.reload(world.server)
    yield Entry("Prometheus itself", world.server.pid, phase_s, lambda: prometheus_wall(world.server))

    for (concurrency, vmalert), phased, place in zip(world.vmalerts.items(), by_vmalert, (2, 3), strict=False):
        name, phase_s = nearest(phased, place * QUARTER_S)
        c.write_rules(vmalert.rules, group(name, rules, concurrency=concurrency))
        running.enter_context(vmalert)
        said = "vmalert" if concurrency == 1 else f"vmalert, {concurrency} at once"
        yield Entry(said, vmalert.pid, phase_s, VmalertWall(vmalert))


def prometheus_wall(server: RealPrometheus) -> float:
    return c.total(c.get(f"{server.url}/metrics"), "prometheus_rule_group_last_duration_seconds")


class VmalertWall:
    """Duration of the last evaluation; vmalert tells only the sum of all."""

    def __init__(self, vmalert: c.Vmalert) -> None:
        self._vmalert = vmalert
        self._sum_s = 0.0

    def __call__(self) -> float:
        before, self._sum_s = self._sum_s, self._vmalert.figure("vmalert_iteration_duration_seconds_sum")
        return self._sum_s - before


def measure(entry: Entry, server: RealPrometheus, idle_cpu_s: float, slot_at: float) -> None:
    """Measure one slot of one contender."""
    c.sleep_until(slot_at - EARLY_S)
    own, asked = c.cpu_s(entry.pid), c.cpu_s(server.pid)
    c.sleep_until(slot_at - EARLY_S + QUARTER_S - READ_S)
    own, asked = c.cpu_s(entry.pid) - own, c.cpu_s(server.pid) - asked
    entry.wall_s.append(entry.wall())
    entry.prometheus_cpu_s.append(max(0.0, asked - idle_cpu_s))
    entry.own_cpu_s.append(0.0 if entry.pid == server.pid else own)


def idle_cpu(world: World) -> float:
    """Return what Prometheus uses in a quarter in which nobody asks it: scraping."""
    c.write_rules(world.rules)
    c.reload(world.server)
    server = world.server
    spent: list[float] = []
    for _ in range(QUIET_QUARTERS):
        before = c.cpu_s(server.pid)
        time.sleep(QUARTER_S)
        spent.append((c.cpu_s(server.pid) - before) * (QUARTER_S - READ_S) / QUARTER_S)
    return median(spent)


def failures(world: World) -> Iterator[str]:
    """Yield who did not evaluate all rules as it should: its figures would mean nothing."""
    verdicts = c.get(f"{world.guard.url}/metrics").count("\nrollback_guard_rule_value{")
    if verdicts != RULES:
        yield f"the guard knows the values of {verdicts} rules"
    if failed := c.total(c.get(f"{world.server.url}/metrics"), "prometheus_rule_evaluation_failures_total"):
        yield f"Prometheus failed {failed:g} times"
    for each in world.vmalerts.values():
        if failed := each.figure("vmalert_execution_errors_total"):
            yield f"{each.name} failed {failed:g} times"


def run() -> tuple[list[Entry], list[str]]:
    """Return what was measured, and what went wrong."""
    with tempfile.TemporaryDirectory() as folder, Traffic(RULES) as traffic, ExitStack() as running:
        place = Path(folder)
        rules = c.write_rules(place / "rules.yaml")
        server = running.enter_context(
            c.prometheus(place / "prometheus", traffic.target, scrape_interval=SCRAPES, rules=rules)
        )
        there = (1, 4) if c.Vmalert.is_there() else ()
        vmalerts = {n: c.Vmalert(place / f"vmalert-{n}", prometheus=server.url) for n in there}
        world = World(server, rules, c.Guard(place / "guard", prometheus=server.url), vmalerts)
        by_name = phases(world)
        idle_cpu_s = idle_cpu(world)
        found = list(entries(world, by_name, running))
        time.sleep(WARM_UP_S)
        began = (time.time() // INTERVAL_S + 1) * INTERVAL_S
        for slot in range(SLOTS + 1):
            for entry in sorted(found, key=lambda each: each.phase_s):
                measure(entry, server, idle_cpu_s, began + slot * INTERVAL_S + entry.phase_s)
        return found, list(failures(world))


def figures(entry: Entry) -> tuple[float, float, float]:
    """Return the medians of wall time, own CPU and Prometheus' CPU of a slot, without the first."""
    return median(entry.wall_s[1:]), median(entry.own_cpu_s[1:]), median(entry.prometheus_cpu_s[1:])


def main() -> None:
    """Run it and print the figures."""
    print(
        f"{RULES} ratio rules in one group, every {INTERVAL_S} s, median of {SLOTS} slots; takes four and a half minutes …"
    )
    found, wrong = run()
    by_name = {entry.name: figures(entry) for entry in found}
    wall, own, asked = by_name["rollback-guard"]
    show(
        "wall time and CPU of one slot; ratios are to the guard",
        ("", "wall", "", "own CPU", "Prometheus' CPU", "", "both CPUs", ""),
        [
            (
                name,
                ms(w),
                times(ratio(w, wall)),
                ms(o),
                ms(p),
                times(ratio(p, asked)),
                ms(o + p),
                times(ratio(o + p, own + asked)),
            )
            for name, (w, o, p) in by_name.items()
        ],
    )
    vmalert = by_name.get("vmalert")
    goal("vmalert's wall time over the guard's", ratio(vmalert[0], wall) if vmalert else None, 3, at_least=True)
    goal("the guard's wall time over Prometheus' own", ratio(wall, by_name["Prometheus itself"][0]), 1.5)
    goal("Prometheus' CPU for the guard over that for vmalert", ratio(asked, vmalert[2]) if vmalert else None, 0.5)
    for each in wrong:
        print(f"  NOT VALID: {each}")


if __name__ == "__main__":
    main()
