"""A world for one guard: a target that counts effects in a process of its own, and a real daemon that can be killed.

The target is down until its effect has happened, so the guard's own probe breaches, and recovers through the effect.
Every effect is counted with its key; nothing is deduplicated, so that a second one shows.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from chaos.process import Guard, wait_for
from chaos.target import Target, target

__all__ = ["World", "wait_for", "world"]

ACT = r"""
import os, pathlib, signal, sys, time, urllib.request
home, url, plan = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]

def first_time():
    try:
        (home / "killed").touch(exist_ok=False)
        return True
    except FileExistsError:
        return False

def kill_guard():
    os.kill(int((home / "pid").read_text()), signal.SIGKILL)

def effect():
    key = os.environ["ROLLBACK_GUARD_KEY"].encode()
    urllib.request.urlopen(urllib.request.Request(url + "/effects/mend?cures=target", data=key, method="POST"), timeout=10).read()

if plan == "before" and first_time():
    kill_guard()
    os._exit(1)
if plan == "orphan" and first_time():
    kill_guard()
    time.sleep(float(sys.argv[4]))
    effect()
    os._exit(0)
if plan == "during" and first_time():
    import threading
    threading.Timer(float(sys.argv[4]), kill_guard).start()
    effect()
    time.sleep(1)
    os._exit(0)
effect()
if plan == "after" and first_time():
    kill_guard()
    time.sleep(1)
"""

INSPECT = r"""
import json, os, pathlib, signal, sys, urllib.request
home, url, plan = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
seen = json.load(urllib.request.urlopen(url + "/goal/mend", timeout=10))
if plan == "inspection" and not (home / "inspected").exists():
    (home / "inspected").touch()
    os.kill(int((home / "pid").read_text()), signal.SIGKILL)
sys.exit(0 if seen["reached"] else 1)
"""

SETTINGS = """
[actions.mend]
type = "exec"
command = [{python}, "-S", "act.py", ".", "{url}", "{plan}", "{delay}"]
inspect = [{python}, "-S", "inspect_goal.py", ".", "{url}", "{plan}"]
cwd = "."
timeout = "20s"
"""

RULES = """
probes:
  - probe: target
    url: {url}/health/target
    interval: 500ms
    timeout: 400ms
    labels: {{service: target, severity: critical}}
guards:
  - guard: target
    select: {{service: target}}
    playbook:
      - action: mend
        verify: {{within: 10s, stable_for: 1s}}
"""


class World(Guard):
    """One target, one guard and their folder."""

    def __init__(self, home: Path, target: Target, *, plan: str, delay: float = 0.0) -> None:
        super().__init__(home)
        self.target = target
        (home / "act.py").write_text(ACT)
        (home / "inspect_goal.py").write_text(INSPECT)
        self.configure(
            SETTINGS.format(python=json.dumps(sys.executable), url=target.url, plan=plan, delay=delay),
            RULES.format(url=target.url),
        )

    def effects(self) -> list[str]:
        """Return the keys of the effects that the target has seen."""
        return [each["key"] for each in self.target.effects()]


@contextlib.contextmanager
def world(home: Path, *, plan: str, delay: float = 0.0) -> Iterator[World]:
    """Start the counting target; end it and the guard afterwards."""
    with target() as counting, World(home, counting, plan=plan, delay=delay) as made:
        yield made
