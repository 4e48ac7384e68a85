"""Hold groups against the data sources that there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rollback_guard.config.inventory import PROBE_GROUPS, Inventory
from rollback_guard.config.problems import Problem, did_you_mean, quoted

DEFAULT = "prometheus"
"""The name of `[prometheus]` among the data sources."""


def check(inventory: Inventory) -> Iterator[Problem]:
    """Yield data sources that are asked and not there, and names that mean something else."""
    if inventory.settings is None:
        return
    document, model = inventory.settings.document, inventory.settings.model
    known = {*model.datasources, *([DEFAULT] if model.prometheus else [])}
    for name in sorted({DEFAULT, PROBE_GROUPS} & set(model.datasources)):
        message = f"a data source cannot be called {quoted(name)}"
        hint = "Write it as `[prometheus]`." if name == DEFAULT else "It stands for health checks; choose another."
        yield document.problem("reserved-name", message, document.key_mark(("datasources", name)), hint=hint)
    # One that was left out for a mistake in it is not unknown.
    known |= {*_tables(document.data.get("datasources")), *({DEFAULT} & set(document.data))}
    for found in inventory.groups:
        name = found.group.datasource or DEFAULT
        if name in known or not found.rules:
            continue
        message = f"the group {quoted(found.group.name)} asks the unknown data source {quoted(name)}"
        near = did_you_mean(name, known)
        table = "[prometheus]" if name == DEFAULT else f"[datasources.{name}]"
        hint = near or f"Add `{table}` with its `url` to guard.toml."
        yield found.spot.problem(
            "unknown-datasource", message, "datasource" if found.group.datasource else "name", hint=hint
        )


def _tables(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
