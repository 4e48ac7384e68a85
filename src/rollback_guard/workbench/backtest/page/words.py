"""Put what a backtest found of a rule, a guard or a sweep into sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from math import isfinite
from typing import Any

from promql_parser import Expr

from rollback_guard.core import promql, wording
from rollback_guard.core.condition import Comparison, Operator
from rollback_guard.core.observation import IDLE
from rollback_guard.core.promql import PromqlError
from rollback_guard.core.promql.shape import comparisons
from rollback_guard.core.promql.share import division

Data = Mapping[str, Any]

NONE = "\u2013"
"""A dash, where there is no figure."""

HOUR_S, DAY_S = 3600, 86400
FULL_DAYS = 7
"""From here on nobody counts minutes, and 14d is what was asked for and not 2w."""

KINDS = {"incident": "known incident", "deploy": "after a deploy", "false_alarm": "false alarm"}
ONCE = {"in_incidents": "in a known incident", "after_deploys": "after a deploy", "false_alarms": "a false alarm"}


def is_share(expr: str) -> bool:
    """Say whether an expression surely measures a part of a whole: only then percents are no guess."""
    try:
        tree: Expr = promql.parse(expr)
    except PromqlError:
        return False  # a probe, for example
    found = [division(compared.measured) for compared in comparisons(tree) if compared.alone]
    return bool(found) and all(it is not None and it.is_share and it.scale == 1 for it in found)


def number(value: float | None, *, percent: bool = False) -> str:
    """Return a value as people read it."""
    if value is None:
        return NONE
    return f"{wording.number(float(f'{value * 100:.3g}'))}%" if percent and isfinite(value) else wording.number(value)


def rate(per_week: float) -> str:
    """Return how often something is in a week, as exactly as is known of a past that is short."""
    return wording.number(float(f"{per_week:.3g}"))


def span(seconds: float | None) -> str:
    """Return a length of time: ``5m21s``."""
    if seconds is None:
        return NONE
    days, rest = divmod(round(seconds), DAY_S)
    if days < FULL_DAYS:
        return wording.span(timedelta(seconds=round(seconds)))
    hours = rest // HOUR_S
    return f"{days}d{hours}h" if hours else f"{days}d"


def count(many: int, what: str) -> str:
    """Return a number of things: ``1 firing``, ``3 firings``."""
    return f"{many} {what}" if many == 1 else f"{many} {what}s"


def times(many: int) -> str:
    """Return how often: ``once``, ``3 times``."""
    return {1: "once", 2: "twice"}.get(many, f"{many} times")


def share(part: float, whole: float) -> str:
    """Return a share of time: what is not nothing is never shown as nothing."""
    if not whole or not part:
        return "0%"
    ratio = part / whole
    return "<0.1%" if ratio < 0.001 else f"{ratio * 100:.3g}%"  # noqa: PLR2004  the tenth of a percent that is shown


def listed(words: Sequence[str], last: str = "and") -> str:
    """Return words as a list that can be read aloud."""
    return f" {last} ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def clock(at: str | None) -> str:
    """Return a time as people read it, to the second."""
    return NONE if at is None else at[:19].replace("T", " ")


def condition(rule: Data, *, percent: bool) -> str:
    """Return what a rule compares with: ``> 1%``."""
    return f"{rule['op']} {number(rule['threshold'], percent=percent)}" if rule["op"] else "any sample"


def is_seen(rule: Data) -> bool:
    """Say whether anything was ever known of a rule."""
    return rule["firings"] is not None


def could_act(guard: Data, rules: Sequence[Data]) -> bool:
    """Say whether it tells anything what a guard did: it acted, or one of its rules was known now and then."""
    return bool(guard["incidents"]) or any(is_seen(rule) for rule in rules if rule["id"] in guard["rules"])


def why_unknown(rule: Data) -> str:
    """Return the main reason why a rule was unknown, and for which share of the time it was: ``heartbeat 100%``."""
    unknown = rule["unknown"]
    if not rule["slots"]:
        return "no data"
    reason = max(unknown, key=unknown.__getitem__).replace("_", " ") if unknown else ""
    more = ", …" if len(unknown) > 1 else ""
    return f"{reason}{more} {share(sum(unknown.values()), rule['slots'])}".lstrip()


def is_starred(tried: Data) -> bool:
    """Say whether a choice of a sweep is marked: none is better, and it stands for those that come to the same."""
    return bool(tried["pareto"] and not tried["same_as"])


def is_same(tried: Data, starred: Data) -> bool:
    """Say whether a choice of a sweep comes to the same as another one, which is marked in its place."""
    return bool(tried["same_as"] == {"threshold": starred["threshold"], "for_s": starred["for_s"]})


def labels(series: Mapping[str, str]) -> str:
    """Return the labels of a series, as PromQL writes them."""
    return ", ".join(f'{name}="{value}"' for name, value in series.items())


def idle_slots(unknown: Mapping[str, int]) -> int:
    """Return in how many slots there was nothing to judge."""
    return sum(many for why, many in unknown.items() if why in IDLE)


def blind_slots(unknown: Mapping[str, int]) -> int:
    """Return in how many slots a rule could not be seen."""
    return sum(unknown.values()) - idle_slots(unknown)


def verdict(rule: Data, *, percent: bool) -> str:
    """Return what became of a rule, in one or two sentences."""
    return " ".join(_sentences(rule, percent=percent))


def _sentences(rule: Data, *, percent: bool) -> Iterator[str]:
    slots, unknown = rule["slots"], sum(rule["unknown"].values())
    if not slots:
        yield "It was not evaluated once."
        return
    if unknown >= slots:
        yield f"It was unknown in every evaluation ({_causes(rule)}): nothing can be said of it."
        return
    yield _fired(rule) + _reach(rule, percent=percent) + "."
    if rule["pendings"]:
        yield f"It was pending {times(rule['pendings'])} without firing, {_longest(rule)}."
    if rule["score"] and (missed := rule["score"]["incidents_missed"]):
        names = [it["name"] or clock(it["start"]) for it in missed]
        yield f"It did not fire in {_some(names)}."
    if unknown:
        yield f"Unknown in {share(unknown, slots)} of its evaluations: {_causes(rule)}."


def _fired(rule: Data) -> str:
    many, judged = rule["firings"], rule["score"]
    if not many:
        return "Never fired"
    fired = f"Fired {times(many)}, for {span(rule['firing_s'])}{' in all' if many > 1 else ''}"
    if judged is None:
        return fired
    if many == 1:
        return f"{fired}, {next((what for key, what in ONCE.items() if judged[key]), ONCE['false_alarms'])}"
    parts = [
        f"{each} in {'a known incident' if each == 1 else 'known incidents'}"
        if (each := judged["in_incidents"])
        else "",
        f"{each} after {'a deploy' if each == 1 else 'deploys'}" if (each := judged["after_deploys"]) else "",
        count(judged["false_alarms"], "false alarm") if judged["false_alarms"] else "no false alarm",
    ]
    return f"{fired}: {listed([it for it in parts if it])}"


def _reach(rule: Data, *, percent: bool) -> str:
    near, op = rule["nearest"], rule["op"]
    if near is None or op is None:
        return ""
    compared = Comparison(op=Operator(op), threshold=rule["threshold"])
    value, limit = number(near["value"], percent=percent), condition(rule, percent=percent)
    if compared.holds(near["value"]):
        return f"; the value went as far as {value}, with {limit} as the threshold"
    return f"; the value came as near as {value} to {limit}"


def _longest(rule: Data) -> str:
    most, hold = rule["longest_pending_s"], rule["for_s"]
    return f"for {span(most)} at the longest of the {span(hold)} that it takes" if hold else f"for {span(most)}"


def _causes(rule: Data) -> str:
    by_size = sorted(rule["unknown"].items(), key=lambda it: -it[1])
    return ", ".join(f"{why.replace('_', ' ')} {share(many, rule['slots'])}" for why, many in by_size)


def _some(names: Sequence[str], most: int = 4) -> str:
    rest = len(names) - most
    return listed(names) if rest <= 0 else f"{', '.join(names[:most])} and {count(rest, 'other known incident')}"
