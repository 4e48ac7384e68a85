"""Fill the template. Every name in it is taken for hostile: escaped as HTML, and as JSON in a script."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from rollback_guard.workbench.backtest.page import changes, chart, scatter, strip, summary, sweep, words
from rollback_guard.workbench.backtest.page.past import Past
from rollback_guard.workbench.backtest.page.span import Played

Data = Mapping[str, Any]

PACKAGE = "rollback_guard.workbench.backtest.page"
ROWS = 200
"""Firings of a rule, incidents and conclusions of a guard that are listed; the charts have all of them."""

ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})
"""Within JSON these stand in texts only, and no text can end the script that it is in."""


def page(data: Data) -> str:
    """Return the page: one HTML file with all that it needs, which asks no network for anything.

    Args:
        data: What `as_data` says of a backtest.
    """
    played = Played.of(data)
    past = Past.of(data, played)
    found = summary.known(data, past, played)
    percents = {rule["id"]: words.is_share(rule["expr"]) for rule in data["rules"]}
    swept = data["sweep"]
    return _template().render(
        data=data,
        played=played,
        lede=summary.lede(data, found, played),
        tiles=list(summary.tiles(data, found, played)),
        rules=[
            _rule(rule, data, past, played, percent=percents[rule["id"]]) for rule in sorted(data["rules"], key=_quiet)
        ],
        guards=[
            _guard(guard, past, played, could_act=words.could_act(guard, data["rules"])) for guard in data["guards"]
        ],
        anchors={rule["id"]: f"rule-{number}" for number, rule in enumerate(data["rules"], start=1)},
        past=strip.of_past(past, played),
        shared=_json(chart.shared(past, played)),
        grid=sweep.grid(swept) if swept else None,
        scatter=scatter.scatter(swept, percent=percents.get(swept["rule"], False)) if swept else None,
        percents=percents,
        seen=not data["rules"] or any(map(words.is_seen, data["rules"])),
    )


def _quiet(rule: Data) -> tuple[bool, bool]:
    """Return what puts the rules first that fired, then those that nearly did."""
    return not rule["firings"], not rule["pendings"]


def _rule(rule: Data, data: Data, past: Past, played: Played, *, percent: bool) -> Data:
    """Return a rule with what is drawn and said of it."""
    firing = [
        {**it, "what": past.what(played.piece(it["began_at"], it["ended_at"]), it["kind"], rule["guards"])}
        for it in rule["firing"][:ROWS]
    ]
    return {
        **rule,
        "percent": percent,
        "firing": firing,
        "verdict": words.verdict(rule, percent=percent),
        "condition": words.condition(rule, percent=percent),
        "strip": strip.of_rule(rule, played),
        "packed": _json(chart.packed(rule, data, past, played, percent=percent)),
        "has_line": bool(rule["line"]["at"]),
    }


def _guard(guard: Data, past: Past, played: Played, *, could_act: bool) -> Data:
    """Return a guard with what each of its incidents was."""
    kinds = iter(guard["score"]["kinds"] if guard["score"] else ())
    incidents = []
    for it in guard["incidents"]:
        kind = next(kinds, None) if it["actions"] else None
        what = past.what(played.piece(it["opened_at"], it["closed_at"]), kind, [guard["name"]])
        incidents.append({**it, "end": chart.ending(it), "kind": kind, "what": what})
    return {**guard, "incidents": incidents, "acting": len(summary.acting(guard)), "could_act": could_act}


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(PACKAGE, "assets"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = _asset("uPlot.min.css") + "\n" + _asset("page.css")
    # The licence asks to be where its code is, and the code is in every report.
    script = (
        f"/*!\n{_asset('uPlot.LICENSE')}*/\n{_asset('uPlot.iife.min.js')}\n{_asset('picture.js')}\n{_asset('page.js')}"
    )
    environment.globals |= {
        "style": Markup(style),  # noqa: S704  our own file
        "script": Markup(script),  # noqa: S704  our own files
        "style_hash": _hash(style),
        "script_hash": _hash(script),
        "words": words,
        "sweep": sweep,
        "canvas": scatter,
        "ROWS": ROWS,
        "changes": changes,
        "SIGNS": {"-": ("\u2212", "less"), "+": ("+", "more"), "~": ("~", "moved")},
    }
    environment.filters |= {"clock": words.clock, "span": words.span, "number": words.number}
    return environment.get_template("page.html")


def _asset(name: str) -> str:
    return (files(PACKAGE) / "assets" / name).read_text("utf-8")


def _hash(text: str) -> str:
    """Return what a browser is told to accept as a script or a style: this and nothing else."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _json(value: Any) -> Markup:
    return Markup(json.dumps(value, separators=(",", ":"), allow_nan=False).translate(ESCAPES))  # noqa: S704  escaped
