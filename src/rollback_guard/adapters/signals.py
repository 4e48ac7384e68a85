"""Read the alerts that other systems sent as a source: what fires there is a breach here.

Such an alert needs no evaluation: whoever sent it did that. It is a rule all the same, so that incidents, verification
and recovery know it like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from rollback_guard.core.model import SIGNAL, Group, Labels, Rule
from rollback_guard.core.observation import Answer, Observation, Sample
from rollback_guard.core.orders import Signal

FIRING = 1.0


class SignalSource:
    """Tell for each of a guard's signals which alerts of that name fire.

    Args:
        signals: Returns what was heard last of every alert; asked anew at every read.
    """

    def __init__(self, signals: Callable[[], tuple[Signal, ...]]) -> None:
        self._signals = signals

    async def read(
        self, group: Group, slot: datetime, expected: Mapping[str, frozenset[Labels]]
    ) -> Mapping[str, Observation]:
        """Observe what fires now."""
        heard = tuple(self._heard(group))
        return {rule.id: _observed(rule, heard) for rule in group.rules}

    async def read_range(
        self, group: Group, slots: Sequence[datetime], expected: Mapping[str, frozenset[Labels]]
    ) -> Mapping[datetime, Mapping[str, Observation]]:
        """Observe in every past slot what fires now, as far as it had begun: nobody remembers what ended since."""
        heard = tuple(self._heard(group))
        return {
            slot: {rule.id: _observed(rule, [each for each in heard if each.starts_at <= slot]) for rule in group.rules}
            for slot in slots
        }

    async def close(self) -> None:
        """Return at once: there is nothing to release."""

    def _heard(self, group: Group) -> Iterator[Signal]:
        guard = group.id.removeprefix(f"{SIGNAL}/")
        return (signal for signal in self._signals() if signal.guard == guard and signal.firing)


def _observed(rule: Rule, heard: Sequence[Signal]) -> Observation:
    """Return a sample for each alert of the rule's name; without any the answer is empty, which passes."""
    labels = {signal.labels: signal.summary for signal in heard if signal.name == rule.name}
    return Observation(
        measured=Answer(tuple(Sample(each, FIRING) for each in sorted(labels))),
        detail="; ".join(dict.fromkeys(summary for summary in labels.values() if summary)),
    )
