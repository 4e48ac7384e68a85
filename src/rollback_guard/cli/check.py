"""Validate files offline."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rollback_guard.config.load import Loaded

INVALID = 4


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--output", type=click.Choice(["human", "json"]), default="human", show_default=True, help="How problems are shown."
)
def command(paths: tuple[Path, ...], output: str) -> None:
    """Say everything that is wrong with guard.toml and rule files; ./guard.toml unless PATHS are given.

    A guard.toml is checked with the rule files that it names. Rule files alone are checked without the names of
    actions. Nothing is asked over the network. Ends with 0 when there is no error, with 4 when there is one.
    """
    from rollback_guard.adapters.actions import registry
    from rollback_guard.config.load import load

    loaded = load(paths or (Path("guard.toml"),), action_types=registry.settings_types())
    if output == "json":
        click.echo(json.dumps(_as_data(loaded), indent=2))
    else:
        for problem in loaded.problems:
            click.echo(problem.render())
    click.echo(_summary(loaded), err=True)
    sys.exit(INVALID if loaded.policy is None else 0)


def _summary(loaded: Loaded) -> str:
    counts = {level: sum(it.severity == level for it in loaded.problems) for level in ("error", "warning", "notice")}
    found = [_number(count, level) for level, count in counts.items() if count]
    files = _number(len(loaded.files), "file")
    if loaded.policy is None:
        more = "" if loaded.complete else "; more is checked once these are mended"
        return f"{', '.join(found)} in {files}{more}"
    fine = f"{_number(loaded.rules, 'rule')}, {_number(loaded.guards, 'guard')} in {files}: fine"
    return f"{fine}, with {', '.join(found)}" if found else fine


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _as_data(loaded: Loaded) -> dict[str, object]:
    return {
        "schema_version": 1,
        "valid": loaded.policy is not None,
        "rules": loaded.rules,
        "guards": loaded.guards,
        "files": list(loaded.files),
        "problems": [
            {
                "path": problem.path,
                "line": problem.line,
                "column": problem.column,
                "severity": problem.severity.value,
                "id": problem.id,
                "message": problem.message,
                "hint": problem.hint,
            }
            for problem in loaded.problems
        ],
    }
