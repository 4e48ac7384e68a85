"""Validate files, and ask the Prometheus about them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rollback_guard.config.load import Loaded
    from rollback_guard.config.report import Report
    from rollback_guard.workbench.online import Report as OnlineReport

FINDINGS = 1
UNREACHABLE = 3
INVALID = 4


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Choice(["human", "json", "github"]),
    default="human",
    show_default=True,
    help="How problems are shown; github is annotations of a workflow run.",
)
@click.option("--strict", is_flag=True, help="End with 1 when there is a warning.")
@click.option("--online", is_flag=True, help="Also ask the Prometheus what only it can know.")
@click.option("--prometheus", metavar="URL", help="Ask this one, in place of that of guard.toml.")
def command(paths: tuple[Path, ...], output: str, strict: bool, online: bool, prometheus: str | None) -> None:
    """Say everything that is wrong with guard.toml and rule files; ./guard.toml unless PATHS are given.

    A guard.toml is checked with the rule files that it names. Rule files alone are checked without the names of
    actions. Nothing is asked over the network without --online. Ends with 0 when there is no error, with 4 when there
    is one; with 1 when a Prometheus does not take an expression, with 3 when it cannot be asked. Warnings and notices
    can be switched off, by a comment in the file or in guard.toml.
    """
    from rollback_guard.adapters.actions import registry
    from rollback_guard.config.load import load
    from rollback_guard.config.report import Report

    if prometheus is not None and not online:
        raise click.UsageError("--prometheus goes with --online")
    loaded = load(paths or (Path("guard.toml"),), action_types=registry.settings_types(), lint=True)
    report = Report(loaded=loaded, problems=loaded.problems)
    if online and report.valid:
        sys.exit(_check_online(report, output, prometheus, strict=strict))
    for line in report.lines(output):
        click.echo(line)
    click.echo(report.summary(), err=True)
    if online:
        click.echo("nothing was asked online: mend the errors first", err=True)
    sys.exit(_status(report, strict=strict))


def _status(report: Report, *, strict: bool) -> int:
    if not report.valid:
        return INVALID
    return FINDINGS if strict and report.warnings else 0


def _check_online(offline: Report, output: str, prometheus: str | None, *, strict: bool) -> int:
    """Print what the files tell, ask, print what the servers tell."""
    from rollback_guard.config.problems import in_order
    from rollback_guard.config.report import Report
    from rollback_guard.workbench.online import telling

    loaded = offline.loaded
    if output != "json":  # which is one document
        for line in offline.lines(output):
            click.echo(line)
    asked = _ask(loaded, prometheus)
    found = Report(loaded=loaded, problems=loaded.ignores.sift(asked.problems))
    both = Report(loaded=loaded, problems=in_order((*offline.problems, *found.problems)))
    if output == "json":
        data: dict[str, Any] = both.as_data() | {"online": telling.as_data(asked)}
        click.echo(json.dumps(data, indent=2))
    else:
        for line in found.lines(output):
            click.echo(line)
    for line in telling.lines(asked):
        click.echo(line, err=True)
    click.echo(both.summary(), err=True)
    if not asked.is_reached:
        return UNREACHABLE
    return FINDINGS if asked.has_errors else _status(both, strict=strict)


def _ask(loaded: Loaded, prometheus: str | None) -> OnlineReport:
    import asyncio

    from rollback_guard.adapters.clock import SystemClock
    from rollback_guard.workbench.online import NotOnlineError, examine

    shows_progress = sys.stderr.isatty()

    def progress(text: str) -> None:
        if shows_progress:
            click.echo(f"\r\x1b[K{text}", nl=False, err=True)

    try:
        return asyncio.run(examine(loaded, clock=SystemClock(), prometheus=prometheus, progress=progress))
    except NotOnlineError as error:
        raise click.UsageError(str(error)) from error
    finally:
        progress("")
