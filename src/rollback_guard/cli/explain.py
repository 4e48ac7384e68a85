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
@click.argument("incident", metavar="[ID]", required=False, shell_complete=incidents)
@connects
@output_option
def command(incident: str | None, remote: Remote, output: str) -> None:
    """Tell an incident's story: what was seen, why it was acted on or not, what was done, whether it helped.

    Without an ID the incidents are listed. Exits with 2 when there is no such incident, 3 when the daemon cannot be
    reached.
    """
    if not incident:
        found = remote.ask("/api/v1/incidents?limit=1000")
        member(found, "incidents", remote)
        click.echo(json.dumps(found, indent=2) if output == "json" else _list(found))
        return
    try:
        found = remote.ask(f"/api/v1/incidents/{quote(incident, safe='')}")
    except NotThereError as error:
        click.echo(f"{plain(error.message)}.", err=True)
        if error.near:
            click.echo(f"Did you mean {' or '.join(map(plain, error.near))}?", err=True)
        else:
            click.echo("There has been none yet.", err=True)
        sys.exit(error.exit_code)
    member(found, "story", remote)
    click.echo(json.dumps(found, indent=2) if output == "json" else "\n".join(_story(found)))


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
    incident = found["incident"]
    yield f"Incident {plain(incident['id'])} of guard {plain(incident['guard'])}: {state(incident['phase'])}"
    yield ""
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
