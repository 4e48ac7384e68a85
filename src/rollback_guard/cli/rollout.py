"""Tell guards that a change begins or is over."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from rollback_guard.cli.order import give, give_each, guards_argument, reason_option, span_option
from rollback_guard.cli.remote import Remote, commands, connects, member, output_option
from rollback_guard.cli.table import clock, plain, table


@click.group()
def command() -> None:
    """Tell guards that a change begins or is over, and list the changes.

    A guard with `armed: rollout` acts only while one is under way.
    """


@command.command()
@guards_argument
@click.option("--id", metavar="ID", help="Its id; without one the guard makes one.")
@click.option("--version", metavar="VERSION", help="What is rolled out.")
@click.option("--previous-version", metavar="VERSION", help="What a rollback leads back to.")
@span_option("--window", "window", "How long it is watched at most; the guard's own otherwise.")
@commands
@output_option
def start(guards: tuple[str, ...], remote: Remote, output: str, **given: str | None) -> None:
    """Say that a change of GUARD's service begins: it is armed, and what fires already is not the change's fault.

    One that is under way is finished by it. Where several guards watch the service, name them all.
    """

    def begin(guard: str) -> None:
        give(
            remote,
            "/api/v1/rollouts",
            {"guard": guard, **given},
            output=output,
            then=(
                "It is over at the end of its window, or with: rollback-guard rollout finish {guard}",
                "What the guard sees meanwhile: rollback-guard status",
            ),
        )

    give_each(remote, guards, begin)


@command.command()
@guards_argument
@reason_option(required=False)
@commands
@output_option
def finish(guards: tuple[str, ...], reason: str | None, remote: Remote, output: str) -> None:
    """Say that the change of GUARD's service is over. Where several guards watch the service, name them all."""

    def end(guard: str) -> None:
        give(
            remote,
            "/api/v1/rollouts/finish",
            {"guard": guard, "reason": reason},
            output=output,
            then=(
                "A guard with `armed: rollout` acts no more until the next one begins.",
                "To take it back: rollback-guard rollout start {guard} --version …",
            ),
        )

    give_each(remote, guards, end)


@command.command(name="list")
@connects
@output_option
def list_(remote: Remote, output: str) -> None:
    """List the last change of every guard, those under way first."""
    found = remote.ask("/api/v1/guards?limit=10000")
    rollouts = [each["rollout"] for each in member(found, "guards", remote) if each.get("rollout")]
    rollouts.sort(key=lambda each: (each["finished_at"] is not None, each["guard"]))
    if output == "json":
        click.echo(json.dumps({"at": found["at"], "rollouts": rollouts}, indent=2))
    elif not rollouts:
        click.echo("No rollout so far.")
    else:
        click.echo(table(("GUARD", "ROLLOUT", "STATE", "VERSION", "BEFORE", "STARTED", "UNTIL", "BY"), _rows(rollouts)))


def _rows(rollouts: list[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    for each in rollouts:
        over = each["finished_at"]
        yield (
            plain(each["guard"]),
            each["id"],
            "finished" if over else "under way",
            each["version"] or "unknown",
            each["previous_version"] or "unknown",
            clock(each["started_at"]),
            clock(over or each["until"]),
            each["by"],
        )
