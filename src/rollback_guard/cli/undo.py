"""Take back what was done, after a false alarm."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import click

from rollback_guard.cli.completion import incidents
from rollback_guard.cli.order import assent, demand_reason, give, reason_option
from rollback_guard.cli.remote import REFUSED, NotThereError, Remote, commands, member, output_option
from rollback_guard.cli.table import clock, plain


@click.command()
@click.argument("incident", shell_complete=incidents)
@reason_option(required=False)
@click.option("--plan", is_flag=True, help="Show what would be taken back, and do nothing.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@commands
@output_option
def command(incident: str, reason: str | None, remote: Remote, output: str, *, plan: bool, yes: bool) -> None:
    """Take back what was done in INCIDENT, the newest first: switch the flag on again, roll forward again.

    Only an action that declares `undo` can be taken back. The guard never does this by itself.
    """
    if not plan:
        demand_reason(reason)
    try:
        found = member(remote.ask(f"/api/v1/incidents/{quote(incident, safe='')}"), "incident", remote)
    except NotThereError as error:
        hint = f"; did you mean {' or '.join(map(plain, error.near))}?" if error.near else ""
        raise click.UsageError(f"{plain(error.message)}{hint}") from error
    done = list(_done(found))
    if plan and output == "json":
        click.echo(json.dumps({"incident": incident, "guard": found["guard"], "takes_back": done}, indent=2))
        return
    if not done:
        click.echo("Not done (nothing_to_do): no action of this incident succeeded that was not taken back.", err=True)
        click.get_current_context().exit(REFUSED)
    click.echo("\n".join(_plan(found, done, reason)), err=not plan)
    if plan:
        return
    assent("Take it back now?", yes=yes)
    give(
        remote,
        "/api/v1/undo",
        {"incident": incident, "reason": reason},
        output=output,
        then=(
            "What comes of it: rollback-guard explain {incident}",
            "If that was wrong: rollback-guard trigger {guard} --step ACTION --reason …",
        ),
        guard=found["guard"],
    )


def _done(incident: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the intents that can be taken back, newest first."""
    taken_back = {each["undoes"] for each in incident["undos"] if each["outcome"] != "failed"}
    for intent in reversed(incident["intents"]):
        if intent["outcome"] == "succeeded" and not intent["notify"] and intent["key"] not in taken_back:
            yield intent


def _plan(incident: dict[str, Any], done: list[dict[str, Any]], reason: str | None) -> Iterator[str]:
    yield f"Of incident {plain(incident['id'])} of guard {plain(incident['guard'])} this is taken back, as far as"
    yield "the actions declare how (`undo`), in this order:"
    for number, intent in enumerate(done, 1):
        yield f"  {number}. {plain(intent['action'])} of {clock(intent['at'])} (its goal was: {plain(intent['goal'])})"
    if reason is not None:
        yield f"Reason: {plain(reason)}"
