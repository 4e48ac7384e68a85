"""Give an order, and say in plain words what came of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, NoReturn, TypeVar

import click

from rollback_guard.cli.completion import guards
from rollback_guard.cli.remote import REFUSED, UNREACHABLE, USAGE, RefusedError, Remote, member
from rollback_guard.cli.table import plain

F = TypeVar("F", bound=Callable[..., Any])

BRAKES = (HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS)
"""Answers of a brake; all other 4xx are a mistake of who asks."""


def _said(ctx: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """Return a reason without the blanks around it, if it says anything.

    Raises:
        click.BadParameter: It does not.
    """
    if value is not None and not value.strip():
        raise click.BadParameter("say why: it goes into the journal, and to everybody on call", ctx, option)
    return value.strip() if value else value


def _spanned(ctx: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """Return the text of a span of time, once it is known to be one.

    Raises:
        click.BadParameter: It is none.
    """
    from rollback_guard.core.units import parse_duration

    try:
        if value is not None and not parse_duration(value):
            raise click.BadParameter("must be longer than nothing", ctx, option)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, option) from error
    return value


def reason_option(*, required: bool) -> Callable[[F], F]:
    """Return the option for why something is ordered."""
    return click.option(
        "--reason", "-r", metavar="TEXT", required=required, callback=_said, help="Why; it stands in the journal."
    )


def demand_reason(reason: str | None) -> str:
    """Return the reason of an order that is given and not only planned.

    Raises:
        click.MissingParameter: There is none.
    """
    if reason is None:
        raise click.MissingParameter(
            "say why, or only --plan",
            ctx=click.get_current_context(),
            param_hint="'--reason' / '-r'",
            param_type="option",
        )
    return reason


def span_option(name: str, variable: str, text: str, *, required: bool = False) -> Callable[[F], F]:
    """Return an option that takes a span of time."""
    return click.option(name, variable, metavar="DURATION", required=required, callback=_spanned, help=text)


guard_argument = click.argument("guard", shell_complete=guards)

guards_argument = click.argument("guards", metavar="GUARD...", nargs=-1, required=True, shell_complete=guards)

optional_guard_argument = click.argument("guard", required=False, shell_complete=guards)

everything_option = click.option("--all", "everything", is_flag=True, help="Every guard of this instance.")


def one_or_all(guard: str | None, *, everything: bool) -> None:
    """Make sure that nobody means all guards by saying nothing.

    Raises:
        click.UsageError: Neither or both are given.
    """
    if (guard is None) is not everything:
        raise click.UsageError("name one guard, or say --all")


def give(
    remote: Remote, path: str, body: dict[str, Any], *, output: str, then: Iterable[str] = (), guard: str = ""
) -> None:
    """Give an order, show what was done and what comes next, or say why not and end with the fitting exit code.

    Args:
        remote: The daemon.
        path: What it is to do.
        body: With what; members that are ``None`` are left out.
        output: ``json`` shows the daemon's own answer.
        then: What comes next and how to take it back. ``{guard}`` and ``{incident}`` stand for names; a line with an
            incident is left out where there is none.
        guard: Whom it is about, where the body does not say so.
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
    click.echo(f"Done, in the name of {plain(answer['by'])}:" if answer.get("by") else "Done:")
    for line in did:
        click.echo(f"  {plain(line)}")
    words = {"{guard}": guard or given.get("guard") or "--all", "{incident}": answer.get("incident")}
    for line in then:
        if words["{incident}"] or "{incident}" not in line:
            click.echo(_filled(line, words))


def find(remote: Remote, guards: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return what the daemon shows of these guards, by name.

    Raises:
        click.UsageError: One is not there.
    """
    known = {each["name"]: each for each in member(remote.ask("/api/v1/guards?limit=10000"), "guards", remote)}
    for guard in guards:
        if guard not in known:
            raise click.UsageError(f"there is no guard {plain(guard)}{near(guard, list(known))}")
    return {guard: known[guard] for guard in guards}


def near(word: str, known: list[str]) -> str:
    """Return the question whether one of these was meant."""
    import difflib

    found = difflib.get_close_matches(word, known) or known[:3]
    return f"; did you mean {' or '.join(map(plain, found))}?" if found else ""


def give_each(remote: Remote, guards: Iterable[str], order: Callable[[str], None]) -> None:
    """Give an order about each guard, whatever came of the others; none where a name is not known.

    Where one was not done, the exit code is that of the first that was not.
    """
    named = tuple(dict.fromkeys(guards))
    if len(named) > 1:
        find(remote, named)
    codes = []
    for guard in named:
        try:
            order(guard)
        except SystemExit as ended:
            codes.append(ended.code)
    if codes:
        sys.exit(codes[0])


def _filled(line: str, words: dict[str, str | None]) -> str:
    """Return a line with names in it, so that a command of it can be copied into a shell."""
    from rollback_guard.core.wording import argument

    for place, word in words.items():
        if word:
            line = line.replace(place, argument(plain(word)))
    return line


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
        click.echo(
            f"{hint}: name a file that holds a valid one with --token-file or ROLLBACK_GUARD_TOKEN_FILE.", err=True
        )
    elif refused.code == HTTPStatus.FORBIDDEN:
        click.echo("Use a token with the scope that this order needs, by --token-file.", err=True)
    if refused.code in BRAKES:
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
