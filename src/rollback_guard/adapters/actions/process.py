"""Run one command without a shell, with an end in sight, and leave nothing of it behind that should not be there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from rollback_guard.adapters.actions import tree
from rollback_guard.adapters.actions.output import Capture

DRAIN_S = 0.5
"""After the command has ended; what it left in the background may hold its output open for ever."""

REAP_S = 2.0
"""For the command itself to be gone after SIGKILL; one in an uninterruptible call never is."""

CHUNK_BYTES = 64 * 1024

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended.

    Attributes:
        code: Its exit status, or minus the signal that ended it; ``None`` when its time was over.
        stdout: Bounded and redacted, like `stderr`.
        left: Processes of its that could not be ended.
    """

    code: int | None
    stdout: str
    stderr: str
    left: tuple[int, ...] = ()


class _Drain:
    """Read one stream of a command for as long as it is open, so that the command never blocks on it.

    Own pipes and not asyncio's: those keep `wait` waiting for whoever inherited them.
    """

    def __init__(self) -> None:
        self._read, self.inlet = os.pipe()
        os.set_blocking(self._read, False)
        self._loop = asyncio.get_running_loop()
        self.capture = Capture()
        self.finished = asyncio.Event()
        self._loop.add_reader(self._read, self._on_readable)

    def _on_readable(self) -> None:
        try:
            data = os.read(self._read, CHUNK_BYTES)
        except BlockingIOError:
            return
        if data:
            self.capture.add(data)
        else:
            self._loop.remove_reader(self._read)
            self.finished.set()

    def close_inlet(self) -> None:
        """Give up our copy of the end that the command writes to."""
        if self.inlet >= 0:
            os.close(self.inlet)
            self.inlet = -1

    def close(self) -> None:
        """Stop reading; who still writes gets SIGPIPE."""
        self.close_inlet()
        self._loop.remove_reader(self._read)
        os.close(self._read)


async def run(argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, within: timedelta, key: str) -> Ended:
    """Run a command to its end, or end it and all that it started.

    A command that ends well may leave processes in the background; after any other end, and when this coroutine is
    cancelled, the whole tree is ended.

    Args:
        argv: Program and arguments; each stays one argument.
        env: The whole environment; it has to carry the key for stray processes to be found.
        cwd: Working directory; a relative program is looked for from there.
        within: After this the tree is ended. That takes up to `tree.GRACE` and a moment more.
        key: The run's idempotency key.

    Raises:
        OSError: It could not be started.
    """
    process: asyncio.subprocess.Process | None = None
    left: tuple[int, ...] = ()
    with contextlib.closing(_Drain()) as out, contextlib.closing(_Drain()) as err:
        try:
            process = await _start(argv, env=env, cwd=cwd, out=out, err=err)
            code = await _exit_code(process, within.total_seconds())
            if code != 0:
                left = await _to_its_end(_end(process, key))
            await _both(out, err)
        except asyncio.CancelledError:
            await _to_its_end(_end(process, key))
            raise
        return Ended(code=code, stdout=out.capture.text(), stderr=err.capture.text(), left=left)


async def _start(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, out: _Drain, err: _Drain
) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=out.inlet,
        stderr=err.inlet,
        env=env,
        cwd=cwd,
        start_new_session=True,
        umask=0o077,
        close_fds=True,
    )
    out.close_inlet()
    err.close_inlet()
    # A core file would hold the secrets of its environment. Set from outside, because code between fork and exec can
    # deadlock in a process with threads.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        resource.prlimit(process.pid, resource.RLIMIT_CORE, (0, 0))
    return process


async def _exit_code(process: asyncio.subprocess.Process, within_s: float) -> int | None:
    waiting = asyncio.ensure_future(process.wait())
    try:
        done, _ = await asyncio.wait({waiting}, timeout=within_s)
        return waiting.result() if done else None
    finally:
        waiting.cancel()


async def _end(process: asyncio.subprocess.Process | None, key: str) -> tuple[int, ...]:
    left = await tree.end(key, session=process.pid if process is not None else None)
    if process is not None:
        await _exit_code(process, REAP_S)
    return left


async def _both(out: _Drain, err: _Drain) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_S):
            await out.finished.wait()
            await err.finished.wait()


async def _to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Finish the work even if this task is cancelled meanwhile, and only then be cancelled."""
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
    return task.result()
