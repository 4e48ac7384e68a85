"""Hold each step of a playbook against itself: keys that contradict each other, and a condition that never holds."""

from __future__ import annotations

from collections.abc import Iterator

from rollback_guard.config.found import FoundGuard
from rollback_guard.config.guards import PlaybookStep
from rollback_guard.config.inventory import Inventory
from rollback_guard.config.problems import Problem, did_you_mean, quoted


def check(inventory: Inventory) -> Iterator[Problem]:
    """Yield what is wrong with steps."""
    for found in inventory.guards:
        for number, step in enumerate(found.guard.playbook):
            yield from _kind(found, number, step)
            yield from _without_effect(found, number, step)
            if inventory.complete and step.select and found.causes:
                yield from _condition(found, number, step)


def _kind(found: FoundGuard, number: int, step: PlaybookStep) -> Iterator[Problem]:
    if step.action and step.notify:
        message = "a step has either `action` or `notify`"
        hint = "Make two steps of it; whom the guard tells of every step stands in its own `notify`."
        yield found.spot.problem("step-kind", message, "playbook", number, "notify", hint=hint, value=False)
    elif not any(found.spot.has("playbook", number, key) for key in ("action", "notify")):
        hint = "Add `action` with the name of an action, or `notify` with channels."
        yield found.spot.problem("step-kind", "this step does nothing", "playbook", number, hint=hint, value=False)


def _without_effect(found: FoundGuard, number: int, step: PlaybookStep) -> Iterator[Problem]:
    if step.unapproved and not found.spot.has("playbook", number, "approve"):
        message, hint = "`unapproved` says nothing without `approve`", "Add `approve: 10m`, or remove it."
        yield found.spot.problem("step-key", message, "playbook", number, "unapproved", hint=hint, value=False)
    if not step.action and step.notify:
        for key in ("timeout", "approve"):
            if getattr(step, key) is not None:
                message = f"`{key}` says nothing of a step that only notifies"
                hint = "Messages are delivered by themselves, and need nobody's approval; remove it."
                yield found.spot.problem("step-key", message, "playbook", number, key, hint=hint, value=False)
        if step.verify.idle == "pass":
            message, hint = "a step that only notifies takes no traffic away", "Remove `idle: pass`."
            yield found.spot.problem("step-key", message, "playbook", number, "verify", "idle", hint=hint, value=False)


def _condition(found: FoundGuard, number: int, step: PlaybookStep) -> Iterator[Problem]:
    if any(step.select.items() <= rule.static.items() for rule in found.causes):
        return
    message = "this step is never run: nothing that the guard acts on carries all of these labels"
    hint = "Select by labels of its critical rules or signals; `alertname` is the name of a rule."
    for name, value in step.select.items():
        values = {rule.static[name] for rule in found.causes if name in rule.static}
        if value not in values:
            hint = f"None carries {name}={quoted(value)}. {did_you_mean(value, values)}".strip()
            break
    yield found.spot.problem("step-selects-nothing", message, "playbook", number, "select", hint=hint, value=False)
