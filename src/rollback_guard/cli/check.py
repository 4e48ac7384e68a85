"""Validate files offline."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rollback_guard.config.report import Report

FINDINGS = 1
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
def command(paths: tuple[Path, ...], output: str, strict: bool) -> None:
    """Say everything that is wrong with guard.toml and rule files; ./guard.toml unless PATHS are given.

    A guard.toml is checked with the rule files that it names. Rule files alone are checked without the names of
    actions. Nothing is asked over the network. Ends with 0 when there is no error, with 4 when there is one. Warnings
    and notices can be switched off, by a comment in the file or in guard.toml.
    """
    from rollback_guard.adapters.actions import registry
    from rollback_guard.config.load import load
    from rollback_guard.config.report import Report

    loaded = load(paths or (Path("guard.toml"),), action_types=registry.settings_types(), lint=True)
    report = Report(loaded=loaded, problems=loaded.problems)
    for line in report.lines(output):
        click.echo(line)
    click.echo(report.summary(), err=True)
    sys.exit(_status(report, strict=strict))


def _status(report: Report, *, strict: bool) -> int:
    if not report.valid:
        return INVALID
    return FINDINGS if strict and report.warnings else 0
