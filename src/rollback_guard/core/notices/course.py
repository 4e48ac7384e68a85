"""Tell the course of an incident: how it begins, what is waited for, what is done, how it ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, assert_never

from rollback_guard.core import wording
from rollback_guard.core.model import Otherwise, Verdict
from rollback_guard.core.notice import Notice, NoticeKind, Urgency
from rollback_guard.core.notices import message
from rollback_guard.core.notices.shared import Together
from rollback_guard.core.notices.telling import Data, Telling, stamp
from rollback_guard.core.records import (
    Awaited,
    Concluded,
    Decided,
    Decision,
    Escalated,
    Evidence,
    IncidentCleared,
    IncidentEnded,
    IncidentOpened,
    Intended,
    Outcome,
    Reason,
    Wait,
)
from rollback_guard.core.state import Incident

Course = IncidentOpened | Decided | Awaited | Intended | Concluded | IncidentEnded | IncidentCleared | Escalated

STORM = "storm"
"""The thread of every storm, and what its notices are called."""


def course(it: Telling, record: Course) -> Iterator[Notice]:
    """Tell one record of an incident."""
    incident = it.state.incidents.get(record.incident or "")
    if incident is None:
        return
    storm = it.storms.of(incident)
    if storm and it.storms.is_one_of_many(incident):
        yield from _in_storm(it, record, incident, storm)
        return
    match record:
        case IncidentOpened():
            yield from _opened(it, record, incident)
        case Decided():
            yield from _held(it, record, incident, storm)
        case Awaited():
            yield _awaited(it, record, incident)
        case Intended():
            yield _intended(it, record, incident)
        case Concluded():
            yield from _concluded(it, record, incident)
        case IncidentEnded():
            yield _ended(it, record, incident)
        case IncidentCleared():
            yield _cleared(it, record, incident)
        case Escalated():
            yield _escalated(it, record, incident)
        case _:
            assert_never(record)


def _in_storm(it: Telling, record: Course, incident: Incident, storm: Together) -> Iterator[Notice]:
    """Tell of all guards of a storm at once: each channel hears of its beginning, of each level, and of its end."""
    match record:
        case Decided() if message.brakes_on(record.decision, record.reason):
            yield from _storm(it, record, incident, storm)
        case Escalated():
            for channel in record.notify:
                yield _escalated(it, record, incident, channel=channel, storm=storm)
        case IncidentEnded(decision=Decision.RECOVERED):
            yield from _storm_over(it, record, storm)
        case IncidentEnded():
            yield _ended(it, record, incident)
        case IncidentCleared():
            yield _cleared(it, record, incident)
            yield from _storm_over(it, record, storm)
        case _:
            return


def _storm(it: Telling, record: Decided, incident: Incident, storm: Together) -> Iterator[Notice]:
    for channel in it.critical(incident.guard):
        guards = it.storms.guards_of(storm)
        shown = ", ".join(guards[: message.STEPS_SHOWN])
        yield it.notice(
            NoticeKind.HOLDING,
            id_=f"storm/{storm[0].id}/{channel}",
            thread=STORM,
            at=record.at,
            urgency=Urgency.CRITICAL,
            channels=(channel,),
            title=f"{it.policy.name}: storm: {len(guards)} guards breach at once, and none of them acts any more",
            lines=(
                f"Guards so far: {shown}{' …' if len(guards) > message.STEPS_SHOWN else ''}",
                f"Why they hold: {wording.why(Reason.STORM)}.",
                *message.seen(it.policy, it.evidence(incident), now=record.at),
                f"What to do: {wording.to_do(Reason.STORM, '', '')}",
                "Further guards are not told one by one: rollback-guard status",
                "To stop all guards, whatever comes: rollback-guard pause --all --reason …",
                *([f"{it.policy.url.rstrip('/')}/"] if it.policy.url else []),
            ),
            data=(("guards", ", ".join(guards)), ("reason", Reason.STORM.value)),
        )


def _storm_over(it: Telling, record: IncidentEnded | IncidentCleared, storm: Together) -> Iterator[Notice]:
    over = [channel for channel in it.critical(record.guard) if not it.storms.open_for(storm, channel)]
    for channel in over:
        yield it.notice(
            NoticeKind.RECOVERED,
            id_=f"storm/{storm[0].id}/over/{stamp(record.at)}/{channel}",
            thread=STORM,
            at=record.at,
            urgency=Urgency.INFO,
            channels=(channel,),
            title=f"{it.policy.name}: the storm is over: every guard you hear of has recovered",
            lines=("Why each of them held: rollback-guard explain", it.policy.url),
            resolves=True,
        )


def _opened(it: Telling, record: IncidentOpened, incident: Incident) -> Iterator[Notice]:
    if record.by:
        return  # the person's order is told
    evidence = it.evidence(incident)
    decided = it.decided(record.incident)
    holds = decided is not None and message.brakes_on(decided.decision, decided.reason)
    lines: list[str] = list(message.seen(it.policy, evidence, now=record.at))
    if decided is not None and holds:
        lines.append(f"Not acting: {wording.why(decided.reason)}.")
    if incident.waiting is not None:
        step = message.step_of(it.guard(record.guard), incident.waiting.step, incident.waiting.action)
        lines.append(f"Now: {step}, waits for people until {message.clock(incident.waiting.until)}.")
    what = "incident, not acting" if holds else "incident"
    yield _about(
        it,
        incident,
        NoticeKind.OPENED,
        id_="opened",
        at=record.at,
        urgency=Urgency.CRITICAL,
        title=f"{what}: {message.headline(evidence, wording.names(record.rules))}",
        lines=lines,
        evidence=evidence,
        data=(("reason", decided.reason.value if decided else ""),),
    )


def _held(it: Telling, record: Decided, incident: Incident, storm: Together) -> Iterator[Notice]:
    if not message.brakes_on(record.decision, record.reason) or it.opens(incident.id):
        return
    if record.reason is Reason.STORM and storm:
        yield from _storm(it, record, incident, storm)
        return
    yield _about(
        it,
        incident,
        NoticeKind.HOLDING,
        id_=f"holding/{record.reason}",
        at=record.at,
        urgency=Urgency.CRITICAL,
        title=f"not acting: {wording.why(record.reason)}",
        lines=(*message.seen(it.policy, record.evidence, now=record.at), record.detail),
        evidence=record.evidence,
        data=(("reason", record.reason.value),),
    )


def _awaited(it: Telling, record: Awaited, incident: Incident) -> Notice:
    until = f"{record.until:%H:%M:%S} UTC"
    left = wording.span(record.until - record.at)
    if record.what is Wait.VETO:
        title = f"{record.action} runs at {until} (in {left}) unless you veto it: {wording.why(record.reason)}"
    else:
        title = f"approve {record.action} until {until} ({left}): {wording.why(record.reason)}"
    otherwise = {
        Otherwise.RUN: "it is run",
        Otherwise.SKIP: "it is skipped",
        Otherwise.HAND_OVER: "people have to go on",
    }[record.otherwise]
    guard = it.guard(record.guard)
    evidence = it.evidence(incident)
    return _about(
        it,
        incident,
        NoticeKind.WAITING,
        id_=f"waiting/{record.step + 1}/{stamp(record.at)}",
        at=record.at,
        urgency=Urgency.CRITICAL,
        title=title,
        lines=(
            *message.seen(it.policy, evidence, now=record.at),
            f"Waits: {message.step_of(guard, record.step, record.action)}, until {message.clock(record.until)}.",
            f"If nobody says anything until then, {otherwise}.",
            *(f"  {command} ({effect})" for command, effect in wording.ways(record.guard)),
        ),
        evidence=evidence,
        data=(
            ("action", record.action),
            ("step", str(record.step + 1)),
            ("until", record.until.isoformat()),
            ("waits_for", record.what.value),
        ),
    )


def _intended(it: Telling, record: Intended, incident: Incident) -> Notice:
    decided = it.decided(record.incident)
    why = record.why or (wording.why(decided.reason) if decided else "")
    if decided is not None and decided.reason is Reason.BLIND:
        why = "it was blind for too long, and is told to act"
    by = f" for {record.by}" if record.by else ""
    evidence = it.evidence(incident)
    told = bool(record.notify)
    if told:
        title = f"people are needed: {message.headline(evidence, why)}"
    elif record.undoes:
        title = f"taking back step {record.step + 1} by {record.action}{by}: {why}"
    else:
        title = f"running {message.step_of(it.guard(record.guard), record.step, record.action)}{by}: {why}"
    return _about(
        it,
        incident,
        NoticeKind.TELLING if told else NoticeKind.ACTING,
        id_=f"{'telling' if told else 'begun'}/{record.key}",
        at=record.at,
        urgency=Urgency.CRITICAL if told else Urgency.INFO,
        title=title,
        lines=(f"Goal: {record.goal}", *message.seen(it.policy, evidence, now=record.at)),
        evidence=evidence,
        channels=record.notify or None,
        data=(
            ("action", record.action),
            ("step", str(record.step + 1)),
            ("goal", record.goal),
            ("key", record.key),
            ("by", record.by),
            ("reason", decided.reason.value if decided else ""),
        ),
    )


def _concluded(it: Telling, record: Concluded, incident: Incident) -> Iterator[Notice]:
    intent = next((each for each in (*incident.intents, *incident.undos) if each.key == record.key), None)
    if intent is not None and intent.notify:
        return  # it was told already; that was the step
    took = f" in {wording.span(record.at - intent.at)}" if intent else ""
    tries = {0: " without a further attempt", 1: ""}.get(record.attempts, f" after {record.attempts} attempts")
    match record.outcome:
        case Outcome.SUCCEEDED:
            watched = "" if intent and intent.undoes else "; now its effect is watched"
            urgency, title = Urgency.INFO, f"{record.action} succeeded{tries}{took}{watched}"
        case Outcome.FAILED:
            how = "was held back until its time was up" if record.held else "failed for good"
            urgency, title = Urgency.WARNING, f"{record.action} {how}{tries}{took}: {record.detail}"
        case Outcome.UNKNOWN:
            urgency = Urgency.CRITICAL
            title = f"nobody can tell whether {record.action} had its effect{tries}{took}: {record.detail}"
        case _:
            assert_never(record.outcome)
    yield _about(
        it,
        incident,
        NoticeKind.ACTED,
        id_=f"ended/{record.key}",
        at=record.at,
        urgency=urgency,
        title=title,
        lines=(f"Goal: {intent.goal}" if intent else "", f"It said: {record.detail}" if record.detail else ""),
        evidence=it.evidence(incident),
        data=(("action", record.action), ("outcome", record.outcome.value), ("key", record.key)),
    )


def _ended(it: Telling, record: IncidentEnded, incident: Incident) -> Notice:
    recovered = record.decision is Decision.RECOVERED
    lasted = wording.span(record.at - incident.breached_at)
    evidence = it.evidence(incident)
    excused = wording.excused(tuple(dict.fromkeys(rule for rule, _ in record.excused))) if record.excused else ""
    is_idle = recovered and any(each.verdict is Verdict.UNKNOWN for each in evidence)
    return _about(
        it,
        incident,
        NoticeKind.RECOVERED if recovered else NoticeKind.HANDED_OVER,
        channels=it.involved(incident),
        id_=f"{'recovered' if recovered else 'handed_over'}/{stamp(record.at)}",
        at=record.at,
        urgency=Urgency.INFO if recovered else Urgency.CRITICAL,
        title=f"{'recovered' if recovered else 'people are needed'} after {lasted}: {wording.why(record.reason)}",
        lines=(
            *message.seen(it.policy, evidence, now=record.at),
            wording.NOTHING_LEFT if is_idle else "",
            f"{excused}." if excused else "",
        ),
        evidence=evidence,
        resolves=recovered,
        data=(("reason", record.reason.value), ("lasted", lasted)),
    )


def _cleared(it: Telling, record: IncidentCleared, incident: Incident) -> Notice:
    gone = incident.reason in {Reason.GUARD_REMOVED, Reason.RULES_REMOVED}
    why = wording.why(incident.reason) if gone and incident.reason else "its rules pass again"
    return _about(
        it,
        incident,
        NoticeKind.RECOVERED,
        channels=it.involved(incident),
        id_=f"cleared/{stamp(record.at)}",
        at=record.at,
        urgency=Urgency.INFO,
        title=f"closed after {wording.span(record.at - incident.breached_at)}: {why}",
        lines=("From here on a breach opens a new incident.",),
        evidence=(),
        resolves=True,
        data=(("reason", incident.reason.value if incident.reason else ""),),
    )


def _escalated(
    it: Telling, record: Escalated, incident: Incident, *, channel: str = "", storm: Together = ()
) -> Notice:
    lasted = wording.span(record.at - incident.opened_at)
    evidence = it.evidence(incident)
    common = f"{len(storm)} incidents of a storm last" if channel else "it lasts"
    return _about(
        it,
        incident,
        NoticeKind.ESCALATED,
        id_=f"level/{record.level}",
        of=f"storm/{storm[0].id}/{channel}" if channel else "",
        at=record.at,
        urgency=Urgency.CRITICAL,
        title=f"escalated to level {record.level}: {common} for {lasted}, and nobody has acknowledged it",
        lines=message.seen(it.policy, evidence, now=record.at),
        evidence=evidence,
        channels=(channel,) if channel else record.notify,
        data=(("level", str(record.level)),),
    )


def _about(
    it: Telling,
    incident: Incident,
    kind: NoticeKind,
    *,
    id_: str,
    of: str = "",
    title: str,
    lines: Sequence[str] | Iterator[str],
    evidence: tuple[Evidence, ...],
    channels: Sequence[str] | None = None,
    data: Data = (),
    **rest: Any,
) -> Notice:
    """Return a notice about an incident: what is special first, then what every one of them says."""
    return it.notice(
        kind,
        id_=f"{of or incident.id}/{id_}",
        thread=STORM if of else incident.id,
        channels=it.critical(incident.guard) if channels is None else channels,
        title=f"{incident.guard}: {title}",
        lines=(
            *lines,
            *message.done(incident),
            *message.ahead(it.policy, incident),
            *message.ways_on(it.policy, incident.guard, incident),
        ),
        guard=incident.guard,
        incident=incident.id,
        data=(*message.facts(it.policy, evidence), *data),
        **rest,
    )
