"""Hold groups against the data sources that there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rollback_guard.config.inventory import DEFAULT_SOURCE, Inventory
from rollback_guard.config.problems import Problem, did_you_mean, quoted
from rollback_guard.core.model import PROBE, SIGNAL

RESERVED: Mapping[str, str] = {
    DEFAULT_SOURCE: "Write it as `[prometheus]`.",
    PROBE: "It stands for health checks; choose another.",
    SIGNAL: "It stands for alerts from elsewhere; choose another.",
}
"""Names that mean something else, and what to do."""


def check(inventory: Inventory) -> Iterator[Problem]:
    """Yield data sources that are asked and not there, and names that mean something else."""
    if inventory.settings is None:
        return
    document, model = inventory.settings.document, inventory.settings.model
    known = {*model.datasources, *([DEFAULT_SOURCE] if model.prometheus else [])}
    for name in sorted(RESERVED.keys() & model.datasources):
        message, mark = f"a data source cannot be called {quoted(name)}", document.key_mark(("datasources", name))
        yield document.problem("reserved-name", message, mark, hint=RESERVED[name])
    # One that was left out for a mistake in it is not unknown.
    known |= {*_tables(document.data.get("datasources")), *({DEFAULT_SOURCE} & set(document.data))}
    for found in inventory.groups:
        name = found.group.datasource or DEFAULT_SOURCE
        if name in known or not found.rules:
            continue
        message = f"the group {quoted(found.group.name)} asks the unknown data source {quoted(name)}"
        near = did_you_mean(name, known)
        table = "[prometheus]" if name == DEFAULT_SOURCE else f"[datasources.{name}]"
        hint = near or f"Add `{table}` with its `url` to guard.toml."
        yield found.spot.problem(
            "unknown-datasource", message, "datasource" if found.group.datasource else "name", hint=hint
        )


def _tables(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
