"""Tell what happened around a guard: evaluations, restarts, configurations, the clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from rollback_guard.core import wording
from rollback_guard.core.records import ClockStepped, Configured, Evaluated, Rewound, Started, Stopped
from rollback_guard.core.story.account import Account, Said

Surrounding = Started | Stopped | Configured | ClockStepped | Evaluated | Rewound


def surrounding(record: Surrounding, account: Account) -> Iterator[Said]:
    """Tell one thing that happened around the guard, as far as it concerns its rules."""
    match record:
        case Started():
            yield Said(record.at, f"rollback-guard {record.version} was started ({record.mode}).")
        case Stopped():
            left = (f"Left open, to be looked into at the next start: {key}." for key in record.open_intents)
            yield Said(record.at, "rollback-guard was stopped.", tuple(left))
        case Configured():
            yield Said(record.at, f"A new configuration came into force ({record.mode}).")
        case ClockStepped():
            yield Said(record.at, f"The machine's clock was set by {wording.offset(record.by)}.")
        case Evaluated():
            yield from _evaluated(record, account)
        case Rewound():
            again = f"group {record.group} is read again from {wording.moment(record.slot, record.at)}"
            yield Said(record.at, f"The data source is back: {again}.")
        case _:
            assert_never(record)


def _evaluated(record: Evaluated, account: Account) -> Iterator[Said]:
    for change in record.transitions:
        if account.concerns(change.rule):
            value = f" (value {wording.number(change.value)})" if change.value is not None else ""
            subject = wording.name(change.rule) + wording.series(change.series)
            yield Said(record.slot, f"{subject} {wording.moved(change.because)}{value}.")
    for sight in record.sights:
        if account.concerns(sight.rule):
            what = f"is unknown ({sight.reason})" if sight.reason else "is known again"
            notes = (sight.detail,) if sight.detail else ()
            yield Said(record.slot, f"{wording.name(sight.rule)} {what}.", notes)
