"""Deliver through Apprise, which runs in a child process and nowhere else.

The URL is a secret and goes to the child through a pipe: never as an argument, never in its environment. The child gets
what it needs of the environment, and no more.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollback_guard.adapters.notify.output import excerpt, parts_of
from rollback_guard.adapters.notify.text import Wording
from rollback_guard.core.notice import Notice
from rollback_guard.ports import Clock, PermanentError, TransientError, UnknownOutcome
from rollback_guard.secret import SecretError
from rollback_guard.specs import ChannelSpec
from rollback_guard.wire import Deadline

ANSWER_BYTES = 32 * 1024
CHUNK_BYTES = 4096
REAP_S = 2.0

MODULE = "rollback_guard.adapters.notify.child"

PASSED_ON = frozenset(
    {
        *("PATH", "HOME", "LANG", "TZ", "TMPDIR", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
        *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    }
)
"""Of the daemon's environment; the rest may hold the secrets of actions."""

HINT = "Apprise is not installed: pip install 'rollback-guard[notify]'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a child ended: what it answered, or nothing and its status; ``None`` is that its time was over."""

    answer: bytes
    status: int | None


class Child:
    """One run of the child; started, fed, read and ended in a thread, because starting a process takes its time."""

    def __init__(self, order: bytes, env: dict[str, str], deadline: Deadline) -> None:
        self._order = order
        self._env = env
        self._deadline = deadline
        self._process: subprocess.Popen[bytes] | None = None
        self._is_ended = False

    def run(self) -> Ended:
        """Run it to its end, or end it with all that it started.

        Raises:
            OSError: It could not be started.
        """
        with subprocess.Popen(
            [sys.executable, "-P", "-m", MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self._env,
            cwd="/",
            start_new_session=True,
        ) as process:
            self._process = process
            try:
                return self._talk(process)
            finally:
                self.end()

    def end(self) -> None:
        """End it and its whole session, from any thread."""
        self._is_ended = True
        process = self._process
        # Not after it was waited for: its number may be another's by then.
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)

    def _talk(self, process: subprocess.Popen[bytes]) -> Ended:
        if self._is_ended or process.stdin is None or process.stdout is None:
            return Ended(answer=b"", status=None)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(self._order)
            process.stdin.close()
        answer = self._read(process.stdout.fileno())
        if answer is None:
            return Ended(answer=b"", status=None)
        # The session is ended before its leader is waited for: what a service started must not stay.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if not answer:
                process.wait(REAP_S)
            os.killpg(process.pid, signal.SIGKILL)
        return Ended(answer=answer, status=process.wait(REAP_S))

    def _read(self, pipe: int) -> bytes | None:
        data = bytearray()
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        while (left_s := self._deadline.left_s()) > 0:
            if not poll.poll(left_s * 1000):
                continue
            chunk = os.read(pipe, CHUNK_BYTES)
            if not chunk:
                return bytes(data)
            data += chunk[: ANSWER_BYTES - len(data)]
        return None


class AppriseChannel:
    """A channel behind one Apprise URL; a comma separates several."""

    def __init__(self, spec: ChannelSpec, *, clock: Clock, directory: Path) -> None:
        self._spec = spec
        self._clock = clock
        self._ca_file = None if spec.ca_file is None else str(directory / spec.ca_file)
        self._wording = Wording(spec)
        # Its own, because the loop's few threads are shared with what must never wait for a channel.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"notify {spec.name}")

    async def send(self, notice: Notice) -> None:
        """Deliver one notice.

        Raises:
            EmptyTextError: There is nothing to deliver.
            TransientError: The service did not take it, or the child could not be started.
            PermanentError: The URL is none, or Apprise is not there.
            UnknownOutcome: The child took too long, or died.
        """
        try:
            url = self._spec.url.reveal()
        except SecretError as error:
            raise TransientError(str(error)) from error
        hidden = parts_of(url)
        child = Child(self._order(notice, url), self._environment(), Deadline(self._clock, self._spec.timeout))
        try:
            ended = await asyncio.get_running_loop().run_in_executor(self._thread, child.run)
        except asyncio.CancelledError:
            child.end()
            raise
        except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:
            raise TransientError(f"the child could not be run: {excerpt(str(error), hidden)}") from None
        _judge(ended, hidden, self._spec)

    async def close(self) -> None:
        """Let the thread go once it has nothing to do."""
        self._thread.shutdown(wait=False)

    def _order(self, notice: Notice, url: str) -> bytes:
        title, body = self._wording.of(notice)
        if not body.strip():  # Apprise, and many a service behind it, takes no message without a body
            title, body = "", title
        order = {
            "url": url,
            "title": title,
            "body": body,
            "urgency": notice.urgency.value,
            "resolves": notice.resolves,
            "thread": notice.thread,
            "link": dict(notice.data).get("url", ""),
            "within_s": self._spec.timeout.total_seconds(),
        }
        return json.dumps(order).encode()

    def _environment(self) -> dict[str, str]:
        env = {name: value for name, value in os.environ.items() if name in PASSED_ON or name.startswith("LC_")}
        if self._ca_file is not None:
            env["REQUESTS_CA_BUNDLE"] = env["SSL_CERT_FILE"] = self._ca_file
        return env


def _judge(ended: Ended, hidden: tuple[str, ...], spec: ChannelSpec) -> None:
    if ended.status is None:
        raise UnknownOutcome(f"no end within {spec.timeout.total_seconds():g} seconds")
    try:
        answer: dict[str, Any] = json.loads(ended.answer)
        result, said = answer["result"], excerpt(str(answer["said"]), hidden)
    except (ValueError, KeyError, TypeError):
        raise UnknownOutcome(f"the child ended without an answer (status {ended.status})") from None
    match result:
        case "delivered":
            return
        case "missing":
            raise PermanentError(f"{HINT} ({said})")
        case "refused":
            raise PermanentError(f"{spec.url} is no Apprise URL, or one of a service that is not installed: {said}")
        case _:
            raise TransientError(f"the service did not take it: {said or 'it did not say why'}")
