"""Observe the alerts that other systems sent: what fires there is a breach here.

Such an alert needs no evaluation: whoever sent it did that. It is a rule all the same, so that incidents, verification
and recovery know it like any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from rollback_guard.core.model import SIGNAL, Group, Rule
from rollback_guard.core.observation import Answer, Observation, Sample
from rollback_guard.core.orders import Signal

FIRING = 1.0


def observe(group: Group, signals: Iterable[Signal], *, begun_by: datetime | None = None) -> Mapping[str, Observation]:
    """Return for each of a guard's signals which alerts of that name fire.

    Args:
        group: The guard's signals.
        signals: What was heard last of every alert.
        begun_by: Leave out what began later than this.
    """
    guard = group.id.removeprefix(f"{SIGNAL}/")
    heard = [
        signal
        for signal in signals
        if signal.guard == guard and signal.firing and (begun_by is None or signal.starts_at <= begun_by)
    ]
    return {rule.id: _observed(rule, heard) for rule in group.rules}


def _observed(rule: Rule, heard: Sequence[Signal]) -> Observation:
    """Return a sample for each alert of the rule's name; without any the answer is empty, which passes."""
    labels = {signal.labels: signal.summary for signal in heard if signal.name == rule.name}
    return Observation(
        measured=Answer(tuple(Sample(each, FIRING) for each in sorted(labels))),
        detail="; ".join(dict.fromkeys(summary for summary in labels.values() if summary)),
    )
