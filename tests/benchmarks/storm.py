"""1,000 guards with 10,000 rules, all of which breach at once: what is done, who is told, and what it costs.

Nobody takes messages when the storm begins, and in the middle of it the daemon is killed (`kill -9`) and started
again. Then the messages are taken, the storm goes on for some minutes, and everything recovers. Meanwhile the metrics
and the status are asked for as often as people and Prometheus would; how soon `/-/healthy` answers shows how long
anything holds up the event loop.

    python tests/benchmarks/storm.py [guards [rules per guard [seconds that are watched]]]
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import contenders as c
from figures import goal, mb, median, ms, show
from fleet import looking

import storms

GUARDS = 1000
RULES = 10
WATCHED_S = 240
INTERVAL = "15s"
BEFORE_S = 60
DATA_FOR_S = 20
LOOKED_EVERY_S = 0.1
SCRAPED_EVERY_S = 15
WITHIN_S = 600
POLLED_EVERY_S = 3
"""Each look makes a whole exposition, of which Prometheus asks for one in 15 seconds."""

LOOKED_INTO_EVERY_S = 6

SHOWN = ("/-/healthy", "worst", "/metrics", "worst", "status", "worst")

OPEN = "rollback_guard_incidents_open"
MISSED = "rollback_guard_group_slots_missed_total"
LETTERS = "rollback_guard_outbox_letters"


@dataclass
class Span:
    """What was seen over some time.

    Attributes:
        memory: Times in seconds, and bytes resident.
    """

    name: str
    began: float = field(default_factory=time.perf_counter)
    seconds: float = 0
    cpu_s: float = 0
    missed: float = 0
    healthy_s: list[float] = field(default_factory=list)
    metrics_s: list[float] = field(default_factory=list)
    status_s: list[float] = field(default_factory=list)
    memory: list[tuple[float, int]] = field(default_factory=list)

    @property
    def growth(self) -> float:
        """Bytes a minute, as a straight line through all that was seen."""
        return 60 * slope(self.memory)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the slope of the straight line that fits best."""
    x0 = sum(x for x, _ in points) / len(points)
    y0 = sum(y for _, y in points) / len(points)
    spread = sum((x - x0) ** 2 for x, _ in points)
    return sum((x - x0) * (y - y0) for x, y in points) / spread if spread else 0.0


def timed(guard: c.Guard, path: str) -> float:
    began = time.perf_counter()
    c.get(guard.url + path, 60)
    return time.perf_counter() - began


def watch(guard: c.Guard, name: str, over: float | None = None, until: str = "") -> Span:
    """Watch for some time, or until the metric has a value."""
    seen = Span(name)

    def look() -> None:
        seen.healthy_s.append(timed(guard, "/-/healthy"))

    def scrape() -> None:
        seen.metrics_s.append(timed(guard, "/metrics"))
        seen.status_s.append(timed(guard, "/api/v1/status"))
        seen.memory.append((time.perf_counter() - seen.began, c.memory_bytes(guard.pid)))

    missed, spent = guard.figure(MISSED), c.cpu_s(guard.pid)
    with looking(LOOKED_EVERY_S, look), looking(SCRAPED_EVERY_S if over else 2 * POLLED_EVERY_S, scrape):
        if over:
            time.sleep(over)
        else:
            metric, _, value = until.partition("=")
            c.wait_until(
                lambda: guard.figure(metric) == float(value),
                f"{name}: {until}",
                within_s=WITHIN_S,
                every_s=POLLED_EVERY_S,
            )
    seen.seconds = time.perf_counter() - seen.began
    seen.cpu_s, seen.missed = c.cpu_s(guard.pid) - spent, guard.figure(MISSED) - missed
    seen.memory.append((seen.seconds, c.memory_bytes(guard.pid)))
    print(f"  {name}: {seen.seconds:.0f} s", flush=True)
    return seen


def kill(guard: c.Guard) -> None:
    """End the process as a kernel out of memory does."""
    process = guard._process
    assert process is not None
    process.kill()
    process.wait()


def start(guard: c.Guard, name: str) -> None:
    began = time.perf_counter()
    guard.start().await_ready(every_s=0.2)
    print(f"  {name}: first evaluation of every group after {time.perf_counter() - began:.1f} s", flush=True)


def run(guards: int, rules: int, watched_s: float) -> tuple[list[Span], storms.Shop]:
    """Return what was seen from the quiet before to the quiet after."""
    with tempfile.TemporaryDirectory() as folder, storms.Shop() as shop, ExitStack() as running:
        place = Path(folder)
        server = running.enter_context(c.prometheus(place / "prometheus", shop.target, scrape_interval="1s"))
        levels = f'[log]\nlevel = "warning"\n{storms.settings(shop)}'
        guard = c.Guard(place / "guard", prometheus=server.url, settings=levels)
        running.callback(guard.stop)
        escalate = [{"after": "90s", "notify": [storms.CALLED_LATER]}]
        storms.write_rules(guard.rules, guards=guards, rules=rules, interval=INTERVAL, escalate=escalate)
        time.sleep(DATA_FOR_S)
        start(guard, "start")
        time.sleep(15)
        spans = [watch(guard, "before", BEFORE_S)]
        shop.level, shop.is_deaf = 1.0, True
        half = guards // 2
        c.wait_until(lambda: guard.figure(OPEN) >= half, "half of the incidents", within_s=WITHIN_S, every_s=0.5)
        waiting = letters(guard)
        kill(guard)
        start(guard, "start after kill -9")
        print(f"  letters in the outbox before kill -9: {waiting:g}, after it: {letters(guard):g}", flush=True)
        spans.append(watch(guard, "the rest breaks", until=f"{OPEN}={guards}"))
        shop.is_deaf = False
        spans.append(watch(guard, "the storm is told", until=f"{LETTERS}=0"))
        spans.append(watch(guard, "the storm lasts", watched_s))
        print(f"  database: {mb((place / 'guard' / 'guard.db').stat().st_size)}", flush=True)
        shop.level = 0.0
        spans.append(watch(guard, "recovery", until=f"{OPEN}=0"))
        time.sleep(2)
        spans.append(watch(guard, "after", BEFORE_S))
        if not (storm := guard.log()).isspace():
            print(f"  log: {len(storm.splitlines())} lines", flush=True)
            events: dict[str, int] = {}
            for line in storm.splitlines():
                d = json.loads(line) if line.startswith("{") else {"event": line[:80]}
                event = d["event"] + " " + str(d.get("reason", "")) + str(d.get("detail", ""))
                events[event] = events.get(event, 0) + 1
            print("   ", events)
        return spans, shop


def letters(guard: c.Guard) -> float:
    """Return how many letters wait, once the daemon has looked."""
    time.sleep(LOOKED_INTO_EVERY_S)
    return guard.figure(LETTERS)


def main() -> None:
    """Run it and print the figures."""
    guards, rules, watched_s = (*map(int, sys.argv[1:]), *(GUARDS, RULES, WATCHED_S)[len(sys.argv) - 1 :])
    print(f"{guards} guards with {guards * rules} rules every {INTERVAL}, all of which breach at once …", flush=True)
    spans, shop = run(guards, rules, watched_s)
    show(
        "what was seen from outside",
        ("", "seconds", "CPU", "missed", *SHOWN, "resident", "at the end", "a minute"),
        [
            (
                it.name,
                f"{it.seconds:.0f}",
                f"{it.cpu_s / it.seconds:.0%}",
                f"{it.missed:g}",
                *(cell for found in (it.healthy_s, it.metrics_s, it.status_s) for cell in spread(found)),
                mb(it.memory[0][1]),
                mb(it.memory[-1][1]),
                f"{it.growth / 1e6:+.2f} MB" if it.seconds > 30 else None,
            )
            for it in spans
        ],
    )
    print(f"  actions: {len(shop.effects)}; messages that nobody took: {shop.refused}")
    for channel, messages in shop.messages.items():
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(shop.told(channel).items()))
        print(f"  {channel}: {len(messages)} messages ({kinds}); of the storm itself {len(shop.storms(channel))}")
    goal("actions in the storm", len(shop.effects), 0)
    goal("messages that say that it is a storm, per channel", max(len(shop.storms(it)) for it in storms.CHANNELS), 1)
    goal("slots missed", sum(it.missed for it in spans), 0)
    goal("/metrics at worst, in s", max(max(it.metrics_s, default=0.0) for it in spans), 1)
    goal("/api/v1/status at worst, in s", max(max(it.status_s, default=0.0) for it in spans), 1)
    lasting = next(it for it in spans if it.name == "the storm lasts")
    goal("growth while the storm lasts, in MB a minute", lasting.growth / 1e6, 0.5)


def spread(found: list[float]) -> tuple[str | None, str | None]:
    """Return the median and the worst."""
    return (ms(median(found)), ms(max(found))) if found else (None, None)


if __name__ == "__main__":
    main()
