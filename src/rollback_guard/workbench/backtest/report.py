"""Tell people what a backtest found: a table of rules, a table of guards, and what is worth a second look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from rollback_guard.core.units import format_duration

Data = Mapping[str, Any]

SHOWN = 12
"""Incidents of one guard, and firings that a comparison shows."""


def lines_of(data: Data) -> Iterator[str]:
    """Yield what people read."""
    yield f"{', '.join(data['files'])}: {_minute(data['start'])} to {_minute(data['end'])}"
    if data["not_played"]:
        yield f"not played, for Prometheus has no history of it: {', '.join(data['not_played'])}"
    yield ""
    yield from _table(_rules(data))
    for guard in data["guards"]:
        yield ""
        yield from _guard(guard)
    if data["sweep"]:
        yield ""
        yield from _sweep(data["sweep"], has_incidents=bool(data["incidents"]))
    if data["compare"]:
        yield ""
        yield from _comparison(data["compare"])


def _rules(data: Data) -> Iterator[Sequence[str]]:
    judged = bool(data["deploys"] or data["incidents"])
    head = ["rule", "fired", "for", "nearly", "longest pending", "nearest value", "threshold", "unknown"]
    yield [*head, "false/week", "delay", "missed"] if judged else head
    for rule in data["rules"]:
        near, unknown = rule["nearest"], sum(rule["unknown"].values())
        row = [
            rule["id"],
            str(rule["firings"]),
            _span(rule["firing_s"]) if rule["firings"] else "",
            str(rule["pendings"]),
            _span(rule["longest_pending_s"]),
            f"{near['value']:.4g}" if near else "",
            f"{rule['op']} {rule['threshold']:.4g}" if rule["op"] else "",
            f"{unknown / rule['slots']:.1%}" if rule["slots"] and unknown else "",
        ]
        yield [*row, *_scored(rule["score"])] if judged else row


def _scored(score: Data | None) -> list[str]:
    if score is None:
        return ["", "", ""]
    missed, detected = len(score["incidents_missed"]), score["incidents_detected"]
    of = f"{missed} of {missed + detected}" if missed + detected else ""
    return [f"{score['false_alarms_per_week']:.3g}", _span(score["mean_detection_delay_s"]), of]


def _guard(guard: Data) -> Iterator[str]:
    episodes = guard["incidents"]
    acting = [each for each in episodes if each["actions"]]
    words = f"guard {guard['name']}: {_number(len(episodes), 'incident')}, acting in {len(acting)}"
    held = ", ".join(f"{reason} {_number(count, 'time')}" for reason, count in guard["held"].items())
    yield f"{words}; held by {held}" if held else words
    for episode in episodes[:SHOWN]:
        first, *further = episode["actions"] or [None]
        did = f"{first['action']} ({first['reason']})" if first else "nothing"
        rest = "".join(f"; had that not helped, {each['action']} at {each['at'][11:19]}" for each in further)
        yield f"  {_second(episode['opened_at'])}  {did}{rest}  for {', '.join(episode['rules'])}"
    if len(episodes) > SHOWN:
        yield f"  … and {len(episodes) - SHOWN} more; --output json and --html have all of them"


def _sweep(sweep: Data, *, has_incidents: bool) -> Iterator[str]:
    yield f"{sweep['rule']} with other thresholds and `for`:"
    head = ["threshold", "for", "fired", "in incidents", "after deploys", "false/week", "missed", "delay", ""]
    rows = [
        [
            f"{sweep['op']} {each['threshold']:.4g}",
            _span(each["for_s"]),
            str(each["firings"]),
            str(each["in_incidents"]),
            str(each["after_deploys"]),
            f"{each['false_alarms_per_week']:.3g}",
            str(len(each["incidents_missed"])),
            _span(each["mean_detection_delay_s"]),
            " ".join(word for word, is_so in (("*", each["pareto"]), ("now", each["current"])) if is_so),
        ]
        for each in sweep["tried"]
    ]
    yield from _table([head, *rows])
    if has_incidents:
        yield "* no other choice is better in missed incidents, false alarms or delay without being worse in another"
    else:
        yield "Give --incidents to have the choices marked of which none is better."


def _comparison(comparison: Data) -> Iterator[str]:
    yield f"compared with {', '.join(comparison['files'])}:"
    changed = False
    for rule in comparison["rules"]:
        parts = [("-", each) for each in rule["only_before"]] + [("+", each) for each in rule["only_after"]]
        for sign, spell in parts[:SHOWN]:
            changed = True
            yield f"  {sign} {rule['id']} fires at {_second(spell['began_at'])}{_series(spell)}"
        if len(parts) > SHOWN:
            yield f"    … and {len(parts) - SHOWN} more"
        for each in rule["moved"][:SHOWN]:
            changed = True
            way = "earlier" if each["earlier_s"] > 0 else "later"
            span = _span(abs(each["earlier_s"]))
            yield f"  ~ {rule['id']} fires {span} {way}, at {_second(each['after']['began_at'])}"
    for guard in comparison["guards"]:
        for sign, acts in (("-", guard["only_before"]), ("+", guard["only_after"])):
            for act in acts[:SHOWN]:
                changed = True
                yield f"  {sign} guard {guard['name']} begins {act['action']} at {_second(act['at'])}"
    if not changed:
        yield "  nothing would have changed"


def _table(rows: Iterator[Sequence[str]] | Sequence[Sequence[str]]) -> Iterator[str]:
    rows = list(rows)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        first, *rest = (
            cell.ljust(width) if not place else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join([first, *rest]).rstrip()


def _series(spell: Data) -> str:
    labels = ", ".join(f'{name}="{value}"' for name, value in spell["series"].items())
    return f" {{{labels}}}" if labels else ""


def _span(seconds: float | None) -> str:
    return "" if seconds is None else format_duration(timedelta(seconds=round(seconds)))


def _minute(at: str) -> str:
    return at[:16].replace("T", " ")


def _second(at: str) -> str:
    return at[:19].replace("T", " ")


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
