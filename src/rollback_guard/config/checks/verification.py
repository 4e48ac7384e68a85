"""Hold the time for verifying a step against how long its rules remember.

A range like `[5m]` holds the old errors for five minutes after the cure: a step judged before that would be taken for
failed, and the next one would run without need.
"""

from __future__ import annotations

from collections.abc import Iterator

from rollback_guard.config.found import FoundGuard, slowest
from rollback_guard.config.guards import PlaybookStep
from rollback_guard.config.inventory import Inventory
from rollback_guard.config.problems import Problem, did_you_mean, quoted
from rollback_guard.core.units import format_duration


def check(inventory: Inventory) -> Iterator[Problem]:
    """Yield the steps whose `rules` cannot be told, and those whose `within` is too short."""
    if inventory.complete:
        for found in inventory.guards:
            for number, step in enumerate(found.guard.playbook):
                yield from _rules(inventory, found, number, step)
                yield from _within(inventory, found, number, step)


def _rules(inventory: Inventory, found: FoundGuard, number: int, step: PlaybookStep) -> Iterator[Problem]:
    for place, name in enumerate(step.verify.rules):
        meant = inventory.named(found, name)
        path = ("playbook", number, "verify", "rules", place)
        if not meant:
            own = (*found.listens, *found.signals)
            near = did_you_mean(name, {rule.name for rule in own} | {rule.id for rule in inventory.rules})
            message = f"the guard listens to no rule or probe {quoted(name)}"
            hint = near or "Write the name of one that it selects, or the id of any: `group/Name`, `probe/name`."
            yield found.spot.problem("unknown-rule", message, *path, hint=hint)
        elif len(meant) > 1:
            message = f"{quoted(name)} is the name of {len(meant)} rules"
            hint = f"Write the id of one: {', '.join(quoted(rule.id) for rule in meant[:4])}."
            yield found.spot.problem("ambiguous-rule", message, *path, hint=hint)


def _within(inventory: Inventory, found: FoundGuard, number: int, step: PlaybookStep) -> Iterator[Problem]:
    # How late another system says that its alert is over is not known here.
    judges = tuple(rule for rule in inventory.judges(found, step) if rule.rule is not None)
    within, needed = step.verify.within, slowest(judges) + step.verify.stable_for
    if within is None or within >= needed:
        return
    message = f"within {format_duration(within)} the step's success cannot show; it needs {format_duration(needed)}"
    hint = f"It is shorter than `stable_for`: write `within: {format_duration(needed)}` or leave it out."
    if judges:
        slow = max(judges, key=lambda rule: rule.memory)
        interval = max(rule.interval for rule in judges)
        hint = (
            f"{slow.name} sees old errors for {format_duration(slow.memory)}, its range and query_offset, then "
            f"stable_for {format_duration(step.verify.stable_for)} and two intervals of {format_duration(interval)} "
            f"follow: write `within: {format_duration(needed)}` or leave it out."
        )
    path = ("playbook", number, "verify", "within")
    yield found.spot.problem("within-too-short", message, *path, hint=hint)
