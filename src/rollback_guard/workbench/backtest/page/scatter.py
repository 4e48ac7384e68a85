"""Draw what a sweep tried as points: false alarms against detection delay, the better the nearer to the corner."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rollback_guard.workbench.backtest.page import words
from rollback_guard.workbench.backtest.page.span import Data
from rollback_guard.workbench.backtest.page.sweep import choice

WIDTH, HEIGHT = 520, 330
LEFT, RIGHT, TOP, BOTTOM = 58, 20, 14, 42
LETTER, LINE = 6.6, 14
"""Width and height of a letter in a label, roughly."""

TICKS = 5
SPANS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400, 172800, 604800)
ROUND = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One or several choices that come to the same.

    Attributes:
        told: All of them in words, for whoever points at it.
        label: Short, and where it stands; nothing where there is no room.
    """

    x: float
    y: float
    kind: str
    told: str
    label: str = ""
    label_x: float = 0
    label_y: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scatter:
    """The drawing: points, the line through the best of them, and the ticks of both axes."""

    points: Sequence[Point]
    front: str
    across: Sequence[tuple[float, str]]
    up: Sequence[tuple[float, str]]


def scatter(sweep: Data, *, percent: bool) -> Scatter | None:
    """Return the drawing of a sweep; ``None`` where nothing was detected, so that there is no delay."""
    groups: dict[tuple[float, float, int], list[Data]] = {}
    for it in sweep["tried"]:
        if it["mean_detection_delay_s"] is not None:
            place = it["false_alarms_per_week"], it["mean_detection_delay_s"], len(it["incidents_missed"])
            groups.setdefault(place, []).append(it)
    if not groups:
        return None
    across = _ticks(max(place[0] for place in groups), [unit * 10**power for power in range(-3, 5) for unit in ROUND])
    up = _ticks(max(place[1] for place in groups), SPANS_S)
    placed = sorted(groups.items())
    points = [
        Point(
            x=_x(per_week, across[-1]),
            y=_y(delay, up[-1]),
            kind=_kind(tried, missed),
            told=_told(tried, sweep, percent=percent),
        )
        for (per_week, delay, missed), tried in placed
    ]
    names = [_name(tried, sweep, percent=percent) for _, tried in placed]
    return Scatter(
        points=list(_labelled(points, names)),
        front=_front(points),
        across=[(_x(at, across[-1]), f"{at:g}") for at in across],
        up=[(_y(at, up[-1]), words.span(at)) for at in up],
    )


def _kind(tried: Sequence[Data], missed: int) -> str:
    best = any(it["pareto"] for it in tried)
    parts = ["best" if best else "", "now" if any(it["current"] for it in tried) else "", "misses" if missed else ""]
    return " ".join(filter(None, parts))


def _told(tried: Sequence[Data], sweep: Data, *, percent: bool) -> str:
    first = tried[0]
    per_week, missed = words.number(first["false_alarms_per_week"]), len(first["incidents_missed"])
    delay = words.span(first["mean_detection_delay_s"])
    found = f"{per_week} false alarms per week, {delay} delay, {missed} missed"
    return f"{'; '.join(choice(it, sweep, percent=percent) for it in tried)}: {found}"


def _name(tried: Sequence[Data], sweep: Data, *, percent: bool) -> str:
    worth = [it for it in tried if it["current"]] or [it for it in tried if it["pareto"]]
    if not worth:
        return ""
    now = "now: " if worth[0]["current"] else ""
    return f"{now}{choice(worth[0], sweep, percent=percent)}{f' +{len(worth) - 1}' if len(worth) > 1 else ''}"


def _labelled(points: Sequence[Point], names: Sequence[str]) -> Iterator[Point]:
    """Yield the points, with labels where they hide neither a point nor another label."""
    taken = [(it.x - 5, it.y - 5, it.x + 5, it.y + 5) for it in points]
    for it, name in sorted(zip(points, names, strict=True), key=lambda each: "now" not in each[0].kind):
        width = len(name) * LETTER
        beside = [(7.0, -8.0), (9.0, 4.0), (-width - 7, -8.0), (-width / 2, -10.0), (-width / 2, 20.0)]
        for x, y in ((it.x + right, it.y + down) for right, down in beside if name):
            box = (x, y - LINE + 3, x + width, y + 3)
            inside = box[0] > LEFT and box[2] < WIDTH and box[1] > 0 and box[3] < HEIGHT - BOTTOM
            if inside and not any(_hits(box, other) for other in taken):
                taken.append(box)
                yield replace(it, label=name, label_x=round(x, 1), label_y=round(y, 1))
                break
        else:
            yield it


def _hits(one: Sequence[float], other: Sequence[float]) -> bool:
    return one[0] < other[2] and one[2] > other[0] and one[1] < other[3] and one[3] > other[1]


def _front(points: Sequence[Point]) -> str:
    best = sorted((it for it in points if "best" in it.kind and "misses" not in it.kind), key=lambda it: (it.x, it.y))
    return " ".join(f"{it.x},{it.y}" for it in best)


def _ticks(most: float, steps: Sequence[float]) -> list[float]:
    step = next((it for it in steps if most <= it * TICKS), steps[-1])
    return [step * number for number in range(max(1, math.ceil(most / step)) + 1)]


def _x(value: float, most: float) -> float:
    return round(LEFT + value / most * (WIDTH - LEFT - RIGHT), 1)


def _y(value: float, most: float) -> float:
    return round(HEIGHT - BOTTOM - value / most * (HEIGHT - TOP - BOTTOM), 1)
