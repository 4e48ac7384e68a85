"""Test rule files."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rollback_guard.workbench.trials.verdict import FileVerdict
    from rollback_guard.workbench.trials.workers import Job

FINDINGS, UNREACHABLE = 1, 3
INTERRUPTED = 130
"""As shells say it of a program that Ctrl-C ended."""

COLOURS: dict[str, dict[str, Any]] = {
    "failed": {"fg": "red", "bold": True},
    "succeeded": {"fg": "green"},
    "expected": {"fg": "green"},
    "got": {"fg": "red"},
    "hint": {"fg": "yellow"},
    "picture": {"dim": True},
}


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

    PATHS are test files in promtool's format, or directories with files called *.test.yaml, *_test.yaml or
    *-test.yaml. Their series are put into a real Prometheus that is started for this run; alerts, states and decisions
    are those of the functions that run live. docs/testing.md explains the format, with outages, health checks, actions
    that help or do not, and orders of people.

    Ends with 0 when every test succeeded, with 1 when one failed or a file is wrong, with 3 when no Prometheus can be
    started.
    """
    from rollback_guard.adapters.clock import SystemClock
    from rollback_guard.adapters.ephemeral import EphemeralError, find_prometheus
    from rollback_guard.workbench.trials.files import test_files
    from rollback_guard.workbench.trials.workers import Job

    files = test_files(paths)
    if not files:
        click.echo("Error: there is no test file under these paths, such as checkout.test.yaml.", err=True)
        sys.exit(FINDINGS)
    clock = SystemClock()
    began = clock.elapsed()
    verdicts: list[FileVerdict] = []
    try:
        job = Job(binary=find_prometheus(prometheus_binary), wanted=wanted, width=_width())
        _play(files, job, verdicts, shows=output == "human", verbose=verbose)
    except EphemeralError as error:
        click.echo(f"Error: {error.message}", err=True)
        if error.hint:
            click.echo(error.hint, err=True)
        sys.exit(UNREACHABLE)
    except KeyboardInterrupt:
        click.echo(f"Interrupted after {len(verdicts)} of {len(files)} files.", err=True)
        sys.exit(INTERRUPTED)
    _finish(verdicts, output, (clock.elapsed() - began).total_seconds())


def _play(files: Sequence[Path], job: Job, verdicts: list[FileVerdict], *, shows: bool, verbose: bool) -> None:
    """Play the files, and show each as soon as all before it are there."""
    from rollback_guard.adapters.clock import SystemClock
    from rollback_guard.workbench.progress import Meter
    from rollback_guard.workbench.trials import report
    from rollback_guard.workbench.trials.workers import play_files

    clock = SystemClock()
    meter = Meter(clock)
    try:
        for verdict in play_files(files, job, clock, lambda share: meter.tell("playing", share)):
            verdicts.append(verdict)
            if shows:
                meter.end()
                for kind, line in report.lines_of(verdict, verbose=verbose):
                    click.echo(_painted(kind, line))
    finally:
        meter.end()


def _finish(verdicts: Sequence[FileVerdict], output: str, took_s: float) -> None:
    from rollback_guard.workbench.trials import report

    if output == "json":
        click.echo(report.as_json(verdicts, took_s))
    elif output == "junit":
        click.echo(report.as_junit(verdicts, took_s))
    if not any(verdict.trials or verdict.problems for verdict in verdicts):
        click.echo("Error: no test has a name that --run matches.", err=True)
        sys.exit(FINDINGS)
    click.echo(report.summary(verdicts, took_s), err=True)
    sys.exit(FINDINGS if any(verdict.is_failed for verdict in verdicts) else 0)


def _width() -> int:
    """Return how wide pictures may be: as the terminal is, and as paper where nobody looks."""
    return shutil.get_terminal_size().columns - 4 if sys.stdout.isatty() else 96


def _painted(kind: str, line: str) -> str:
    from rollback_guard.cli.table import coloured

    return click.style(line, **COLOURS[kind]) if kind in COLOURS and coloured() else line
