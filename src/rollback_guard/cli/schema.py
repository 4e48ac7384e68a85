"""Print the JSON Schema of the files that people write."""

from __future__ import annotations

import json

import click


@click.command()
@click.argument("which", type=click.Choice(["rules", "guard", "tests"]), default="rules")
def command(which: str) -> None:
    """Print the JSON Schema of rule files (`rules`), of guard.toml (`guard`) or of test files (`tests`), draft 7.

    An editor with the YAML language server uses it for a rule file whose first line is
    `# yaml-language-server: $schema=rules.schema.json`.
    """
    from rollback_guard.adapters.actions import registry
    from rollback_guard.config import schema

    match which:
        case "rules":
            document = schema.rules_schema()
        case "guard":
            document = schema.guard_schema(registry.settings_types())
        case _:
            from rollback_guard.workbench.trials.document import TrialFile

            document = schema.model_schema(TrialFile, "rollback-guard test file")
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))
