"""Hold ranges and `max_age` against how often the samples really come.

A range needs two samples for a rate, and with four it survives a scrape that failed. The interval stands in the list of
targets; where a series comes from no target of this server, it is measured from the raw samples of one series.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from statistics import median
from typing import Any

from rollback_guard.config.problems import Level, quoted
from rollback_guard.core import promql
from rollback_guard.core.model import Labels
from rollback_guard.core.observation import Failure
from rollback_guard.core.promql.shape import Match
from rollback_guard.core.promql.treatment import BETTER, LEAST, samples_needed
from rollback_guard.core.units import parse_duration
from rollback_guard.workbench.online.findings import Told
from rollback_guard.workbench.online.rules import CheckedRule, Expression
from rollback_guard.workbench.online.selectors import Selector, Use
from rollback_guard.workbench.online.server import Server, shown

TOPIC = "how often samples come"

MEASURED_OVER = "10m"
"""The raw samples that are looked at: the slowest useful scrape interval leaves two of them."""

JOBS_LOOKED_AT = 4
"""Of one selector; those with the fewest samples."""

SLACK = 1.05
"""A scrape comes a little early or late: what is measured is no rounder than this."""


async def check(server: Server, rules: Sequence[CheckedRule]) -> list[Told]:
    """Return a finding for every range and every `max_age` that is too short for its samples."""
    interested = [
        (rule, expression, use)
        for rule in rules
        for expression in rule.expressions
        for use in expression.uses
        if _is_asked(rule, expression, use)
    ]
    intervals = await _intervals(server, {use.selector for _, _, use in interested})
    told: list[Told] = []
    for rule, expression, use in interested:
        interval = intervals.get(use.selector)
        if interval is not None:
            told += _of_range(expression, use, interval) + _of_age(rule, expression, use, interval)
    return list(dict.fromkeys(told))


def _is_asked(rule: CheckedRule, expression: Expression, use: Use) -> bool:
    if not use.selector.name:
        return False  # of several metrics, whose samples cannot be counted side by side
    return _needs_samples(use) or _has_age(rule, expression, use)


def _needs_samples(use: Use) -> bool:
    return use.range is not None and samples_needed(use.function) > 0


def _has_age(rule: CheckedRule, expression: Expression, use: Use) -> bool:
    """Say whether the daemon asks how old its samples are: not those that are old on purpose, nor those of `when`."""
    is_old = bool(use.offset) or use.pinned or bool(promql.ABOUT_AGE & set(use.functions))
    return rule.rule.max_age is not None and expression.key == "expr" and not is_old


def _of_range(expression: Expression, use: Use, interval: timedelta) -> list[Told]:
    if use.range is None or not _needs_samples(use):
        return []
    least = samples_needed(use.function)
    settled = expression.settled("short-range", use.range_place)
    if use.range * SLACK >= interval * (BETTER if least == LEAST else least):
        return [settled]
    text = f"{use.selector.text}[{shown(use.range)}]"
    every = f"{quoted(use.selector.text)} has a sample every {shown(interval)}"
    hint = f"{every}: write [{shown(interval * BETTER)}] or more."
    if use.range * SLACK < interval * least:
        few = "fewer than two samples" if least == LEAST else "no sample at times"
        message = f"{quoted(text)} holds {few}: {use.function}() makes nothing of them"
        level = Level.WARNING
        return [settled, expression.finding("online-short-range", message, hint=hint, level=level, at=use.range_place)]
    message = f"{quoted(text)} holds fewer than {BETTER} samples: one failed scrape may leave {use.function}() nothing"
    level = Level.NOTICE
    return [settled, expression.finding("online-short-range", message, hint=hint, level=level, at=use.range_place)]


def _of_age(rule: CheckedRule, expression: Expression, use: Use, interval: timedelta) -> list[Told]:
    max_age = rule.rule.max_age
    if not _has_age(rule, expression, use) or max_age is None or max_age * SLACK >= interval * LEAST:
        return []
    message = f"max_age {shown(max_age)} is too short: {quoted(use.selector.text)} has a sample every {shown(interval)}"
    what = "between two of them the rule is unknown" if max_age < interval else "one late sample makes the rule unknown"
    hint = f"{what[0].upper()}{what[1:]}: write `max_age: {shown(interval * (LEAST + 1))}` or more."
    return [expression.finding("online-max-age", message, hint=hint, level=Level.WARNING, at=use.place)]


async def _intervals(server: Server, selectors: Iterable[Selector]) -> Mapping[Selector, timedelta]:
    """Return the longest interval of each selector's samples; where it cannot be told, none."""
    asked = {
        it: f"bottomk({JOBS_LOOKED_AT}, topk by (job) (1, count_over_time({it.text}[{MEASURED_OVER}])))"
        for it in sorted(selectors, key=lambda it: it.text)
    }
    said = await server.instant(TOPIC, asked.values())
    targets: Mapping[tuple[str, str], timedelta] | None = None
    found: dict[Selector, timedelta] = {}
    for selector, query in asked.items():
        for sample in said[query] or ():
            targets = await _targets(server) if targets is None else targets
            labels = dict(sample.labels)
            interval = targets.get((labels.get("job", ""), labels.get("instance", "")))
            interval = interval or await _measured(server, selector, sample.labels)
            if interval is not None:
                found[selector] = max(interval, found.get(selector, timedelta(0)))
    return found


async def _targets(server: Server) -> Mapping[tuple[str, str], timedelta]:
    """Return the scrape interval of each target by job and instance, as far as the server has targets."""
    said = await server.get(TOPIC, "/api/v1/targets", state="active")
    active = said.get("activeTargets") if isinstance(said, dict) else None
    found: dict[tuple[str, str], timedelta] = {}
    for target in active if isinstance(active, list) else []:
        labels, interval = _scraped(target)
        if interval:
            found[str(labels.get("job", "")), str(labels.get("instance", ""))] = interval
    return found


def _scraped(target: Any) -> tuple[Mapping[str, Any], timedelta | None]:
    labels = target.get("labels") if isinstance(target, dict) else None
    return (labels, _duration(target.get("scrapeInterval"))) if isinstance(labels, dict) else ({}, None)


def _duration(text: Any) -> timedelta | None:
    try:
        return parse_duration(text) if isinstance(text, str) else None
    except ValueError:
        return None


async def _measured(server: Server, selector: Selector, labels: Labels) -> timedelta | None:
    """Return the usual distance of the raw samples of one series; ``None`` where there are too few."""
    if selector.opaque:
        return None
    own = (Match(key, "=", value) for key, value in labels)
    exact = replace(selector, matchers=tuple(dict.fromkeys((*selector.matchers, *own))))
    reply = await server.query(TOPIC, f"{exact.text}[{MEASURED_OVER}]")
    if isinstance(reply, Failure) or reply.data.get("resultType") != "matrix":
        return None
    try:
        times = [[float(at_s) for at_s, _ in series["values"]] for series in reply.data["result"]]
    except (LookupError, TypeError, ValueError):
        return None  # it is no matrix after all, or one of histograms
    spacings = [after - before for series in times for before, after in pairwise(series)]
    return timedelta(seconds=round(median(spacings), 1)) if spacings else None
