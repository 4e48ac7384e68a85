"""Print the JSON Schema of the files that people write."""

from __future__ import annotations

import json

import click


@click.command()
@click.argument("which", type=click.Choice(["rules", "guard"]), default="rules")
def command(which: str) -> None:
    """Print the JSON Schema of rule files (`rules`) or of guard.toml (`guard`), draft 7.

    An editor with the YAML language server uses it for a rule file whose first line is
    `# yaml-language-server: $schema=rules.schema.json`.
    """
    from rollback_guard.adapters.actions import registry
    from rollback_guard.config import schema

    document = schema.rules_schema() if which == "rules" else schema.guard_schema(registry.settings_types())
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))
