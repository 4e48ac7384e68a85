"""Read what people know of the past: when something was deployed, and when something was really broken."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rollback_guard.config.problems import did_you_mean, quoted
from rollback_guard.core.units import parse_duration

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

MOST_ROWS = 100_000
LARGEST_FILE = 16 * 1024 * 1024


class HappeningError(Exception):
    """A file or a time cannot be read; the message says where and what to write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deploy:
    """A change; without a guard it concerns all of them."""

    at: datetime
    guard: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownIncident:
    """A time in which something was broken; without a guard it concerns all of them."""

    start: datetime
    end: datetime
    name: str = ""
    guard: str = ""


def read_deploys(path: Path, guards: Iterable[str]) -> list[Deploy]:
    """Return the deploys of a CSV file with the columns `time`, and perhaps `guard` and `version`, oldest first.

    Raises:
        HappeningError: It is not such a file.
    """
    found = []
    for place, row in _rows(path, needed=("time",), optional=("guard", "version")):
        at = _time(place, "time", row["time"])
        guard = _guard(place, row.get("guard", ""), guards)
        found.append(Deploy(at=at, guard=guard, version=row.get("version", "")))
    return sorted(found, key=lambda deploy: deploy.at)


def read_incidents(path: Path, guards: Iterable[str]) -> list[KnownIncident]:
    """Return the incidents of a CSV file with `start` and `end`, and perhaps `name` and `guard`, oldest first.

    Raises:
        HappeningError: It is not such a file.
    """
    found = []
    for place, row in _rows(path, needed=("start", "end"), optional=("name", "guard")):
        start, end = _time(place, "start", row["start"]), _time(place, "end", row["end"])
        if end <= start:
            raise HappeningError(f"{place}: this incident ends before it begins")
        guard = _guard(place, row.get("guard", ""), guards)
        found.append(KnownIncident(start=start, end=end, name=row.get("name", ""), guard=guard))
    return sorted(found, key=lambda incident: incident.start)


def time_of(text: str, now: datetime) -> datetime:
    """Return the time that a text says: `now`, `30d` before now, 2026-01-02T15:04:05Z, or seconds since 1970.

    Raises:
        HappeningError: It says none.
    """
    if text == "now":
        return now
    try:
        return now - parse_duration(text)
    except (ValueError, OverflowError):
        pass
    at = _absolute(text)
    if at is None:
        raise HappeningError(
            f"{quoted(text)} is no time: write `now`, `30d` for 30 days ago, or `2026-01-02T15:04:05Z`"
        )
    return at


def _absolute(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        try:
            return EPOCH + timedelta(seconds=float(text))
        except (ValueError, OverflowError):
            return None
    return at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC)


def _rows(path: Path, *, needed: Sequence[str], optional: Sequence[str]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield the rows of a CSV file, each with its place."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise HappeningError(f"{path}: the file is larger than {LARGEST_FILE} bytes")
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restkey="", skipinitialspace=True)
            _check_header(path, reader.fieldnames or (), needed, optional)
            for number, row in enumerate(reader):
                place = f"{path}:{reader.line_num}"
                if number >= MOST_ROWS:
                    raise HappeningError(f"{place}: more than {MOST_ROWS} rows")
                if "" in row:
                    raise HappeningError(f"{place}: more values than columns")
                yield place, {name: (value or "").strip() for name, value in row.items()}
    except OSError as error:
        raise HappeningError(f"{path}: this cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise HappeningError(f"{path}: this is no CSV file: {error}") from error


def _check_header(path: Path, found: Sequence[str], needed: Sequence[str], optional: Sequence[str]) -> None:
    columns = ", ".join([*needed, *(f"[{name}]" for name in optional)])
    for name in found:
        if name not in (*needed, *optional):
            near = did_you_mean(name, [*needed, *optional])
            raise HappeningError(f"{path}:1: unknown column {quoted(name)}. {near or f'Columns are {columns}.'}")
    for name in needed:
        if name not in found:
            raise HappeningError(f"{path}:1: the column {quoted(name)} is missing. Columns are {columns}.")


def _time(place: str, column: str, text: str) -> datetime:
    at = _absolute(text)
    if at is None:
        raise HappeningError(f"{place}: {column}: {quoted(text)} is no time such as `2026-01-02T15:04:05Z`")
    return at


def _guard(place: str, name: str, guards: Iterable[str]) -> str:
    known = list(guards)
    if name and name not in known:
        raise HappeningError(f"{place}: there is no guard {quoted(name)}. {did_you_mean(name, known)}".strip())
    return name
