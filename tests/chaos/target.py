"""The witness from the tests' side: started, told how to behave, and asked what it has seen."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("witness.py")

PYTHON = json.dumps(sys.executable)

ACT = r"""
import os, pathlib, signal, sys, time, urllib.request

url, home = sys.argv[1], pathlib.Path(".")

def die_at(moment):
    # The point is a file: whoever removes it does it, and whoever comes later lives.
    try:
        (home / f"die-{moment}").unlink()
    except FileNotFoundError:
        return
    os.kill(int((home / "pid").read_text()), signal.SIGKILL)
    os._exit(1)

die_at("before")
key = os.environ["ROLLBACK_GUARD_KEY"].encode()
urllib.request.urlopen(urllib.request.Request(url, data=key, method="POST"), timeout=10).read()
die_at("after")
"""

INSPECT = r"""
import json, sys, urllib.request
sys.exit(0 if json.load(urllib.request.urlopen(sys.argv[1], timeout=10))["reached"] else 1)
"""


class Target:
    """One witness."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def plan(self, path: str, *answers: object, effect: bool = True) -> None:
        """Have requests to a path answered with these, one after the other; the last one stays."""
        said = [each if isinstance(each, dict) else {"effect": effect, "say": each} for each in answers]
        self._put("/plan", {"path": path, "answers": said})

    def say(self, name: str, *, up: bool) -> None:
        """Say how a service is."""
        self._put(f"/health/{name}", {"up": up})

    def seen(self) -> list[tuple[str, Any, float]]:
        """Return all events in the order of their arrival: kind, what, and the monotonic time."""
        with urllib.request.urlopen(f"{self.url}/seen", timeout=10) as answer:
            return [tuple(each) for each in json.load(answer)]

    def effects(self) -> list[dict[str, str]]:
        """Return the effects, each with its step and key."""
        return [each for kind, each, _ in self.seen() if kind == "effect"]

    def steps(self) -> list[str]:
        """Return the steps whose effects happened."""
        return [each["step"] for each in self.effects()]

    def acted_at(self, step: str) -> float | None:
        """Return when the first effect of a step arrived, in monotonic seconds."""
        found = [at for kind, each, at in self.seen() if kind == "effect" and each["step"] == step]
        return found[0] if found else None

    def told(self, channel: str = "people") -> list[dict[str, str]]:
        """Return the notices that one channel got."""
        return [each for kind, each, _ in self.seen() if kind == "told" and each["channel"] == channel]

    def asked(self) -> Counter[str]:
        """Return how many requests each path got."""
        return Counter(each for kind, each, _ in self.seen() if kind == "asked")

    def action(self, name: str, *, cures: str = "", more: str = "") -> str:
        """Return a command of guard.toml that has an effect here, and whose goal can be inspected."""
        return f"""
[actions.{name}]
type = "exec"
command = [{PYTHON}, "-S", "act.py", "{self.url}/effects/{name}?cures={cures}"]
inspect = [{PYTHON}, "-S", "inspect_goal.py", "{self.url}/goal/{name}"]
cwd = "."
timeout = "20s"
{more}
"""

    def webhook(self, name: str = "people") -> str:
        """Return a channel of guard.toml that arrives here."""
        return f'\n[notify.{name}]\ntype = "webhook"\nurl = "{self.url}/told/{name}"\n'

    def _put(self, path: str, body: object) -> None:
        request = urllib.request.Request(f"{self.url}{path}", data=json.dumps(body).encode(), method="PUT")
        urllib.request.urlopen(request, timeout=10).close()


def write_commands(home: Path) -> None:
    """Write the commands that `Target.action` names."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "act.py").write_text(ACT)
    (home / "inspect_goal.py").write_text(INSPECT)


def probe(target: Target, name: str, *, interval: str = "500ms", severity: str = "critical", **more: Any) -> dict:
    """Return the probe of a service of a target."""
    return {
        "probe": name,
        "url": f"{target.url}/health/{name}",
        "interval": interval,
        "timeout": "400ms",
        "labels": {"service": name, "severity": severity},
        **more,
    }


@contextlib.contextmanager
def target() -> Iterator[Target]:
    """Start a witness; end it afterwards."""
    process = subprocess.Popen([sys.executable, "-S", SCRIPT], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    assert process.stdout is not None
    try:
        yield Target(int(process.stdout.readline()))
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()
