"""Say what the figures of a backtest do not: what was not played, what could not be seen, what cannot be known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from rollback_guard.core.model import Armed, Guard, Mode, Otherwise, Policy
from rollback_guard.core.observation import IDLE, Unknown
from rollback_guard.core.units import format_duration
from rollback_guard.workbench.backtest.plan import Plan
from rollback_guard.workbench.backtest.results import MOST_KEPT, Results, RuleResult
from rollback_guard.workbench.backtest.score import WEEK, Past

UNAPPROVED = {
    Otherwise.RUN: "it is run when the time is up",
    Otherwise.SKIP: "it is skipped",
    Otherwise.HAND_OVER: "people are called in its place",
}
WORTH_SAYING = 0.01
"""Of the time; a range needs two scrapes before it measures anything."""

CURES = {
    Unknown.HEARTBEAT: "Set `heartbeat` of this data source in guard.toml to a query that a healthy server of yours "
    'always answers with a number above zero, or to `""`',
    Unknown.ABSENT: "`rollback-guard check --online` says which series Prometheus does not have",
    Unknown.STALE: "`max_age` is how old a sample may be",
    Unknown.NO_TRAFFIC: "Its `when` never held",
    Unknown.NAN: "What it measures was never a number",
}
"""What to do, or what to look at, where a rule was unknown all the time."""

NAMED = 4
"""Rules that are named in one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What else is known of a backtest.

    Attributes:
        written: The policy as it was written, with what was not played.
        now: When it was asked for.
        has_step: Whether `--step` took the place of the intervals.
        has_calendar: Whether guard.toml has maintenance windows.
        recordings: How many recording rules the files have.
    """

    written: Policy
    now: datetime
    has_step: bool = False
    has_calendar: bool = False
    recordings: int = 0


def refused(results: Results) -> Iterator[tuple[str, str]]:
    """Yield the rules that the server refused to evaluate, all the time, and its words."""
    for id_, of_rule in results.rules.items():
        if of_rule.refused and of_rule.refused == of_rule.asked:
            yield id_, next((words for words in of_rule.details.values() if words), "")


def without_data(plan: Plan, results: Results) -> Iterator[str]:
    """Yield the data sources that had nothing to tell of these rules in all the time."""
    told = {id_ for id_, _ in refused(results)}
    asked = {
        group.source
        for group in plan.policy.groups.values()
        if any(rule.condition.comparison and rule.id not in told for rule in group.rules)
    }
    yield from sorted(asked - results.data_since.keys())


def remarks_of(plan: Plan, results: Results, past: Past, known: Circumstances) -> Iterator[str]:
    """Yield sentences for people."""
    yield from _of_data(plan, results, known)
    yield from _of_what_was_not_played(plan, known)
    for guard in known.written.guards.values():
        yield from _of_guard(guard, past)
    if known.has_step:
        yield from _of_step(plan)
    yield from _of_rules(plan, results)
    if past.is_known and (length := plan.end - min(results.data_since.values(), default=plan.start)) < WEEK:
        yield f"false alarms per week are projected from {format_duration(_rounded(length))}"
    if past.left_out:
        yield f"of the deploys and incidents, {past.left_out} lie outside of this time"


def _of_data(plan: Plan, results: Results, known: Circumstances) -> Iterator[str]:
    for source in without_data(plan, results):
        yield f"{source} has nothing of these rules in all this time: nothing was played"
    for source, since in sorted(results.data_since.items()):
        if since - plan.start > max(group.interval for group in plan.policy.groups.values()):
            yield f"{source} has nothing of these rules before {_minute(since)}: what is older was not played"
    if plan.end > known.now:
        yield "--to lies in the future: of what is not yet nothing is known"


def _of_what_was_not_played(plan: Plan, known: Circumstances) -> Iterator[str]:
    if plan.left_out:
        yield f"not played, for Prometheus has no history of it: {', '.join(plan.left_out)}"
        gone = set(plan.left_out)
        for guard, rules in known.written.rules_of.items():
            if any(rule.group in gone for rule in rules):
                yield f"guard {guard} listens to some of that too: it may act where this says nothing"
    if known.recordings:
        yield f"{_number(known.recordings, 'recording rule')} left to Prometheus, which has the results or not"
    if known.has_calendar:
        yield "the maintenance windows of guard.toml are not played: guards act in them here"
    if known.written.mode is Mode.DRY_RUN:
        yield "guard.toml says dry-run: this is what would have been done without it"


def _of_guard(guard: Guard, past: Past) -> Iterator[str]:
    if guard.armed is Armed.ROLLOUT and not past.of([guard.name]).deploys:
        yield (
            f"guard {guard.name} is armed by rollouts only, and no deploy is known: it holds all the time. "
            "Give --deploys or --deploys-query"
        )
    if guard.veto:
        yield f"guard {guard.name} waits {format_duration(guard.veto)} for a veto: nobody vetoes here"
    for step in guard.playbook:
        if step.approve is not None:
            otherwise = UNAPPROVED[step.approve.otherwise]
            yield f"guard {guard.name} asks before {step.name}: nobody approves here, and {otherwise}"


def _of_step(plan: Plan) -> Iterator[str]:
    rules = [
        rule.id
        for group in plan.policy.groups.values()
        for rule in group.rules
        if rule.hold < group.interval and rule.hold
    ]
    if rules:
        yield f"--step is longer than the `for` of {_some(rules)}: they fire later here than they would"


def never_known(results: Results) -> Iterator[str]:
    """Yield of which rules nothing was ever known, and why: what they had done nobody can tell."""
    told = {id_ for id_, _ in refused(results)}
    alike: dict[str, list[str]] = {}
    for id_, of_rule in results.rules.items():
        if of_rule.unknown and not of_rule.was_known and id_ not in told:
            alike.setdefault(_gravest(of_rule), []).append(id_)
    for reason, ids in alike.items():
        detail = next((words for id_ in ids if (words := results.rules[id_].details.get(reason))), "")
        which = "any rule" if len(ids) == len(results.rules) > 1 else _some(ids)
        others = ", among others" if any(len(results.rules[id_].unknown) > 1 for id_ in ids) else ""
        words = ": ".join(filter(None, [reason.replace("_", " ") + others, detail]))
        cure = f". {CURES[Unknown(reason)]}" if reason in CURES else ""
        yield f"nothing can be told of {which}, unknown all the time ({words}){cure}"


def _gravest(of_rule: RuleResult) -> str:
    """Return the most frequent reason: of blindness, where the rule was not only idle."""
    return max(of_rule.unknown, key=lambda reason: (reason not in IDLE, of_rule.unknown[reason]))


def _of_rules(plan: Plan, results: Results) -> Iterator[str]:
    yield from never_known(results)
    for id_, of_rule in results.rules.items():
        group = plan.policy.groups[plan.policy.rules[id_].group]
        began = results.begins(group.source)
        first = of_rule.unseen[0] if of_rule.unseen else None
        is_first = first is not None and first.why == Unknown.ABSENT and first.began_at - began <= group.interval
        if first and is_first and first.ended_at and first.ended_at - began > (plan.end - plan.start) * WORTH_SAYING:
            yield f"{id_} measures nothing before {_minute(first.ended_at)}"
        if 0 < of_rule.refused < of_rule.asked:
            yield f"the server refuses {id_} for a part of the time: {next(iter(of_rule.details.values()), '')}"
        if of_rule.firings > MOST_KEPT:
            yield f"{id_} fired {of_rule.firings} times: only the first {MOST_KEPT} are listed and classified"
    lasting = [id_ for id_, of_rule in results.rules.items() if _lasts(of_rule)]
    if lasting:
        yield f"{_some(lasting)} still {'fires' if len(lasting) == 1 else 'fire'} at the end"
    if any(of_rule.unknown for of_rule in results.rules.values()):
        yield "where a rule is unknown none of its alerts begins, advances or ends: it may have fired there"


def _lasts(of_rule: RuleResult) -> bool:
    return any(period.ended_at is None for period in of_rule.firing)


def _rounded(span: timedelta) -> timedelta:
    return timedelta(minutes=max(1, round(span / timedelta(minutes=1))))


def _some(names: list[str]) -> str:
    rest = len(names) - NAMED
    shown = ", ".join(names[:NAMED])
    return f"{shown} and {rest} more" if rest > 0 else shown


def _number(count: int, what: str) -> str:
    return f"{count} {what} is" if count == 1 else f"{count} {what}s are"


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"
