"""The real daemon as a process in a folder of its own: started, asked, killed and started again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from loopback import free_port
from rollback_guard.adapters.journal import audit
from rollback_guard.adapters.journal.sqlite import SqliteJournal
from rollback_guard.core.records import Record

T = TypeVar("T")

FAILPOINT = Path(__file__).with_name("failpoint")
BYTECODE = Path(__file__).parents[2] / ".pytest_cache" / "bytecode"
"""Half of a start would be spent on compiling; hundreds of starts share what the first one compiled."""

HEAD = """
[guard]
name = "chaos"
rules = ["rules.yaml"]
state = {state}
stop_timeout = "5s"
[server]
listen = "127.0.0.1:{port}"
"""


def wait_for(
    condition: Callable[[], T], what: str, *, within_s: float = 60, log: Callable[[], str] = str, every_s: float = 0.02
) -> T:
    """Return the condition's first true value."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if value := condition():
            return value
        time.sleep(every_s)
    raise AssertionError(f"not within {within_s} s: {what}\n{log()}")


class Guard:
    """One `rollback-guard run`, again and again on one journal.

    Attributes:
        kills: How often it was killed with SIGKILL so far.
    """

    def __init__(self, home: Path, *, state: Path | None = None) -> None:
        self.home = home
        self.state = state or home / "guard.db"
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.kills = 0
        home.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        for orphan in _below(self.home):
            with contextlib.suppress(ProcessLookupError):
                os.kill(orphan, signal.SIGKILL)

    def configure(self, settings: str, rules: str | Mapping[str, Any]) -> None:
        """Write guard.toml, of which this class knows the beginning, and the rule file."""
        head = HEAD.format(port=self.port, state=json.dumps(str(self.state)))
        (self.home / "guard.toml").write_text(head + settings)
        (self.home / "rules.yaml").write_text(rules if isinstance(rules, str) else json.dumps(rules))  # JSON is YAML

    def start(self, *, points: Mapping[str, Any] | None = None, **environ: str) -> None:
        """Start the daemon, and let its actions know whom to kill.

        Args:
            points: What the failpoint shim is told; without it, the shim is not loaded.
            environ: Variables of the process, beside those of the tests.
        """
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment |= {"PYTHONPYCACHEPREFIX": str(BYTECODE)} | environ
        if points is not None:
            path = [str(FAILPOINT), *filter(None, [os.environ.get("PYTHONPATH")])]
            environment |= {"PYTHONPATH": os.pathsep.join(path), "CHAOS": json.dumps(points)}
        with (self.home / "guard.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "rollback_guard.cli", "run", "--config", "guard.toml"],
                cwd=self.home,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=environment,
            )
        (self.home / "pid").write_text(str(self.process.pid))

    def wait_ready(self) -> None:
        """Wait until every group has been evaluated once."""
        wait_for(lambda: self.get("/-/ready")[0] == 200, "the guard to be ready", log=self.log)

    def wait_killed(self, within_s: float = 60) -> None:
        """Wait until somebody has killed the daemon with SIGKILL."""
        assert self.process is not None
        try:
            code = self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"nobody killed it\n{self.log()}") from None
        assert code == -signal.SIGKILL, (code, self.log())
        self.kills += 1

    def kill(self) -> None:
        """Kill the daemon, wherever it is."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)
        self.kills += 1

    def live_for(self, span_s: float) -> None:
        """Let the daemon go on for a while; it must still be there afterwards."""
        assert self.process is not None
        try:
            code = self.process.wait(span_s)
        except subprocess.TimeoutExpired:
            return
        raise AssertionError(f"it ended by itself with {code}\n{self.log()}")

    def stop(self) -> None:
        """End the daemon in an orderly way."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            assert self.process.wait(30) == 0, self.log()

    def get(self, path: str, timeout_s: float = 5) -> tuple[int, str]:
        """Return status and body; status 0 while it does not answer."""
        return self._exchange(urllib.request.Request(f"http://127.0.0.1:{self.port}{path}"), timeout_s)

    def ask(self, path: str) -> Any:
        """Return what its API says; ``None`` while it does not answer."""
        status, body = self.get(path)
        return json.loads(body) if status == 200 else None

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, str]:
        """Order something; status 0 where the answer got lost."""
        data = json.dumps(body or {}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=data, method="POST")
        request.add_header("Content-Type", "application/json")
        return self._exchange(request, 10)

    def _exchange(self, request: urllib.request.Request, timeout_s: float) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except (OSError, ValueError) as error:
            return 0, str(error)

    def incidents(self) -> list[dict[str, Any]]:
        """Return its incidents, newest first; none while it does not answer."""
        return (self.ask("/api/v1/incidents") or {}).get("incidents", [])

    def guard(self, name: str) -> dict[str, Any]:
        """Return one guard as the API shows it; empty while it does not answer."""
        guards = (self.ask("/api/v1/guards") or {}).get("guards", [])
        return next((each for each in guards if each["name"] == name), {})

    def metric(self, name: str, **labels: str) -> float | None:
        """Return the first sample of that name which has these labels."""
        for line in self.get("/metrics")[1].splitlines():
            series, _, value = line.rpartition(" ")
            if series.split("{")[0] == name and all(f'{key}="{want}"' in series for key, want in labels.items()):
                return float(value)
        return None

    def log(self) -> str:
        """Return the end of the daemon's log."""
        return (self.home / "guard.log").read_text()[-6000:]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the log's lines of one event."""
        lines = (self.home / "guard.log").read_text().splitlines()
        return [found for line in lines if line.startswith("{") and (found := json.loads(line)).get("event") == name]

    async def records(self) -> Sequence[Record]:
        """Return what its journal tells; only while it does not run."""
        return await read(self.state)

    def flaw(self) -> object:
        """Return what is wrong with the chain of its journal, ``None`` where it is whole."""
        with audit.opened(self.state) as opened:
            return audit.verify(opened).flaw

    def letters(self) -> list[tuple[str, str, str, str | None]]:
        """Return what its outbox holds, sent or not: id, channel, thread and how it ended, in the order of writing."""
        with contextlib.closing(sqlite3.connect(f"file:{self.state}?mode=ro", uri=True)) as opened:
            return opened.execute(
                "SELECT notices.id, channel, thread, ended FROM letters"
                " JOIN notices ON notices.number = letters.notice ORDER BY letters.number"
            ).fetchall()


class NoTelemetry:
    """The journal counts its failures; here each of them fails the test by itself."""

    def journal_failed(self, kind: str) -> None:
        raise AssertionError(kind)


async def read(path: Path) -> list[Record]:
    """Return the records of a journal that no daemon holds."""
    journal = SqliteJournal(path, telemetry=NoTelemetry())
    try:
        return list(await journal.read())
    finally:
        await journal.close()


def _below(home: Path) -> Iterator[int]:
    """Yield the processes that work in a folder: commands whose guard was killed."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "cwd").readlink() == home and int(entry.name) != os.getpid():
                    yield int(entry.name)
