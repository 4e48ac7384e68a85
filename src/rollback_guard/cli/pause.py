"""Take the guard's hands off."""

from __future__ import annotations

import click

from rollback_guard.cli.order import (
    everything_option,
    give,
    one_or_all,
    optional_guard_argument,
    reason_option,
    span_option,
)
from rollback_guard.cli.remote import Remote, commands, output_option


@click.command()
@optional_guard_argument
@everything_option
@reason_option(required=True)
@span_option("--for", "lasting", "Resume by itself after so long, e.g. 1h.")
@commands
@output_option
def command(
    guard: str | None, reason: str, lasting: str | None, remote: Remote, output: str, *, everything: bool
) -> None:
    """Take the hands off one GUARD, or off everything: it goes on watching and telling, and starts no action.

    A pause survives restarts and reloads. Without --for it lasts until somebody resumes.
    """
    one_or_all(guard, everything=everything)
    give(
        remote,
        "/api/v1/pause",
        {"guard": guard, "reason": reason, "for": lasting},
        output=output,
        then=(
            "It goes on watching and tells what it would do. An action that is running ends, and is not tried again.",
            *(() if lasting else ("No end was given: it stays so until somebody resumes.",)),
            "To take it back: rollback-guard resume {guard}",
        ),
    )
