"""Draw the page that a person opens first: plain HTML, no script, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Template

from rollback_guard.adapters.web.views import is_open, status, troubled_first, worst_first
from rollback_guard.core import wording
from rollback_guard.core.snapshot import Snapshot

ROWS = 200
"""Rules and guards shown; the worst come first, and the API has the rest."""

TEMPLATES = files("rollback_guard.adapters.web") / "templates"

STYLE = (TEMPLATES / "style.css").read_text("utf-8")

STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
"""The page's own style is the only one that browsers are told to accept."""


def draw(snapshot: Snapshot) -> str:
    """Return a snapshot as HTML; every value in it is taken for hostile and escaped."""
    return _template().render(
        style=STYLE,
        snapshot=snapshot,
        status=status(snapshot),
        rules=worst_first(snapshot.rules)[:ROWS],
        guards=troubled_first(snapshot.guards)[:ROWS],
        is_open=is_open,
        since=lambda at: wording.span(snapshot.at - at),
    )


@cache
def _template() -> Template:
    import jinja2  # megabytes that are only needed once somebody looks

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters["number"] = lambda value: "none" if value is None else wording.number(value)
    environment.filters["clock"] = _clock
    return environment.from_string((TEMPLATES / "overview.html").read_text("utf-8"))


def _clock(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
