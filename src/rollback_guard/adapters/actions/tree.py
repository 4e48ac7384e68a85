"""Find and end every process of a run, also those that left its process group.

A process belongs to a run when its environment carries the run's idempotency key, when it is in the run's session, or
when it descends from one that belongs. What calls ``setsid`` and forks twice is found by the first sign; what clears
its environment by the others. Only what does all of it escapes; a service manager's control group catches that.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from rollback_guard.adapters.actions.environment import KEY, transferable

GRACE = timedelta(seconds=3)
"""Between SIGTERM and SIGKILL: time for a deployment tool to release its lock."""

LOOK_EVERY = timedelta(milliseconds=100)

ROUNDS = 50
"""Of looking and killing, because a process can fork while it is looked for."""

PAUSE_S = 0.02

_PROC = Path("/proc")
_GONE = frozenset("ZX")  # zombie and dead: nothing of them runs any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One line of the process table; `started` tells it from a later process with the same id."""

    pid: int
    parent: int
    session: int
    started: int


async def end(key: str, *, session: int | None = None) -> tuple[int, ...]:
    """End all processes of a run: SIGTERM, a grace, SIGKILL until none is found.

    Returns:
        The ids of those that are still there: of another user, or stuck in the kernel.
    """
    if not await _signal(key, session, signal.SIGTERM):
        return ()
    for _ in range(GRACE // LOOK_EVERY):
        await asyncio.sleep(LOOK_EVERY.total_seconds())
        if not await asyncio.to_thread(members, key, session):
            return ()
    for _ in range(ROUNDS):
        if not await _signal(key, session, signal.SIGKILL):
            return ()
        await asyncio.sleep(PAUSE_S)
    return tuple(process.pid for process in await asyncio.to_thread(members, key, session))


def members(key: str, session: int | None) -> tuple[Process, ...]:
    """Return the living processes of a run."""
    table = {process.pid: process for process in _processes()}
    mark = f"{KEY}={transferable(key)}".encode()
    found = {pid for pid, process in table.items() if process.session == session or mark in _environment(pid)}
    while heirs := {pid for pid, process in table.items() if process.parent in found} - found:
        found |= heirs
    return tuple(table[pid] for pid in sorted(found - {1, os.getpid()}))


async def _signal(key: str, session: int | None, number: signal.Signals) -> int:
    return await asyncio.to_thread(_signal_members, key, session, number)


def _signal_members(key: str, session: int | None, number: signal.Signals) -> int:
    found = members(key, session)
    for process in found:
        # Looked at once more, so that a signal does not hit a newcomer with a used id.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if (now := _process(process.pid)) is not None and now.started == process.started:
                os.kill(process.pid, number)
    return len(found)


def _processes() -> Iterator[Process]:
    for entry in os.scandir(_PROC):
        if entry.name.isdigit() and (process := _process(int(entry.name))) is not None:
            yield process


def _process(pid: int) -> Process | None:
    try:
        line = (_PROC / str(pid) / "stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in parentheses may hold anything, parentheses and spaces included.
    fields = line[line.rindex(b")") + 2 :].split()
    if fields[0].decode() in _GONE:
        return None
    return Process(pid=pid, parent=int(fields[1]), session=int(fields[3]), started=int(fields[19]))


def _environment(pid: int) -> list[bytes]:
    try:
        return (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return []
