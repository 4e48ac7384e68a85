"""Keep how far a backtest has come, so that one that was interrupted goes on there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from rollback_guard import __version__
from rollback_guard.adapters.journal.checkpoint import decode, encode
from rollback_guard.core.state import State
from rollback_guard.ports import JournalError
from rollback_guard.workbench.backtest.tally import Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a backtest has come.

    Attributes:
        done_until: Everything until then, included, was played.
    """

    tally: Tally
    state: State
    done_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(ser_json_inf_nan="strings")

    version: str
    tally: Tally
    state: str
    done_until: datetime


@cache
def _adapter() -> TypeAdapter[_Stored]:
    return TypeAdapter(_Stored)


class Keeper:
    """A directory per question, named after all that makes it another one.

    Args:
        directory: Where they are; one is made when there is something to keep.
        question: What is asked: rules, server, times, as the person gave them.
    """

    def __init__(self, directory: Path, question: Mapping[str, str]) -> None:
        digest = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:20]
        self._home = directory / digest

    def window(self, start: datetime, end: datetime) -> tuple[datetime, datetime]:
        """Return the times that are played: those of the run that was interrupted, for `now` has moved since."""
        path = self._home / "window.json"
        try:
            first, last = json.loads(path.read_text(encoding="utf-8"))
            return datetime.fromisoformat(first), datetime.fromisoformat(last)
        except (FileNotFoundError, ValueError):
            _write(path, json.dumps([start.isoformat(), end.isoformat()]).encode())
            return start, end

    def part(self, name: str) -> Part:
        """Return where one part of the work is kept."""
        return Part(self._home / f"{name}.json")

    def forget(self) -> None:
        """Remove what was kept: it is done, or to be done anew."""
        shutil.rmtree(self._home, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Part:
    """How far one part of the work has come."""

    path: Path

    def load(self) -> Progress | None:
        """Return how far it has come; ``None`` where nothing is kept that can be used."""
        try:
            stored = _adapter().validate_json(self.path.read_bytes())
            if stored.version != __version__:
                return None
            return Progress(tally=stored.tally, state=decode(stored.state), done_until=stored.done_until)
        except (FileNotFoundError, ValidationError, JournalError):
            return None

    def save(self, progress: Progress) -> None:
        """Keep how far it has come, whole or not at all."""
        stored = _Stored(
            version=__version__,
            tally=progress.tally,
            state=encode(progress.state),
            done_until=progress.done_until,
        )
        _write(self.path, _adapter().dump_json(stored))


def _write(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_suffix(".new")
    new.write_bytes(body)
    os.replace(new, path)  # noqa: PTH105  as atomic as it is said


def cache_directory(environment: Mapping[str, str]) -> Path:
    """Return where such files belong on this machine."""
    base = environment.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "rollback-guard" / "backtest"
