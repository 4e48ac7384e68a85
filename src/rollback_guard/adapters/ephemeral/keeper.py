"""Keep a server and its directory from outliving us, however we end.

Between us and the server stands a shell that reads from a pipe of ours. The pipe closes when we close it, and also when
we are killed; then the shell kills the server and removes the directory. The death signal of Linux would not do: it is
sent when the thread ends that started the process, and nobody would remove the directory.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rollback_guard.adapters.ephemeral.failure import StartFailed

STOPPED_WITHIN_S = 30.0
TAIL_LINES = 15
MAX_LOG = 64 * 1024
"""Bytes of the log's end to read."""

SCRIPT = """
home=$(mktemp -d "$1/rollback-guard-prometheus-XXXXXX") || exit 1
server=
trap 'if [ -n "$server" ]; then kill -9 "$server"; wait "$server"; fi 2>/dev/null; rm -rf "$home"' EXIT
trap 'exit 1' HUP INT TERM
shift
"$@" "--storage.tsdb.path=$home/data" 3>&1 >"$home/log" 2>&1 </dev/null &
server=$!
echo "$server $home"
exec >&- 2>&-
read -r _
exit 0
"""
"""File 3 of the server is our pipe: it closes when the server ends, so that we need not ask again and again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeper:
    """A server under a keeper.

    Attributes:
        pid: Of the server.
        home: The directory of both.
    """

    process: subprocess.Popen[bytes]
    pid: int
    home: Path

    @classmethod
    def start(cls, command: Sequence[str]) -> Keeper:
        """Start a server.

        Raises:
            StartFailed: There is no room for its directory.
        """
        process = subprocess.Popen(
            ["/bin/sh", "-c", SCRIPT, "rollback-guard-keeper", tempfile.gettempdir(), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Ctrl-C reaches us alone, and we end the server when we are done.
            start_new_session=True,
        )
        line = process.stdout.readline().decode(errors="replace").strip() if process.stdout else ""
        pid, _, home = line.partition(" ")
        if not pid.isdecimal():
            _close(process)
            raise StartFailed(f"no directory for Prometheus: {line}", hint="Set TMPDIR to a directory with room.")
        return cls(process=process, pid=int(pid), home=Path(home))

    def ended_within(self, seconds: float) -> bool:
        """Wait until the server has ended, at most so long."""
        stdout = self.process.stdout
        return stdout is None or stdout.closed or bool(select.select([stdout], [], [], seconds)[0])

    def find_in_log(self, pattern: re.Pattern[str]) -> str | None:
        """Return the first group of a pattern's first match in the server's log."""
        match = pattern.search(self._log())
        return None if match is None else match[1]

    def tail(self) -> str:
        """Return the last lines of the server's log."""
        return "\n".join(self._log().splitlines()[-TAIL_LINES:])

    def stop(self) -> None:
        """End the server and remove its directory."""
        _close(self.process)
        if self.process.returncode < 0:
            # The keeper itself was killed; the server is still a member of its process group.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        shutil.rmtree(self.home, ignore_errors=True)

    def _log(self) -> str:
        try:
            with (self.home / "log").open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - MAX_LOG))
                return log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""


def _close(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    try:
        process.wait(STOPPED_WITHIN_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
