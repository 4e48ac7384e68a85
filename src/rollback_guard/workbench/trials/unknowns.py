"""Say what may be the cause where nothing is known of a rule: what it means, what came of it, what is the cure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from rollback_guard.config.problems import did_you_mean, quoted
from rollback_guard.config.recordings import Recording
from rollback_guard.core.alert import EVIDENCE_LIVES_AT_LEAST, Alert
from rollback_guard.core.judgement import Judgement
from rollback_guard.core.model import Rule
from rollback_guard.core.notation import parse_series
from rollback_guard.core.observation import IDLE, Unknown
from rollback_guard.core.promql.tokens import Kind, PromqlError, scan
from rollback_guard.core.records import Decided, IncidentJoined, IncidentOpened, Intended
from rollback_guard.core.units import format_duration
from rollback_guard.workbench.trials.chapter import expressions_of
from rollback_guard.workbench.trials.film import FIRING, PENDING, Film, reason_of
from rollback_guard.workbench.trials.trial import Trial

ENDED = "the series has ended, and only `no_data: ok` would take that for health"
"""What an absent series means that was there before."""

RECORDED = ":"
"""What the names of recorded metrics have, and no exporter gives to its own."""


def on_blank(trial: Trial, rule: Rule, judgement: Judgement) -> str:
    """Say why nothing is known of a rule in a slot."""
    return (
        f"nothing is known of {quoted(rule.name)} then: {meaning(trial, rule, reason_of(judgement), judgement.detail)}"
    )


def on_stall(trial: Trial, film: Film, rule: Rule, since: datetime, slot: datetime) -> Iterator[str]:
    """Say why nothing was known of a pending alert for some of its time, which does not count for it."""
    first, last = ((at - trial.start) // trial.slot_interval for at in (since, slot))
    for reason, count in film.tracks[rule.id].unknown(first, last).most_common(1):
        slots = "1 slot" if count == 1 else f"{count} slots"
        at, words = format_duration(since - trial.start), meaning(trial, rule, reason)
        yield f"nothing was known of {quoted(rule.name)} in {slots} since {at}: {words}"


def on_lapse(trial: Trial, film: Film, rule: Rule, slot: datetime) -> Iterator[str]:
    """Say that an alert was pending, and was dropped because nothing was known of it for too long."""
    at = film.lapsed(rule.id, slot)
    if at is None:
        return
    first, last = ((each - trial.start) // trial.slot_interval for each in (at, slot))
    track = film.tracks[rule.id]
    if any(state in (FIRING, PENDING) for state in track.states[first : last + 1]):
        return
    longest = format_duration(max(rule.hold, EVIDENCE_LIVES_AT_LEAST))
    reason = track.unknown(first, first).most_common(1)
    words = f", for {meaning(trial, rule, reason[0][0])}" if reason else ""
    yield (
        f"{quoted(rule.name)} was pending, and was dropped at {format_duration(at - trial.start)} (evidence_expired): "
        f"nothing had been known of it for more than {longest}{words}"
    )


def on_idle(trial: Trial, film: Film, decision: Decided) -> Iterator[str]:
    """Say that it could not be told whether a step helped because its rules had nothing to judge, and the cure."""
    own = [each for each in film.records if isinstance(each, Intended) and each.incident == decision.incident]
    begun = [each for each in own if each.at <= decision.at]
    if not begun or begun[-1].idle_passes:
        return
    number = (decision.at - trial.start) // trial.slot_interval
    for rule in begun[-1].rules or _rules_of(film, decision):
        track = film.tracks.get(rule)
        reasons = set(track.unknown(number, number)) & IDLE if track else set()
        if reasons:
            (reason,) = reasons
            yield (
                f"{quoted(trial.policy.rules[rule].name)} has nothing to judge then ({reason}). "
                "Where the step takes the traffic with it, give the step `verify: {idle: pass}`"
            )


def _rules_of(film: Film, decision: Decided) -> Iterator[str]:
    """Yield the rules that fired in the incident of a decision."""
    for record in film.records:
        if isinstance(record, IncidentOpened | IncidentJoined) and record.incident == decision.incident:
            yield from record.rules


def on_alerts(trial: Trial, rule: Rule, alerts: Iterable[Alert]) -> Iterator[str]:
    """Say that an alert stays because nothing is known of its series."""
    for reason in dict.fromkeys(alert.unknown for alert in alerts if alert.unknown is not None):
        words = ENDED if reason is Unknown.ABSENT else meaning(trial, rule, reason)
        yield f"it stays, for an alert whose series is unknown has not recovered: {words}"


def meaning(trial: Trial, rule: Rule, reason: Unknown | None, detail: str = "") -> str:
    """Say in words why nothing is known of a rule, and what in the test could be the cause."""
    match reason:
        case Unknown.STALE:
            age = format_duration(rule.max_age) if rule.max_age else "0s"
            return f"its samples are older than {age}. Give them closer together, or the rule a longer `max_age`"
        case Unknown.ABSENT:
            return _absent(trial, rule)
        case Unknown.NAN:
            return "the value is NaN, as 0/0 is, and there is nothing to judge. Prometheus would compare it"
        case Unknown.NO_TRAFFIC:
            return "`when` does not hold, so there is nothing to judge"
        case Unknown.PROBE_NOT_MADE:
            return "the probe could not be made"
        case Unknown.MISSED:
            return "the slot was missed"
        case Unknown.CONNECT | Unknown.TIMEOUT | Unknown.HTTP_ERROR:
            return "there is an outage"
        case _:
            return detail or "some of its series are unknown"


def _absent(trial: Trial, rule: Rule) -> str:
    recorded = [item.name for chapter in trial.chapters for item in chapter.items if isinstance(item, Recording)]
    given = {dict(parse_series(each.series)).get("__name__") for each in trial.section.input_series}
    unknown = [name for name in _metrics(rule) if RECORDED in name and name not in given.union(recorded)]
    if not unknown:
        return "no series is there that it asks for. Do the names and labels of `input_series` fit its `expr`?"
    hint = (
        did_you_mean(unknown[0], recorded) or "Add the file that does to `rule_files`, or write it in `input_series`."
    )
    return f"{quoted(unknown[0])} looks recorded, and no rule file of this test records it. {hint}"


def _metrics(rule: Rule) -> Iterator[str]:
    """Yield what may be the names of metrics in the expressions of a rule."""
    for expr in expressions_of(rule):
        try:
            tokens = scan(expr)
        except PromqlError:
            continue  # it has no words that could be told of
        yield from (token.text for token in tokens if token.kind is Kind.WORD and not token.braces)
