"""Find what has the same name twice: state, metrics and logs could not tell the two apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rollback_guard.config.found import Spot
from rollback_guard.config.inventory import Inventory
from rollback_guard.config.problems import Problem, quoted


def check(inventory: Inventory) -> Iterator[Problem]:
    """Yield a problem for each second use of a name."""
    groups = [((it.spot.document.path, it.group.name), it.spot) for it in inventory.groups]
    yield from _twice("duplicate-group", "group", groups, "Rename one, or move its rules to the other.", "name")
    rules = [((it.group, it.id), it.spot) for group in inventory.groups for it in group.rules]
    hint = "Give them labels that differ, such as `severity`, or remove one."
    yield from _twice("duplicate-rule", "rule", rules, hint, "alert")
    probes = [((it.name,), it.spot) for it in inventory.probes]
    yield from _twice("duplicate-name", "probe", probes, "Rename one of them.", "probe")
    guards = [((it.guard.guard,), it.spot) for it in inventory.guards]
    yield from _twice("duplicate-name", "guard", guards, "Rename one of them.", "guard")
    if inventory.settings:
        document, origin = inventory.settings.document, inventory.settings.origin
        windows = [
            ((window.name,), Spot(document=document, path=origin(("maintenance", number))))
            for number, window in enumerate(inventory.settings.model.maintenance)
        ]
        yield from _twice("duplicate-name", "maintenance window", windows, "Rename one of them.", "name")
    yield from _clashes(inventory)


def _twice(
    id_: str, kind: str, named: Iterable[tuple[tuple[str, ...], Spot]], hint: str, key: str
) -> Iterator[Problem]:
    first: dict[tuple[str, ...], Spot] = {}
    for name, spot in named:
        other = first.setdefault(name, spot)
        if other is not spot:
            message = f"the {kind} {quoted(name[-1])} is there twice; {_where(other, spot)}"
            yield spot.problem(id_, message, key, hint=hint)


def _where(first: Spot, second: Spot) -> str:
    line = first.document.key_mark(first.path).line
    same = first.document.path == second.document.path
    return f"it first stands in line {line}" if same else f"it first stands in {first.document.path}:{line}"


def _clashes(inventory: Inventory) -> Iterator[Problem]:
    """Find ids that meet although the names differ: group `a/b` with rule `c`, and group `a` with rule `b/c`."""
    owners: dict[str, tuple[str, Spot]] = {}
    for rule in (*inventory.rules, *inventory.signals):
        group, spot = owners.setdefault(rule.id, (rule.group, rule.spot))
        if group != rule.group:
            message = f"the id {quoted(rule.id)} is there twice; {_where(spot, rule.spot)}"
            yield rule.spot.problem("duplicate-rule", message, hint="Rename one of the groups.")
    taken = {probe.group: "a probe" for probe in inventory.probes}
    taken |= {signal.group: "a guard's signals" for signal in inventory.signals}
    for found in inventory.groups:
        if found.id in taken:
            message = f"the group {quoted(found.id)} has the id of {taken[found.id]}"
            yield found.spot.problem("duplicate-group", message, "name", hint="Rename the group.")
