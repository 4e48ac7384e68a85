"""Watch over a step's effect: recovered, not recovered, or nobody can tell."""

from __future__ import annotations

from collections.abc import Iterator

from rollback_guard.core.conclusion import hand_over, recover
from rollback_guard.core.fold import fold_all
from rollback_guard.core.ladder import climb
from rollback_guard.core.model import Verdict
from rollback_guard.core.records import Outcome, Reason, Record, Watched
from rollback_guard.core.situation import Situation
from rollback_guard.core.state import Incident, Verification


def verify(it: Situation, incident: Incident) -> Iterator[Record]:
    """Conclude from one slot whether the last step helped."""
    assert incident.verification is not None  # noqa: S101  the phase says so; the fold sets both together
    watched = tuple(watch_over(it, incident, incident.verification))
    yield from watched
    incident = fold_all(it.state, watched).incidents[incident.id]
    watch = incident.verification or Verification(since=it.now, until=it.now)
    rules = it.watched(incident)
    last = incident.intents[-1]
    if watch.passing_since is not None:
        if it.seen_until(rules) - watch.passing_since >= last.stable_for:
            yield from recover(it, incident)
    elif last.outcome is Outcome.FAILED and it.persists(incident):
        yield from climb(it, incident, last.following, Reason.BREACH if last.held else Reason.ACTION_FAILED)
    elif it.slot >= watch.until:
        yield from _not_recovered(it, incident, watch)


def watch_over(it: Situation, incident: Incident, watch: Verification) -> Iterator[Record]:
    """Record that the rules began to pass or stopped passing."""
    rules = it.watched(incident)
    if it.seen_until(rules) < watch.since and it.slot < watch.until:
        return  # the first evaluation after the step is still to come
    verdict = it.verdict(rules, since=watch.since, idle_passes=incident.intents[-1].may_leave_nothing)
    passing_since = (watch.passing_since or it.seen_until(rules)) if verdict is Verdict.PASS else None
    if verdict is not incident.verdict or passing_since != watch.passing_since:
        yield Watched(
            incident=incident.id,
            guard=it.guard.name,
            at=it.now,
            verdict=verdict,
            passing_since=passing_since,
            until=watch.until,
            extended=watch.extended,
        )


def _not_recovered(it: Situation, incident: Incident, watch: Verification) -> Iterator[Record]:
    last = incident.intents[-1]
    if incident.verdict is Verdict.BREACH:
        # What breached before a restart counts once its group has caught up, which is at that group's next slot.
        if it.persists(incident):
            yield from climb(it, incident, last.following, Reason.NOT_RECOVERED)
    elif watch.extended:
        yield from hand_over(it, incident, Reason.CANNOT_TELL)
    else:
        yield Watched(
            incident=incident.id,
            guard=it.guard.name,
            at=it.now,
            verdict=incident.verdict,
            passing_since=None,
            until=it.slot + last.within,
            extended=True,
        )
