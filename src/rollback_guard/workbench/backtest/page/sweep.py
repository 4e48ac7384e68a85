"""Lay a sweep out as a grid of thresholds and `for`, from dark to light by what it costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rollback_guard.workbench.backtest.page import words
from rollback_guard.workbench.backtest.page.span import Data

SHADES = 5
"""Of the grid, from none to the most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """What was tried, by threshold and by `for`.

    Attributes:
        rows: One per threshold, with one cell per `for`; ``None`` where nothing was tried.
        now: The rule as it is, where it is none of the cells.
    """

    thresholds: Sequence[float]
    holds: Sequence[float]
    rows: Sequence[Sequence[Data | None]]
    now: Data | None


def grid(sweep: Data) -> Grid:
    """Return the grid of a sweep."""
    tried = [it for it in sweep["tried"] if not it["current"]] or sweep["tried"]
    thresholds = sorted({it["threshold"] for it in tried})
    holds = sorted({it["for_s"] for it in tried})
    cells = {(it["threshold"], it["for_s"]): it for it in sweep["tried"]}
    return Grid(
        thresholds=thresholds,
        holds=holds,
        rows=[[cells.get((threshold, hold)) for hold in holds] for threshold in thresholds],
        now=next((it for it in sweep["tried"] if it["current"] and not _within(it, thresholds, holds)), None),
    )


def _within(tried: Data, thresholds: Sequence[float], holds: Sequence[float]) -> bool:
    return tried["threshold"] in thresholds and tried["for_s"] in holds


def shade(tried: Data, sweep: Data, cost: str) -> int:
    """Return how dark a cell is: 0 for no cost, the most for the dearest."""
    most = max(it[cost] for it in sweep["tried"])
    return math.ceil(tried[cost] / most * (SHADES - 1)) if most else 0


def choice(tried: Data, sweep: Data, *, percent: bool) -> str:
    """Return what was tried: ``> 1%, 5m``."""
    return f"{sweep['op']} {words.number(tried['threshold'], percent=percent)}, {words.span(tried['for_s'])}"
