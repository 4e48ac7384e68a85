"""Pack what one chart draws: small, for a page has hundreds of them."""

from __future__ import annotations

import math
from typing import Any

from rollback_guard.core.observation import IDLE
from rollback_guard.workbench.backtest.page.past import Past, numbers
from rollback_guard.workbench.backtest.page.span import Data, Played

DIGITS = 5
"""Of a value: more than a screen can show."""

Packed = dict[str, Any]


def shared(past: Past, played: Played) -> Packed:
    """Return what all charts draw."""
    return {
        "start": played.start,
        "length": played.length_s,
        "deploys": past.deploys,
        "incidents": [[*it.piece, it.name] for it in past.incidents],
    }


def packed(rule: Data, data: Data, past: Past, played: Played, *, percent: bool) -> Packed:
    """Return what the chart of one rule draws; times count from the beginning, values by number of bucket."""
    line, threshold = rule["line"], rule["threshold"]
    step = line["step_s"] or 1
    low, high = [[_short(value) for value in line[side]] for side in ("low", "high")]
    before = [{"began_at": it["active_at"], "ended_at": it["began_at"]} for it in rule["firing"] if it["active_at"]]
    return {
        "op": rule["op"],
        "threshold": threshold if threshold is not None and math.isfinite(threshold) else None,
        "percent": percent,
        "step": step,
        "interval": rule["interval_s"],
        "slots": [
            [it["bucket"], round(it["at"] - played.start), [_short(value) for value in it["values"]]]
            for it in line["slots"]
        ],
        "gap": 2.5 * max(step, rule["interval_s"]),
        "at": [math.floor((at - played.start) / step) for at in line["at"]],
        "low": low,
        "high": None if high == low else high,
        "firing": played.pieces(rule["firing"]),
        "pending": played.pieces([*rule["pending"], *before]),
        "unknown": _unknown(rule, played),
        "acts": [_act(it, guard["name"], played) for guard, it in guard_incidents(rule["id"], data)],
        "deploys": numbers(past.deploys, rule["guards"]),
        "incidents": numbers(past.incidents, rule["guards"]),
    }


def guard_incidents(rule: str, data: Data) -> list[tuple[Data, Data]]:
    """Return the guards' incidents in which a rule has a part."""
    return [(guard, it) for guard in data["guards"] for it in guard["incidents"] if rule in it["rules"]]


def ending(incident: Data) -> str:
    """Return how a guard's incident ended."""
    words = ": ".join(filter(None, [incident["decision"], incident["reason"]]))
    return words.replace("_", " ") or "open at the end"


def _unknown(rule: Data, played: Played) -> list[list[Any]]:
    """Return when a rule was unknown, and why; what is idle is kept apart from what could not be seen."""
    reasons = dict.fromkeys(it["why"] for it in rule["unseen"])
    found = []
    for why in reasons:
        pieces = played.pieces(it for it in rule["unseen"] if it["why"] == why)
        found += [[*piece, why.replace("_", " "), why in IDLE] for piece in pieces]
    return sorted(found)


def _act(incident: Data, guard: str, played: Played) -> Packed:
    return {
        "guard": guard,
        "from": played.place(incident["opened_at"]),
        "to": played.place(incident["closed_at"]),
        "steps": [[played.place(it["at"]), it["action"]] for it in incident["actions"]],
        "end": ending(incident),
    }


def _short(value: float | None) -> float | str | None:
    """Return a value as JSON can hold it; what has no end is told and not drawn."""
    if value is None or math.isnan(value):
        return None
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return float(f"{value:.{DIGITS}g}")
