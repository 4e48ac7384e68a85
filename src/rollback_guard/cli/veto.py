"""Cancel what a guard is about to do."""

from __future__ import annotations

import click

from rollback_guard.cli.order import give, guard_argument, reason_option
from rollback_guard.cli.remote import Remote, commands, output_option


@click.command()
@guard_argument
@reason_option(required=True)
@commands
@output_option
def command(guard: str, reason: str, remote: Remote, output: str) -> None:
    """Cancel the playbook of GUARD's incident: nothing further is done in it, people have it.

    An action that has begun goes on to its end; it cannot be called back.
    """
    give(
        remote,
        "/api/v1/veto",
        {"guard": guard, "reason": reason},
        output=output,
        then=(
            "Nothing further is begun in this incident: it is yours until its rules pass again.",
            "A veto cannot be taken back, but a step can be run by hand:",
            "  rollback-guard trigger {guard} --step ACTION --reason …",
        ),
    )
