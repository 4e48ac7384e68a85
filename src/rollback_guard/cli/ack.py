"""Say that somebody takes care."""

from __future__ import annotations

import click

from rollback_guard.cli.completion import incidents
from rollback_guard.cli.order import give, reason_option
from rollback_guard.cli.remote import Remote, commands, output_option


@click.command()
@click.argument("incident", shell_complete=incidents)
@reason_option(required=False)
@commands
@output_option
def command(incident: str, reason: str | None, remote: Remote, output: str) -> None:
    """Take care of INCIDENT: nobody further is called for it. A playbook that is under way goes on."""
    give(
        remote,
        "/api/v1/ack",
        {"incident": incident, "reason": reason},
        output=output,
        then=(
            "Nobody further is called for it; that cannot be taken back, for somebody has it now.",
            "A playbook that is under way goes on: `rollback-guard veto` stops it.",
            "What happened so far: rollback-guard explain {incident}",
        ),
    )
