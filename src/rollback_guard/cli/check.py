"""Validate files, and ask the Prometheus about them."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
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
@click.option(
    "--ignore",
    "ignored",
    metavar="ID",
    multiple=True,
    help="Pass over this check, this time, where it is one that can be switched off; may be given again. For files "
    "that only production has: --ignore missing-file.",
)
@click.option("--online", is_flag=True, help="Also ask the Prometheus what only it can know.")
@click.option("--prometheus", metavar="URL", help="Ask this one, in place of that of guard.toml.")
def command(
    *,
    paths: tuple[Path, ...],
    output: str,
    strict: bool,
    ignored: tuple[str, ...],
    online: bool,
    prometheus: str | None,
) -> None:
    """Say everything that is wrong with guard.toml and rule files; ./guard.toml unless PATHS are given.

    A guard.toml is checked with the rule files that it names. Rule files alone are checked without the names of
    actions. Nothing is asked over the network without --online. Ends with 0 when there is no error, with 4 when there
    is one; with 1 when a Prometheus does not take an expression, with 3 when it cannot be asked. Most warnings and
    notices can be switched off, by a comment in the file, in guard.toml, or by --ignore.
    """
    from rollback_guard.adapters.actions import registry
    from rollback_guard.config.load import load
    from rollback_guard.config.report import Report

    if prometheus is not None and not online:
        raise click.UsageError("--prometheus goes with --online")
    _refuse_unknown(ignored)
    loaded = load(paths or (Path("guard.toml"),), action_types=registry.settings_types(), lint=True)
    loaded = _without(loaded, ignored)
    report = Report(loaded=loaded, problems=loaded.problems)
    if online and report.valid:
        sys.exit(_check_online(report, output, prometheus, strict=strict))
    for line in report.lines(output):
        click.echo(line)
    click.echo(report.summary(), err=True)
    if online:
        click.echo("nothing was asked online: mend the errors first", err=True)
    sys.exit(_status(report, strict=strict))


def _refuse_unknown(ignored: tuple[str, ...]) -> None:
    from rollback_guard.config.ignores import refusal_of

    for id_ in ignored:
        if refusal := refusal_of(id_):
            message, hint = refusal
            raise click.UsageError(f"--ignore: {message}. {hint}")


def _without(loaded: Loaded, ignored: tuple[str, ...]) -> Loaded:
    """Return what was loaded without what whoever checks passes over; what servers find will be passed over too."""
    ignores = replace(loaded.ignores, everywhere=frozenset(ignored))
    return replace(loaded, ignores=ignores, problems=ignores.sift(loaded.problems))


def _status(report: Report, *, strict: bool) -> int:
    if not report.valid:
        return INVALID
    return FINDINGS if strict and report.warnings else 0


def _check_online(offline: Report, output: str, prometheus: str | None, *, strict: bool) -> int:
    """Ask, and print what the files and the servers tell together, in the order of the files."""
    from rollback_guard.config.problems import in_order
    from rollback_guard.config.report import Report

    loaded = offline.loaded
    asked = _ask(loaded, prometheus)
    both = Report(loaded=loaded, problems=in_order((*filter(asked.still_told, offline.problems), *asked.problems)))
    if output == "json":
        data: dict[str, Any] = both.as_data() | {"online": [server.as_data() for server in asked.servers]}
        click.echo(json.dumps(data, indent=2))
    else:
        for line in both.lines(output):
            click.echo(line)
    for line in asked.lines():
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
