"""Take note of the line of values of a rule: lowest and highest by bucket of time, and slot by slot around breaches.

No peak is lost: whatever was measured lies between the lowest and the highest value of its bucket.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import compress

from rollback_guard.core.condition import Comparison
from rollback_guard.core.model import Rule
from rollback_guard.workbench.backtest.cursor import Cursor
from rollback_guard.workbench.backtest.results import Nearest, Results, RuleResult, SlotValues

Piece = tuple[int, slice]
"""A bucket, and the slots of a stretch that fall into it, by their numbers."""


def pieces_of(results: Results, cursor: Cursor) -> Iterator[Piece]:
    """Yield the slots of a stretch that are played, by bucket."""
    first = cursor.done
    while first < cursor.count:
        bucket = results.bucket_of(cursor.slot(first))
        behind = max(first + 1, cursor.before(results.end_of(bucket)))
        yield bucket, slice(first, behind)
        first = behind


def take_values(
    of_rule: RuleResult, cursor: Cursor, pieces: Sequence[Piece], rule: Rule, comparison: Comparison
) -> None:
    """Take note of the values of a rule in one stretch."""
    mask, values = cursor.survey.worst(rule)
    there = mask.to_bytes(cursor.count, "little")
    is_whole = 0 not in there
    worst = dict[int, float]()
    for number, (bucket, piece) in enumerate(pieces):
        known = values[piece] if is_whole else list(compress(values[piece], there[piece]))
        if known:
            low, high = min(known), max(known)
            of_rule.take_extremes(bucket, low, high)
            worst[number] = min((low, high) if comparison.is_ordered else known, key=comparison.margin)
    if not worst:
        return
    nearest = min(worst.values(), key=comparison.margin)
    if _is_nearer(nearest, of_rule.nearest, comparison):
        at = next(number for number in range(cursor.done, cursor.count) if there[number] and values[number] == nearest)
        of_rule.nearest = Nearest(value=nearest, at=cursor.slot(at))
    if comparison.holds(nearest):
        breaching = [number for number, value in worst.items() if comparison.holds(value)]
        close = {number + beside for number in breaching for beside in (-1, 0, 1)}
        wanted = (pieces[number] for number in sorted(close) if 0 <= number < len(pieces))
        of_rule.take_slots(_slots(cursor, each, values, there, comparison) for each in wanted)


def _slots(cursor: Cursor, wanted: Piece, values: Sequence[float], there: bytes, comparison: Comparison) -> SlotValues:
    bucket, piece = wanted
    known = [value if is_there else None for value, is_there in zip(values[piece], there[piece], strict=True)]
    return SlotValues(
        bucket=bucket,
        began_at=cursor.slot(piece.start),
        values=known,
        breaches=sum(value is not None and comparison.holds(value) for value in known),
    )


def _is_nearer(value: float, before: Nearest | None, comparison: Comparison) -> bool:
    return before is None or comparison.margin(value) < comparison.margin(before.value)
