"""Hold each guard's selector against the rules that there are: a guard of nothing, or of everything, is a mistake."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rollback_guard.config.found import FoundGuard
from rollback_guard.config.inventory import Inventory
from rollback_guard.config.problems import Level, Problem, did_you_mean, quoted

_PATTERN = re.compile(r"[*|^$+?~\\()\[\]]|\.\*")


def check(inventory: Inventory) -> Iterator[Problem]:
    """Yield what is wrong with selectors."""
    for found in inventory.guards:
        templated = [name for name, value in found.guard.select.items() if "{{" in value or "{%" in value]
        for name in templated:
            message = f"the selector compares {quoted(name)} with a template"
            hint = "Write the label's value; selectors are compared as they stand."
            yield found.spot.problem("template-in-selector", message, "select", name, hint=hint)
        if not found.guard.select:
            hint = "Name at least one label, such as `service`; a guard of everything would roll back for everything."
            yield found.spot.problem("empty-selector", "the selector is empty", "select", hint=hint, value=False)
        elif not templated and not found.listens and not found.signals and inventory.complete:
            yield _nothing(inventory, found)
        elif found.listens and not found.causes and inventory.complete:
            message = f"the guard {quoted(found.guard.guard)} can never act: it selects no critical rule"
            hint = "Give a rule that should cause its playbook the label `severity: critical`."
            yield found.spot.problem(
                "selects-no-critical", message, "select", hint=hint, level=Level.WARNING, value=False
            )


def _nothing(inventory: Inventory, found: FoundGuard) -> Problem:
    message = f"the guard {quoted(found.guard.guard)} selects nothing"
    return found.spot.problem("selects-nothing", message, "select", hint=_why(inventory, found), value=False)


def _why(inventory: Inventory, found: FoundGuard) -> str:
    for name, value in found.guard.select.items():
        values = {rule.static[name] for rule in inventory.rules if name in rule.static}
        if value in values:
            continue
        if _PATTERN.search(value):
            return f"Labels are compared for equality: {quoted(value)} is no pattern here."
        templated = next((rule for rule in inventory.rules if "{{" in rule.labels.get(name, "")), None)
        if templated:
            return f"The rule {quoted(templated.id)} sets {quoted(name)} by a template, and that cannot be selected."
        if not values:
            names = {label for rule in inventory.rules for label in rule.static}
            return f"No rule carries the label {quoted(name)}. {did_you_mean(name, names)}".strip()
        near = did_you_mean(value, values)
        return f"No rule carries {name}={quoted(value)}. {near}".strip()
    return "Each of these labels exists, but no rule carries all of them."
