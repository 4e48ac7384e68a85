"""Give people more time before a step is run."""

from __future__ import annotations

import click

from rollback_guard.cli.order import give, guard_argument, reason_option, span_option
from rollback_guard.cli.remote import Remote, commands, output_option


@click.command()
@guard_argument
@span_option("--for", "lasting", "By how much longer, e.g. 10m.", required=True)
@reason_option(required=False)
@commands
@output_option
def command(guard: str, lasting: str, reason: str | None, remote: Remote, output: str) -> None:
    """Give people more time before the waiting step of GUARD is run, or not."""
    give(
        remote,
        "/api/v1/extend",
        {"guard": guard, "for": lasting, "reason": reason},
        output=output,
        then=(
            "Not to wait any longer: rollback-guard approve {guard}",
            "To stop it: rollback-guard veto {guard} --reason …",
        ),
    )
