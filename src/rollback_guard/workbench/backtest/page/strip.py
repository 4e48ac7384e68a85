"""Draw the whole time as a strip: where a rule was pending, firing or unknown, as paths of an SVG."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rollback_guard.core.observation import IDLE
from rollback_guard.workbench.backtest.page.past import Past
from rollback_guard.workbench.backtest.page.span import Data, Piece, Played, joined

WIDTH = 600
"""Columns of a strip."""

HEIGHT = 16
NARROWEST = 2
"""Columns; what is shorter than an hour of a month is still to be seen."""


def of_rule(rule: Data, played: Played) -> Mapping[str, str]:
    """Return the paths of a rule, by the state that they show."""
    unseen: tuple[list[Data], list[Data]] = ([], [])
    for it in rule["unseen"]:
        unseen[it["why"] in IDLE].append(it)
    return {
        "idle": _path(played.pieces(unseen[True]), played, top=0),
        "blind": _path(played.pieces(unseen[False]), played, top=0),
        "pending": _path(played.pieces(rule["pending"]), played, top=HEIGHT // 2),
        "firing": _path(played.pieces(rule["firing"]), played, top=0),
    }


def of_past(past: Past, played: Played) -> Mapping[str, str]:
    """Return the paths of what people know: incidents and deploys."""
    incidents, deploys = [it.piece for it in past.incidents], [(it.at, it.at) for it in past.deploys]
    return {
        "incident": _path(joined(incidents), played, top=HEIGHT // 2),
        "deploy": _path(joined(deploys), played, top=0, bottom=HEIGHT // 2),
    }


def _path(pieces: Iterable[Piece], played: Played, *, top: int, bottom: int = HEIGHT) -> str:
    scale, height = WIDTH / played.length_s, bottom - top
    columns = ((int(begin * scale), max(int(begin * scale) + NARROWEST, round(end * scale))) for begin, end in pieces)
    inside = ((max(0, begin), min(end, WIDTH)) for begin, end in columns if end > 0 and begin < WIDTH)
    return "".join(f"M{begin} {top}h{end - begin}v{height}h-{end - begin}z" for begin, end in joined(inside))
