"""Say what people have to know now, and which command answers it: the same words on page, API and command line."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from rollback_guard.core import wording
from rollback_guard.core.records import Reason
from rollback_guard.core.state import Incident, IncidentPhase, Waiting
from rollback_guard.core.view import Command, GuardView, Matter, PauseView, Remark, Snapshot

STUCK_AFTER = timedelta(minutes=5)
"""A letter that is older than this is not merely on its way."""


def of_guard(view: GuardView, incident: Incident | None, *, now: datetime) -> tuple[Remark, ...]:
    """Return what is to be said of one guard, the most pressing first.

    Args:
        view: The guard, yet without remarks.
        incident: Its incident that is not closed.
        now: What countdowns are counted to.
    """
    return tuple(_of_guard(view, incident, now))


def _of_guard(view: GuardView, incident: Incident | None, now: datetime) -> Iterator[Remark]:
    if incident is not None:
        yield from _of_incident(view, incident, now)
    if view.paused_by_name is not None:
        beyond = ", also once all guards are resumed" if view.paused is not None and view.paused.everything else ""
        yield _paused("it", wording.argument(view.name), view.paused_by_name, now, beyond)
    if view.maintenance_until is not None:
        yield Remark(matter=Matter.MAINTENANCE, text=f"In maintenance until {_moment(view.maintenance_until, now)}.")
    if view.blind_since is not None:
        rules = wording.names(view.blind_on)
        text = f"Blind for {wording.span(now - view.blind_since)}: nothing is known of {rules}."
        yield Remark(matter=Matter.BLIND, text=text)
    if view.braked_by is Reason.LIMIT_REACHED:
        yield Remark(matter=Matter.LIMIT, text="No action is left to it for now.")
    yield from _of_rollout(view, now)
    if view.excused:
        yield Remark(matter=Matter.EXCUSED, text=f"{wording.excused(view.excused)}.")
    if view.signals:
        yield Remark(matter=Matter.SIGNAL, text=f"Alerts from elsewhere: {', '.join(view.signals)}.")


def _of_incident(view: GuardView, incident: Incident, now: datetime) -> Iterator[Remark]:
    name, id_ = wording.argument(view.name), wording.argument(incident.id)
    care = f" {incident.acknowledged_by} takes care of it." if incident.acknowledged_by else ""
    if incident.escalated and not care:
        care = f" Nobody has acknowledged it, and level {incident.escalated} of its escalation was called."
    acknowledge = Command(text=f"rollback-guard ack {id_}", effect="says that you take care of it")
    waiting = incident.waiting
    if waiting is not None and incident.phase is IncidentPhase.WAITING:
        commands = tuple(Command(text=text, effect=effect) for text, effect in wording.ways(view.name))
        yield Remark(matter=Matter.WAITING, text=f"{_waits(waiting, now)}.{care}", commands=commands)
    elif incident.phase is IncidentPhase.HANDED_OVER:
        why = wording.why(incident.reason) if incident.reason else "the guard is done"
        commands = () if incident.acknowledged_by else (acknowledge,)
        yield Remark(matter=Matter.HANDED_OVER, text=f"In the hands of people: {why}.{care}", commands=commands)
    elif care:
        veto = Command(text=f"rollback-guard veto {name} --reason …", effect="cancels the playbook")
        commands = (veto,) if incident.acknowledged_by else (acknowledge, veto)
        yield Remark(matter=Matter.INCIDENT, text=f"An incident is open.{care}", commands=commands)


def _waits(waiting: Waiting, now: datetime) -> str:
    step = wording.step(waiting.step, waiting.action)
    step = f"{step[0].upper()}{step[1:]}"
    if waiting.approved_by:
        return f"{step}, was approved by {waiting.approved_by} and is about to begin"
    if waiting.until <= now:
        return f"{step}, has waited for as long as it was to: {wording.awaited(waiting.what, waiting.otherwise)}"
    left = f"another {wording.span(waiting.until - now)}, until {_moment(waiting.until, now)}"
    return f"{step}, waits {left}: {wording.awaited(waiting.what, waiting.otherwise)}"


def _of_rollout(view: GuardView, now: datetime) -> Iterator[Remark]:
    rollout = view.rollout
    if rollout is not None and rollout.finished_at is None and now < rollout.until:
        before = f" (before it: {rollout.previous_version})" if rollout.previous_version else ""
        spans = f"for {wording.span(now - rollout.started_at)}, until {_moment(rollout.until, now)} at the latest"
        finish = f"rollback-guard rollout finish {wording.argument(view.name)}"
        yield Remark(
            matter=Matter.ROLLOUT,
            text=f"Rollout {wording.rollout(rollout.id, rollout.version)}{before} under way {spans}.",
            commands=(Command(text=finish, effect="ends it"),),
        )
    elif not view.armed:
        start = f"rollback-guard rollout start {wording.argument(view.name)}"
        yield Remark(
            matter=Matter.NOT_ARMED,
            text="Not armed: it acts only while a rollout is under way, and none is.",
            commands=(Command(text=start, effect="begins one"),),
        )


def of_instance(picture: Snapshot) -> tuple[Remark, ...]:
    """Return what is to be said of the instance as a whole, the most pressing first."""
    return tuple(_of_instance(picture))


def _of_instance(it: Snapshot) -> Iterator[Remark]:
    if it.journal_failed_since is not None:
        since = _moment(it.journal_failed_since, it.at)
        text = f"The journal cannot be written since {since}: what cannot be written down is not done."
        yield Remark(matter=Matter.JOURNAL, text=text)
    if not it.reload.successful:
        at, kept = _moment(it.reload.at, it.at), _moment(it.reload.succeeded_at, it.at)
        text = f"The configuration was refused at {at}; the one of {kept} is in force."
        yield Remark(matter=Matter.CONFIGURATION, text=text)
    if it.paused is not None:
        yield _paused("all guards", "--all", it.paused, it.at)
    if it.storm:
        text = "A storm holds all actions: several guards breach at once, so the cause is shared."
        yield Remark(matter=Matter.STORM, text=text)
    blind = [guard.name for guard in it.guards if guard.blind_since is not None]
    if blind:
        whom = f"Guard {blind[0]} is" if len(blind) == 1 else f"{len(blind)} of {len(it.guards)} guards are"
        yield Remark(
            matter=Matter.BLIND, text=f"{whom} blind: not knowing is taken neither for health nor for failure."
        )
    if it.fleet_actions_left == 0:
        text = "All guards together have run as many actions as they may for now."
        yield Remark(matter=Matter.LIMIT, text=text)
    yield from _of_surroundings(it)


def _of_surroundings(it: Snapshot) -> Iterator[Remark]:
    for window in it.maintenance:
        whom = f"for {', '.join(window.guards)}" if window.guards else "for all guards"
        text = f"Maintenance window {window.name} is open {whom}, until {_moment(window.until, it.at)}."
        yield Remark(matter=Matter.MAINTENANCE, text=text)
    for box in it.outbox:
        if box.oldest is not None and it.at - box.oldest >= STUCK_AFTER:
            letters = "1 notice has" if box.letters == 1 else f"{box.letters} notices have"
            waited = wording.span(it.at - box.oldest)
            text = f"Channel {box.channel} does not deliver: {letters} not arrived, the oldest for {waited}."
            yield Remark(matter=Matter.OUTBOX, text=text)


def _paused(whom: str, argument: str, pause: PauseView, now: datetime, beyond: str = "") -> Remark:
    until = f"until {_moment(pause.until, now)}" if pause.until else "until further notice"
    text = f"{pause.by} paused {whom} {until}{beyond}, and nothing is done meanwhile: {pause.why}"
    resume = Command(text=f"rollback-guard resume {argument}", effect="ends the pause")
    return Remark(matter=Matter.PAUSED, text=text, commands=(resume,))


def _moment(at: datetime, now: datetime) -> str:
    return f"{wording.moment(at, now)} UTC"
