"""Find actions that need a rollout under guards that also act without one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from rollback_guard.config.inventory import Inventory
from rollback_guard.config.places import KeyPath
from rollback_guard.config.problems import Level, Problem, quoted

ALWAYS = "always"

_USE = re.compile(r"\{[{%][^{}]*?\brollout\s*[.\[]")
_PROVIDED_FOR = re.compile(r"\|\s*(?:default|d)\b|\bis\s+(?:not\s+)?defined\b|\bif\s+(?:not\s+)?rollout\s*%")
"""What a template says that can do without a rollout."""


def check(inventory: Inventory) -> Iterator[Problem]:
    """Yield the actions that name a rollout's versions in the playbook of a guard that is always armed."""
    if inventory.settings is None or not inventory.complete:
        return
    document, seen = inventory.settings.document, set()
    tables = document.data.get("actions")
    for found in inventory.guards:
        for step in found.guard.playbook:
            table = tables.get(step.action) if isinstance(tables, dict) else None
            if found.guard.armed != ALWAYS or step.action is None or step.action in seen:
                continue
            path = next(_uses(("actions", step.action), table), None)
            if path is None:
                continue
            seen.add(step.action)
            message = f"without a rollout this fails, and the guard {quoted(found.guard.guard)} acts without one too"
            hint = "Call `rollback-guard rollout start` in every deployment, or write `armed: rollout` or a `default`."
            mark = document.value_mark(path)
            yield document.problem("rollout-unknown", message, mark, hint=hint, level=Level.WARNING)


def _uses(path: KeyPath, value: Any) -> Iterator[KeyPath]:
    """Yield where the texts stand that fail without a rollout."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _uses((*path, key), item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _uses((*path, index), item)
    elif isinstance(value, str) and _USE.search(value) and not _PROVIDED_FOR.search(value):
        yield path
