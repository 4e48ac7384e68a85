"""Break a small shop and watch the guard mend it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rollback_guard.demo.perform import Theatre

INTERRUPTED = 130


@click.command()
@click.option(
    "--directory",
    "-C",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path(),
    help="A checkout of rollback-guard; the present directory by default.",
)
@click.option("--plain", is_flag=True, help="Line by line, as where the output is no terminal.")
@click.option("--keep", is_flag=True, help="Leave everything running after the last act, until Ctrl-C.")
def command(directory: Path, *, plain: bool, keep: bool) -> None:
    """Start a shop with a feature flag and two releases, a Prometheus and the guard; break the shop twice.

    First the new feature breaks: the guard turns its flag off and proves that this helped. Then the release itself
    breaks: the flag does not help, so the guard rolls the release back. Takes about a minute, needs `prometheus`,
    listens on this machine only and leaves nothing behind.

    Exit code 0 only if the guard really did all that.
    """
    from rollback_guard.demo.failure import DemoFailed
    from rollback_guard.demo.perform import perform

    try:
        perform(directory.resolve(), _theatre(plain=plain), keep=keep)
    except DemoFailed as failure:
        click.echo(f"\nThe demo failed: {failure}", err=True)
        if failure.advice:
            click.echo(failure.advice, err=True)
        sys.exit(failure.code)
    except KeyboardInterrupt:
        click.echo("\nEnded before the end; everything is cleaned up.", err=True)
        sys.exit(INTERRUPTED)


def _theatre(*, plain: bool) -> Theatre:
    """Return the live screen where the terminal can show it and rich is installed, else plain lines."""
    from rollback_guard.demo.plain import Plain

    if not plain and sys.stdout.isatty() and os.environ.get("TERM") not in {None, "", "dumb"}:
        try:
            from rich.console import Console
        except ImportError:
            click.echo("Install rollback-guard[rich] to see this as a live picture.", err=True)
        else:
            from rollback_guard.demo.screen import Screen

            return Screen(Console())
    return Plain(click.echo)
