"""Try one rule with many thresholds and many `for`, all in one pass over history."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import product

from rollback_guard.config.problems import did_you_mean, quoted
from rollback_guard.core.model import Policy, Rule
from rollback_guard.core.units import parse_duration
from rollback_guard.workbench.backtest.results import Results
from rollback_guard.workbench.backtest.score import Kind, Past, Score, score

POINTS = 6
FEWEST_POINTS, MOST_POINTS = 2, 50
MOST_VARIANTS = 400
WIDE = 4
"""A span whose end is so many times its beginning is divided by ratios and not by differences."""

USUAL_S = ((60, 15), (300, 30), (600, 60), (3600, 300), (6 * 3600, 1800), (math.inf, 3600))
"""Below so many seconds people write multiples of so many."""

_SWEEP = re.compile(
    r"(?P<what>threshold|for)=(?P<low>[^.:,]+(?:\.\d[^.:,]*)?)\.\.(?P<high>[^:,]+)(?::(?P<points>\d+))?\Z"
)
_LIST = re.compile(r"(?P<what>threshold|for)=(?P<values>[^.:].*)\Z")


class SweepError(Exception):
    """A sweep cannot be understood; the message says what to write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One rule as it might be."""

    rule: Rule
    threshold: float
    hold: timedelta


Choice = tuple[float, timedelta]
"""A threshold and a `for`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """How one variant did.

    Attributes:
        is_best: It finds some known incident, and no other variant is better in one figure without being worse in
            another.
        same_as: Of several best ones that come to the same figures, the one that stands for them: the rule as it is, or
            else the one that fires last; ``None`` where it is this one.
    """

    threshold: float
    hold: timedelta
    firings: int
    score: Score
    is_best: bool = False
    is_current: bool = False
    same_as: Choice | None = None


def axes_of(texts: Sequence[str]) -> Mapping[str, Sequence[float | timedelta]]:
    """Return by what is swept the values that are tried.

    Args:
        texts: Such as ``threshold=0.5%..5%``, ``for=2m..15m:4`` or ``threshold=1%,2%,5%``.

    Raises:
        SweepError: A text says nothing that can be swept.
    """
    axes: dict[str, Sequence[float | timedelta]] = {}
    for text in texts:
        try:
            what, values = _axis(text)
        except SweepError as error:
            raise SweepError(f"--sweep {error}") from None
        if what in axes:
            raise SweepError(f"{quoted(what)} is swept twice")
        axes[what] = values
    if math.prod(map(len, axes.values())) > MOST_VARIANTS:
        raise SweepError(f"these are more than {MOST_VARIANTS} combinations; say how many as in `for=2m..15m:4`")
    return axes


def variants_of(policy: Policy, name: str | None, axes: Mapping[str, Sequence[float | timedelta]]) -> list[Variant]:
    """Return the rule in every combination, and first as it is.

    Raises:
        SweepError: There is no such rule, or it has no threshold.
    """
    rule = _rule(policy, name)
    comparison = rule.condition.comparison
    if comparison is None:
        raise SweepError(f"{quoted(rule.id)} has no threshold that could be swept: its `expr` is no single comparison")
    interval = policy.groups[rule.group].interval
    thresholds = axes.get("threshold") or [comparison.threshold]
    holds = [_evaluated(hold, interval) for hold in axes.get("for", ()) if isinstance(hold, timedelta)] or [rule.hold]
    wanted = [(comparison.threshold, rule.hold), *product(thresholds, holds)]
    return [
        Variant(
            rule=replace(
                rule,
                id=f"{rule.id} #{number}",
                name=f"{rule.name} #{number}",
                hold=hold,
                condition=replace(rule.condition, comparison=replace(comparison, threshold=threshold)),
            ),
            threshold=threshold,
            hold=hold,
        )
        for number, (threshold, hold) in enumerate(dict.fromkeys(wanted))
        if isinstance(threshold, float | int) and isinstance(hold, timedelta)
    ]


def policy_of(policy: Policy, variants: Sequence[Variant]) -> Policy:
    """Return a policy of nothing but the variants.

    Those of one threshold are a group: where it is not reached, none of them has to be looked at.
    """
    group = policy.groups[variants[0].rule.group]
    alike: dict[float, list[Rule]] = {}
    for each in variants:
        alike.setdefault(each.threshold, []).append(each.rule)
    groups = [replace(group, id=f"{group.id} > {threshold}", rules=tuple(rules)) for threshold, rules in alike.items()]
    return replace(
        policy,
        groups={
            each.id: replace(each, rules=tuple(replace(rule, group=each.id) for rule in each.rules)) for each in groups
        },
        guards={},
    )


def tried(variants: Sequence[Variant], results: Results, past: Past) -> list[Tried]:
    """Return how each variant did, and which of them are worth a choice."""
    found = [
        Tried(
            threshold=each.threshold,
            hold=each.hold,
            firings=results.rules[each.rule.id].firings,
            score=score(results.rules[each.rule.id].firing, past),
            is_current=number == 0,
        )
        for number, each in enumerate(variants)
    ]
    if not past.incidents:
        return found
    useful = [each for each in found if each.score.detected]
    best = [each for each in useful if not any(_is_better(other, each) for other in useful)]
    stands_for: dict[tuple[float, ...], Tried] = {}
    for each in sorted(best, key=lambda each: _preference(each, variants[0]), reverse=True):
        stands_for.setdefault(_figures(each), each)
    return [_marked(each, stands_for[_figures(each)]) if each in best else each for each in found]


def _preference(each: Tried, variant: Variant) -> tuple[bool, float, timedelta]:
    """Return what is greater of the choice that is preferred: the rule as it is, and else the more lenient one."""
    comparison = variant.rule.condition.comparison
    leniency = replace(comparison, threshold=each.threshold).margin(0.0) if comparison else 0.0
    return each.is_current, leniency, each.hold


def _marked(each: Tried, other: Tried) -> Tried:
    return replace(each, is_best=True, same_as=None if other is each else (other.threshold, other.hold))


def _figures(each: Tried) -> tuple[float, float, float]:
    """Return what is better the smaller it is: missed incidents, other firings, delay."""
    delay = each.score.mean_delay
    others = each.score.count(Kind.FALSE_ALARM)
    return (len(each.score.missed), others, delay.total_seconds() if delay is not None else math.inf)


def _is_better(one: Tried, other: Tried) -> bool:
    ours, theirs = _figures(one), _figures(other)
    return ours != theirs and all(left <= right for left, right in zip(ours, theirs, strict=True))


def _rule(policy: Policy, name: str | None) -> Rule:
    rules = [rule for rule in policy.rules.values() if rule.condition.comparison is not None]
    if name is None:
        if len(rules) != 1:
            raise SweepError(f"name the rule to sweep with --rule: {', '.join(rule.name for rule in rules[:8])}")
        return rules[0]
    found = [rule for rule in policy.rules.values() if name in (rule.id, rule.name)]
    if len(found) != 1:
        what = "no rule is" if not found else f"{len(found)} rules are"
        near = did_you_mean(name, [rule.name for rule in rules]) if not found else "Give its id: group/Name."
        raise SweepError(f"{what} called {quoted(name)}. {near}".strip())
    return found[0]


def _axis(text: str) -> tuple[str, Sequence[float | timedelta]]:
    match = _SWEEP.match(text)
    if match is not None:
        points = int(match["points"] or POINTS)
        if not FEWEST_POINTS <= points <= MOST_POINTS:
            raise SweepError(f"{quoted(text)}: from {FEWEST_POINTS} to {MOST_POINTS} points can be tried")
        low, high = _value(match["what"], match["low"], text), _value(match["what"], match["high"], text)
        return match["what"], _between(low, high, points, text)
    listed = _LIST.match(text)
    if listed is not None:
        return listed["what"], [_value(listed["what"], each.strip(), text) for each in listed["values"].split(",")]
    raise SweepError(f"{quoted(text)} cannot be swept: write `threshold=0.5%..5%`, `for=2m..15m` or `for=1m,2m,5m`")


def _value(what: str, text: str, whole: str) -> float | timedelta:
    try:
        return parse_duration(text) if what == "for" else _ratio(text)
    except ValueError as error:
        raise SweepError(f"{quoted(whole)}: {error}") from None


def _between(low: float | timedelta, high: float | timedelta, points: int, text: str) -> Sequence[float | timedelta]:
    if isinstance(low, timedelta) and isinstance(high, timedelta):
        spans_s = _spread(low.total_seconds(), high.total_seconds(), points, text)
        return [timedelta(seconds=each) for each in _rounded(spans_s, [_usual, _quarters, round])]
    if isinstance(low, timedelta) or isinstance(high, timedelta):
        raise SweepError(f"{quoted(text)}: both ends must be of one kind")
    roundings = [lambda value, digits=digits: float(f"{value:.{digits}g}") for digits in (2, 3, 6)]
    return _rounded(_spread(low, high, points, text), roundings)


def _rounded(values: Sequence[float], roundings: Iterable[Callable[[float], float]]) -> list[float]:
    """Return values as people write them, as roughly as leaves all of them different; the ends stay as they are."""
    found: list[float] = []
    for rounding in roundings:
        found = list(dict.fromkeys([values[0], *map(rounding, values[1:-1]), values[-1]]))
        if len(found) == len(values):
            break
    return found


def _usual(seconds: float) -> float:
    """Return a time near this one as people write it: nobody chooses 6m42s."""
    unit = next(unit for below, unit in USUAL_S if seconds < below)
    return max(1, round(seconds / unit)) * unit


def _quarters(seconds: float) -> float:
    """Return a time near this one that is a multiple of a quarter of a minute."""
    return max(1, round(seconds / 15)) * 15.0


def _evaluated(hold: timedelta, interval: timedelta) -> timedelta:
    """Return the next multiple of the interval: only then can it have lasted for so long."""
    return -(-hold // interval) * interval


def _spread(low: float, high: float, points: int, text: str) -> list[float]:
    if not low < high:
        raise SweepError(f"{quoted(text)}: the first end must be the lower one")
    if low > 0 and high / low >= WIDE:
        return [low * (high / low) ** (number / (points - 1)) for number in range(points)]
    return [low + (high - low) * number / (points - 1) for number in range(points)]


def _ratio(text: str) -> float:
    """Return a threshold.

    Raises:
        ValueError: It is none; a length of time has no unit there, as it has none in PromQL.
    """
    try:
        number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{quoted(text)} is no threshold: write a number or a percentage{_in_seconds(text)}")
    return number


def _in_seconds(text: str) -> str:
    try:
        seconds = parse_duration(text).total_seconds()
    except (ValueError, OverflowError):
        return ", such as 0.5 or 2%"
    return f"; where the rule measures seconds, {seconds:g}"
