"""A sidecar with 20 rules and 3 probes: start to first evaluation, resident memory, CPU over two minutes.

It runs in an environment as production has it: the locked dependencies without extras and development tools, which
some libraries import when they are there. vmalert has the same rules over the same minutes, without the probes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import contenders as c
from figures import goal, mb, median, ms, ratio, show, times
from traffic import Traffic, ratio_rules

RULES = 20
PROBES = 3
INTERVAL = "15s"
STARTS = 7
DATA_FOR_S = 20
WATCHED_S = 120

REPOSITORY = Path(__file__).resolve().parents[2]
ENVIRONMENT = REPOSITORY / ".venv" / "bench"


@dataclass(frozen=True)
class Cost:
    """What a process used over the time that it was watched."""

    memory: int
    most_memory: int
    own_memory: int
    cpu_s: float


def production_python() -> Path:
    """Return the interpreter of an environment without extras and development tools."""
    own = REPOSITORY / ".venv" / "uv" / "bin" / "uv"
    uv = str(own) if own.exists() else shutil.which("uv")
    if uv is None:
        print("  without uv the development environment is measured, which is larger")
        return Path(sys.executable)
    subprocess.run(
        [uv, "sync", "--quiet", "--locked", "--no-dev", "--no-editable", "--reinstall-package", "rollback-guard"],
        cwd=REPOSITORY,
        env=os.environ | {"UV_PROJECT_ENVIRONMENT": str(ENVIRONMENT), "UV_COMPILE_BYTECODE": "1"},
        check=True,
    )
    return ENVIRONMENT / "bin" / "python"


def guard_on(place: Path, prometheus: str, target: str, python: Path) -> c.Guard:
    settings = f'[actions.undo]\ntype = "http"\nurl = "http://{target}/undo"\n'
    guard = c.Guard(place, prometheus=prometheus, settings=settings, python=python)
    probes = [
        {
            "probe": f"up{number}",
            "url": f"http://{target}/{number}",
            "interval": INTERVAL,
            "for": "1m",
            "labels": {"severity": "critical"},
        }
        for number in range(PROBES)
    ]
    policy = {"guard": "shop", "select": {"severity": "critical"}, "playbook": [{"action": "undo"}]}
    rules = c.group("shop", ratio_rules(RULES), interval=INTERVAL)
    c.write_rules(guard.rules / "rules.yaml", rules, probes=probes, guards=[policy])
    return guard


def import_s(python: Path) -> float:
    """Return how long it takes to start the interpreter and to import what the daemon is made of."""
    began = time.perf_counter()
    subprocess.run([python, "-c", "import rollback_guard.app"], check=True)
    return time.perf_counter() - began


def start_s(guard: c.Guard) -> float:
    """Return the time from the start of the process to its first complete evaluation."""
    began = time.perf_counter()
    with guard:
        guard.await_ready(every_s=0.005)
        return time.perf_counter() - began


def watch(*processes: c.Running) -> list[Cost]:
    """Return what the processes use over two minutes in which nobody asks them anything."""
    before = [c.cpu_s(each.pid) for each in processes]
    time.sleep(WATCHED_S)
    return [
        Cost(
            memory=c.memory_bytes(each.pid),
            most_memory=c.memory_bytes(each.pid, "VmHWM"),
            own_memory=c.memory_bytes(each.pid, "RssAnon"),
            cpu_s=c.cpu_s(each.pid) - spent,
        )
        for each, spent in zip(processes, before, strict=True)
    ]


def main() -> None:
    """Run it and print the figures."""
    print(f"a sidecar with {RULES} rules and {PROBES} probes, every {INTERVAL}; takes three minutes …")
    python = production_python()
    with tempfile.TemporaryDirectory() as folder, Traffic(RULES) as traffic, ExitStack() as running:
        place = Path(folder)
        server = running.enter_context(c.prometheus(place / "prometheus", traffic.target))
        time.sleep(DATA_FOR_S)
        imports, starts = [], []
        for number in range(STARTS + 1):
            imports.append(import_s(python))
            starts.append(start_s(guard_on(place / f"start-{number}", server.url, traffic.target, python)))
        guard = running.enter_context(guard_on(place / "guard", server.url, traffic.target, python)).await_ready()
        watched: list[c.Running] = [guard]
        if c.Vmalert.is_there():
            vmalert = c.Vmalert(place / "vmalert", prometheus=server.url)
            c.write_rules(vmalert.rules, c.group("shop", ratio_rules(RULES), interval=INTERVAL))
            watched.append(running.enter_context(vmalert))
        costs = watch(*watched)
    tell(imports[1:], starts[1:], costs)


def tell(imports: list[float], starts: list[float], costs: list[Cost]) -> None:
    """Print it; the first start, which finds cold files, is left out."""
    started, imported = median(starts), median(imports)
    show(
        f"start, median and worst of {STARTS}; ratios are to the guard",
        ("", "median", "", "worst"),
        [
            ("start to first evaluation", ms(started), times(1.0), ms(max(starts))),
            ("interpreter and imports alone", ms(imported), times(ratio(imported, started)), ms(max(imports))),
        ],
    )
    guard = costs[0]
    show(
        f"over {WATCHED_S} s; ratios are to the guard",
        ("", "resident", "", "at most", "of it not shared", "CPU", "", "of a core"),
        [
            (
                name,
                mb(it.memory),
                times(ratio(it.memory, guard.memory)),
                mb(it.most_memory),
                mb(it.own_memory),
                ms(it.cpu_s),
                times(ratio(it.cpu_s, guard.cpu_s)),
                f"{it.cpu_s / WATCHED_S:.2%}",
            )
            for name, it in zip(("rollback-guard", "vmalert, rules only"), costs, strict=False)
        ],
    )
    goal("start to first evaluation, in s", started, 1.5)
    goal("resident memory, in MB", guard.memory / 1e6, 60)
    goal("CPU, in per cent of a core", 100 * guard.cpu_s / WATCHED_S, 1)


if __name__ == "__main__":
    main()
