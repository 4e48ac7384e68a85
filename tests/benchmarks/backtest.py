"""Play 50 ratio rules at 15 s over 30 days: wall time beyond what Prometheus needs, memory, beside `vmalert -replay`.

A Prometheus of ordinary blocks holds a month of a hundred counters, with the noise that such counters have: every rule
is now and then over its threshold for a minute or two, and every few days long enough to fire. The guard plays it;
the very requests that it made, as Prometheus logged them, are then made again with nothing done about the answers; and
vmalert replays the same rules into a VictoriaMetrics.

    backtest.py [--days 3] [--groups 10] [--peer-points 10000]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate, pairwise
from pathlib import Path

import contenders as c
from figures import goal, mb, ratio, show, times

from real_prometheus import RealPrometheus
from rollback_guard.adapters.ephemeral import Series
from rollback_guard.adapters.ephemeral.message import requests, snappy
from rollback_guard.config.compile import offset_of

START = datetime(2024, 3, 1, tzinfo=UTC)
SCRAPE_S = 15
A_DAY = 24 * 3600 // SCRAPE_S
AN_HOUR = 3600 // SCRAPE_S
RULES = 50
METRIC = "http_requests_total"
HEALTHY, BRIEF, BAD = 0.002, 0.03, 0.06
"""Shares of errors: usually, in spells of a minute or two, and in incidents."""

BRIEF_PER_DAY, BAD_PER_DAY = 8, 0.3
AIM_S = 120
LOOKED_EVERY_S = 0.02
AT_ONCE = 4
"""Requests that the guard makes at a time, at most."""


@dataclass(frozen=True)
class Past:
    """What happened, as series of counters."""

    days: int
    seed: int = 1

    @property
    def end(self) -> datetime:
        return START + timedelta(days=self.days)

    def series(self) -> list[tuple[tuple[tuple[str, str], ...], list[float]]]:
        """Return labels and values, one value for each scrape."""
        return [each for number in range(RULES) for each in self._service(number)]

    def _service(self, number: int) -> Iterator[tuple[tuple[tuple[str, str], ...], list[float]]]:
        draw, count = random.Random(self.seed * 1000 + number), self.days * A_DAY
        share = [HEALTHY] * count
        for height, longest, how_many in ((BRIEF, 12, BRIEF_PER_DAY), (BAD, 60, BAD_PER_DAY)):
            for _ in range(round(how_many * self.days)):
                first, length = draw.randrange(count), draw.randrange(longest // 3, longest)
                share[first : first + length] = [height] * len(share[first : first + length])
        asked = draw.choices(range(120, 180), k=count)
        failed = [round(part * many * (0.5 + draw.random())) for part, many in zip(share, asked, strict=True)]
        for code, values in (("200", asked), ("500", failed)):
            labels = {"__name__": METRIC, "service": f"s{number}", "code": code}
            yield tuple(sorted(labels.items())), list(map(float, accumulate(values)))


def write(url: str, past: Past) -> None:
    """Write all samples, hour by hour as they would have come."""
    found = past.series()
    for first in range(0, past.days * A_DAY, AN_HOUR):
        at = [round(START.timestamp() * 1000) + SCRAPE_S * 1000 * (first + each) for each in range(AN_HOUR)]
        hour = [
            Series(labels=labels, samples=list(zip(at, values[first : first + AN_HOUR], strict=True)))
            for labels, values in found
        ]
        for message in requests(hour):
            headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
            urllib.request.urlopen(urllib.request.Request(f"{url}/api/v1/write", snappy(message), headers), timeout=60)


def ordinary(place: Path, past: Past) -> RealPrometheus:
    """Return a server with blocks as a month of scraping leaves them, which logs what it is asked."""
    server = RealPrometheus(place, args=["--web.enable-remote-write-receiver", "--storage.tsdb.max-block-duration=3d"])
    config = json.loads((place / "prometheus.yml").read_text())
    config["scrape_configs"] = []
    (place / "prometheus.yml").write_text(json.dumps(config))
    with server:
        write(server.url, past)
        c.wait_until(lambda: is_compacted(server.url, past), "all is in blocks", within_s=600, every_s=1)
    config["global"]["query_log_file"] = str(place / "queries.log")
    (place / "prometheus.yml").write_text(json.dumps(config))
    return server.start()


def is_compacted(url: str, past: Past) -> bool:
    text = c.get(f"{url}/metrics")
    head_ms = c.total(text, "prometheus_tsdb_head_min_time")
    running = c.total(text, "prometheus_tsdb_compactions_triggered_total") > 0
    return running and head_ms >= (past.end - timedelta(hours=4)).timestamp() * 1000


def rule_groups(count: int) -> list[dict[str, object]]:
    per_group = RULES // count
    return [
        c.group(
            on_time(f"group-{number}"),
            [rule(number * per_group + each, f"team-{number}") for each in range(per_group)],
            interval=f"{SCRAPE_S}s",
        )
        for number in range(count)
    ]


def on_time(name: str) -> str:
    """Return a name whose group the guard evaluates at the very instants at which vmalert replays it.

    The offset of a group follows from its name. A quarter of a step later a rate rests on one scrape less, and a breach
    at the edge of a threshold or of its `for` fires or does not: the firings would differ without being wrong.
    """
    interval = timedelta(seconds=SCRAPE_S)
    names = (f"{name}-{number}" for number in range(10**6))
    return next(each for each in names if not offset_of(each, interval))


def rule(number: int, team: str) -> dict[str, object]:
    of = f'service="s{number}"'
    measured = f'sum(rate({METRIC}{{{of},code=~"5.."}}[1m])) / sum(rate({METRIC}{{{of}}}[1m]))'
    labels = {"severity": "critical", "team": team}
    return {"alert": f"Errors{number}", "expr": f"{measured} > 0.01", "for": "2m", "labels": labels}


def guards(count: int) -> list[dict[str, object]]:
    return [
        {"guard": f"team-{number}", "select": {"team": f"team-{number}"}, "playbook": [{"action": "roll-back"}]}
        for number in range(count)
    ]


@dataclass
class Run:
    """What a contender took, and how many firings it found."""

    name: str
    wall_s: float
    cpu_s: float
    prometheus_cpu_s: float
    memory: int = 0
    firings: int = 0


@dataclass
class Used:
    """What a process used from its beginning to its end."""

    cpu_s: float
    memory: int
    output: bytes


def used_by(command: Sequence[str], place: Path, **environment: str) -> Used:
    """Run a command to its end; the kernel's own peak would be that of this process, from which it is forked."""
    memory = 0
    with (place / "output").open("wb") as out, (place / "errors").open("wb") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, cwd=place, env={**os.environ, **environment})
        while True:
            found, status, usage = os.wait4(process.pid, os.WNOHANG)
            if found:
                break
            with suppress(OSError, AssertionError):  # it ends in this very moment
                memory = max(memory, c.memory_bytes(process.pid, "VmHWM"))
            time.sleep(LOOKED_EVERY_S)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}: {(place / 'errors').read_text()[-2000:]}")
    return Used(usage.ru_utime + usage.ru_stime, memory, (place / "output").read_bytes())


class Stopwatch:
    """Read from outside what a process and the Prometheus that it asks take."""

    def __init__(self, prometheus: int) -> None:
        self._prometheus = prometheus
        self._began, self._asked = time.monotonic(), c.cpu_s(prometheus)

    def run(self, name: str, usage: Used | None = None, firings: int = 0) -> Run:
        return Run(
            name=name,
            wall_s=time.monotonic() - self._began,
            cpu_s=usage.cpu_s if usage else 0.0,
            prometheus_cpu_s=c.cpu_s(self._prometheus) - self._asked,
            memory=usage.memory if usage else 0,
            firings=firings,
        )


def by_guard(place: Path, server: RealPrometheus, past: Past, groups: int) -> Run:
    c.write_rules(place / "rules.yaml", *rule_groups(groups), guards=guards(groups))
    watch = Stopwatch(server.pid)
    command = [str(Path(sys.executable).parent / "rollback-guard"), "backtest", "rules.yaml", "--output", "json"]
    command += ["--from", START.isoformat(), "--to", past.end.isoformat(), "--prometheus", server.url]
    usage = used_by(command, place, XDG_CACHE_HOME=str(place / "cache"))
    data = json.loads(usage.output)
    return watch.run("rollback-guard", usage, sum(each["firings"] for each in data["rules"]))


def asked_plainly(place: Path, server: RealPrometheus) -> Run:
    """Make the requests that the guard made once more, and throw the answers away."""
    logged = [json.loads(line)["params"] for line in (place / "queries.log").read_text().splitlines()]
    watch = Stopwatch(server.pid)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        size = sum(threads.map(lambda asked: ask(server.url, asked), logged))
    return watch.run(f"the same {len(logged)} requests, {size / 1e6:.0f} MB")


def ask(url: str, asked: dict[str, object]) -> int:
    names = ("query", "start", "end", "step")
    body = urllib.parse.urlencode({name: asked[name] for name in names}).encode()
    with urllib.request.urlopen(f"{url}/api/v1/query_range", body, timeout=600) as answer:
        return sum(map(len, iter(lambda: answer.read(1 << 16), b"")))


def by_vmalert(place: Path, server: RealPrometheus, past: Past, groups: int, points: int) -> Run:
    rules = rule_groups(groups)
    c.write_rules(place / "vmalert.yaml", *rules)
    with VictoriaMetrics(place) as storage:
        storage.await_ready()
        watch = Stopwatch(server.pid)
        usage = used_by(
            [
                "vmalert",
                f"-rule={place / 'vmalert.yaml'}",
                f"-datasource.url={server.url}",
                f"-remoteWrite.url={storage.url}",
                f"-datasource.queryStep={SCRAPE_S}s",
                "-replay.rulesDelay=0",
                f"-replay.maxDatapointsPerQuery={points}",
                "-replay.disableProgressBar",
                f"-replay.timeFrom={START:%Y-%m-%dT%H:%M:%SZ}",
                f"-replay.timeTo={past.end:%Y-%m-%dT%H:%M:%SZ}",
            ],
            place,
        )
        return watch.run(f"vmalert -replay, {points} points", usage, storage.firings(past))


class VictoriaMetrics(c.Running):
    """Where vmalert writes what it found."""

    def __init__(self, directory: Path) -> None:
        super().__init__("victoria-metrics", directory)

    def command(self) -> list[str]:
        return [
            "victoria-metrics",
            f"-storageDataPath={self.directory / 'victoria'}",
            f"-httpListenAddr=127.0.0.1:{self.port}",
            "-retentionPeriod=100y",
            "-loggerLevel=WARN",
        ]

    def await_ready(self) -> None:
        c.wait_until(lambda: self.answers("/health"), "VictoriaMetrics")

    def firings(self, past: Past) -> int:
        """Return how often an alert began to fire, in all that was written."""
        c.get(f"{self.url}/internal/force_flush")
        match = urllib.parse.urlencode({"match[]": 'ALERTS{alertstate="firing"}', "start": START.timestamp()})
        with urllib.request.urlopen(f"{self.url}/api/v1/export?{match}&end={past.end.timestamp()}") as answer:
            series = [json.loads(line)["timestamps"] for line in answer]
        pause = SCRAPE_S * 1000
        return sum(
            1 + sum(after - before > pause for before, after in pairwise(at)) for at in map(sorted, map(set, series))
        )


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--days", type=int, default=30)
    asked.add_argument("--groups", type=int, default=10)
    asked.add_argument("--peer-points", type=int, default=10_000)
    asked.add_argument("--no-peer", action="store_true")
    asked.add_argument("--keep", type=Path)
    options = asked.parse_args()
    past = Past(options.days)
    with ExitStack() as stack:
        place = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="backtest-")))
        began = time.monotonic()
        server = ordinary(place / "prometheus", past)
        stack.callback(server.stop)
        print(f"{options.days} days written in {time.monotonic() - began:.0f} s")
        (place / "guard").mkdir(exist_ok=True)
        (place / "peer").mkdir(exist_ok=True)
        ours = by_guard(place / "guard", server, past, options.groups)
        plain = asked_plainly(place / "prometheus", server)
        runs = [ours, plain]
        if c.Vmalert.is_there() and shutil.which("victoria-metrics") and not options.no_peer:
            runs.append(by_vmalert(place / "peer", server, past, options.groups, options.peer_points))
    report(runs, past, options.groups)


def report(runs: Sequence[Run], past: Past, groups: int) -> None:
    ours, plain, *peers = runs
    slots = past.days * A_DAY * RULES
    show(
        f"{RULES} ratio rules in {groups} groups, every {SCRAPE_S} s, over {past.days} days: {slots:,} rule-slots",
        ("", "wall", "ratio", "own CPU", "CPU of Prometheus", "memory", "firings"),
        [
            (
                each.name,
                f"{each.wall_s:.1f} s",
                times(ratio(each.wall_s, ours.wall_s)),
                f"{each.cpu_s:.1f} s" if each.cpu_s else None,
                f"{each.prometheus_cpu_s:.1f} s",
                mb(each.memory) if each.memory else None,
                str(each.firings) if each is not plain else None,
            )
            for each in runs
        ],
    )
    print(f"  {ours.cpu_s / slots * 1e6:.2f} µs of CPU for one rule in one slot")
    goal("seconds beyond what Prometheus needs for the same requests", ours.wall_s - plain.wall_s, AIM_S)
    for peer in peers:
        if peer.firings != ours.firings:
            print(
                f"  the firings of {peer.name} differ: at the end of each stretch of points it forgets what is pending"
            )
        goal("wall time of vmalert over the guard's", ratio(peer.wall_s, ours.wall_s), 1, at_least=True)


if __name__ == "__main__":
    main()
