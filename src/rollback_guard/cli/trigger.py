"""Run steps of a playbook now, because a person says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from rollback_guard.cli.completion import steps
from rollback_guard.cli.order import assent, demand_reason, find, give, guard_argument, near, reason_option
from rollback_guard.cli.remote import Remote, commands, member, output_option
from rollback_guard.cli.table import plain


@click.command()
@guard_argument
@click.option("--step", metavar="ACTION", shell_complete=steps, help="The one step of the playbook with this action.")
@click.option("--all", "everything", is_flag=True, help="Every step of the playbook, one after the other.")
@reason_option(required=False)
@click.option("--plan", is_flag=True, help="Show what would be run, and do nothing.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@commands
@output_option
def command(
    guard: str,
    step: str | None,
    reason: str | None,
    remote: Remote,
    output: str,
    *,
    everything: bool,
    plan: bool,
    yes: bool,
) -> None:
    """Run a step of GUARD's playbook now, or all of them, though no rule fires: an emergency or a partial rollback.

    Between several steps nobody waits for an effect; after the last one the guard watches whether it helped. No step is
    skipped for its `select`, and nobody is asked for the approval of one: you are. Neither cooldown nor storm nor limit
    holds a person back; a pause and a dry run do.
    """
    if (step is None) is not everything:
        raise click.UsageError("say which --step, or --all")
    if not plan:
        demand_reason(reason)
    view = find(remote, [guard])[guard]
    chosen = _chosen(view, step, remote)
    if plan and output == "json":
        document = {
            "guard": guard,
            "steps": [step["name"] for step in chosen],
            "would_be_skipped": [step["name"] for step in chosen if not step["applies"]],
            "would_be_asked_for": [step["name"] for step in chosen if step["approve_s"]],
            "refused_because": list(_holds(view, remote)),
        }
        click.echo(json.dumps(document, indent=2))
        return
    click.echo("\n".join(_plan(view, chosen, reason, remote)), err=not plan)
    if plan:
        return
    assent(f"Run {'it' if len(chosen) == 1 else 'them'} now?", yes=yes)
    give(
        remote,
        "/api/v1/trigger",
        {"guard": guard, "step": step, "all": True if everything else None, "reason": reason},
        output=output,
        then=(
            "Whether it helped is watched from now on; to follow: rollback-guard explain {incident}",
            "To stop what has not begun: rollback-guard veto {guard} --reason …",
            "To take back what was done: rollback-guard undo {incident} --reason …",
        ),
    )


def _chosen(view: dict[str, Any], step: str | None, remote: Remote) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = member(view, "steps", remote)
    playbook = [each["name"] for each in steps]
    if not playbook:
        raise click.UsageError(f"guard {plain(view['name'])} has no playbook, so there is nothing to run")
    if step is not None and step not in playbook:
        raise click.UsageError(f"guard {plain(view['name'])} has no step {plain(step)}{near(step, playbook)}")
    return steps if step is None else [next(each for each in steps if each["name"] == step)]


def _plan(view: dict[str, Any], chosen: list[dict[str, Any]], reason: str | None, remote: Remote) -> Iterator[str]:
    yield f"Guard {plain(view['name'])} runs now, whatever its rules say:"
    minded = [_minded(step) for step in chosen]
    yield from (f"  {number}. {plain(step['name'])}{minded[number - 1]}" for number, step in enumerate(chosen, 1))
    if any(minded):
        yield "For you nothing is skipped and nobody is asked: every step of this plan is run."
    if reason is not None:
        yield f"Reason: {plain(reason)}"
    if view["incident"]:
        yield f"It becomes part of the open incident {plain(view['incident'])} ({view['incident_phase']})."
    yield from _holds(view, remote)


def _minded(step: dict[str, Any]) -> str:
    """Return in brackets what the guard by itself would do before it begins a step, if anything."""
    what = []
    if not step["applies"]:
        labels = ", ".join(f'{plain(name)}="{plain(value)}"' for name, value in step["select"].items())
        what.append(f"skip it, for nothing with {labels} fires")
    if step["approve_s"]:
        what.append("ask for approval first")
    return f" (by itself the guard would {', and would '.join(what)})" if what else ""


def _holds(view: dict[str, Any], remote: Remote) -> Iterator[str]:
    """Yield what will have the order refused, as far as it can be known before."""
    status = remote.ask("/api/v1/status")
    if member(status, "mode", remote) == "dry-run":
        yield "It will be refused: this instance is a dry run."
    pause = view.get("paused") or status.get("paused")
    if pause:
        yield f"It will be refused: {plain(pause['by'])} paused it ({plain(pause['why'])})."
    if view["incident_phase"] == "acting":
        yield "It will be refused: an action is under way."
