"""Draw in text what a rule measured against its threshold, with the state of its alert beneath."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from rollback_guard.core.condition import Comparison
from rollback_guard.core.model import Rule
from rollback_guard.core.units import format_duration
from rollback_guard.workbench.trials.film import FIRING, INACTIVE, PENDING, UNKNOWN, Film
from rollback_guard.workbench.trials.trial import Trial

COLUMNS = 64
ROWS = 6
MOST_RULES = 4

EIGHTHS = " ▁▂▃▄▅▆▇█"
STATES = {"inactive": "·", "pending": "p", "firing": "F", "unknown": "?"}
"""The sign of each state; that of a column is the gravest of its slots."""

GRAVITY = ("firing", "pending", "unknown", "inactive")


@dataclass(frozen=True, slots=True)
class Column:
    """What one column stands for: the worst value of its slots, and their gravest state."""

    value: float | None
    state: str


def chart(trial: Trial, film: Film, rules: Sequence[Rule], *, until: datetime) -> str:
    """Return pictures of the rules from the beginning of the trial to some time."""
    pictures = [_chart(trial, film, rule, until) for rule in rules[:MOST_RULES]]
    if len(rules) > MOST_RULES:
        pictures.append(f"… and {len(rules) - MOST_RULES} more rules")
    return "\n".join(pictures)


def _chart(trial: Trial, film: Film, rule: Rule, until: datetime) -> str:
    comparison = rule.condition.comparison
    track = film.tracks[rule.id]
    most = (until - trial.start) // trial.slot_interval + 1
    names = {FIRING: "firing", PENDING: "pending", UNKNOWN: "unknown", INACTIVE: "inactive"}
    frames = [
        Column(None if math.isnan(value) else value, names[state])
        for value, state in zip(track.values[:most], track.states[:most], strict=True)
    ]
    columns = list(_columns(frames, comparison))
    values = [column.value for column in columns if column.value is not None and math.isfinite(column.value)]
    lines = [f"{rule.name}: {' '.join(rule.condition.expr.split())}"]
    if values and comparison is not None:
        lines += _plot(columns, values, comparison.threshold)
    slots = len(frames)
    end = format_duration((slots - 1) * trial.slot_interval) if slots else "0s"
    lines.append(f"{'state':>10} │{''.join(STATES[column.state] for column in columns)}")
    lines.append(f"{'':>10} └{'0s'.ljust(max(2, len(columns) - len(end)))}{end}")
    lines.append(f"{'':>12}" + "  ".join(f"{sign} {state}" for state, sign in STATES.items()))
    return "\n".join(lines)


def _plot(columns: Sequence[Column], values: Sequence[float], threshold: float) -> Iterator[str]:
    low, high = min(0.0, threshold, *values), max(threshold, *values)
    high = high if high > low else low + 1
    step = (high - low) / ROWS
    for row in range(ROWS - 1, -1, -1):
        bottom = low + row * step
        here = bottom <= threshold < bottom + step or (row == ROWS - 1 and threshold == high)
        label = f"{threshold:.4g}" if here else f"{bottom + step:.3g}" if row == ROWS - 1 else ""
        cells = "".join(_bar(column.value, bottom, step, "╌" if here else " ") for column in columns)
        yield f"{label:>10} {'┼' if here else '│'}{cells}"


def _bar(value: float | None, bottom: float, step: float, empty: str) -> str:
    if value is None or not math.isfinite(value):
        return empty
    filled = max(0, min(8, math.ceil((value - bottom) / step * 8)))
    return EIGHTHS[filled] if filled else empty


def _columns(cells: Sequence[Column], comparison: Comparison | None) -> Iterator[Column]:
    """Yield at most `COLUMNS` of them, each the worst of those that it stands for."""
    width = max(1, math.ceil(len(cells) / COLUMNS))
    for start in range(0, len(cells), width):
        part = cells[start : start + width]
        state = next(state for state in GRAVITY if any(cell.state == state for cell in part))
        values = [cell.value for cell in part if cell.value is not None]
        yield Column(min(values, key=comparison.margin, default=None) if comparison else None, state)
