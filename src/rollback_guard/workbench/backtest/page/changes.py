"""List what other rules would have changed, in the order of time."""

from __future__ import annotations

from rollback_guard.workbench.backtest.page.span import Data

Change = Data
"""A firing or an action with its `sign`: `-` for one that is gone, `+` for a new one, `~` for one that moved."""


def of_rule(rule: Data) -> list[Change]:
    """Return which firings of a rule came, went, or moved."""
    found = [
        *({**it, "sign": "-"} for it in rule["only_before"]),
        *({**it, "sign": "+"} for it in rule["only_after"]),
        *({**it["after"], "sign": "~", "earlier_s": it["earlier_s"]} for it in rule["moved"]),
    ]
    return sorted(found, key=lambda it: it["began_at"])


def of_guard(guard: Data) -> list[Change]:
    """Return what a guard would do with other rules, what not, and what at another time."""
    both = [it[side] for it in guard["moved"] for side in ("before", "after")]
    found = [
        *({**it, "sign": "-"} for it in guard["only_before"] if it not in both),
        *({**it, "sign": "+"} for it in guard["only_after"] if it not in both),
        *({**it["after"], "sign": "~", "earlier_s": it["earlier_s"]} for it in guard["moved"]),
    ]
    return sorted(found, key=lambda it: it["at"])
