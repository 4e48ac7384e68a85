"""Read what people know of the past: when something was deployed, and when something was really broken."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rollback_guard.config.problems import did_you_mean, printable, quoted
from rollback_guard.core.units import parse_duration

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

MOST_ROWS = 100_000
LARGEST_FILE = 16 * 1024 * 1024


class InputError(Exception):
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


@dataclass(frozen=True, slots=True)
class CsvFile:
    """A CSV file that was read: once, for a pipe can be read no second time."""

    name: str
    body: bytes

    @classmethod
    def read(cls, path: Path) -> CsvFile:
        """Read a file, as far as it may go.

        Raises:
            InputError: It cannot be read, or is too large.
        """
        name = printable(str(path))
        try:
            with path.open("rb") as file:
                body = file.read(LARGEST_FILE + 1)  # a pipe or a device does not say how large it is
        except OSError as error:
            raise InputError(f"{name}: this cannot be read: {error.strerror}") from error
        if len(body) > LARGEST_FILE:
            raise InputError(f"{name}: the file is larger than {LARGEST_FILE} bytes")
        return cls(name, body)


def deploys_in(sheet: CsvFile, guards: Iterable[str]) -> list[Deploy]:
    """Return the deploys of a sheet with the columns `time`, and perhaps `guard` and `version`, oldest first.

    Raises:
        InputError: It is not such a file.
    """
    found = []
    for place, row in _rows(sheet, needed=("time",), optional=("guard", "version")):
        at = _time(place, "time", row["time"])
        guard = _guard(place, row.get("guard", ""), guards)
        found.append(Deploy(at=at, guard=guard, version=row.get("version", "")))
    return sorted(found, key=lambda deploy: deploy.at)


def incidents_in(sheet: CsvFile, guards: Iterable[str]) -> list[KnownIncident]:
    """Return the incidents of a sheet with `start` and `end`, and perhaps `name` and `guard`, oldest first.

    Raises:
        InputError: It is not such a file.
    """
    found = []
    for place, row in _rows(sheet, needed=("start", "end"), optional=("name", "guard")):
        start, end = _time(place, "start", row["start"]), _time(place, "end", row["end"])
        if end <= start:
            raise InputError(f"{place}: this incident ends before it begins")
        guard = _guard(place, row.get("guard", ""), guards)
        found.append(KnownIncident(start=start, end=end, name=row.get("name", ""), guard=guard))
    return sorted(found, key=lambda incident: incident.start)


def time_of(text: str, now: datetime) -> datetime:
    """Return the time that a text says: `now`, `30d` before now, 2026-01-02T15:04:05Z, or seconds since 1970.

    Raises:
        InputError: It says none.
    """
    if text == "now":
        return now
    try:
        return now - parse_duration(text)
    except (ValueError, OverflowError):
        pass
    at = _absolute(text)
    if at is None:
        raise InputError(f"{quoted(text)} is no time: write `now`, `30d` for 30 days ago, or `2026-01-02T15:04:05Z`")
    return at


def _absolute(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC)
    except OverflowError:
        return None
    except ValueError:
        pass
    try:
        return EPOCH + timedelta(seconds=float(text))
    except (ValueError, OverflowError):
        return None


def _rows(sheet: CsvFile, *, needed: Sequence[str], optional: Sequence[str]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield the rows of a CSV file, each with its place."""
    try:
        text = io.StringIO(sheet.body.decode("utf-8-sig"), newline="")
        reader = csv.DictReader(text, restkey="", skipinitialspace=True)
        _check_header(sheet.name, reader.fieldnames or (), needed, optional)
        for number, row in enumerate(reader):
            place = f"{sheet.name}:{reader.line_num}"
            if number >= MOST_ROWS:
                raise InputError(f"{place}: more than {MOST_ROWS} rows")
            if "" in row:
                raise InputError(f"{place}: more values than columns")
            yield place, {name: (value or "").strip() for name, value in row.items()}
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{sheet.name}: this is no CSV file: {error}") from error


def _check_header(path: str, found: Sequence[str], needed: Sequence[str], optional: Sequence[str]) -> None:
    columns = ", ".join([*needed, *(f"[{name}]" for name in optional)])
    for name in found:
        if name not in (*needed, *optional):
            near = did_you_mean(name, [*needed, *optional])
            raise InputError(f"{path}:1: unknown column {quoted(name)}. {near or f'Columns are {columns}.'}")
        if found.count(name) > 1:
            raise InputError(f"{path}:1: the column {quoted(name)} stands there twice")
    for name in needed:
        if name not in found:
            raise InputError(f"{path}:1: the column {quoted(name)} is missing. Columns are {columns}.")


def _time(place: str, column: str, text: str) -> datetime:
    at = _absolute(text)
    if at is None:
        raise InputError(f"{place}: {column}: {quoted(text)} is no time such as `2026-01-02T15:04:05Z`")
    return at


def _guard(place: str, name: str, guards: Iterable[str]) -> str:
    known = list(guards)
    if name and name not in known:
        raise InputError(f"{place}: there is no guard {quoted(name)}. {did_you_mean(name, known)}".strip())
    return name
