"""Hold what takes actions back against the actions that there are."""

from __future__ import annotations

from collections.abc import Iterator

from rollback_guard.config.inventory import Inventory
from rollback_guard.config.problems import Problem, did_you_mean, quoted


def check(inventory: Inventory) -> Iterator[Problem]:
    """Yield the actions whose `undo` is no other action."""
    if inventory.settings is None or inventory.actions is None:
        return
    document = inventory.settings.document
    for name, undo in inventory.undos.items():
        mark = document.value_mark(("actions", name, "undo"))
        if undo == name:
            hint = "Name another action, whose goal is what was before."
            yield document.problem("undo-itself", "an action cannot take itself back", mark, hint=hint)
        elif undo not in inventory.actions:
            message = f"`undo` names the unknown action {quoted(undo)}"
            hint = did_you_mean(undo, set(inventory.actions) - {name}) or f"Add `[actions.{undo}]`."
            yield document.problem("unknown-action", message, mark, hint=hint)
