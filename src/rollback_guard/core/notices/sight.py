"""Tell of what is no incident: warnings, blindness, and their ends."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rollback_guard.core import wording
from rollback_guard.core.notice import Notice, NoticeKind, Urgency
from rollback_guard.core.notices import message, shared
from rollback_guard.core.notices.telling import Telling, everybody, stamp
from rollback_guard.core.records import Configured, Decided, Decision, MaintenanceChanged, Reason, RolloutStarted

BLIND = "blind"
"""The thread of everybody's blindness: its cause is mostly shared."""


def ended(it: Telling, record: Decided) -> Iterator[Notice]:
    """Tell that a warning or blindness is over, as any other decision of the guard shows."""
    own = it.before.guards.get(record.guard) if it.before else None
    last = own.last if own else None
    if _warns(last) and not _warns(record):
        yield _warning_over(it, record)
    if shared.is_blind(last) and not shared.is_blind(record):
        yield from _sees_again(it, record)


def begun(it: Telling, record: Decided) -> Iterator[Notice]:
    """Tell of a warning and of blindness."""
    if _warns(record):
        yield _warning(it, record)
    elif shared.is_blind(record) and not shared.is_muted(it.policy, it.state, record.guard, record.at):
        yield from _blind(it, record, at=record.at)


def outlasted(it: Telling, record: MaintenanceChanged | RolloutStarted) -> Iterator[Notice]:
    """Tell of blindness that began while nobody was to be called, and that has lasted beyond it.

    What was told before has the same id.
    """
    for name, last in shared.blind(it.state):
        if _was_quiet(it, record, name) and not shared.is_muted(it.policy, it.state, name, record.at):
            yield from _blind(it, last, at=record.at)


def let_go(it: Telling, record: Configured) -> Iterator[Notice]:
    """Tell that blindness is over where it was that of guards that the configuration no longer has."""
    gone = [name for name, _ in shared.blind(it.before) if it.guard(name) is None] if it.before else []
    if gone:
        yield it.notice(
            NoticeKind.SEES_AGAIN,
            id_=f"blind/let_go/{stamp(record.at)}",
            thread=BLIND,
            at=record.at,
            urgency=Urgency.INFO,
            channels=[channel for channel in everybody(it.policy) if not it.blind(channel)],
            title=f"{it.policy.name}: nobody you hear of is blind any more; who was is no longer configured",
            lines=(f"No longer in the configuration: {', '.join(gone[: message.RULES_SHOWN])}.", it.policy.url),
            resolves=True,
        )


def _was_quiet(it: Telling, record: MaintenanceChanged | RolloutStarted, name: str) -> bool:
    if isinstance(record, RolloutStarted):
        return record.guard == name
    # By its end, which may be past by now, a window that is only now closed would not count any more.
    return it.before is not None and any(not window.guards or name in window.guards for window in it.before.maintenance)


def _warns(decided: Decided | None) -> bool:
    return (
        decided is not None
        and decided.incident is None
        and (decided.decision, decided.reason) == (Decision.HOLD, Reason.NOT_CRITICAL)
    )


def _warning(it: Telling, record: Decided) -> Notice:
    guard = it.guard(record.guard)
    return it.notice(
        NoticeKind.WARNING,
        id_=f"{record.guard}/warning/{stamp(record.at)}",
        thread=f"warning/{record.guard}",
        at=record.at,
        urgency=Urgency.WARNING,
        channels=guard.notify.warning if guard else (),
        title=f"{record.guard}: warning: {message.headline(record.evidence, 'a rule fires')}",
        lines=(
            *message.seen(it.policy, record.evidence, now=record.at),
            "Next: nothing is done, for the rule is not critical.",
            *message.ways_on(it.policy, record.guard, None),
        ),
        guard=record.guard,
        data=message.facts(it.policy, record.evidence),
    )


def _warning_over(it: Telling, record: Decided) -> Notice:
    guard = it.guard(record.guard)
    return it.notice(
        NoticeKind.WARNING,
        id_=f"{record.guard}/warning_over/{stamp(record.at)}",
        thread=f"warning/{record.guard}",
        at=record.at,
        urgency=Urgency.INFO,
        channels=guard.notify.warning if guard else (),
        title=f"{record.guard}: the warning is over: {wording.why(record.reason)}",
        lines=message.ways_on(it.policy, record.guard, None),
        guard=record.guard,
        resolves=True,
    )


def _blind(it: Telling, record: Decided, *, at: datetime) -> Iterator[Notice]:
    """Tell the first few guards one by one; from then on it is a shared cause, and each channel hears of it once."""
    alone: list[str] = []
    together: dict[str, tuple[str, ...]] = {}
    for channel in it.critical(record.guard):
        blind = it.blind(channel)
        if len(blind) <= it.policy.storm.guards:
            alone.append(channel)
        else:
            together[channel] = blind
    guard = it.guard(record.guard)
    after = wording.span(guard.blind.after) if guard else "too long"
    outlook = "Next: nothing is done, for not knowing is no evidence. Give the guard its sight back."
    seen = tuple(message.seen(it.policy, record.evidence, now=at))
    yield it.notice(
        NoticeKind.BLIND,
        id_=f"{record.guard}/blind/{stamp(record.at)}",
        thread=BLIND,
        at=at,
        urgency=Urgency.CRITICAL,
        channels=alone,
        title=f"{record.guard}: blind for {after}: {message.headline(record.evidence, 'nothing is known')}",
        lines=(*seen, outlook, *message.ways_on(it.policy, record.guard, None)),
        guard=record.guard,
        data=message.facts(it.policy, record.evidence),
    )
    for channel, blind in together.items():
        own = it.state.guards[blind[0]].last
        yield it.notice(
            NoticeKind.BLIND,
            id_=f"blind/{stamp(own.at if own else record.at)}/{channel}",
            thread=BLIND,
            at=at,
            urgency=Urgency.CRITICAL,
            channels=(channel,),
            title=f"{it.policy.name}: {len(blind)} guards are blind: {message.headline(record.evidence, '')}",
            lines=(
                f"Blind: {', '.join(blind[: message.RULES_SHOWN])} and more; further guards are not told one by one.",
                *seen,
                outlook,
                *message.ways_on(it.policy, record.guard, None),
            ),
            data=(("guards", ", ".join(blind)),),
        )


def _sees_again(it: Telling, record: Decided) -> Iterator[Notice]:
    """Tell it of the first few; of many only the last one, which ends what the channel was told.

    So too while nobody is called: what was told before that is ended, and what was not is no news.
    """
    is_muted = shared.is_muted(it.policy, it.state, record.guard, record.at)
    any_left = any(True for _ in shared.blind(it.state)) if is_muted else False
    last: list[str] = []
    single: list[str] = []
    for channel in it.critical(record.guard):
        if not any_left if is_muted else not it.blind(channel):
            last.append(channel)
        elif not is_muted and len(it.were_blind(channel)) <= it.policy.storm.guards:
            single.append(channel)
    for channels, all_see in ((single, False), (last, True)):
        more = "; nobody you hear of is blind any more" if all_see else ""
        yield it.notice(
            NoticeKind.SEES_AGAIN,
            id_=f"{record.guard}/sees_again/{stamp(record.at)}{'/all' if all_see else ''}",
            thread=BLIND,
            at=record.at,
            urgency=Urgency.INFO,
            channels=channels,
            title=f"{record.guard}: sees again{more}",
            lines=(
                f"It concluded: {wording.why(record.reason)}.",
                *message.seen(it.policy, record.evidence, now=record.at),
                *message.ways_on(it.policy, record.guard, None),
            ),
            guard=record.guard,
            resolves=all_see,
        )
