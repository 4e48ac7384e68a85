"""Give an order, and say in plain words what came of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, NoReturn

import click

from rollback_guard.cli.completion import guards
from rollback_guard.cli.remote import REFUSED, UNREACHABLE, USAGE, RefusedError, Remote, member
from rollback_guard.cli.table import plain

TAKEN_AMISS = (HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS)
"""Answers of a brake; all other 4xx are a mistake of who asks."""


class Reason(click.ParamType[str]):
    """A text that says something: it stands in the journal for good."""

    name = "text"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the reason without what surrounds it."""
        return value.strip() or self.fail("say why: it goes into the journal and to the others on call", param, ctx)


class Duration(click.ParamType[str]):
    """A span of time as Prometheus writes it."""

    name = "duration"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text as it was given, once it is known to be a span."""
        from rollback_guard.core.units import parse_duration

        try:
            if not parse_duration(value):
                raise ValueError("must be longer than nothing")  # noqa: TRY301  one way to say it
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return value


guard_argument = click.argument("guard", shell_complete=guards)

reason_option = click.option("--reason", "-r", type=Reason(), required=True, help="Why; everybody on call reads it.")

optional_reason_option = click.option("--reason", "-r", type=Reason(), help="Why; everybody on call reads it.")

everything_option = click.option("--all", "everything", is_flag=True, help="Every guard of this instance.")


def one_or_all(guard: str | None, *, everything: bool) -> None:
    """Make sure that nobody means all guards by saying nothing.

    Raises:
        click.UsageError: Neither or both are given.
    """
    if (guard is None) is not everything:
        raise click.UsageError("name one guard, or say --all")


def give(remote: Remote, path: str, body: dict[str, Any], *, output: str, then: Iterable[str] = ()) -> None:
    """Give an order, show what was done and what comes next, or say why not and end with the fitting exit code.

    Args:
        remote: The daemon.
        path: What it is to do.
        body: With what; members that are ``None`` are left out.
        output: ``json`` shows the daemon's own answer.
        then: What comes next and how to take it back; ``{incident}`` stands for the incident's id, and lines with it
            are left out where there is none.
    """
    given = {name: value for name, value in body.items() if value is not None}
    try:
        answer = remote.tell(path, given)
    except RefusedError as refused:
        _explain(refused, remote, output)
    did = member(answer, "did", remote)
    if output == "json":
        click.echo(json.dumps(answer, indent=2))
        return
    for line in did:
        click.echo(plain(line))
    if answer.get("by"):
        click.echo(f"In the journal under the name {plain(answer['by'])}.")
    incident = answer.get("incident")
    for line in then:
        if incident or "{incident}" not in line:
            click.echo(line.replace("{incident}", plain(incident)))


def _explain(refused: RefusedError, remote: Remote, output: str) -> NoReturn:
    word = str(refused.answer.get("refusal") or "")
    if output == "json":
        click.echo(json.dumps(refused.answer, indent=2))
    said = plain(refused)
    click.echo(f"Not done ({plain(word)}): {said}" if word else f"Not done: {said}", err=True)
    if near := refused.answer["near"]:
        click.echo(f"Did you mean {' or '.join(map(plain, near))}?", err=True)
    if refused.code == HTTPStatus.UNAUTHORIZED:
        hint = "Your token is not known there" if remote.token else "A token is needed there"
        click.echo(f"{hint}: name a file that holds a valid one with --token-file or ROLLBACK_GUARD_TOKEN_FILE.", err=True)
    elif refused.code == HTTPStatus.FORBIDDEN:
        click.echo("Use a token with the scope that this order needs, by --token-file.", err=True)
    if refused.code in TAKEN_AMISS:
        sys.exit(REFUSED)
    sys.exit(UNREACHABLE if refused.code >= HTTPStatus.INTERNAL_SERVER_ERROR else USAGE)


def assent(question: str, *, yes: bool) -> None:
    """Ask the person at the terminal; where there is none, only `--yes` is an answer.

    Raises:
        click.UsageError: Nobody can be asked, and nobody said yes.
        click.Abort: The person said no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("nobody can be asked here: look at the plan with --plan, then say --yes")
    click.confirm(question, abort=True, err=True)
