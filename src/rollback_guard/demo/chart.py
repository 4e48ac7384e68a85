"""Draw the error rate against its threshold with block characters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

BLOCKS = " ▁▂▃▄▅▆▇█"
EIGHTHS = 8
LOWEST_TOP = 0.10
"""The scale shows this much at least, so that a healthy shop is not drawn as if it trembled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One character: part of a column, of the threshold's line, or nothing."""

    text: str
    breaching: bool = False
    is_line: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the picture, with what stands at its axis."""

    label: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Where a value stands. It goes with the square root: one percent is to be seen beside fifty."""

    top: float
    threshold: float
    height: int

    def eighths(self, value: float) -> int:
        """Return the height of a column in eighths of a row; even zero shows."""
        return max(1, round(math.sqrt(max(value, 0.0) / self.top) * self.height * EIGHTHS))

    @property
    def line(self) -> int:
        """The row of the threshold."""
        return min(self.height - 1, int(math.sqrt(self.threshold / self.top) * self.height))

    def label(self, row: int) -> str:
        """Return what stands beside a row."""
        if row == self.line:
            return f"{self.threshold:.0%}"
        return f"{self.top:.0%}" if row == self.height - 1 else "0%" if row == 0 else ""


def draw(values: Sequence[float | None], threshold: float, *, width: int, height: int) -> tuple[Row, ...]:
    """Return the rows from top to bottom; the newest value stands right.

    An unknown value is a dot on the ground, for not knowing is not zero.
    """
    shown = values[-width:]
    top = max([LOWEST_TOP, 4 * threshold, *(value for value in shown if value is not None)])
    scale = Scale(top=top, threshold=threshold, height=height)
    return tuple(
        Row(
            label=scale.label(row),
            cells=(
                *(_empty(row, scale) for _ in range(width - len(shown))),
                *(_unknown(row, scale) if value is None else _column(value, row, scale) for value in shown),
            ),
        )
        for row in reversed(range(height))
    )


def _column(value: float, row: int, scale: Scale) -> Cell:
    filled = min(EIGHTHS, scale.eighths(value) - row * EIGHTHS)
    return Cell(text=BLOCKS[filled], breaching=value > scale.threshold) if filled > 0 else _empty(row, scale)


def _unknown(row: int, scale: Scale) -> Cell:
    return Cell(text="·") if row == 0 else _empty(row, scale)


def _empty(row: int, scale: Scale) -> Cell:
    return Cell(text="╌", is_line=True) if row == scale.line else Cell(text=" ")
