"""Tell what people ordered and what other systems reported: who, when and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from rollback_guard.core import wording
from rollback_guard.core.records import (
    Acknowledged,
    Approved,
    Extended,
    MaintenanceChanged,
    Paused,
    Reason,
    Resumed,
    RolloutFinished,
    RolloutStarted,
    Signalled,
    Triggered,
    Vetoed,
)
from rollback_guard.core.story.account import Account, Said

Order = (
    Extended
    | Approved
    | Vetoed
    | Acknowledged
    | Triggered
    | Paused
    | Resumed
    | MaintenanceChanged
    | RolloutStarted
    | RolloutFinished
    | Signalled
)


def order(record: Order, account: Account) -> Iterator[Said]:
    """Tell one order or report, as far as it concerns the guard whose story it is."""
    match record:
        case Extended() | Approved() | Vetoed() | Acknowledged() | Triggered():
            yield _to_incident(record, account)
        case Paused() | Resumed():
            if account.is_its(record.guard):
                yield _pause(record)
        case MaintenanceChanged():
            yield from _maintenance(record, account)
        case RolloutStarted() | RolloutFinished():
            if account.is_its(record.guard):
                yield _rollout(record)
        case Signalled():
            yield from _signalled(record, account)
        case _:
            assert_never(record)


def _to_incident(record: Extended | Approved | Vetoed | Acknowledged | Triggered, account: Account) -> Said:
    notes = (f"Why: {record.why}",) if record.why else ()
    waiting = account.waiting(record.at)
    step = wording.step(waiting.step, waiting.action) if waiting else "the next step"
    match record:
        case Extended():
            given = f"{record.by} gave more time" if record.by else "There is more time"
            text = f"{given} for {step}: until {wording.moment(record.until, record.at)}."
        case Approved():
            text = f"{record.by} approved {step}."
        case Vetoed():
            text = f"{record.by} vetoed what the playbook was to do: nothing further is done."
        case Acknowledged():
            text = f"{record.by} takes care of the incident: nobody further is called."
        case Triggered():
            names = record.actions or [account.action(each) for each in record.steps]
            steps = " and ".join(wording.step(each, name) for each, name in zip(record.steps, names, strict=True))
            text = f"{record.by} triggered {steps}."
        case _:
            assert_never(record)
    return Said(record.at, text, notes)


def _pause(record: Paused | Resumed) -> Said:
    whom = "all guards" if record.guard is None else f"guard {record.guard}"
    notes = (f"Why: {record.why}",) if record.why else ()
    if isinstance(record, Paused):
        until = f"until {wording.moment(record.until, record.at)}" if record.until else "until further notice"
        return Said(record.at, f"{record.by} paused {whom} {until}.", notes)
    if record.by:
        return Said(record.at, f"{record.by} resumed {whom}.", notes)
    return Said(record.at, f"The pause of {whom} is over: its time was up.", notes)


def _maintenance(record: MaintenanceChanged, account: Account) -> Iterator[Said]:
    """Tell the windows of the guard that opened or closed; those of others change nothing for it."""
    windows, before = account.windows(record), account.windows_before(record)
    known = {window.name for window in before or ()}
    for window in windows:
        if window.name not in known:
            until = wording.moment(window.until, record.at)
            yield Said(record.at, f"Maintenance window {window.name} opened, until {until}.")
    for window in before or ():
        if window.name not in {each.name for each in windows}:
            yield Said(record.at, f"Maintenance window {window.name} closed.")
    if before is None and not windows and account.held_for(Reason.MAINTENANCE):
        yield Said(record.at, "The maintenance window closed.")


def _rollout(record: RolloutStarted | RolloutFinished) -> Said:
    if isinstance(record, RolloutFinished):
        how = f"{record.by} finished it" if record.by else "its window has ended"
        notes = (f"Why: {record.why}",) if record.why else ()
        return Said(record.at, f"Rollout {record.rollout} is over: {how}.", notes)
    before = f" (before it: {record.previous_version})" if record.previous_version else ""
    rules = tuple(dict.fromkeys(rule for rule, _ in record.excused))
    text = (
        f"{record.by} began rollout {wording.rollout(record.rollout, record.version)}{before}; "
        f"its window ends at {wording.moment(record.until, record.at)}."
    )
    return Said(record.at, text, (f"{wording.excused(rules)}.",) if rules else ())


def _signalled(record: Signalled, account: Account) -> Iterator[Said]:
    sender = f" from {record.by}" if record.by else ""
    for signal in record.signals:
        if account.is_its(signal.guard) and account.concerns(f"signal/{signal.guard}/{signal.name}"):
            what = f"fires, says an alert{sender}" if signal.firing else f"is resolved, says an alert{sender}"
            notes = (signal.summary,) if signal.summary else ()
            yield Said(record.at, f"{signal.name}{wording.series(signal.labels)} {what}.", notes)
