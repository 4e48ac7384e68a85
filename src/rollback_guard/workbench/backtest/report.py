"""Tell people what a backtest found: tables of rules, what guards would have done, and what is worth a second look."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rollback_guard.config.problems import printable
from rollback_guard.workbench.backtest.page import changes, words
from rollback_guard.workbench.backtest.page.words import clock, count, labels, span

Data = Mapping[str, Any]

SHOWN = 12
"""Incidents of one guard, and firings that a comparison shows."""

SAME_NAMED = 3
"""Choices of a sweep that come to the same as one, and are named beside it."""

WIDTH = 100
NARROWEST_NAME = 12
"""Of a rule in a table, however much room its figures take."""


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
    if any(each["score"] for each in (*data["rules"], *data["guards"])):
        yield ""
        yield from _table(_scores(data))
    for guard in data["guards"]:
        yield ""
        yield from _guard(guard, data["rules"])
    if data["sweep"]:
        yield ""
        yield from _sweep(data["sweep"], data)
    if data["compare"]:
        yield ""
        yield from _comparison(data["compare"], is_seen=any(map(words.is_seen, data["rules"])))
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
            rule["id"],
            str(rule["firings"]) if words.is_seen(rule) else "?",
            span(rule["firing_s"]) if rule["firings"] else "",
            str(rule["pendings"]) if words.is_seen(rule) else "?",
            span(rule["longest_pending_s"]) if rule["longest_pending_s"] is not None else "",
            words.number(rule["nearest"]["value"], percent=percent) if rule["nearest"] else "",
            words.condition(rule, percent=percent) if rule["op"] else "",
            words.why_unknown(rule),
        ]


def _scores(data: Data) -> Iterator[Sequence[str]]:
    """Yield what firings of rules were, and what actions of guards."""
    yield ["rule or guard", "incident", "deploy", "false", "false/week", "missed", "mean delay", "longest"]
    for rule in data["rules"]:
        yield [rule["id"], *_scored(rule["score"])]
    for guard in data["guards"]:
        yield [f"guard {guard['name']}", *_scored(guard["score"])]


def _scored(score: Data | None) -> list[str]:
    if score is None:
        return ["?", "?", "?", "?", "?", "", ""]
    missed, detected = len(score["incidents_missed"]), score["incidents_detected"]
    mean, longest = score["mean_detection_delay_s"], score["longest_detection_delay_s"]
    return [
        str(score["in_incidents"]),
        str(score["after_deploys"]),
        str(score["false_alarms"]),
        words.rate(score["false_alarms_per_week"]),
        f"{missed} of {missed + detected}" if missed + detected else "",
        span(mean) if mean is not None else "",
        span(longest) if longest is not None else "",
    ]


def _guard(guard: Data, rules: Sequence[Data]) -> Iterator[str]:
    incidents = guard["incidents"]
    acting = [each for each in incidents if each["actions"]]
    found = f"{count(len(incidents), 'incident')}, acting in {len(acting)}"
    seen = words.could_act(guard, rules)
    yield f"guard {guard['name']}: {found if seen else 'nothing can be told, none of its rules was ever known'}"
    held = ", ".join(f"{reason.replace('_', ' ')} {words.times(many)}" for reason, many in guard["held"].items())
    if held:
        yield from textwrap.wrap(f"  held by: {held}", WIDTH, subsequent_indent="    ")
    kinds = iter(guard["score"]["kinds"] if guard["score"] else ())
    for incident in incidents[:SHOWN]:
        first, *further = incident["actions"] or [None]
        did = f"{first['action']} ({first['reason']})" if first else _without_action(incident)
        what = words.KINDS.get(next(kinds, "") if first else "", "")
        told = ", ".join([did, f"for {', '.join(incident['rules'])}"])
        yield ": ".join(filter(None, [f"  {clock(incident['opened_at'])}  {told}", what]))
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
        words.rate(tried["false_alarms_per_week"]),
        str(len(tried["incidents_missed"])),
        span(delay) if delay is not None else "",
    ]


def _mark(tried: Data, sweep: Data, *, percent: bool) -> str:
    """Return what is remarkable of a choice, and which others come to the same."""
    same = [" ".join(_choice(each, sweep, percent=percent)) for each in sweep["tried"] if words.is_same(each, tried)]
    more = f" and {len(same) - SAME_NAMED} more" if len(same) > SAME_NAMED else ""
    parts = {"*": words.is_starred(tried), "now": tried["current"], f"same: {', '.join(same[:SAME_NAMED])}{more}": same}
    return " ".join(part for part, is_so in parts.items() if is_so)


def _comparison(comparison: Data, *, is_seen: bool) -> Iterator[str]:
    yield f"compared with {', '.join(comparison['files'])}:"
    lines = [line for rule in comparison["rules"] for line in _changed(rule)]
    lines += [line for guard in comparison["guards"] for line in _acted(guard)]
    yield from lines or [f"  {'nothing would have changed' if is_seen else 'nothing can be told'}"]


def _changed(rule: Data) -> Iterator[str]:
    found = changes.of_rule(rule)
    for change in found[:SHOWN]:
        series = f" {{{labels(change['series'])}}}" if change["series"] else ""
        yield f"  {change['sign']} {rule['id']} fires {_moment(change, change['began_at'])}{series}"
    if len(found) > SHOWN:
        yield f"    … and {len(found) - SHOWN} more of {rule['id']}"


def _moment(change: Data, at: str) -> str:
    """Return when something comes, and how much earlier or later than before."""
    by = change.get("earlier_s")
    return f"{span(abs(by))} {'earlier' if by > 0 else 'later'}, at {clock(at)}" if by else f"at {clock(at)}"


def _acted(guard: Data) -> Iterator[str]:
    found = changes.of_guard(guard)
    for change in found[:SHOWN]:
        yield f"  {change['sign']} guard {guard['name']} begins {change['action']} {_moment(change, change['at'])}"
    if len(found) > SHOWN:
        yield f"    … and {len(found) - SHOWN} more of guard {guard['name']}"


def _table(found: Iterator[Sequence[str]] | Sequence[Sequence[str]]) -> Iterator[str]:
    rows = list(found)
    taken = sum(2 + max(len(row[column]) for row in rows) for column in range(1, len(rows[0])))
    rows = [[_name(row[0], max(NARROWEST_NAME, WIDTH - taken)), *row[1:]] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        first, *rest = (
            cell.ljust(width) if not place else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join([first, *rest]).rstrip()


def _name(id_: str, room: int) -> str:
    """Return the name of a rule as a table has room for it: its end tells it apart."""
    return id_ if len(id_) <= room else f"…{id_[1 - room :]}"
