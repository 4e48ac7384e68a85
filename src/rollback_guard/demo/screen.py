"""Show the demo live in a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from rollback_guard.demo.chart import draw
from rollback_guard.demo.sight import RuleSight, figure
from rollback_guard.demo.view import WATCHED, Entry, View, Who, forecast

CHART_HEIGHT = 5
FEWEST_ENTRIES, MOST_ENTRIES = 3, 12
ABOVE_TIMELINE = 20
"""Lines of everything but the timeline's entries."""

BAR = 8
LEAST_CHART = 20
FRAME = 14
"""Columns of the chart's frame and labels."""

MOODS = {"good": "green", "warn": "yellow", "bad": "red", "": ""}
PHASES = {"inactive": "green", "pending": "yellow", "firing": "bold red"}
SIGNS = {Who.SHOP: "shop ", Who.RULE: "rule ", Who.GUARD: "guard"}


class Screen:
    """Redraw one picture in place. What is said beside it stays above it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop")

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the last picture standing."""
        self._live.__exit__(kind, error, trace)

    def show(self, view: View) -> None:
        """Draw the view."""
        self._live.update(render(view, width=self._console.width, height=self._console.height), refresh=True)

    def say(self, text: str) -> None:
        """Print a line above the picture."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


def render(view: View, *, width: int, height: int) -> RenderableType:
    """Return the picture of one view, of about this size."""
    entries = min(MOST_ENTRIES, max(FEWEST_ENTRIES, height - ABOVE_TIMELINE))
    clock = Text(view.second(view.now).strip(), style="dim")
    head = Table.grid(expand=True)
    head.add_column()
    head.add_column(justify="right")
    head.add_row(Text.assemble(("rollback-guard demo  ", "bold"), (view.scene, "bold cyan")), clock)
    return Group(
        head,
        Panel(_chart(view, width), title="error rate of the checkout, as the guard measures it", title_align="left"),
        _rules(view),
        _shop(view),
        Text.assemble(("next   ", "bold"), forecast(view.sight, view.now)),
        Panel(_timeline(view, entries), title="what happened", title_align="left", height=entries + 2),
    )


def _chart(view: View, width: int) -> Text:
    rule = view.sight.rule(WATCHED) if view.sight else None
    threshold = rule.threshold if rule and rule.threshold else 0.01
    text = Text()
    columns = max(LEAST_CHART, width - FRAME)
    for row in draw(view.errors, threshold, width=columns, height=CHART_HEIGHT):
        text.append(f"{row.label:>5} │", style="dim")
        for cell in row.cells:
            text.append(cell.text, style="yellow" if cell.is_line else "red" if cell.breaching else "green")
        text.append("\n")
    text.right_crop(1)
    return text


def _rules(view: View) -> Table:
    table = Table(expand=True, box=None, padding=(0, 1))
    for name in ("rule", "severity", "state", "value", "threshold"):
        table.add_column(name, header_style="dim", no_wrap=True)
    for rule in view.sight.rules if view.sight else ():
        limit = f"{rule.op} {figure(rule.name, rule.threshold)}" if rule.threshold is not None else ""
        value = figure(rule.name, rule.value) if rule.value is not None else (rule.unknown or "-")
        table.add_row(rule.name, rule.severity, _state(rule, view), value, _down(rule, limit))
    return table


def _down(rule: RuleSight, limit: str) -> str:
    return "down" if rule.name.endswith("-ready") else limit


def _state(rule: RuleSight, view: View) -> Text:
    style = PHASES.get(rule.phase, "")
    if rule.phase == "pending" and rule.hold:
        share = rule.held_for(view.now) / rule.hold
        bar = "█" * round(share * BAR) + "░" * (BAR - round(share * BAR))
        held = f"{rule.held_for(view.now).total_seconds():.0f} of {rule.hold.total_seconds():.0f} s"
        return Text(f"pending {bar} {held}", style=style)
    if rule.phase == "inactive" and rule.verdict == "unknown":
        return Text("unknown", style="magenta")
    return Text("passes" if rule.phase == "inactive" else rule.phase, style=style)


def _shop(view: View) -> Text:
    incident = view.sight.incident() if view.sight else None
    doing = "watching"
    if incident is not None:
        doing = (
            f"{incident.id}: {incident.phase}" if incident.phase != "closed" else f"{incident.id}: {incident.decision}"
        )
    return Text.assemble(
        ("shop   ", "bold"),
        ("flag new-checkout ", ""),
        ("on" if view.flag_on else "off", "cyan" if view.flag_on else "green"),
        (f" · release {view.release or '-'}", ""),
        ("\nguard  ", "bold"),
        doing,
    )


def _timeline(view: View, entries: int) -> Group:
    return Group(*(_line(entry, view) for entry in view.timeline[-entries:]))


def _line(entry: Entry, view: View) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    for part, style in _parts(entry, view):
        text.append(part, style=style)
    return text


def _parts(entry: Entry, view: View) -> Iterator[tuple[str, str]]:
    yield f"{view.second(entry.at)} ", "dim"
    yield f"{SIGNS[entry.who]} ", "bold" if entry.who is Who.GUARD else "dim"
    yield " ".join(entry.text.split()), MOODS[entry.mood]
