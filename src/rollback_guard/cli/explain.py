"""Tell an incident's story in plain words."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import click

from rollback_guard.cli.completion import incidents
from rollback_guard.cli.remote import NotThereError, Remote, connects, member, output_option
from rollback_guard.cli.table import clock, instant, plain, seconds, state, table
from rollback_guard.core import wording


@click.command()
@click.argument("name", metavar="[ID | GUARD]", required=False, shell_complete=incidents)
@connects
@output_option
def command(name: str | None, remote: Remote, output: str) -> None:
    """Tell an incident's story: what was seen, why it was acted on or not, what was done, whether it helped.

    With the name of a guard, why it did or did not act of late: paused, blind, not armed, shadow rules. Without any
    name the incidents are listed. Exits with 2 when there is no such incident or guard, 3 when the daemon cannot be
    reached.
    """
    if not name:
        found = remote.ask("/api/v1/incidents?limit=1000")
        member(found, "incidents", remote)
        click.echo(json.dumps(found, indent=2) if output == "json" else _list(found))
        return
    found = _found(name, remote)
    member(found, "story", remote)
    click.echo(json.dumps(found, indent=2) if output == "json" else "\n".join(_story(found)))


def _found(name: str, remote: Remote) -> dict[str, Any]:
    """Return the incident or the guard of this name, or say what may have been meant and end."""
    near: list[str] = []
    for kind in ("incidents", "guards"):
        try:
            return remote.ask(f"/api/v1/{kind}/{quote(name, safe='')}")
        except NotThereError as error:
            near += error.near
    click.echo(f"There is no incident and no guard {plain(name)}.", err=True)
    if near:
        click.echo(f"Did you mean {' or '.join(map(plain, near))}?", err=True)
    sys.exit(NotThereError.exit_code)


def _list(found: dict[str, Any]) -> str:
    if not found["incidents"]:
        return "No incident so far."
    return table(
        ("INCIDENT", "OPENED", "STATE", "RESULT", "RULES"),
        [
            (each["id"], clock(each["opened_at"]), each["phase"], each["reason"] or "", ", ".join(each["rules"]))
            for each in found["incidents"]
        ],
    )


def _story(found: dict[str, Any]) -> Iterator[str]:
    if incident := found.get("incident"):
        yield f"Incident {plain(incident['id'])} of guard {plain(incident['guard'])}: {state(incident['phase'])}"
    else:
        yield f"Guard {plain(found['guard']['name'])}, of late"
    yield ""
    if not found["story"]:
        yield "  Nothing to tell: no decision, no order and no incident in the last day."
    offsets = [wording.offset(seconds(line["offset_s"])) for line in found["story"]]
    width = max(map(len, offsets), default=0)
    day = ""
    for line, offset in zip(found["story"], offsets, strict=True):
        at = instant(line["at"])
        if day != f"{at:%Y-%m-%d}":
            day = f"{at:%Y-%m-%d}"
            yield f"{day} (UTC)"
        yield f"  {at:%H:%M:%S}  {offset:>{width}}  {plain(line['text'])}"
        indent = " " * (14 + width)
        yield from (f"{indent}{plain(note)}" for note in line["notes"])
