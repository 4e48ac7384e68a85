"""Find the selectors that select nothing: the rule that can never fire.

now?  ──▶ in the last week?  ──▶ does the metric exist?  ──▶ which matcher is it that nothing matches?
       each question only for what the one before left open
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rollback_guard.adapters.prometheus.batch import Result
from rollback_guard.adapters.prometheus.grid import MILLISECOND, Grid, from_ms, to_ms
from rollback_guard.config.problems import Level, quoted
from rollback_guard.core.observation import Failure
from rollback_guard.core.promql.reach import LOOKBACK
from rollback_guard.core.units import format_duration
from rollback_guard.workbench.online.findings import Finding, Told
from rollback_guard.workbench.online.mismatch import Mismatch, Mismatches
from rollback_guard.workbench.online.rules import CheckedRule, Expression
from rollback_guard.workbench.online.selectors import Selector, Use
from rollback_guard.workbench.online.server import Server, last_in, shown

TOPIC = "whether selectors exist"

MINUTE, HOUR, DAY, WEEK = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1), timedelta(days=7)

WRITTEN_WHEN_THEY_FIRE = frozenset({"ALERTS", "ALERTS_FOR_STATE"})
"""Series of alerts: there are none while all is well."""

ABOUT_PATTERNS = ("pattern-always-matches", "status-pattern")
"""Lints that say of a matcher, without asking, that it matches nothing."""

RECORDED = "A recording rule of these files makes it: load them into the Prometheus too."


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """What is known of a selector that selects nothing now.

    Attributes:
        last_at: Time of its newest sample; ``None`` where there was none in a week.
        was_not_yet: It is there at present, and was not at the time that it is asked for.
    """

    last_at: datetime | None = None
    was_not_yet: bool = False


async def check(server: Server, rules: Sequence[CheckedRule], recorded: frozenset[str]) -> list[Told]:
    """Return a finding for every selector that selects nothing.

    Args:
        server: Who is asked.
        rules: Those whose expressions it takes.
        recorded: Names of metrics that recording rules of the same files make.
    """
    places = [(expression, use) for rule in rules for expression in rule.expressions for use in expression.uses]
    gone = await _find_gone(server, {use for _, use in places})
    mismatches = Mismatches(server)
    await mismatches.find({use.selector for use, found in gone.items() if not found.last_at and not found.was_not_yet})
    findings = _Findings(server.now, gone, mismatches, recorded)
    # Twice in one expression is one mistake; of several places the first is shown.
    first = {(it.watched.id, it.key, use.selector): (it, use) for it, use in places[::-1] if use in gone}
    return [told for expression, use in reversed(first.values()) for told in findings.of(expression, use)]


def count_of(use: Use) -> str:
    """Return the query for how many series a selector has at the time at which it is used."""
    text, range_ = use.selector.text, max(use.range or timedelta(0), LOOKBACK)
    offset = f" offset {format_duration(use.offset)}" if use.offset and not use.pinned else ""
    return f"count(last_over_time({text}[{format_duration(range_)}]{offset}))"


async def _find_gone(server: Server, uses: Iterable[Use]) -> dict[Use, Gone]:
    """Return the uses that select nothing; one of which nothing could be learnt is left out."""
    asked = {use: count_of(use) for use in sorted(uses, key=count_of)}
    said = await server.instant(TOPIC, asked.values())
    absent = [use for use, query in asked.items() if said[query] == ()]
    shifted = {use: _count_in(use.selector, HOUR) for use in absent if use.offset}
    present = await server.instant(TOPIC, shifted.values())
    found = {use: Gone(was_not_yet=True) for use, query in shifted.items() if present[query]}
    rest = [use for use in absent if use not in found]
    last = await _last_seen(server, {use.selector for use in rest})
    return found | {use: Gone(last_at=last[use.selector]) for use in rest if use.selector in last}


async def _last_seen(server: Server, selectors: Iterable[Selector]) -> dict[Selector, datetime | None]:
    """Return when each had its newest sample, looking a week back; of which nothing is known is left out."""
    asked = {selector: _count_in(selector, HOUR) for selector in sorted(selectors, key=lambda it: it.text)}
    said = await server.over(TOPIC, asked.values(), _grid(server.now, WEEK, HOUR))
    last: dict[Selector, datetime | None] = {}
    for selector, query in asked.items():
        result = said[query]
        if isinstance(result, Failure):
            continue
        at_ms = last_in(result)
        last[selector] = None if at_ms is None else await _newest_sample(server, selector, from_ms(at_ms))
    return last


async def _newest_sample(server: Server, selector: Selector, at: datetime) -> datetime:
    """Return the time of the newest sample of the hour that ended then."""
    query = f"max(timestamp({selector.text}))"
    result: Result = (await server.over(TOPIC, [query], _grid(at, HOUR, MINUTE)))[query]
    if isinstance(result, Failure):
        return at
    times = [sample.value for samples in result.values() for sample in samples]
    return min(at, from_ms(round(max(times) * 1000))) if times else at


def _grid(end: datetime, span: timedelta, step: timedelta) -> Grid:
    return Grid(start_ms=to_ms(end - span), step_ms=step // MILLISECOND, count=span // step + 1)


def _count_in(selector: Selector, span: timedelta) -> str:
    return f"count(last_over_time({selector.text}[{format_duration(span)}]))"


class _Findings:
    """Say of each selector that selects nothing what that means where it stands."""

    def __init__(
        self, now: datetime, gone: Mapping[Use, Gone], mismatches: Mismatches, recorded: frozenset[str]
    ) -> None:
        self._now = now
        self._gone = gone
        # What was not there yet a day ago is there: only the expression that asks for that day lacks it.
        self._absent = {use.selector for use, what in gone.items() if not what.was_not_yet}
        self._mismatches = mismatches
        self._recorded = recorded

    def of(self, expression: Expression, use: Use) -> Sequence[Told]:
        found = self._gone[use]
        if found.was_not_yet:
            return [_not_yet(expression, use)]
        if found.last_at is not None:
            return [self._no_more(expression, use, found.last_at)]
        mismatch = self._mismatches.of(use.selector)
        return [self._never(expression, use)] if mismatch is None else self._no_match(expression, use, mismatch)

    def _no_more(self, expression: Expression, use: Use, last_at: datetime) -> Finding:
        may_be_absent = self._may_be_absent(expression, use)
        message = f"{quoted(use.selector.text)} has no series now; it was there until {last_at:%Y-%m-%d %H:%M} UTC"
        hint = f"That is {_roughly(self._now - last_at)} ago. {_meaning(expression, use, may_be_absent=may_be_absent)}"
        level = Level.NOTICE if may_be_absent or use.is_about_absence or _is_alert(use) else Level.WARNING
        return expression.finding("online-gone", message, hint=hint, level=level, at=use.place)

    def _never(self, expression: Expression, use: Use) -> Finding:
        meaning = _meaning(expression, use, may_be_absent=self._may_be_absent(expression, use))
        message = f"{quoted(use.selector.text)} has no series, and had none in the last 7 days"
        if self._mismatches.lacks_metric(use.selector):  # which is one mistake, however its series are chosen
            message = f"there is no metric {quoted(use.selector.name)}: what is read of it was not there for 7 days"
        near = RECORDED if use.selector.name in self._recorded else self._mismatches.near(use.selector)
        hint = f"{near} {meaning}".strip()
        level = Level.NOTICE if _is_alert(use) else Level.WARNING
        return expression.finding("online-never", message, hint=hint, level=level, at=use.place)

    def _no_match(self, expression: Expression, use: Use, mismatch: Mismatch) -> Sequence[Told]:
        # What is below the line is chosen by labels that are there: a mistake in one of these is one above it too.
        below = {matcher.label for selector in expression.denominators for matcher in selector.matchers}
        could_happen = mismatch.by_value and not {matcher.label for matcher in mismatch.matchers} <= below
        may_be_absent = could_happen and self._may_be_absent(expression, use)
        hint = f"{mismatch.hint} {_meaning(expression, use, may_be_absent=may_be_absent)}".strip()
        level = Level.NOTICE if may_be_absent or _is_alert(use) else Level.WARNING
        matchers = mismatch.matchers
        at = expression.matcher_place(use, matchers[0]) if len(matchers) == 1 else use.place
        found = expression.finding("online-no-match", mismatch.message, hint=hint, level=level, at=at)
        # Whether a pattern can match anything is known now, unless it may still come to match something.
        settled = [expression.settled(lint, at) for lint in ABOUT_PATTERNS] if level is Level.WARNING else []
        return [found, *settled]

    def _may_be_absent(self, expression: Expression, use: Use) -> bool:
        """Say whether it counts what need not have happened, beside something that is there."""
        return expression.may_not_have_happened(use) and not expression.denominators & self._absent


def _not_yet(expression: Expression, use: Use) -> Finding:
    ago = shown(abs(use.offset))
    message = f"{quoted(use.selector.text)} is there now, and was not {ago} ago: there is nothing to compare with yet"
    hint = "Until its history is that long the rule knows nothing."
    return expression.finding("online-no-history", message, hint=hint, level=Level.WARNING, at=use.place)


def _roughly(span: timedelta) -> str:
    """Return a span without minutes of days and seconds of hours."""
    unit = HOUR if span > 2 * DAY else MINUTE if span > HOUR else timedelta(seconds=1)
    return shown(span // unit * unit)


def _is_alert(use: Use) -> bool:
    return use.selector.name in WRITTEN_WHEN_THEY_FIRE


def _meaning(expression: Expression, use: Use, *, may_be_absent: bool) -> str:
    if may_be_absent:
        return "What it is divided by is there: the ratio counts as nothing, which is health if it has not happened."
    if use.is_about_absence:
        return "The rule asks for its absence, and so breaches."
    if expression.key == "when":
        return "Without it `when` never holds and the rule never judges."
    return "Without it the rule can never fire."
