"""Play test files side by side: one process per processor, each with a Prometheus of its own.

A worker ends with the process that began it, however that ends, and its Prometheus with it.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from multiprocessing import connection
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from rollback_guard.adapters.ephemeral import EphemeralError, EphemeralPrometheus
from rollback_guard.config.problems import Level, Problem
from rollback_guard.ports import Clock
from rollback_guard.workbench.trials.verdict import FileVerdict

if TYPE_CHECKING:
    from pydantic import BaseModel

STOPPED_WITHIN_S = 5.0

Heard = Callable[[float], None]
"""Hears which share of all is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What every worker is told.

    Attributes:
        binary: The `prometheus` program; ``None`` is the one on PATH.
        wanted: Only trials are played whose name this finds something in.
        width: Characters for a picture.
    """

    binary: str | None = None
    wanted: re.Pattern[str] | None = None
    width: int = 80


@dataclass(frozen=True, slots=True)
class _Lost:
    """There is no Prometheus."""

    message: str
    hint: str


def play_files(paths: Sequence[Path], job: Job, clock: Clock, heard: Heard) -> Iterator[FileVerdict]:
    """Yield how the trials of each file ended, in the order of the files.

    Raises:
        EphemeralError: No Prometheus can be started, or it ends again and again.
    """
    workers = min(len(os.sched_getaffinity(0)), len(paths))
    if workers > 1:
        yield from _Workers(paths, job, heard).play(workers)
        return
    with ExitStack() as stack:
        play = _player(job, clock, stack)
        for number, path in enumerate(paths):
            heard(number / len(paths))
            yield play(path, lambda share, number=number: heard((number + share) / len(paths)))  # type: ignore[misc]


def _player(job: Job, clock: Clock, stack: ExitStack) -> Callable[[Path, Heard], FileVerdict]:
    """Return what plays one file; the server gets ready while the modules are imported that this takes."""
    starting = _start(job.binary)
    from rollback_guard.workbench.trials.run import Bench
    from rollback_guard.workbench.trials.world import World

    world = stack.enter_context(World(job.binary, starting=starting))
    return Bench(world, clock, action_types=_ActionTypes(), wanted=job.wanted, width=job.width).run


def _start(binary: str | None) -> Future[EphemeralPrometheus]:
    """Begin to start a server. Should nothing come of us in between, its keeper ends it with this process."""
    executor = ThreadPoolExecutor(1)
    try:
        return executor.submit(EphemeralPrometheus.start, binary)
    finally:
        executor.shutdown(wait=False)


class _ActionTypes(Mapping[str, "type[BaseModel]"]):
    """The settings' models of actions, imported when they are looked at.

    Only a guard.toml has actions, and with them come an HTTP client and the log: a sixth of the time that a small file
    takes.
    """

    def __getitem__(self, name: str) -> type[BaseModel]:
        return self._types[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._types)

    def __len__(self) -> int:
        return len(self._types)

    @cached_property
    def _types(self) -> Mapping[str, type[BaseModel]]:
        from rollback_guard.adapters.actions import registry

        return registry.settings_types()


@dataclass(kw_only=True)
class _Worker:
    """One process, and the file that it plays."""

    process: multiprocessing.process.BaseProcess
    line: Connection
    number: int | None = None
    share: float = 0.0

    @classmethod
    def start(cls, job: Job) -> _Worker:
        """Begin a process that waits for files."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, job), daemon=True)
        process.start()
        theirs.close()
        return cls(process=process, line=ours)

    def stop(self) -> None:
        """End it, and whatever it was doing."""
        self.line.close()
        self.process.terminate()
        self.process.join(STOPPED_WITHIN_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


@dataclass
class _Workers:
    """Hand files to workers, the largest first, and put what they say into order."""

    paths: Sequence[Path]
    job: Job
    heard: Heard
    _workers: list[_Worker] = field(default_factory=list)
    _done: dict[int, FileVerdict] = field(default_factory=dict)

    def play(self, workers: int) -> Iterator[FileVerdict]:
        """Yield the verdicts in the order of the files."""
        waiting = sorted(range(len(self.paths)), key=lambda number: _size(self.paths[number]))
        next_ = 0
        try:
            self._workers = [_Worker.start(self.job) for _ in range(workers)]
            while next_ < len(self.paths):
                for worker in self._workers:
                    if worker.number is None and waiting:
                        worker.number, worker.share = waiting.pop(), 0.0
                        worker.line.send(self.paths[worker.number])
                self._listen()
                while next_ in self._done:
                    yield self._done[next_]
                    next_ += 1
        finally:
            for worker in self._workers:
                worker.stop()

    def _listen(self) -> None:
        """Wait until a worker says something."""
        lines = {worker.line: worker for worker in self._workers if worker.number is not None}
        for line in connection.wait(list(lines)):
            if isinstance(line, Connection):
                self._hear(lines[line])
        self.heard((len(self._done) + sum(worker.share for worker in self._workers)) / len(self.paths))

    def _hear(self, worker: _Worker) -> None:
        number = worker.number
        if number is None:
            return
        try:
            said = worker.line.recv()
        except (EOFError, OSError):
            worker.stop()
            self._done[number] = _died(self.paths[number], worker.process.exitcode)
            self._workers.remove(worker)
            self._workers.append(_Worker.start(self.job))
            return
        match said:
            case float():
                worker.share = said
            case _Lost():
                raise EphemeralError(said.message, hint=said.hint)
            case FileVerdict():
                self._done[number] = said
                worker.number, worker.share = None, 0.0


def _died(path: Path, status: int | None) -> FileVerdict:
    problem = Problem(
        path=str(path),
        line=1,
        column=1,
        severity=Level.ERROR,
        message=f"the process that played this file ended with status {status}",
        id="test-crashed",
        hint="It or a rule file of it is more than the reader can bear; the other files were played.",
    )
    return FileVerdict(path=str(path), problems=(problem,))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _work(line: Connection, job: Job) -> None:
    """Play the files that are asked for, until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for those who began us; they end us then
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from rollback_guard.adapters.clock import SystemClock

    with ExitStack() as stack:
        play = _player(job, SystemClock(), stack)
        try:
            while True:
                line.send(play(line.recv(), line.send))
        except EphemeralError as error:
            line.send(_Lost(error.message, error.hint))
        except (EOFError, OSError):
            return  # nobody listens any more


def _end_with_parent() -> None:
    """End this process with the one that began it, also where that was killed in the middle of a file."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
