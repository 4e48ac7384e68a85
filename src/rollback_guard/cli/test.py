"""Test rule files."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rollback_guard.workbench.trials.verdict import FileVerdict

FINDINGS, USAGE, UNREACHABLE = 1, 2, 3


def _pattern(_: click.Context, __: click.Parameter, value: str | None) -> re.Pattern[str] | None:
    if value is None:
        return None
    try:
        return re.compile(value)
    except re.error as error:
        raise click.BadParameter(f"this is no regular expression: {error}") from error


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--run", "wanted", metavar="REGEX", callback=_pattern, help="Only tests whose name this matches.")
@click.option(
    "--output",
    type=click.Choice(["human", "json", "junit"]),
    default="human",
    show_default=True,
    help="How the result is shown.",
)
@click.option("-v", "--verbose", is_flag=True, help="Show what succeeded too.")
@click.option(
    "--prometheus-binary", metavar="PATH", help="The Prometheus whose engine evaluates. Default: the one on PATH."
)
def command(
    paths: tuple[Path, ...],
    wanted: re.Pattern[str] | None,
    output: str,
    verbose: bool,
    prometheus_binary: str | None,
) -> None:
    """Play the tests of PATHS: what rules and guards do, slot by slot, before production sees them.

    PATHS are test files in promtool's format, or directories with files called *.test.yaml. Their series are put into
    a real Prometheus that is started for this run; alerts, states and decisions are those of the functions that run
    live. docs/testing.md explains the format, with outages, health checks and actions that help or do not.

    Ends with 0 when every test succeeded, with 1 when one failed or a file is wrong, with 3 when no Prometheus can be
    started.
    """
    from rollback_guard.adapters.actions import registry
    from rollback_guard.adapters.clock import SystemClock
    from rollback_guard.adapters.ephemeral import EphemeralError
    from rollback_guard.workbench.trials import report
    from rollback_guard.workbench.trials.run import Bench, test_files
    from rollback_guard.workbench.trials.world import World

    files = list(test_files(paths))
    if not files:
        click.echo("There is no file called *.test.yaml under these paths.", err=True)
        sys.exit(FINDINGS)
    clock = SystemClock()
    began = clock.elapsed()
    verdicts: list[FileVerdict] = []
    try:
        with World(prometheus_binary) as world:
            bench = Bench(world, clock, action_types=registry.settings_types(), wanted=wanted)
            for number, path in enumerate(files):
                _progress(f"{number}/{len(files)} {path}")
                verdicts.append(bench.run(path))
                _progress("")
                if output == "human":
                    for line in report.lines_of(verdicts[-1], verbose=verbose):
                        click.echo(line)
    except EphemeralError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(UNREACHABLE)
    took_s = (clock.elapsed() - began).total_seconds()
    if output == "json":
        click.echo(report.as_json(verdicts, took_s))
    elif output == "junit":
        click.echo(report.as_junit(verdicts, took_s))
    click.echo(report.summary(verdicts, took_s), err=True)
    sys.exit(FINDINGS if any(verdict.is_failed for verdict in verdicts) else 0)


def _progress(text: str) -> None:
    """Show where a long run is, to people who look."""
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{text}", nl=False, err=True)
