"""Leave out of many series those that say nothing: they pass, have no alert, and others of their rule do so too."""

from __future__ import annotations

from collections.abc import Container, Sequence
from functools import cached_property

from rollback_guard.adapters.prometheus.strands import Strand, places_of
from rollback_guard.core.model import Labels
from rollback_guard.core.observation import Answer, Sample

FEW = 4
"""So many are looked at as they are."""


class Crowd:
    """The series of one rule over a grid.

    Args:
        strands: All of them, no two with the same labels.
        breaching: Those that are beyond the threshold somewhere, and where; a mask.
    """

    def __init__(self, strands: Sequence[Strand], breaching: Sequence[tuple[Strand, int]]) -> None:
        self._strands = strands
        self._breaching = breaching
        self._witness = 0

    def thinned(self, place: int, active: frozenset[Labels]) -> Answer | None:
        """Return an answer that moves the alerts of the rule as all of its samples do; ``None`` where all are needed.

        It holds what breaches, what has an alert, and one that passes: it tells that not all are unknown.
        """
        if len(self._strands) <= FEW:
            return None
        told = {strand.labels: strand for strand in self._breaching_at.get(place, ())}
        witness = self._passing_at(place, told)
        if witness is None:
            return None
        told |= {labels: self._by_labels[labels] for labels in active if labels in self._by_labels}
        samples = {labels: sample for labels, strand in told.items() if (sample := strand.at(place)) is not None}
        return Answer((*samples.values(), *([] if witness.labels in samples else [witness])))

    def _passing_at(self, place: int, breaching: Container[Labels]) -> Sample | None:
        """Return one sample that passes, looking first where the last one was."""
        for step in range(len(self._strands)):
            number = (self._witness + step) % len(self._strands)
            strand = self._strands[number]
            sample = strand.at(place)
            if sample is not None and sample.value == sample.value and strand.labels not in breaching:
                self._witness = number
                return sample
        return None

    @cached_property
    def _by_labels(self) -> dict[Labels, Strand]:
        return {strand.labels: strand for strand in self._strands}

    @cached_property
    def _breaching_at(self) -> dict[int, list[Strand]]:
        found: dict[int, list[Strand]] = {}
        for strand, mask in self._breaching:
            for place in places_of(mask):
                found.setdefault(place, []).append(strand)
        return found
