"""Hold playbooks against the actions that there are."""

from __future__ import annotations

from collections.abc import Iterator

from rollback_guard.config.inventory import Inventory
from rollback_guard.config.problems import Level, Problem, did_you_mean, quoted


def check(inventory: Inventory) -> Iterator[Problem]:
    """Yield unknown actions, and actions that nothing uses; without a guard.toml there is nothing to compare with."""
    if inventory.actions is None:
        return
    used: set[str] = set(inventory.undos.values())
    for found in inventory.guards:
        for number, step in enumerate(found.guard.playbook):
            if step.action is None:
                continue
            used.add(step.action)
            if step.action not in inventory.actions:
                message = f"the playbook names the unknown action {quoted(step.action)}"
                near = did_you_mean(step.action, inventory.actions)
                hint = near or f"Add `[actions.{step.action}]` to guard.toml."
                yield found.spot.problem("unknown-action", message, "playbook", number, "action", hint=hint)
    if inventory.settings and inventory.complete:
        document = inventory.settings.document
        for name in inventory.actions:
            if name not in used:
                message, mark = f"no playbook names the action {quoted(name)}", document.key_mark(("actions", name))
                hint = "Use it in a guard, or remove it."
                yield document.problem("unused-action", message, mark, hint=hint, level=Level.WARNING)
