"""Turn records into JSON and back, exactly: the format of the journal.

What is written has been read back once before it counts as encoded: a journal that cannot be read is worse than a
record that is refused. Fields and kinds that this version does not know are refused too; leaving out what a newer
version wrote could mean to forget an action.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from rollback_guard.adapters.journal.chain import as_text
from rollback_guard.core.records import Evaluated, Record
from rollback_guard.ports import JournalError

__all__ = ["Row", "as_json", "as_text", "decode", "decode_all", "encode", "from_json", "storable"]

T = TypeVar("T")

ADAPTER: TypeAdapter[Record] = TypeAdapter(
    Annotated[Record, Field(discriminator="kind")],
    # JSON has no word for NaN and the infinities; as strings they come back as what they were.
    config=ConfigDict(extra="forbid", ser_json_inf_nan="strings"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One record as it lies in the database; all but `body` stands there to be searched for."""

    at: str
    kind: str
    incident: str | None
    body: str


def encode(record: Record) -> Row:
    """Return the record as a row.

    Raises:
        JournalError: It could not be read back.
    """
    body = as_json(ADAPTER, record)
    decode(body)
    at = record.slot if isinstance(record, Evaluated) else record.at
    incident = getattr(record, "incident", None)
    return Row(at=as_text(at), kind=record.kind, incident=incident and storable(incident), body=body)


def decode(body: str) -> Record:
    """Return the record that was written as this JSON.

    Raises:
        JournalError: It was written by another version, or by nobody.
    """
    return from_json(ADAPTER, body)


def decode_all(path: Path, rows: Iterable[tuple[int, str]]) -> list[Record]:
    """Return the records of a file that were written as these, numbers and JSON.

    Raises:
        JournalError: One of them was written by another version, or by nobody.
    """
    records = []
    for seq, body in rows:
        try:
            records.append(decode(body))
        except JournalError as error:
            raise JournalError(
                f"{path}: record {seq} is not one that this version writes: {error}; "
                "a newer rollback-guard wrote it, or something else did"
            ) from error
    return records


def as_json(adapter: TypeAdapter[T], value: T) -> str:
    """Return a value as JSON that a database can hold."""
    try:
        return adapter.dump_json(value, warnings=False).decode()
    except PydanticSerializationError:
        plain = adapter.dump_python(value, mode="json", warnings=False)
        return storable(json.dumps(plain, ensure_ascii=False))


def from_json(adapter: TypeAdapter[T], body: str) -> T:
    """Return the value that was written as this JSON.

    Raises:
        JournalError: It is not what such a value looks like in this version.
    """
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise JournalError(f"{where + ': ' if where else ''}{first['msg']}") from error


def storable(text: str) -> str:
    """Return a text without half surrogate pairs: they come out of hostile labels, have no UTF-8, and block nothing."""
    return text.encode(errors="replace").decode()
