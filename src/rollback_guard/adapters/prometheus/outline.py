"""See at a glance what is plain of a rule over a stretch of history: where it passes, where there is nothing to judge.

Nearly every rule passes in nearly every slot. Whole stretches are compared with a threshold at once; what is not plain
here is not said to be anything, and is judged slot by slot by `core.judgement`, which this must never contradict.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat

from rollback_guard.adapters.prometheus.batch import Result
from rollback_guard.adapters.prometheus.grid import Grid
from rollback_guard.adapters.prometheus.strands import Strand, Strands, everywhere, strands_of, union
from rollback_guard.core.condition import Comparison, Condition, Operator
from rollback_guard.core.model import Labels, Rule
from rollback_guard.core.observation import Failure, Unknown

ZERO = Comparison(op=Operator.EQUAL, threshold=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """What is plain of one rule; all are masks over the grid.

    Attributes:
        passing: Where it passes, and at least one of its series is known.
        idle: By reason, where there is nothing to judge in any of its series.
        breaching: Of its series those that are beyond the threshold somewhere, and where.
    """

    passing: int = 0
    idle: Mapping[Unknown, int] = field(default_factory=dict)
    breaching: Sequence[tuple[Strand, int]] = ()


NOTHING_PLAIN = Outline()


def outline(rule: Rule, said: Mapping[str, Result], grid: Grid, fresh: int) -> Outline:
    """Return what is plain of a rule.

    Args:
        rule: Whose `limit` does not matter: where it does, something breaches.
        said: The answers to its queries.
        grid: For which instants they were asked.
        fresh: Where its samples are young enough.
    """
    measured, when, below = (_answer(query, said, grid) for query in _queries(rule))
    if measured is None or when is None or below is None or any(map(_has_twins, (measured, when, below))):
        return NOTHING_PLAIN
    comparison, all_ = rule.condition.comparison, everywhere(grid)
    if comparison is None:
        return _of_unsplit(rule, measured, when, all_)
    breaching = [(strand, at) for strand in measured.strands if (at := strand.holds(comparison))]
    floor = _floor(rule.when, measured, when, all_)
    known = [(strand.labels, strand.known) for strand in measured.strands]
    passing = union(at & floor.judged_of(labels) for labels, at in known)
    nothing = measured.there & ~union(at for _, at in known)
    if rule.condition.ratio is not None:
        zeros, without = _zeros(rule.condition, below, measured)
        passing |= zeros & floor.judged
        nothing |= without
    passing &= fresh & ~union(at for _, at in breaching)
    idle = {Unknown.NO_TRAFFIC: floor.nothing & fresh, Unknown.NAN: nothing & floor.judged & fresh}
    return Outline(passing=passing, idle={why: at for why, at in idle.items() if at}, breaching=breaching)


def worst_of(condition: Condition, said: Mapping[str, Result], grid: Grid) -> tuple[int, Sequence[float]]:
    """Return where a rule has a value, and for each instant the one nearest to its threshold, or beyond."""
    comparison, result = condition.comparison, said[condition.query]
    if comparison is None or isinstance(result, Failure):
        return 0, ()
    strands = strands_of(result, grid).strands
    if len(strands) == 1 and len(strands[0].values) == grid.count and strands[0].is_number_throughout:
        return everywhere(grid), strands[0].values
    worst = array("d", repeat(math.nan, grid.count))
    for strand in strands:
        _take_worse(worst, strand, comparison)
    return union(strand.known for strand in strands), worst


def _take_worse(worst: array[float], strand: Strand, comparison: Comparison) -> None:
    if isinstance(strand.places, range) and comparison.is_ordered and strand.is_number_throughout:
        # Of a number and NaN, which stands for none so far, both functions return their first argument.
        nearer = min if comparison.op in (Operator.LESS, Operator.LESS_EQUAL) else max
        part = slice(strand.places.start, strand.places.stop)
        worst[part] = array("d", map(nearer, strand.values, worst[part]))
        return
    for place, value in zip(strand.places, strand.values, strict=True):
        if math.isnan(worst[place]) or comparison.margin(value) < comparison.margin(worst[place]):
            worst[place] = value


def _of_unsplit(rule: Rule, measured: Strands, when: Strands, all_: int) -> Outline:
    """Return what is plain of a rule to which every sample is a breach: silence is health where `when` says so."""
    silent = all_ & ~measured.there
    if rule.when is None:
        return Outline(passing=silent)
    floor = rule.when.comparison
    holding = union(strand.holds(floor) if floor else strand.known for strand in when.strands)
    nothing = (when.there if floor else all_) & ~holding & silent
    return Outline(passing=silent & holding, idle={Unknown.NO_TRAFFIC: nothing} if nothing else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Floor:
    """Where a rule's `when` lets its series be judged.

    Attributes:
        judged: Where every series is; what is asked of one without a floor of its own.
        by_labels: Where each series is, if that differs.
        nothing: Where plainly none is.
    """

    judged: int
    by_labels: Mapping[Labels, int] | None = None
    nothing: int = 0

    def judged_of(self, labels: Labels) -> int:
        return self.judged if self.by_labels is None else self.by_labels.get(labels, 0)


def _floor(when: Condition | None, measured: Strands, said: Strands, all_: int) -> _Floor:
    if when is None:
        return _Floor(judged=all_)
    comparison = when.comparison
    holding = {strand.labels: strand.holds(comparison) if comparison else strand.known for strand in said.strands}
    if set(holding) <= {()}:
        judged = holding.get((), 0)
        return _Floor(judged=judged, nothing=(said.there if comparison else all_) & ~judged)
    # Each series has a floor of its own where both are told apart by the same labels, as they nearly always are.
    there = {strand.labels: strand.there for strand in said.strands}
    without = union(strand.there & ~there.get(strand.labels, 0) for strand in measured.strands)
    return _Floor(judged=0, by_labels=holding, nothing=measured.there & ~without & ~union(holding.values()))


def _zeros(condition: Condition, below: Strands, measured: Strands) -> tuple[int, int]:
    """Return where an absent ratio is nothing divided by something, and passes; and where by nothing."""
    ratio, comparison = condition.ratio, condition.comparison
    if ratio is None or comparison is None:
        return 0, 0
    something = union(strand.known & ~strand.holds(ZERO) for strand in below.strands)
    passes = not comparison.holds(ratio.value)
    return (something if passes else 0) & ~measured.there, below.there & ~something & ~measured.there


def _queries(rule: Rule) -> tuple[str | None, str | None, str | None]:
    ratio = rule.condition.ratio
    return rule.condition.query, rule.when.query if rule.when else None, ratio.denominator if ratio else None


def _answer(query: str | None, said: Mapping[str, Result], grid: Grid) -> Strands | None:
    """Return what was said; nothing to what was not asked, and ``None`` where it failed."""
    result = said.get(query, {}) if query is not None else {}
    return None if isinstance(result, Failure) else strands_of(result, grid)


def _has_twins(strands: Strands) -> bool:
    """Say whether two series became one once the metric's name was dropped: where both are there, neither counts."""
    return len(strands.labels) < len(strands.strands)
