"""Start the demo's processes, notice when one dies, and leave none behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

GRACE_S = 8.0
"""A process that has not ended this long after SIGTERM is killed."""

TAIL_LINES = 15
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """One process in a session of its own, so that Ctrl-C reaches the demo alone and the demo ends them in order."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def died(self) -> str:
        """Return how it ended, empty while it runs."""
        code = self.process.poll()
        return "" if code is None else f"{self.name} ended with code {code}"

    def tail(self) -> str:
        """Return the last lines of its log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-TAIL_LINES:])


def start(name: str, command: Sequence[str], *, log: Path, env: Mapping[str, str], cwd: Path) -> Child:
    """Start a process whose output goes to a file."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **env},
            cwd=cwd,
            start_new_session=True,
        )
    return Child(name=name, process=process, log=log)


def stop(children: Sequence[Child]) -> None:
    """End all of them, and all that they started."""
    for child in children:
        _signal(child, signal.SIGTERM)
    for child in children:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(GRACE_S)
        _signal(child, signal.SIGKILL)
        child.process.wait()


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Let no signal come between a process and the note that it has to be ended, or into the cleaning up.

    One that came meanwhile is delivered afterwards; what is done here is bounded.
    """
    waiting: list[int] = []
    before = {number: signal.signal(number, lambda number, _: waiting.append(number)) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if waiting:
            signal.raise_signal(waiting[0])


def _signal(child: Child, number: signal.Signals) -> None:
    # The leader may be gone while its children are not: the group is what is meant.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.process.pid, number)
