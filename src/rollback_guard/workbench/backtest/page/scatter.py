"""Draw what a sweep tried as points: false alarms against detection delay, the better the nearer to the corner."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rollback_guard.workbench.backtest.page import words
from rollback_guard.workbench.backtest.page.span import Data
from rollback_guard.workbench.backtest.page.sweep import choice

WIDTH, HEIGHT = 520, 340
LEFT, RIGHT, TOP, BOTTOM = 54, 20, 28, 42
INSET = 14
"""How far from the axis a choice without a false alarm stands: there are many of them, and the axis hides none."""

REACH = 9
"""Choices that are nearer to each other than this share one point: else one would hide the other."""

LETTER, LINE = 6.6, 14
"""Width and height of a letter in a label, roughly."""

BESIDE = (
    (11, -7),
    (12, 4),
    (11, 16),
    (-11, -7),
    (-12, 4),
    (-11, 16),
    (0, -13),
    (0, 23),
    (24, -20),
    (-24, -20),
    (24, 29),
)
"""Where a label may begin, or end where that is to the left, seen from its point; the best place first."""

TICKS = 5
SPANS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400, 172800, 604800)
ROUND = (1, 2, 2.5, 5, 10)

Choices = Sequence[Data]
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One or several choices that are at the same place, or so near that none could be seen apart.

    Attributes:
        kinds: `some` where one of them misses no incident, `misses` where one misses any; `best` and `now`.
        told: Each of them in words, the most interesting first.
        label: Short, and where it stands; nothing where there is no room.
    """

    x: float
    y: float
    kinds: Sequence[str]
    told: Sequence[str]
    label: str = ""
    label_x: float = 0
    label_y: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scatter:
    """The drawing: points, the line through the best of them that miss the fewest, and the ticks of both axes.

    Attributes:
        places: Which point a choice is at, by its threshold and `for`.
    """

    points: Sequence[Point]
    places: Mapping[tuple[float, float], int]
    front: str
    across: Sequence[tuple[float, str]]
    up: Sequence[tuple[float, str]]


def scatter(sweep: Data, *, percent: bool) -> Scatter | None:
    """Return the drawing of a sweep; ``None`` where nothing was detected, so that there is no delay."""
    tried = sorted((it for it in sweep["tried"] if it["mean_detection_delay_s"] is not None), key=_interest)
    if not tried:
        return None
    per_week = [unit * 10**power for power in range(-3, 5) for unit in ROUND]
    across = _ticks(max(it["false_alarms_per_week"] for it in tried), per_week)
    up = _ticks(max(it["mean_detection_delay_s"] for it in tried), SPANS_S)
    placed = [(_x(it["false_alarms_per_week"], across[-1]), _y(it["mean_detection_delay_s"], up[-1])) for it in tried]
    together = list(_together(tried, placed))
    points = [_point(place, choices, sweep, percent=percent) for place, choices in together]
    names = [_name(choices, sweep, percent=percent) for _, choices in together]
    return Scatter(
        points=list(_labelled(points, names)),
        places={
            (it["threshold"], it["for_s"]): number for number, (_, choices) in enumerate(together) for it in choices
        },
        front=_front(zip(tried, placed, strict=True)),
        across=[(_x(at, across[-1]), f"{at:g}") for at in across],
        up=[(_y(at, up[-1]), words.span(at)) for at in up],
    )


def _interest(tried: Data) -> tuple[bool, bool, bool, int]:
    """Return what is least of the choice that people want to see first."""
    return not tried["current"], not words.is_starred(tried), not tried["pareto"], len(tried["incidents_missed"])


def _together(tried: Choices, placed: Sequence[tuple[float, float]]) -> Iterator[tuple[tuple[float, float], Choices]]:
    """Yield choices that share a point, which stands at the place of the first of them."""
    found: dict[tuple[float, float], list[Data]] = {}
    for it, place in zip(tried, placed, strict=True):
        near = next((other for other in found if math.dist(place, other) < REACH), place)
        found.setdefault(near, []).append(it)
    yield from found.items()


def _point(place: tuple[float, float], choices: Choices, sweep: Data, *, percent: bool) -> Point:
    kinds = {
        "some": any(not it["incidents_missed"] for it in choices),
        "misses": any(it["incidents_missed"] for it in choices),
        "best": any(words.is_starred(it) for it in choices),
        "now": any(it["current"] for it in choices),
    }
    return Point(
        x=place[0],
        y=place[1],
        kinds=[kind for kind, is_so in kinds.items() if is_so],
        told=[_told(it, sweep, percent=percent) for it in choices],
    )


def _told(tried: Data, sweep: Data, *, percent: bool) -> str:
    star = "★ " if words.is_starred(tried) else "☆ " if tried["pareto"] else ""
    now = " (now)" if tried["current"] else ""
    false, delay = words.rate(tried["false_alarms_per_week"]), words.span(tried["mean_detection_delay_s"])
    missed = len(tried["incidents_missed"]) or "none"
    return f"{star}{choice(tried, sweep, percent=percent)}{now}: {false} a week, {delay} delay, {missed} missed"


def _name(choices: Choices, sweep: Data, *, percent: bool) -> str:
    worth = [it for it in choices if it["current"] or words.is_starred(it)]
    if not worth:
        return ""
    now, more = "now: " if worth[0]["current"] else "", f" +{len(worth) - 1}" if len(worth) > 1 else ""
    return f"{now}{choice(worth[0], sweep, percent=percent)}{more}"


def _labelled(points: Sequence[Point], names: Sequence[str]) -> Iterator[Point]:
    """Yield the points, with labels where they hide no other label and hardly a point; the rule as it is has one."""
    marks: list[Box] = [(it.x - 7, it.y - 7, it.x + 7, it.y + 7) for it in points]
    labels: list[Box] = []
    for it, name in zip(points, names, strict=True):
        boxes = [box for beside in BESIDE if name and _is_inside(box := _box(it, name, *beside))]
        hits = {box: (_hits(box, labels), _hits(box, marks)) for box in boxes}
        best = min(boxes, key=lambda box: hits[box], default=None)
        if best is None or ("now" not in it.kinds and hits[best] > (0, 1)):
            yield it
        else:
            labels.append(best)
            yield replace(it, label=name, label_x=round(best[0], 1), label_y=round(best[3] - 3, 1))


def _box(point: Point, name: str, right: float, down: float) -> Box:
    width = len(name) * LETTER
    left = point.x + right - (width if right < 0 else 0 if right else width / 2)
    return left, point.y + down - LINE + 3, left + width, point.y + down + 3


def _is_inside(box: Box) -> bool:
    return box[0] > LEFT and box[2] < WIDTH and box[1] > TOP - LINE / 2 and box[3] < HEIGHT - BOTTOM


def _hits(one: Box, others: Iterable[Box]) -> int:
    return sum(one[0] < other[2] and one[2] > other[0] and one[1] < other[3] and one[3] > other[1] for other in others)


def _front(placed: Iterable[tuple[Data, tuple[float, float]]]) -> str:
    best = [(len(it["incidents_missed"]), place) for it, place in placed if it["pareto"]]
    fewest = min((missed for missed, _ in best), default=0)
    return " ".join(f"{x},{y}" for x, y in sorted({place for missed, place in best if missed == fewest}))


def _ticks(most: float, steps: Sequence[float]) -> list[float]:
    step = next((it for it in steps if most <= it * TICKS), steps[-1])
    return [step * number for number in range(max(1, math.ceil(most / step)) + 1)]


def _x(value: float, most: float) -> float:
    return round(LEFT + INSET + value / most * (WIDTH - LEFT - INSET - RIGHT), 1)


def _y(value: float, most: float) -> float:
    return round(HEIGHT - BOTTOM - value / most * (HEIGHT - TOP - BOTTOM), 1)
