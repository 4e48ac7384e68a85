"""Let a waiting step be run at once."""

from __future__ import annotations

import click

from rollback_guard.cli.order import give, guard_argument, reason_option
from rollback_guard.cli.remote import Remote, commands, output_option


@click.command()
@guard_argument
@reason_option(required=False)
@commands
@output_option
def command(guard: str, reason: str | None, remote: Remote, output: str) -> None:
    """Let the waiting step of GUARD be run at once, whether it waits for an approval or for a veto."""
    give(
        remote,
        "/api/v1/approve",
        {"guard": guard, "reason": reason},
        output=output,
        then=(
            "Its rules tell whether it helped; to follow: rollback-guard explain {incident}",
            "To stop what comes after it: rollback-guard veto {guard} --reason …",
            "To take back what was done: rollback-guard undo {incident} --reason …",
        ),
    )
