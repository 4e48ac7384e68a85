"""Show what the running guard sees and does."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import click

from rollback_guard.cli.remote import UNREACHABLE, Remote, connects, member, output_option
from rollback_guard.cli.table import clock, instant, plain, state, table
from rollback_guard.core import wording

EXIT_CODES = {"fine": 0, "firing": 1, "blind": 3, "unable": 3, "starting": 3}
"""A guard that has not seen everything yet does not know that all is well."""

LISTS = ("guards", "rules", "incidents")


@click.command()
@connects
@output_option
def command(remote: Remote, output: str) -> None:
    """Show what the running guard sees and does: guards, rules and incidents, worst first.

    Exits with 0 when all is fine, 1 when a rule fires or an incident is open, 3 when the daemon cannot be reached,
    cannot see, cannot write its journal and so not act, or has not seen everything yet.
    """
    picture: dict[str, Any] = {"status": remote.ask("/api/v1/status")}
    member(picture["status"], "condition", remote)
    for each in LISTS:
        picture[each] = member(remote.ask(f"/api/v1/{each}"), each, remote)
    if output == "json":
        click.echo(json.dumps(picture, indent=2))
    else:
        click.echo("\n\n".join(_sections(picture)))
    sys.exit(EXIT_CODES.get(picture["status"]["condition"], UNREACHABLE))


def _sections(picture: dict[str, Any]) -> Iterator[str]:
    status, now = picture["status"], picture["status"]["at"]
    yield "\n".join(_headline(status))
    yield table(
        ("GUARD", "STATE", "INCIDENT", "LAST DECISION", "ACTIONS LEFT"),
        [_guard(guard, now) for guard in picture["guards"]],
    )
    noted = [line for guard in picture["guards"] for each in guard["remarks"] for line in _remark(each, _whose(guard))]
    if noted:
        yield "\n".join(noted)
    yield table(
        ("RULE", "STATE", "SINCE", "VALUE", "BREACH WHEN", "SEVERITY", "DETAIL"),
        [_rule(rule, now) for rule in picture["rules"]],
    )
    if len(picture["rules"]) < status["rules"]:
        yield f"and {status['rules'] - len(picture['rules'])} more rules; the API has them all"
    incidents = [each for each in picture["incidents"] if each["phase"] != "closed"]
    if incidents:
        yield table(
            ("INCIDENT", "STATE", "OPEN FOR", "RULES"),
            [(each["id"], each["phase"], _ago(each["opened_at"], now), ", ".join(each["rules"])) for each in incidents],
        )
        yield "\n".join(f"rollback-guard explain {plain(each['id'])}" for each in incidents)


def _headline(status: dict[str, Any]) -> Iterator[str]:
    name, mode = plain(status["name"]), status["mode"]
    yield f"{name}: {state(status['condition'])} ({mode}, rollback-guard {status['version']}, {clock(status['at'])})"
    if not status["ready"]:
        yield "Not every group has been evaluated yet."
    for remark in status["remarks"]:
        yield from _remark(remark, "")
        if remark["matter"] == "configuration":
            yield from (f"  {plain(line)}" for problem in status["reload"]["problems"] for line in problem.splitlines())
    if status["fleet_actions_left"] is not None:
        yield f"Actions left to all guards together: {status['fleet_actions_left']}."
    yield from (f"An action is under way or of unknown outcome: {plain(key)}" for key in status["intents_open"])


def _remark(remark: dict[str, Any], whose: str) -> Iterator[str]:
    """Yield what people have to know, and the commands that answer it."""
    yield f"{whose}{plain(remark['text'])}"
    commands = [(plain(each["text"]), plain(each["effect"])) for each in remark["commands"]]
    width = max((len(text) for text, _ in commands), default=0)
    yield from (f"  {text:<{width}}  {effect}" for text, effect in commands)


def _whose(guard: dict[str, Any]) -> str:
    return f"{plain(guard['name'])}: "


def _guard(guard: dict[str, Any], now: str) -> tuple[str, ...]:
    last = guard["last"]
    said = f"{last['decision']}: {last['reason']}, {_ago(last['at'], now)} ago" if last else "none"
    phase = guard["incident_phase"] or ("blind" if guard["blind_since"] else guard["braked_by"] or "watching")
    return (guard["name"], phase, guard["incident"] or "none", said, str(guard["actions_left"]))


def _rule(rule: dict[str, Any], now: str) -> tuple[str, ...]:
    phase = rule["phase"]
    if phase == "inactive" and rule["family"]:
        phase = rule["family"]
    since = rule["since"] or rule["unknown_since"]
    when = f"{rule['op']} {_number(rule['threshold'])}" if rule["op"] else "any sample"
    severity = "shadow" if rule["shadow"] else rule["severity"]
    detail = ": ".join(filter(None, (rule["unknown"], rule["detail"] or rule["summary"])))
    return (rule["id"], phase, _ago(since, now) if since else "", _number(rule["value"]), when, severity, detail)


def _number(value: float | str | None) -> str:
    return "none" if value is None else wording.number(float(value))


def _ago(at: str, now: str) -> str:
    return wording.span(instant(now) - instant(at))
