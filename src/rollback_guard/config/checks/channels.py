"""Hold what rule files notify against the channels that there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rollback_guard.config.found import FoundGuard
from rollback_guard.config.guards import GuardPolicy
from rollback_guard.config.inventory import Inventory
from rollback_guard.config.places import KeyPath
from rollback_guard.config.problems import Level, Problem, did_you_mean, quoted
from rollback_guard.core.notice import NoticeKind

CALLING = (NoticeKind.OPENED, NoticeKind.HOLDING, NoticeKind.HANDED_OVER, NoticeKind.BLIND, NoticeKind.TROUBLE)
"""What calls people to an incident in which the guard does nothing, or nothing more, or to the guard itself."""


def check(inventory: Inventory) -> Iterator[Problem]:
    """Yield unknown channels, channels that nothing uses, guards that tell nobody, and what no channel hears of."""
    known: frozenset[str] = frozenset()
    if inventory.settings:
        # One that was left out for a mistake in it is not unknown.
        tables = inventory.settings.document.data.get("notify")
        known = frozenset(tables if isinstance(tables, dict) else ())
        yield from _unknown(inventory, known)
        yield from _unused(inventory)
        if inventory.complete:
            yield from _left_out(inventory)
    for found in inventory.guards if inventory.complete else ():
        yield from _unheard(found, has_channels=bool(known))


def named(guard: GuardPolicy) -> Iterator[tuple[KeyPath, str]]:
    """Yield each channel that a guard names, and where."""
    for urgency in ("warning", "critical"):
        for place, name in enumerate(getattr(guard.notify, urgency)):
            yield ("notify", urgency, place), name
    for number, level in enumerate(guard.escalate):
        for place, name in enumerate(level.notify):
            yield ("escalate", number, "notify", place), name
    for number, step in enumerate(guard.playbook):
        for place, name in enumerate(step.notify or ()):
            yield ("playbook", number, "notify", place), name


def _unknown(inventory: Inventory, known: frozenset[str]) -> Iterator[Problem]:
    for found in inventory.guards:
        for path, name in named(found.guard):
            if name not in known:
                message = f"there is no channel {quoted(name)}"
                hint = did_you_mean(name, known) or f"Add `[notify.{name}]` to guard.toml."
                yield found.spot.problem("unknown-channel", message, *path, hint=hint)


def _unused(inventory: Inventory) -> Iterator[Problem]:
    if inventory.settings is None or not inventory.complete:
        return
    used = {name for found in inventory.guards for _, name in named(found.guard)}
    document = inventory.settings.document
    for name in inventory.settings.model.notify:
        if name not in used:
            message, mark = f"no guard names the channel {quoted(name)}", document.key_mark(("notify", name))
            hint = "Name it in a guard's `notify` or `escalate`, or remove it."
            yield document.problem("unused-channel", message, mark, hint=hint, level=Level.WARNING)


def _unheard(found: FoundGuard, *, has_channels: bool) -> Iterator[Problem]:
    guard = found.guard
    if guard.notify.critical or guard.escalate:
        return
    asking = next((number for number, step in enumerate(guard.playbook) if step.approve), None)
    if asking is not None:
        message = "nobody is told that this step waits for approval"
        hint = "Add `notify: {critical: [CHANNEL]}` to the guard."
        path: KeyPath = ("playbook", asking, "approve")
    elif guard.veto:
        message = "nobody is told that there is something to veto"
        hint = "Add `notify: {critical: [CHANNEL]}` to the guard."
        path = ("veto",)
    elif has_channels and not any(True for _ in named(guard)):
        message = f"the guard {quoted(guard.guard)} tells nobody"
        hint = "Add `notify: {critical: [CHANNEL]}`: when its playbook fails people must know."
        path = ("guard",)
    else:
        return
    yield found.spot.problem("nobody-told", message, *path, hint=hint, level=Level.WARNING, value=False)


def _left_out(inventory: Inventory) -> Iterator[Problem]:
    """Yield lists of channels that all leave out what is told through them."""
    everybody = [name for found in inventory.guards for name in found.guard.notify.critical]
    for found in inventory.guards:
        for path, names, kinds in _told(found.guard):
            # The guard's own trouble is told to the channels of all guards.
            missing = [
                kind
                for kind in kinds
                if not _heard(inventory, everybody if kind is NoticeKind.TROUBLE else names, kind)
            ]
            if names and missing:
                message = f"none of these channels hears of {', '.join(f'`{kind}`' for kind in missing)}"
                hint = "Add that to the `kinds` of one of them, or name a channel without `kinds`."
                yield found.spot.problem("left-out", message, *path, hint=hint, level=Level.WARNING)


def _told(guard: GuardPolicy) -> Iterator[tuple[KeyPath, Sequence[str], tuple[NoticeKind, ...]]]:
    """Yield each list of channels with the kinds that it is there for."""
    waits = guard.veto or any(step.approve for step in guard.playbook)
    yield ("notify", "critical"), guard.notify.critical, (*CALLING, *([NoticeKind.WAITING] if waits else []))
    yield ("notify", "warning"), guard.notify.warning, (NoticeKind.WARNING,)
    for number, level in enumerate(guard.escalate):
        yield ("escalate", number, "notify"), level.notify, (NoticeKind.ESCALATED,)
    for number, step in enumerate(guard.playbook):
        yield ("playbook", number, "notify"), step.notify or (), (NoticeKind.TELLING,)


def _heard(inventory: Inventory, names: Iterable[str], kind: NoticeKind) -> bool:
    """Say whether one of the channels hears of a kind; one that is not known is told of by another check."""
    channels = inventory.settings.model.notify if inventory.settings else {}
    return any(name not in channels or kind in (channels[name].kinds or NoticeKind) for name in names)
