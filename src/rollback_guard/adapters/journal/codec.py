"""Turn records into JSON and back, exactly: the format of the journal.

What is written has been read back once before it counts as encoded: a journal that cannot be read is worse than a
record that is refused. Fields and kinds that this version does not know are refused too; leaving out what a newer
version wrote could mean to forget an action.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from rollback_guard.core.records import Evaluated, Record
from rollback_guard.ports import JournalError

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
    body = _json(record)
    decode(body)
    at = record.slot if isinstance(record, Evaluated) else record.at
    return Row(at=as_text(at), kind=record.kind, incident=getattr(record, "incident", None), body=body)


def as_text(at: datetime) -> str:
    """Return an instant as it stands in the database; the order of the texts is that of the instants."""
    return at.astimezone(UTC).isoformat()


def decode(body: str) -> Record:
    """Return the record that was written as this JSON.

    Raises:
        JournalError: It was written by another version, or by nobody.
    """
    try:
        return ADAPTER.validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise JournalError(f"{where + ': ' if where else ''}{first['msg']}") from error


def _json(record: Record) -> str:
    try:
        return ADAPTER.dump_json(record, warnings=False).decode()
    except PydanticSerializationError:
        # Half a surrogate pair, out of a hostile label or a command's output, has no UTF-8. It must block no action.
        plain = ADAPTER.dump_python(record, mode="json", warnings=False)
        return json.dumps(plain, ensure_ascii=False).encode(errors="replace").decode()
