"""Tell people what a backtest found: tables of rules, what guards would have done, and what is worth a second look."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rollback_guard.config.problems import printable
from rollback_guard.workbench.backtest.page import words
from rollback_guard.workbench.backtest.page.words import clock, count, labels, span

Data = Mapping[str, Any]

SHOWN = 12
"""Incidents of one guard, and firings that a comparison shows."""

SAME_NAMED = 3
"""Choices of a sweep that come to the same as one, and are named beside it."""

WIDTH = 100
WIDEST_NAME = 30
"""Of a rule in a table: with its figures a line has no more columns than that."""


def lines_of(data: Data) -> Iterator[str]:
    """Yield what people read, without what could steer a terminal."""
    for line in _lines(data):
        yield printable(line)


def _lines(data: Data) -> Iterator[str]:
    yield f"{', '.join(data['files'])}, from {clock(data['start'])} to {clock(data['end'])} UTC"
    for each in data["refused"]:
        yield from _paragraph(
            f"REFUSED: the server does not understand {each['id']}, it was not played: {each['detail']}"
        )
    yield ""
    yield from _table(_rules(data["rules"]))
    judged = [rule for rule in data["rules"] if rule["score"]]
    if judged:
        yield ""
        yield from _table(_scores(judged))
    for guard in data["guards"]:
        yield ""
        yield from _guard(guard)
    if data["sweep"]:
        yield ""
        yield from _sweep(data["sweep"], data)
    if data["compare"]:
        yield ""
        yield from _comparison(data["compare"])
    if data["remarks"]:
        yield ""
        for remark in data["remarks"]:
            yield from _paragraph(f"Note: {remark}.")


def _paragraph(text: str) -> Iterator[str]:
    yield from textwrap.wrap(printable(text), WIDTH, subsequent_indent="  ", break_long_words=False)


def _rules(rules: Sequence[Data]) -> Iterator[Sequence[str]]:
    yield ["rule", "fired", "firing for", "nearly", "longest", "nearest", "threshold", "unknown"]
    for rule in rules:
        percent = words.is_share(rule["expr"])
        yield [
            _name(rule["id"]),
            str(rule["firings"]) if rule["slots"] and not _is_unknown(rule) else "?",
            span(rule["firing_s"]) if rule["firings"] else "",
            str(rule["pendings"]),
            span(rule["longest_pending_s"]) if rule["longest_pending_s"] is not None else "",
            words.number(rule["nearest"]["value"], percent=percent) if rule["nearest"] else "",
            words.condition(rule, percent=percent) if rule["op"] else "",
            words.share(sum(rule["unknown"].values()), rule["slots"]) if rule["slots"] else "no data",
        ]


def _is_unknown(rule: Data) -> bool:
    """Say whether nothing was ever known of a rule: that it did not fire says nothing then."""
    return not rule["firings"] and sum(rule["unknown"].values()) >= rule["slots"]


def _scores(rules: Sequence[Data]) -> Iterator[Sequence[str]]:
    yield ["firings of", "incident", "deploy", "false", "per week", "missed", "mean delay", "longest"]
    for rule in rules:
        yield [_name(rule["id"]), *_scored(rule["score"])]


def _scored(score: Data) -> list[str]:
    missed, detected = len(score["incidents_missed"]), score["incidents_detected"]
    mean, longest = score["mean_detection_delay_s"], score["longest_detection_delay_s"]
    return [
        str(score["in_incidents"]),
        str(score["after_deploys"]),
        str(score["false_alarms"]),
        f"{score['false_alarms_per_week']:.3g}",
        f"{missed} of {missed + detected}" if missed + detected else "",
        span(mean) if mean is not None else "",
        span(longest) if longest is not None else "",
    ]


def _guard(guard: Data) -> Iterator[str]:
    incidents = guard["incidents"]
    acting = [each for each in incidents if each["actions"]]
    yield f"guard {guard['name']}: {count(len(incidents), 'incident')}, acting in {len(acting)}"
    held = ", ".join(f"{reason.replace('_', ' ')} {words.times(many)}" for reason, many in guard["held"].items())
    if held:
        yield from textwrap.wrap(f"  held by: {held}", WIDTH, subsequent_indent="    ")
    for incident in incidents[:SHOWN]:
        first, *further = incident["actions"] or [None]
        did = f"{first['action']} ({first['reason']})" if first else _without_action(incident)
        yield f"  {clock(incident['opened_at'])}  {did}, for {', '.join(incident['rules'])}"
        for each in further:
            yield f"      had that not helped: {each['action']} at {clock(each['at'])}"
    if len(incidents) > SHOWN:
        yield f"  … and {len(incidents) - SHOWN} more; --output json and --html have all of them"


def _without_action(incident: Data) -> str:
    ending = " ".join(filter(None, [incident["decision"], incident["reason"]]))
    return f"no action: {ending or 'open at the end'}".replace("_", " ")


def _sweep(sweep: Data, data: Data) -> Iterator[str]:
    percent = any(rule["id"] == sweep["rule"] and words.is_share(rule["expr"]) for rule in data["rules"])
    yield f"{sweep['rule']} with other thresholds and `for`:"
    tried = sweep["tried"]
    worth = [each for each in tried if words.is_starred(each) or each["current"]]
    shown = worth if len(tried) > SHOWN and any(each["pareto"] for each in tried) else tried
    head = ["threshold", "for", "fired", "in incidents", "after deploys", "false/week", "missed", "mean delay"]
    rows = [head, *([*_choice(each, sweep, percent=percent), *_figures(each)] for each in shown)]
    marks = ["", *(_mark(each, sweep, percent=percent) for each in shown)]
    lines = list(_table(rows))
    width = max(map(len, lines))
    for line, mark in zip(lines, marks, strict=True):
        yield f"{line.ljust(width)}  {mark}".rstrip()
    if len(shown) < len(tried):
        yield f"… and {len(tried) - len(shown)} that are no better; --output json and --html have all of them"
    if data["incidents"]:
        yield "*: no other choice is better in missed, false alarms or delay without being worse in another"
    else:
        yield "Give --incidents to have the choices marked of which none is better."


def _choice(tried: Data, sweep: Data, *, percent: bool) -> list[str]:
    return [words.condition({**tried, "op": sweep["op"]}, percent=percent), span(tried["for_s"])]


def _figures(tried: Data) -> list[str]:
    delay = tried["mean_detection_delay_s"]
    return [
        str(tried["firings"]),
        str(tried["in_incidents"]),
        str(tried["after_deploys"]),
        f"{tried['false_alarms_per_week']:.3g}",
        str(len(tried["incidents_missed"])),
        span(delay) if delay is not None else "",
    ]


def _mark(tried: Data, sweep: Data, *, percent: bool) -> str:
    """Return what is remarkable of a choice, and which others come to the same."""
    same = [" ".join(_choice(each, sweep, percent=percent)) for each in sweep["tried"] if words.is_same(each, tried)]
    more = f" and {len(same) - SAME_NAMED} more" if len(same) > SAME_NAMED else ""
    parts = {"*": words.is_starred(tried), "now": tried["current"], f"same: {', '.join(same[:SAME_NAMED])}{more}": same}
    return " ".join(part for part, is_so in parts.items() if is_so)


def _comparison(comparison: Data) -> Iterator[str]:
    yield f"compared with {', '.join(comparison['files'])}:"
    lines = [line for rule in comparison["rules"] for line in _changed(rule)]
    lines += [line for guard in comparison["guards"] for line in _acted(guard)]
    yield from lines or ["  nothing would have changed"]


def _changed(rule: Data) -> Iterator[str]:
    parts = [("-", each) for each in rule["only_before"]] + [("+", each) for each in rule["only_after"]]
    for sign, period in parts[:SHOWN]:
        series = f" {{{labels(period['series'])}}}" if period["series"] else ""
        yield f"  {sign} {rule['id']} fires at {clock(period['began_at'])}{series}"
    for each in rule["moved"][:SHOWN]:
        way = "earlier" if each["earlier_s"] > 0 else "later"
        yield f"  ~ {rule['id']} fires {span(abs(each['earlier_s']))} {way}, at {clock(each['after']['began_at'])}"
    left_out = max(0, len(parts) - SHOWN) + max(0, len(rule["moved"]) - SHOWN)
    if left_out:
        yield f"    … and {left_out} more of {rule['id']}"


def _acted(guard: Data) -> Iterator[str]:
    name = guard["name"]
    both = [each[side] for each in guard["moved"] for side in ("before", "after")]
    for sign, acts in (("-", guard["only_before"]), ("+", guard["only_after"])):
        for act in [each for each in acts if each not in both][:SHOWN]:
            yield f"  {sign} guard {name} begins {act['action']} at {clock(act['at'])}"
    for each in guard["moved"][:SHOWN]:
        way = "earlier" if each["earlier_s"] > 0 else "later"
        act = each["after"]
        yield f"  ~ guard {name} begins {act['action']} {span(abs(each['earlier_s']))} {way}, at {clock(act['at'])}"


def _name(id_: str) -> str:
    """Return the name of a rule as a table can hold it: its end tells it apart."""
    return id_ if len(id_) <= WIDEST_NAME else f"…{id_[1 - WIDEST_NAME :]}"


def _table(rows: Iterator[Sequence[str]] | Sequence[Sequence[str]]) -> Iterator[str]:
    rows = list(rows)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        first, *rest = (
            cell.ljust(width) if not place else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join([first, *rest]).rstrip()
