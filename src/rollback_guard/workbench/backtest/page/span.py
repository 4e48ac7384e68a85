"""Places in the time that was played: in seconds from its beginning, for charts count in those."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Data = Mapping[str, Any]
Piece = tuple[int, int]
"""From when to when."""

MOST = 2000
"""Pieces of one kind that a chart has; what lies close together is joined where there are more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """The time that was played.

    Attributes:
        start: Unix seconds, as all that is not said to count from the beginning.
        length_s: How long it is.
    """

    start: float
    length_s: float

    @classmethod
    def of(cls, data: Data) -> Played:
        """Return the time that a backtest played."""
        start = epoch(data["start"])
        return cls(start=start, length_s=max(1.0, epoch(data["end"]) - start))

    def place(self, at: str | None) -> int:
        """Return where a time is; what has not ended lasts to the end."""
        return round(self.length_s if at is None else epoch(at) - self.start)

    def piece(self, began_at: str, ended_at: str | None) -> Piece:
        """Return from when to when something was."""
        return self.place(began_at), self.place(ended_at)

    def pieces(self, periods: Iterable[Data]) -> list[Piece]:
        """Return when at least one of some periods was, in order."""
        return thinned(joined(self.piece(it["began_at"], it["ended_at"]) for it in periods), self.length_s / MOST)


def epoch(at: str) -> float:
    """Return a time as Unix seconds."""
    moment = datetime.fromisoformat(at)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def joined(pieces: Iterable[Piece], gap: float = 0) -> list[Piece]:
    """Return pieces in order, those joined that overlap or lie no farther apart than a gap."""
    found: list[Piece] = []
    for begin, end in sorted(pieces):
        if found and begin <= found[-1][1] + gap:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((begin, end))
    return found


def thinned(pieces: Sequence[Piece], gap: float) -> list[Piece]:
    """Return pieces as they are, or joined where there are too many to be told apart."""
    return list(pieces) if len(pieces) <= MOST else joined(pieces, gap)


def overlap(one: Piece, other: Piece) -> bool:
    """Say whether two pieces have a time in common."""
    return one[0] < other[1] and one[1] > other[0]
