"""Name every metric once: what it is, which labels it has, and which question of the person on call it answers.

The exposition, `docs/metrics.md`, the shipped alerts and the tests of all three are held against this table.
"""

from __future__ import annotations

from rollback_guard.adapters.metrics.metric import Metric
from rollback_guard.adapters.metrics.table import actions, groups, guards, instance, people, rules

METRICS: tuple[Metric, ...] = tuple(
    each
    for part in (rules, groups, guards, people, actions, instance)
    for each in tuple(vars(part).values())
    if isinstance(each, Metric)
)
"""All of them, in the order in which they stand there."""
