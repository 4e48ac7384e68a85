"""Lints: what is allowed and will hurt, one subject per module. Each id has its page in docs/checks.

A lint about an expression takes an `Asked` and yields problems of it. A lint about guards and actions takes the
inventory. A lint that is wrong about a good rule costs more trust than one that misses a bad one earns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from rollback_guard.config.checks.lints import (
    absent_for,
    absent_label,
    always_fires,
    changing_selection,
    divided_by_itself,
    for_exceeds_window,
    for_interval,
    nan_in_aggregation,
    never_fires,
    offset_sees_rollout,
    pattern_always_matches,
    quantile_without_le,
    rate_of_gauge,
    rate_of_sum,
    ratio_without_floor,
    raw_counter,
    short_range,
    status_pattern,
    threshold_side,
    threshold_unit,
    unbounded_label,
    uninspected_action,
    unscoped_selector,
    unverified_step,
    vanishing_label,
)
from rollback_guard.config.checks.lints.asked import Asked, asked
from rollback_guard.config.inventory import Inventory
from rollback_guard.config.problems import Problem

OF_QUERIES: tuple[Callable[[Asked], Iterable[Problem]], ...] = (
    short_range.check,
    rate_of_gauge.check,
    rate_of_sum.check,
    quantile_without_le.check,
    nan_in_aggregation.check,
    divided_by_itself.check,
    absent_label.check,
    pattern_always_matches.check,
    status_pattern.check,
    never_fires.check,
)
"""About every expression that is asked: `expr` and `when`."""

OF_CONDITIONS: tuple[Callable[[Asked], Iterable[Problem]], ...] = (
    raw_counter.check,
    changing_selection.check,
    unbounded_label.check,
    unscoped_selector.check,
    threshold_side.check,
    threshold_unit.check,
    always_fires.check,
    absent_for.check,
    offset_sees_rollout.check,
    ratio_without_floor.check,
    vanishing_label.check,
)
"""About `expr` alone, which decides."""

OF_ALL: tuple[Callable[[Inventory], Iterable[Problem]], ...] = (
    for_interval.check,
    for_exceeds_window.check,
    unverified_step.check,
    uninspected_action.check,
)
"""About times, guards and actions."""


def check(inventory: Inventory) -> Iterator[Problem]:
    """Yield what all lints find in files of which nothing was left out."""
    for one in asked(inventory):
        try:
            yield from tuple(_of_one(one))
        except RecursionError:
            continue  # hundreds of operators in a row: nobody's rule, and no reason to end the check of all others
    for lint in OF_ALL:
        yield from lint(inventory)


def _of_one(one: Asked) -> Iterator[Problem]:
    for lint in OF_QUERIES:
        yield from lint(one)
    if one.key == "expr":
        for lint in OF_CONDITIONS:
            yield from lint(one)
