"""Read promtool's notation of series and their values, and what we add to it: how a series goes on once it is cured."""

from rollback_guard.core.notation.failure import NotationError
from rollback_guard.core.notation.series import parse_series
from rollback_guard.core.notation.values import MAX_VALUES, STALE, Item, cured, expand, is_stale, parse_values

__all__ = [
    "MAX_VALUES",
    "STALE",
    "Item",
    "NotationError",
    "cured",
    "expand",
    "is_stale",
    "parse_series",
    "parse_values",
]
