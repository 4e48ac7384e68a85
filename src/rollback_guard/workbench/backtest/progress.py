"""Keep how far a backtest has come, so that one that was interrupted goes on there."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from rollback_guard import __version__
from rollback_guard.adapters.journal.checkpoint import decode, encode
from rollback_guard.core.state import State
from rollback_guard.ports import JournalError
from rollback_guard.workbench.backtest.results import BUCKETS, Results

STALE_AFTER = timedelta(days=1)
"""When `7d` is asked for, nobody wants the seven days of last month, because he had no patience then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a backtest has come.

    Attributes:
        done_until: Everything until then, included, was played.
    """

    results: Results
    state: State
    done_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(ser_json_inf_nan="strings")

    version: str
    results: Results
    state: str
    done_until: datetime


@cache
def _adapter() -> TypeAdapter[_Stored]:
    return TypeAdapter(_Stored)


class ProgressFiles:
    """A directory per question, named after all that makes it another one.

    Where nothing can be kept the work goes on without: keeping is a convenience.

    Args:
        directory: Where they are; one is made when there is something to keep.
        question: What is asked: rules, server, times, as the person gave them.
        complain: Hears once why nothing can be kept.
    """

    def __init__(self, directory: Path, question: Mapping[str, str], *, complain: Callable[[str], None]) -> None:
        digest = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:20]
        self._home = directory / digest
        self._complain = complain
        self._works = True

    def times(self, start: datetime, end: datetime) -> tuple[datetime, datetime]:
        """Return the times that are played: those of a run that was interrupted lately, for `now` has moved since."""
        kept = self._read("times")
        try:
            first, last = map(datetime.fromisoformat, json.loads(kept or b"[]"))
            if first < last and max(abs(start - first), abs(end - last)) <= STALE_AFTER:
                return first, last
        except (ValueError, TypeError, RecursionError):
            pass  # somebody else wrote there
        self.forget()
        self._write("times", json.dumps([start.isoformat(), end.isoformat()]).encode())
        return start, end

    def file(self, name: str) -> ProgressFile:
        """Return where the progress of one part of the work is kept."""
        return ProgressFile(read=lambda: self._read(name), write=lambda body: self._write(name, body))

    @property
    def has_any(self) -> bool:
        """Whether anything that was played is kept."""
        return any(path != self._path("times") for path in self._home.glob("*.json"))

    def forget(self) -> None:
        """Remove what was kept: it is done, or to be done anew."""
        shutil.rmtree(self._home, ignore_errors=True)

    def _path(self, name: str) -> Path:
        return self._home / f"{name}.json"

    def _read(self, name: str) -> bytes | None:
        try:
            return self._path(name).read_bytes()
        except OSError:
            return None  # not there, or no file at all

    def _write(self, name: str, body: bytes) -> None:
        """Keep something whole or not at all, also where two do so at the same moment."""
        try:
            if self._works:
                self._put(name, body)
        except FileNotFoundError:
            pass  # another run of the same question has just come to its end, and cleaned up
        except OSError as error:
            self._works = False
            self._complain(f"{self._home} cannot be written ({error.strerror}): a run that is interrupted begins anew")

    def _put(self, name: str, body: bytes) -> None:
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = self._home / f"{name}.{secrets.token_hex(4)}.new"
        try:
            new.write_bytes(body)
            os.replace(new, self._path(name))  # noqa: PTH105  as atomic as it is said
        except OSError:
            new.unlink(missing_ok=True)
            raise


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressFile:
    """Where it is kept how far one part of the work has come."""

    read: Callable[[], bytes | None]
    write: Callable[[bytes], None]

    def load(self, rules: Iterable[str], guards: Iterable[str]) -> Progress | None:
        """Return how far it has come with these rules and guards; ``None`` where nothing is kept that can be used."""
        body = self.read()
        if body is None:
            return None
        try:
            stored = _adapter().validate_json(body)
            state = decode(stored.state)
        except (ValidationError, JournalError):
            return None
        progress = Progress(results=stored.results, state=state, done_until=stored.done_until)
        is_whole = stored.version == __version__ and _is_of(progress, set(rules), set(guards))
        return progress if is_whole else None

    def save(self, progress: Progress) -> None:
        """Keep how far it has come."""
        stored = _Stored(
            version=__version__,
            results=progress.results,
            state=encode(progress.state),
            done_until=progress.done_until,
        )
        self.write(_adapter().dump_json(stored))


def _is_of(progress: Progress, rules: set[str], guards: set[str]) -> bool:
    """Say whether it is what a run with these rules and guards keeps; somebody may have written into the file."""
    results = progress.results
    return (
        progress.done_until.tzinfo is not None
        and results.rules.keys() == rules
        and results.guards.keys() == guards
        and all(len(each.low) == len(each.high) == BUCKETS for each in results.rules.values())
    )


def cache_directory(environment: Mapping[str, str]) -> Path:
    """Return where such files belong on this machine."""
    base = environment.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "rollback-guard" / "backtest"
