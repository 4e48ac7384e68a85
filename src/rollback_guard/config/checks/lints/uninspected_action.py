"""Find actions of which nobody can tell after a crash whether they were done."""

from __future__ import annotations

from collections.abc import Iterator

from rollback_guard.config.inventory import Inventory
from rollback_guard.config.problems import Level, Problem, quoted

HINT = "Add `inspect`, which asks whether the goal is reached; or `idempotent = true`, where repeating it is harmless."


def check(inventory: Inventory) -> Iterator[Problem]:
    """Yield the actions of playbooks that can neither be looked at nor be repeated."""
    if inventory.settings is None or inventory.actions is None:
        return
    document = inventory.settings.document
    used = {step.action for found in inventory.guards for step in found.guard.playbook}
    for name, action in inventory.actions.items():
        fields = type(action).model_fields if action is not None else {}
        if name not in used or action is None or "inspect" not in fields:
            continue  # without the key it is inspected by what it is
        if getattr(action, "inspect", None) is None and not getattr(action, "idempotent", False):
            message = f"when its answer is lost, nobody can tell whether {quoted(name)} was done: people must go on"
            mark = document.key_mark(("actions", name))
            yield document.problem("uninspected-action", message, mark, hint=HINT, level=Level.WARNING)
