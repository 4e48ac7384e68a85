"""Play rules over history."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rollback_guard.workbench.backtest.data import Findings
    from rollback_guard.workbench.progress import Meter

REFUSED, UNREACHABLE, INVALID, INTERRUPTED = 1, 3, 4, 130
KEPT = "What was played so far is kept: the same command goes on there."
NOTHING_KEPT = "Nothing was kept yet: the same command begins anew."

WORDS = {"played": "playing", "swept": "sweeping", "compared": "playing the other rules"}


@click.command()
@click.argument("rules", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--from", "start", default="7d", show_default=True, metavar="TIME", help="`30d` ago, or a time.")
@click.option("--to", "end", default="now", show_default=True, metavar="TIME", help="The end, written alike.")
@click.option("--prometheus", metavar="URL", help="Ask this server. Default: those of guard.toml.")
@click.option("--step", metavar="DURATION", help="Evaluate at this interval instead of each group's own.")
@click.option("--deploys", type=click.Path(path_type=Path), help="CSV with the columns time, guard, version.")
@click.option("--deploys-query", metavar="PROMQL", help="A deploy is wherever this begins to return something.")
@click.option(
    "--deploy-window", default="1h", show_default=True, help="How long after a deploy a firing is put down to it."
)
@click.option("--incidents", type=click.Path(path_type=Path), help="CSV with the columns start, end, name, guard.")
@click.option(
    "--sweep", multiple=True, metavar="SPAN", help="Try `threshold=0.5%..5%` or `for=2m..15m`; both make a grid."
)
@click.option("--rule", metavar="NAME", help="The rule that is swept.")
@click.option(
    "--compare", multiple=True, type=click.Path(path_type=Path), help="Other rules: what would they have changed?"
)
@click.option("--html", type=click.Path(path_type=Path), help="Write a page with charts; it needs no network.")
@click.option(
    "--output", type=click.Choice(["human", "json"]), default="human", show_default=True, help="How it is shown."
)
@click.option("--fresh", is_flag=True, help="Begin anew where a backtest was interrupted.")
def command(html: Path | None, output: str, **asked: Any) -> None:
    """Say when RULES would have fired and acted in the past, and how near they came when they did not.

    RULES are rule files, or a guard.toml with its data sources. History goes through the functions that run live.
    Actions are taken to succeed at once; as history knows no world in which they were done, what follows the first
    step of a playbook is what would have come had it not helped. docs/backtest.md tells how to choose a threshold.

    A backtest that was interrupted goes on where it was. Ends with 0; with 1 when the server refuses a rule, with 3
    when it cannot be reached or tells nothing of these rules, with 4 when a rule file is wrong.
    """
    from rollback_guard.adapters.actions import registry
    from rollback_guard.adapters.clock import SystemClock
    from rollback_guard.workbench.backtest.backtest import Backtest, InvalidRules, Request
    from rollback_guard.workbench.backtest.events import InputError
    from rollback_guard.workbench.backtest.history import HistoryError
    from rollback_guard.workbench.backtest.sweep import SweepError
    from rollback_guard.workbench.progress import Meter

    clock = SystemClock()
    meter = Meter(clock)
    signal.signal(signal.SIGINT, lambda *_: _interrupted(meter, is_kept=False))
    try:
        backtest = Backtest(
            Request(**asked),
            clock,
            action_types=registry.settings_types(),
            on_progress=lambda what, share: meter.tell(WORDS[what], share),
            remark=lambda words: _remark(meter, words),
        )
        signal.signal(signal.SIGINT, lambda *_: _interrupted(meter, is_kept=backtest.is_kept))
        findings = backtest.run()
    except InvalidRules as error:
        for problem in error.problems:
            click.echo(problem.render(), err=True)
        sys.exit(INVALID)
    except (InputError, SweepError) as error:
        raise click.UsageError(str(error)) from error
    except HistoryError as error:
        _remark(meter, f"Error: {error}")
        if backtest.is_kept:
            click.echo(KEPT, err=True)
        sys.exit(UNREACHABLE)
    meter.end()
    sys.exit(_show(findings, html, output))


def _remark(meter: Meter, words: str) -> None:
    meter.end()
    click.echo(words, err=True)


def _interrupted(meter: Meter, *, is_kept: bool) -> None:
    """End at once: what is being read is of no use to anybody, and what is to go on from is on the disk."""
    _remark(meter, f"Interrupted. {KEPT if is_kept else NOTHING_KEPT}")
    sys.stderr.flush()
    os._exit(INTERRUPTED)


def _show(findings: Findings, html: Path | None, output: str) -> int:
    """Show what was found, and return the exit code that says the same."""
    from rollback_guard.workbench.backtest.data import as_data, as_json
    from rollback_guard.workbench.backtest.report import lines_of

    data = as_data(findings)
    if html is not None:
        from rollback_guard.workbench.backtest.page import page

        try:
            html.write_text(page(data), encoding="utf-8")
        except OSError as error:
            raise click.UsageError(f"--html: {html} cannot be written: {error.strerror}") from error
        click.echo(f"wrote {html}", err=True)
    if output == "json":
        click.echo(as_json(data))
    else:
        for line in lines_of(data):
            click.echo(line)
    took = data["took"]
    click.echo(f"in {took['all_s']:g}s, {took['reading_s']:g}s of it waiting for Prometheus", err=True)
    if data["without_data"] or _saw_nothing(data):
        return UNREACHABLE
    return REFUSED if data["refused"] else 0


def _saw_nothing(data: Mapping[str, Any]) -> bool:
    """Say whether of all rules that the server understands nothing was ever known."""
    refused = {each["id"] for each in data["refused"]}
    rules = [rule for rule in data["rules"] if rule["id"] not in refused]
    return bool(rules) and all(rule["firings"] is None for rule in rules)
