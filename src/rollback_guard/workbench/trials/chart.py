"""Draw in text what a rule measured against its threshold, with the state of its alert beneath."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

from rollback_guard.core.condition import Comparison
from rollback_guard.core.model import Rule
from rollback_guard.core.units import format_duration
from rollback_guard.workbench.trials.film import FIRING, INACTIVE, LETTERS, PENDING, UNKNOWN, Film, Track
from rollback_guard.workbench.trials.scale import scale_of
from rollback_guard.workbench.trials.trial import Trial

ROWS = 6
MOST_RULES = 4

MARGIN = 12
"""Characters left of the picture: the longest number, a blank and the axis."""

NARROWEST, WIDEST = 20, 120
"""Columns of a picture."""

DENSEST = 8
"""Slots that one column may stand for; of a longer test only its end is drawn."""

BROADEST = 4
"""Characters of a column where a test has few slots."""

AFTER = 0.25
"""How much of the time after the one that is asked for is drawn too, as a share of the time before it that is drawn."""

EIGHTHS = " ▁▂▃▄▅▆▇█"
ABOVE, BELOW = "↑", "↓"
"""A value that no scale has room for."""

SEVERAL = "+"
"""Stands for orders that fall into one column."""

SIGNS = {INACTIVE: ("·", "inactive"), PENDING: ("p", "pending"), FIRING: ("F", "firing"), UNKNOWN: ("?", "unknown")}


@dataclass(frozen=True, slots=True)
class Column:
    """What one column stands for: the worst value of its slots, NaN where there is none, and their gravest state."""

    value: float
    state: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The part of a test that is drawn.

    Attributes:
        first: Its first slot.
        last: Its last one.
        asked: The slots of which something was expected, in their order.
        density: How many slots a column stands for.
        stretch: How many characters a column is wide.
    """

    first: int
    last: int
    asked: tuple[int, ...]
    density: int
    stretch: int

    @property
    def width(self) -> int:
        """How many characters it takes."""
        return ((self.last - self.first) // self.density + 1) * self.stretch


def chart(trial: Trial, film: Film, rules: Sequence[Rule], *, asked_at: Sequence[datetime], width: int) -> str:
    """Return pictures of rules around some times, in as many characters as there is room for."""
    window = _window(trial, asked_at, _room(width))
    pictures = [
        "\n".join([_headline(rule, width), *_picture(trial, film, rule, window)]) for rule in rules[:MOST_RULES]
    ]
    if len(rules) > MOST_RULES:
        pictures.append(f"… and {len(rules) - MOST_RULES} more rules")
    return "\n".join(pictures)


def fits(trial: Trial, asked_at: Sequence[datetime], *, width: int) -> bool:
    """Say whether one picture has room for all of these times."""
    return _window(trial, asked_at, _room(width)).width <= _room(width)


def _room(width: int) -> int:
    return min(WIDEST, max(NARROWEST, width - MARGIN))


def _headline(rule: Rule, width: int) -> str:
    text = f"{rule.name}: {' '.join(rule.condition.expr.split())}"
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _window(trial: Trial, asked_at: Sequence[datetime], columns: int) -> Window:
    asked = tuple(sorted({(at - trial.start) // trial.slot_interval for at in asked_at}))
    after = min(max(4, round(asked[-1] * AFTER)), round(DENSEST * columns * AFTER))
    last = min(len(trial.slots) - 1, asked[-1] + after)
    density = min(DENSEST, math.ceil((last + 1) / columns))
    first = min(asked[0], max(0, last + 1 - density * columns))
    stretch = max(1, min(BROADEST, columns // (last + 1 - first)))
    return Window(first=first, last=last, asked=asked, density=density, stretch=stretch)


def _picture(trial: Trial, film: Film, rule: Rule, window: Window) -> Iterator[str]:
    track, comparison = film.tracks[rule.id], rule.condition.comparison
    columns = [column for column in _columns(track, window, comparison) for _ in range(window.stretch)]
    values = [column.value for column in columns if math.isfinite(column.value)]
    if values and (comparison is not None or len(set(values)) > 1):
        yield from _plot(columns, values, comparison, scale_of(rule))
    yield f"{'state':>{MARGIN - 2}} │{''.join(SIGNS[column.state][0] for column in columns)}"
    verbs = _ordered(trial, film, rule, window)
    if verbs:
        marks = (_mark(verbs.get(number, ())) for number in range(window.width // window.stretch))
        yield f"{'orders':>{MARGIN - 2}} │{''.join(mark.ljust(window.stretch) for mark in marks).rstrip()}"
    yield from _time_axis(trial, window)
    there = [state for state in LETTERS if any(column.state == state for column in columns)]
    legend = [f"{SIGNS[state][0]} {SIGNS[state][1]}" for state in there]
    legend += [f"{_mark([verb])} {verb}" for verb in dict.fromkeys(chain.from_iterable(verbs.values()))]
    unknown = track.unknown(window.first, window.last)
    legend += [f"{reason} in {_slots(count)}" for reason, count in unknown.most_common(2)]
    if track.series > 1:
        legend.append(f"worst of {track.series} series")
    yield " " * MARGIN + ", ".join(legend)


def _ordered(trial: Trial, film: Film, rule: Rule, window: Window) -> Mapping[int, Sequence[str]]:
    """Return by column what people ordered of the guards that listen to a rule."""
    guards = [guard.name for guard in trial.policy.guards.values() if rule.id in guard.rules]
    found: dict[int, list[str]] = {}
    for reply in film.replies:
        given = reply.order.given
        slot = (reply.order.at - trial.start) // trial.slot_interval
        if given and window.first <= slot <= window.last and any(map(reply.order.concerns, guards)):
            found.setdefault((slot - window.first) // window.density, []).append(given.verb)
    return found


def _mark(verbs: Sequence[str]) -> str:
    """Return the sign of what was ordered in one column: the first letter, which no two verbs share."""
    letters = {verb[0].upper() for verb in verbs}
    return SEVERAL if len(letters) > 1 else next(iter(letters), " ")


def _slots(count: int) -> str:
    return f"{count} slot" if count == 1 else f"{count} slots"


def _plot(
    columns: Sequence[Column], values: Sequence[float], comparison: Comparison | None, label: Callable[[float], str]
) -> Iterator[str]:
    bounds = [0.0, *values] if comparison is None else [0.0, comparison.threshold, *values]
    low, high = min(filter(math.isfinite, bounds)), max(filter(math.isfinite, bounds))
    high = high if high > low else low + 1
    step = (high - low) / ROWS
    line = _row_of(comparison.threshold, low, step) if comparison is not None else None
    for row in range(ROWS - 1, -1, -1):
        bottom = low + row * step
        text = label(bottom + step) if row == ROWS - 1 else label(low) if row == 0 else ""
        if row == line and comparison is not None:
            text = label(comparison.threshold)
        empty = "╌" if row == line else " "
        cells = "".join(_cell(column.value, bottom, step, row, empty) for column in columns)
        yield f"{text:>{MARGIN - 2}} {'┼' if row == line else '│'}{cells}"


def _row_of(value: float, low: float, step: float) -> int | None:
    return min(ROWS - 1, int((value - low) / step)) if math.isfinite(value) else None


def _cell(value: float, bottom: float, step: float, row: int, empty: str) -> str:
    if math.isnan(value):
        return empty
    if math.isinf(value):
        if value > 0:
            return ABOVE if row == ROWS - 1 else EIGHTHS[-1]
        return BELOW if row == 0 else empty
    filled = max(0, min(8, math.ceil((value - bottom) / step * 8 - 1e-9)))
    return EIGHTHS[filled] if filled else empty


def _time_axis(trial: Trial, window: Window) -> Iterator[str]:
    """Yield the axis, and beneath it the times that were asked for: a line more where one has no room beside others."""
    begin = format_duration(window.first * trial.slot_interval)
    end = format_duration(window.last * trial.slot_interval)
    rest = window.width - len(begin) - len(end)
    ends = f"{begin}{'─' * rest}{end}" if rest > 0 else begin
    yield " " * (MARGIN - 1) + f"└{ends}"
    lines: list[str] = []
    for asked in window.asked:
        place = (asked - window.first) // window.density * window.stretch
        text = format_duration(asked * trial.slot_interval)
        is_left = place < max(window.width // 2, len(text) + 1)
        start, mark = (place, f"▲ {text}") if is_left else (place - len(text) - 1, f"{text} ▲")
        free = next((number for number, line in enumerate(lines) if len(line) < start), len(lines))
        lines[free:] = [(lines[free] if free < len(lines) else "").ljust(start) + mark, *lines[free + 1 :]]
    yield from (" " * MARGIN + line for line in lines)


def _columns(track: Track, window: Window, comparison: Comparison | None) -> Iterator[Column]:
    """Yield the columns, each the worst of the slots that it stands for."""
    for start in range(window.first, window.last + 1, window.density):
        end = min(start + window.density, window.last + 1)
        values = [value for value in track.values[start:end] if not math.isnan(value)]
        worst = min(values, key=comparison.margin, default=math.nan) if comparison else max(values, default=math.nan)
        states = track.states[start:end]
        yield Column(worst, next(state for state in LETTERS if state in states))
