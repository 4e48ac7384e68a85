"""Print what was measured: every figure beside that of a peer which ran in the same minutes, ratios first."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

Cell = str | float | None


def show(title: str, head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Print one table; a cell without a value is a dash."""
    table = [tuple(head), *(tuple(map(_shown, row)) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    print(f"\n{title}")
    for row in table:
        first, *rest = (
            cell.ljust(width) if not place else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  " + "  ".join((first, *rest)))


def goal(words: str, value: float | None, limit: float, *, at_least: bool = False) -> None:
    """Print whether a figure reaches what was aimed at; nothing fails on it."""
    if value is None:
        print(f"  --  {words}: not measured")
        return
    met = value >= limit if at_least else value <= limit
    print(
        f"  {'ok' if met else 'NO'}  {words}: {value:.3g}, aimed at {'at least' if at_least else 'at most'} {limit:g}"
    )


def ratio(one: float | None, other: float | None) -> float | None:
    """Return how many times the other the one is."""
    return None if one is None or not other else one / other


def median(values: Iterable[float]) -> float:
    """Return the median; of nothing it is not a number."""
    return statistics.median(list(values) or [float("nan")])


def quantile(values: Iterable[float], part: float) -> float:
    """Return the value below which this part of them lies."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(part * len(ranked)))]


def ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 10 else f"{seconds:.1f} s"


def mb(size_bytes: float) -> str:
    return f"{size_bytes / 1e6:.1f} MB"


def times(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}x"


def _shown(cell: Cell) -> str:
    if cell is None:
        return "-"
    return cell if isinstance(cell, str) else f"{cell:.3g}"
