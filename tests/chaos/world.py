"""A world for one guard: a target that counts effects in a process of its own, and a real daemon that can be killed.

The target is down until its effect has happened, so the guard's own probe breaches, and recovers through the effect.
Every effect is counted with its key; nothing is deduplicated, so that a second one shows.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from loopback import free_port

TARGET = r"""
import http.server, json, sys, threading
effects, lock = [], threading.Lock()

class Target(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        key = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        with lock:
            effects.append(key)
        self.say(200, b"done")
    def do_GET(self):
        with lock:
            seen = list(effects)
        if self.path == "/effects":
            return self.say(200, json.dumps(seen).encode())
        self.say(200 if seen else 503, b"up" if seen else b"down")
    def say(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Target)
server.daemon_threads = True
print(server.server_port, flush=True)
server.serve_forever()
"""

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
    urllib.request.urlopen(urllib.request.Request(url, data=key, method="POST"), timeout=10).read()

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
seen = json.load(urllib.request.urlopen(url + "/effects", timeout=10))
if plan == "inspection" and not (home / "inspected").exists():
    (home / "inspected").touch()
    os.kill(int((home / "pid").read_text()), signal.SIGKILL)
sys.exit(0 if seen else 1)
"""

CONFIG = """
[guard]
name = "chaos"
rules = ["rules.yaml"]
state = "guard.db"
stop_timeout = "5s"

[server]
listen = "127.0.0.1:{port}"

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
    url: {url}/health
    interval: 1s
    timeout: 900ms
    labels: {{service: target, severity: critical}}
guards:
  - guard: target
    select: {{service: target}}
    playbook:
      - action: mend
        verify: {{within: 10s, stable_for: 1s}}
"""


def wait_for(
    condition: Callable[[], object], what: str, *, within_s: float = 60, log: Callable[[], str] = str
) -> object:
    """Return the condition's first true value."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {within_s} s: {what}\n{log()}")


class World:
    """One target, one guard and their folder."""

    def __init__(self, home: Path, target_port: int, *, plan: str, delay: float = 0.0) -> None:
        self.home = home
        self.url = f"http://127.0.0.1:{target_port}"
        self.port = free_port()
        self.guard: subprocess.Popen[bytes] | None = None
        self.kills = 0
        (home / "act.py").write_text(ACT)
        (home / "inspect_goal.py").write_text(INSPECT)
        python = json.dumps(sys.executable)
        config = CONFIG.format(port=self.port, python=python, url=self.url, plan=plan, delay=delay)
        (home / "guard.toml").write_text(config)
        (home / "rules.yaml").write_text(RULES.format(url=self.url))

    def start(self) -> None:
        """Start the daemon, and let the action know whom to kill."""
        log = (self.home / "guard.log").open("ab")
        self.guard = subprocess.Popen(
            [sys.executable, "-m", "rollback_guard.cli", "run", "--config", "guard.toml"],
            cwd=self.home,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
        log.close()
        (self.home / "pid").write_text(str(self.guard.pid))

    def wait_killed(self) -> None:
        """Wait until somebody has killed the daemon with SIGKILL."""
        assert self.guard is not None
        code = self.guard.wait(60)
        assert code == -signal.SIGKILL, (code, self.log())
        self.kills += 1

    def kill(self) -> None:
        """Kill the daemon, wherever it is."""
        assert self.guard is not None
        self.guard.kill()
        self.guard.wait(10)
        self.kills += 1

    def ask(self, path: str) -> object:
        """Ask the guard's API; ``None`` while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return json.load(answer)
        except (OSError, ValueError):
            return None

    def effects(self) -> list[str]:
        """Return the keys of the effects that the target has seen."""
        with urllib.request.urlopen(f"{self.url}/effects", timeout=10) as answer:
            return json.load(answer)

    def log(self) -> str:
        """Return the end of the daemon's log."""
        return (self.home / "guard.log").read_text()[-4000:]

    def stop(self) -> None:
        """End the daemon in an orderly way."""
        if self.guard is not None and self.guard.poll() is None:
            self.guard.terminate()
            assert self.guard.wait(30) == 0, self.log()


@contextlib.contextmanager
def world(home: Path, *, plan: str, delay: float = 0.0) -> Iterator[World]:
    """Start the counting target; end it and the guard afterwards."""
    home.mkdir(parents=True, exist_ok=True)
    target = subprocess.Popen([sys.executable, "-S", "-c", TARGET], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    assert target.stdout is not None
    made = World(home, int(target.stdout.readline()), plan=plan, delay=delay)
    try:
        yield made
    finally:
        if made.guard is not None and made.guard.poll() is None:
            made.guard.kill()
            made.guard.wait(10)
        target.kill()
        target.wait(10)
        target.stdout.close()
        for orphan in _orphans(home):
            with contextlib.suppress(ProcessLookupError):
                os.kill(orphan, signal.SIGKILL)


def _orphans(home: Path) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "cwd").readlink() == home and int(entry.name) != os.getpid():
                    yield int(entry.name)
