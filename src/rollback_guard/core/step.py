"""Take one step: from a reading, an outcome or an event to the records that follow from it.

Live operation, unit tests and backtests call the same functions. None of them changes anything: the caller writes the
records down and folds them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rollback_guard.core.attend import attend
from rollback_guard.core.decision import decide, release, watch
from rollback_guard.core.evaluation import evaluate
from rollback_guard.core.fold import fold, fold_all
from rollback_guard.core.judgement import Judgement
from rollback_guard.core.model import JournalPolicy, Labels, Policy
from rollback_guard.core.observation import Reading
from rollback_guard.core.operate import operate
from rollback_guard.core.outcome import conclude, is_held, is_wanted
from rollback_guard.core.records import (
    ClockStepped,
    Configured,
    Escalated,
    Evaluated,
    Extended,
    Record,
    Resumed,
    Rewound,
    RolloutFinished,
    Signalled,
    Started,
)
from rollback_guard.core.situation import Situation
from rollback_guard.core.state import IncidentPhase, State

__all__ = [
    "Step",
    "attend",
    "begin",
    "conclude",
    "configure",
    "expected",
    "is_held",
    "is_undaunted",
    "is_wanted",
    "is_worth_writing",
    "operate",
    "rewind",
    "set_clock",
    "step",
    "undaunted",
]

UNDER_WAY = frozenset({IncidentPhase.ACTING, IncidentPhase.VERIFYING})


@dataclass(frozen=True, slots=True)
class Step:
    """What followed from one reading: the records, and by rule id what was judged."""

    records: tuple[Record, ...] = ()
    judgements: Mapping[str, Judgement] = field(default_factory=dict)


def step(policy: Policy, state: State, reading: Reading, *, now: datetime, present: bool = True) -> Step:
    """Evaluate one group for one slot, then let the guards that listen to it decide.

    Args:
        policy: What the people wrote.
        state: What is the case before this slot.
        reading: What was observed. A slot that is not later than the group's last one is not evaluated again.
        now: The wall clock, aware UTC: the time of decisions. A backtest passes the slot.
        present: Whether this is the newest slot. In a slot of the past, read back after an outage, alerts and
            verifications move on, but nothing is decided: action is only taken on what still holds.
    """
    group = policy.groups.get(reading.group)
    before = state.groups.get(reading.group)
    if group is None or (before is not None and reading.slot <= before.slot):
        return Step()
    evaluated, judgements = evaluate(group, before, reading, traced=_under_way(state))
    state = fold(state, evaluated)
    records: list[Record] = [evaluated]
    for guard in policy.listeners[group.id]:
        situation = Situation(
            policy=policy, state=state, guard=guard, slot=reading.slot, now=now, judgements=judgements
        )
        decided = decide(situation) if present else watch(situation)
        state = fold_all(state, decided)
        records += decided
    return Step(tuple(records), judgements)


def _under_way(state: State) -> frozenset[str]:
    return frozenset(
        rule for incident in state.incidents.values() if incident.phase in UNDER_WAY for rule in incident.rules
    )


def expected(state: State, group: str) -> Mapping[str, frozenset[Labels]]:
    """Return the series of a group that an answer must speak about: those of its active alerts, by rule id."""
    known = state.groups.get(group)
    return {rule: frozenset(alerts) for rule, alerts in known.alerts.items()} if known else {}


def rewind(state: State, group: str, *, now: datetime) -> tuple[Record, ...]:
    """Return the record that takes a group back to before the outage of its source, if there was one."""
    known = state.groups.get(group)
    if known is None or known.before_outage is None:
        return ()
    return (Rewound(group=group, at=now, slot=known.before_outage.slot),)


def begin(policy: Policy, state: State, *, now: datetime, version: str, run: str = "") -> tuple[Record, ...]:
    """Return the records of a start under this policy; `run` is what tells its keys from those of any other."""
    started = Started(at=now, version=version, digest=policy.digest, mode=policy.mode, run=run)
    state = fold(state, started)
    configured = configure(policy, state, now=now)
    return (started, *configured, *_waited_anew(fold_all(state, configured), now))


def _waited_anew(state: State, now: datetime) -> Iterator[Record]:
    """Leave people some time for what waits for them: they could say nothing while the guard was not there."""
    for incident in state.incidents.values():
        waiting = incident.waiting
        if waiting is not None and not waiting.approved_by:
            until = now + min(waiting.lasting, LEAST_WAIT)
            if until > waiting.until:
                yield Extended(incident=incident.id, guard=incident.guard, at=now, until=until, by="", why=RESTARTED)


def configure(policy: Policy, state: State, *, now: datetime) -> tuple[Record, ...]:
    """Return the records of a new configuration coming into force.

    Unchanged rules keep their state. Alerts of rules that measure something else now end at their next slot.
    """
    configured = Configured(
        at=now,
        digest=policy.digest,
        mode=policy.mode,
        groups=tuple(policy.groups),
        guards=tuple(policy.guards),
    )
    return (configured, *release(policy, fold(state, configured), now=now))


def set_clock(state: State, *, by: timedelta, now: datetime) -> tuple[Record, ...]:
    """Return the record of the wall clock having been set; spans stay what they were."""
    return (ClockStepped(at=now, by=by),) if by else ()


LEAST_WAIT = timedelta(minutes=1)
"""After a start people have at least this long to veto or approve, or the whole time where that is shorter."""

RESTARTED = "the guard was restarted, and nobody could tell it anything meanwhile"

EFFECTLESS = (Escalated, Evaluated, Resumed, RolloutFinished, Signalled)
"""What is so whether or not it can be written down, and begins no action."""


def undaunted(policy: Policy, records: Sequence[Record]) -> tuple[Record, ...]:
    """Return what goes on although it cannot be written down: what was seen, what the clock ended, whom it called.

    Decisions and intents are made again in a later slot, but for those of guards that are told to act even then.
    """
    return tuple(
        record
        for record in records
        if isinstance(record, EFFECTLESS) or is_undaunted(policy, getattr(record, "guard", None) or "")
    )


def is_undaunted(policy: Policy, guard: str) -> bool:
    """Say whether a guard is told to act even where that cannot be written down."""
    known = policy.guards.get(guard)
    return known is not None and known.when_journal_fails is JournalPolicy.ACT


def is_worth_writing(record: Record, last_written: datetime | None, *, every: timedelta) -> bool:
    """Say whether a record must be in the journal.

    An evaluation in which nothing changed moves only its group's slot. Leaving it out costs a restarted guard the
    reading back of that slot, and nothing else, so it is written down only once in a while.
    """
    if not isinstance(record, Evaluated) or record.alerts or record.transitions or record.sights or record.missed:
        return True
    return last_written is None or record.slot - last_written >= every
