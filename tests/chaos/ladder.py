"""A world with a ladder of two steps and people who are told: a target that only the second step cures.

The target counts effects and notifications in a process of its own and deduplicates neither.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from chaos.world import wait_for
from loopback import free_port

TARGET = r"""
import http.server, json, threading
effects, told, lock = [], [], threading.Lock()

class Target(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        with lock:
            (told if self.path == "/told" else effects).append(json.loads(body))
        self.say(200, b"done")
    def do_GET(self):
        with lock:
            seen = json.dumps({"effects": effects, "told": told}).encode()
            cured = any(each["step"] == "rollback" for each in effects)
        if self.path == "/seen":
            return self.say(200, seen)
        self.say(200 if cured else 503, b"up" if cured else b"down")
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
import json, os, sys, urllib.request
body = json.dumps({"step": sys.argv[2], "key": os.environ["ROLLBACK_GUARD_KEY"]}).encode()
urllib.request.urlopen(urllib.request.Request(sys.argv[1], data=body, method="POST"), timeout=10).read()
"""

INSPECT = r"""
import json, sys, urllib.request
seen = json.load(urllib.request.urlopen(sys.argv[1] + "/seen", timeout=10))
sys.exit(0 if any(each["step"] == sys.argv[2] for each in seen["effects"]) else 1)
"""

CONFIG = """
[guard]
name = "chaos"
rules = ["rules.yaml"]
state = "guard.db"
stop_timeout = "5s"
[server]
listen = "127.0.0.1:{port}"
[actions.flag-off]
type = "exec"
command = [{python}, "-S", "act.py", "{url}", "flag-off"]
inspect = [{python}, "-S", "inspect_goal.py", "{url}", "flag-off"]
cwd = "."
timeout = "20s"
[actions.rollback]
type = "exec"
command = [{python}, "-S", "act.py", "{url}", "rollback"]
inspect = [{python}, "-S", "inspect_goal.py", "{url}", "rollback"]
cwd = "."
timeout = "20s"
[notify.people]
type = "webhook"
url = "{url}/told"
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
    notify: {{critical: [people]}}
    playbook:
      - action: flag-off
        verify: {{within: 3s, stable_for: 1s}}
      - action: rollback
        verify: {{within: 10s, stable_for: 1s}}
"""


class Ladder:
    """One target, one guard with a ladder, and their folder."""

    def __init__(self, home: Path, target_port: int) -> None:
        self.home = home
        self.url = f"http://127.0.0.1:{target_port}"
        self.port = free_port()
        self.guard: subprocess.Popen[bytes] | None = None
        (home / "act.py").write_text(ACT)
        (home / "inspect_goal.py").write_text(INSPECT)
        python = json.dumps(sys.executable)
        (home / "guard.toml").write_text(CONFIG.format(port=self.port, python=python, url=self.url))
        (home / "rules.yaml").write_text(RULES.format(url=self.url))

    def start(self, *, point: str | None = None) -> None:
        """Start the daemon; with a point it kills itself there."""
        environment = dict(os.environ)
        if point is not None:
            environment["PYTHONPATH"] = str(Path(__file__).with_name("failpoint"))
            environment["CHAOS_POINT"], environment["CHAOS_MARKER"] = point, str(self.home / "killed")
        with (self.home / "guard.log").open("ab") as log:
            self.guard = subprocess.Popen(
                [sys.executable, "-m", "rollback_guard.cli", "run", "--config", "guard.toml"],
                cwd=self.home,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=environment,
            )

    def wait_killed(self) -> None:
        """Wait until the daemon has been killed at its point."""
        assert self.guard is not None
        try:
            code = self.guard.wait(60)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it never came to its point\n{self.log()}") from None
        assert code == -signal.SIGKILL, (code, self.log())

    def finish(self) -> None:
        """Let the incident come to its end and everybody be told, then stop the daemon."""
        wait_for(self.is_over, "the incident to end, and people to know", log=self.log)
        self.stop()

    def stop(self) -> None:
        """End the daemon in an orderly way."""
        assert self.guard is not None
        self.guard.terminate()
        assert self.guard.wait(30) == 0, self.log()

    def is_over(self) -> bool:
        """Say whether the incident is closed and the last letter delivered."""
        found = (self.ask("/api/v1/incidents") or {}).get("incidents", [])
        status = self.ask("/api/v1/status") or {}
        letters = sum(each["letters"] for each in status.get("outbox", [{"letters": 1}]))
        return bool(found) and all(each["phase"] == "closed" for each in found) and not letters and self.is_told()

    def is_told(self) -> bool:
        """Say whether the recovery has arrived."""
        return any(each["kind"] == "recovered" for each in self.seen()["told"])

    def ask(self, path: str) -> dict | None:
        """Ask the guard's API; ``None`` while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return json.load(answer)
        except (OSError, ValueError):
            return None

    def seen(self) -> dict:
        """Return what the target has seen: effects and notifications."""
        with urllib.request.urlopen(f"{self.url}/seen", timeout=10) as answer:
            return json.load(answer)

    def log(self) -> str:
        """Return the end of the daemon's log."""
        return (self.home / "guard.log").read_text()[-4000:]


@contextlib.contextmanager
def ladder(home: Path) -> Iterator[Ladder]:
    """Start the counting target; end it and the guard afterwards."""
    home.mkdir(parents=True)
    target = subprocess.Popen([sys.executable, "-S", "-c", TARGET], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    assert target.stdout is not None
    made = Ladder(home, int(target.stdout.readline()))
    try:
        yield made
    finally:
        if made.guard is not None and made.guard.poll() is None:
            made.guard.kill()
            made.guard.wait(10)
        target.kill()
        target.wait(10)
        target.stdout.close()
