"""10,000 ratio rules every 15 seconds in one guard: no slot is missed over two minutes.

A hundred groups with a hundred rules and a guard each, all asking one Prometheus. As in production the guard's own
metrics are scraped meanwhile. How soon `/-/healthy` answers shows how long anything else holds up its event loop.
Afterwards Prometheus evaluates the same rules itself, then vmalert does.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import contenders as c
from figures import goal, mb, median, ms, quantile, ratio, show, times
from traffic import Traffic, ratio_rules

from real_prometheus import RealPrometheus

GROUPS = 100
RULES = 100
PATHS = 10
INTERVAL_S = 15
DATA_FOR_S = 32
WARM_UP_S = 20
WATCHED_S = 120
PEER_WATCHED_S = 2 * INTERVAL_S
LOOKED_EVERY_S = 0.1


@dataclass
class Sight:
    """What was seen of one contender.

    Attributes:
        slots_s: How long evaluations of groups took.
        healthy_s: How long `/-/healthy` took to answer.
        scrapes_s: How long `/metrics` took to answer.
    """

    name: str
    seconds: float
    missed: float = 0
    evaluations: float = 0
    cpu_s: float = 0
    prometheus_cpu_s: float = 0
    memory: int = 0
    slots_s: list[float] = field(default_factory=list)
    healthy_s: list[float] = field(default_factory=list)
    scrapes_s: list[float] = field(default_factory=list)


def groups(**labels: str) -> Iterator[dict[str, object]]:
    """Yield the hundred groups; none of them asks what another asks."""
    for number in range(GROUPS):
        rules = ratio_rules(RULES, paths=PATHS, first=number * RULES)
        for rule in rules:
            rule["labels"] = {"severity": "critical", **{key: f"{value}{number}" for key, value in labels.items()}}
        yield c.group(f"group-{number}", rules, interval=f"{INTERVAL_S}s")


def guard_on(place: Path, prometheus: str, target: str) -> c.Guard:
    settings = f'[actions.undo]\ntype = "http"\nurl = "http://{target}/undo"\n[log]\nlevel = "warning"\n'
    guard = c.Guard(place, prometheus=prometheus, settings=settings)
    for number, group in enumerate(groups(team="team-")):
        team = f"team-{number}"
        policy = {"guard": team, "select": {"team": team}, "playbook": [{"action": "undo"}]}
        c.write_rules(guard.rules / f"{team}.yaml", group, guards=[policy])
    return guard


@contextmanager
def looking(every_s: float, look: Callable[[], None]) -> Iterator[None]:
    """Look at something in the background, again and again."""
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(every_s):
            look()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def watch_guard(guard: c.Guard, server: RealPrometheus) -> Sight:
    """Return what the guard did over two minutes."""
    seen = Sight("rollback-guard", WATCHED_S)

    def look() -> None:
        began = time.perf_counter()
        guard.answers("/-/healthy")
        seen.healthy_s.append(time.perf_counter() - began)

    def scrape() -> None:
        began = time.perf_counter()
        text = c.get(f"{guard.url}/metrics", 60)
        seen.scrapes_s.append(time.perf_counter() - began)
        seen.slots_s += c.values(text, "rollback_guard_group_last_duration_seconds")

    missed, evaluated = "rollback_guard_group_slots_missed_total", "rollback_guard_group_evaluations_total"
    before = guard.figure(missed), guard.figure(evaluated)
    own, asked = c.cpu_s(guard.pid), c.cpu_s(server.pid)
    with looking(LOOKED_EVERY_S, look), looking(INTERVAL_S, scrape):
        time.sleep(WATCHED_S)
    seen.cpu_s, seen.prometheus_cpu_s = c.cpu_s(guard.pid) - own, c.cpu_s(server.pid) - asked
    seen.memory = c.memory_bytes(guard.pid)
    seen.missed, seen.evaluations = guard.figure(missed) - before[0], guard.figure(evaluated) - before[1]
    return seen


def watch_prometheus(server: RealPrometheus, rules: Path) -> Sight:
    """Return what Prometheus needs for the same rules."""
    seen = Sight("Prometheus itself", PEER_WATCHED_S)
    c.write_rules(rules, *groups())
    c.reload(server)
    time.sleep(INTERVAL_S)
    metrics = f"{server.url}/metrics"
    missed, evaluated = "prometheus_rule_group_iterations_missed_total", "prometheus_rule_group_iterations_total"
    text, own = c.get(metrics), c.cpu_s(server.pid)
    before = c.total(text, missed), c.total(text, evaluated)
    time.sleep(PEER_WATCHED_S)
    seen.cpu_s, text = c.cpu_s(server.pid) - own, c.get(metrics)
    seen.missed, seen.evaluations = c.total(text, missed) - before[0], c.total(text, evaluated) - before[1]
    seen.slots_s = c.values(text, "prometheus_rule_group_last_duration_seconds")
    c.write_rules(rules)
    c.reload(server)
    return seen


def watch_vmalert(vmalert: c.Vmalert, server: RealPrometheus) -> Sight:
    """Return what vmalert does with the same rules."""
    seen = Sight("vmalert", PEER_WATCHED_S)
    c.write_rules(vmalert.rules, *groups())
    with vmalert:
        time.sleep(INTERVAL_S)
        missed, evaluated = "vmalert_iteration_missed_total", "vmalert_iteration_total"
        took = "vmalert_iteration_duration_seconds_sum"
        before = vmalert.figure(missed), vmalert.figure(evaluated), vmalert.figure(took)
        own, asked = c.cpu_s(vmalert.pid), c.cpu_s(server.pid)
        time.sleep(PEER_WATCHED_S)
        seen.cpu_s, seen.prometheus_cpu_s = c.cpu_s(vmalert.pid) - own, c.cpu_s(server.pid) - asked
        seen.missed, seen.evaluations = vmalert.figure(missed) - before[0], vmalert.figure(evaluated) - before[1]
        seen.slots_s = [(vmalert.figure(took) - before[2]) / max(1, seen.evaluations)]
        seen.memory = c.memory_bytes(vmalert.pid)
    return seen


def run() -> list[Sight]:
    """Return what was seen of each contender, the guard first."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Traffic(GROUPS * RULES // PATHS, paths=PATHS) as traffic,
        ExitStack() as running,
    ):
        place = Path(folder)
        rules = c.write_rules(place / "rules.yaml")
        server = c.prometheus(place / "prometheus", traffic.target, scrape_interval="15s", rules=rules)
        running.enter_context(server)
        time.sleep(DATA_FOR_S)
        began = time.perf_counter()
        with guard_on(place / "guard", server.url, traffic.target) as guard:
            guard.await_ready(every_s=0.5)
            print(f"  from start to the first evaluation of every group: {time.perf_counter() - began:.1f} s")
            time.sleep(WARM_UP_S)
            seen = [watch_guard(guard, server)]
        seen.append(watch_prometheus(server, rules))
        if c.Vmalert.is_there():
            seen.append(watch_vmalert(c.Vmalert(place / "vmalert", prometheus=server.url), server))
        return seen


def main() -> None:
    """Run it and print the figures."""
    print(f"{GROUPS * RULES} ratio rules in {GROUPS} groups, every {INTERVAL_S} s; takes four minutes …")
    seen = run()
    guard = seen[0]
    show(
        "ratios are to the guard; CPU in parts of a core, Prometheus' with its scrapes",
        ("", "missed", "of slots", "slot, median", "", "worst", "own CPU", "Prometheus' CPU", "together", "resident"),
        [
            (
                it.name,
                f"{it.missed:g}",
                f"{it.evaluations + it.missed:g}",
                ms(median(it.slots_s)),
                times(ratio(median(it.slots_s), median(guard.slots_s))),
                ms(max(it.slots_s)) if len(it.slots_s) > 1 else None,
                f"{it.cpu_s / it.seconds:.0%}",
                f"{it.prometheus_cpu_s / it.seconds:.0%}",
                times(ratio(load(it), load(guard))),
                mb(it.memory) if it.memory else None,
            )
            for it in seen
        ],
    )
    healthy, scrapes = guard.healthy_s, guard.scrapes_s
    print(f"  /-/healthy answered in {ms(median(healthy))}, {ms(quantile(healthy, 0.99))} (99 of 100), ", end="")
    print(f"{ms(max(healthy))} at worst; /metrics in {ms(median(scrapes))}, {ms(max(scrapes))} at worst")
    goal(f"slots missed in {WATCHED_S} s", guard.missed, 0)


def load(it: Sight) -> float:
    """Return how much of a core a contender and the Prometheus that it asks use."""
    return (it.cpu_s + it.prometheus_cpu_s) / it.seconds


if __name__ == "__main__":
    main()
