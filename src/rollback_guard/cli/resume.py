"""End a pause."""

from __future__ import annotations

import click

from rollback_guard.cli.order import everything_option, give, one_or_all, optional_guard_argument, reason_option
from rollback_guard.cli.remote import Remote, commands, output_option


@click.command()
@optional_guard_argument
@everything_option
@reason_option(required=False)
@commands
@output_option
def command(guard: str | None, reason: str | None, remote: Remote, output: str, *, everything: bool) -> None:
    """End the pause of one GUARD, or the one that holds for everything.

    The two are apart: what was paused by name stays paused when everything is resumed.
    """
    one_or_all(guard, everything=everything)
    give(
        remote,
        "/api/v1/resume",
        {"guard": guard, "reason": reason},
        output=output,
        then=(
            "From now on it acts on what fires, also on what began to fire during the pause.",
            "`rollback-guard status` shows what still holds it.",
            "To take it back: rollback-guard pause {guard} --reason …",
        ),
    )
