"""`rollback-guard token`: make a token and the entry of the token file that knows it. Nothing is stored."""

from __future__ import annotations

import hashlib
import json
import secrets
from datetime import datetime

import click

SCOPES = ("operate", "act", "alert", "admin")

BYTES = 32
"""Random ones; 128 bits are the least that nobody guesses."""

PREFIX = "rg_"
"""So that those who search texts for leaked secrets recognise it."""

LONGEST_NAME = 100


@click.command(name="token", short_help="Make a token for the token file.")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(SCOPES),
    multiple=True,
    required=True,
    help="What it may do; give it several times for several. operate: pause, resume, ack, veto, extend, approve, "
    "rollouts. act: trigger, undo. alert: send alerts. admin: reload and everything else.",
)
@click.option(
    "--expires",
    type=click.DateTime(["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"]),
    metavar="TIME",
    help="When it ends, in UTC: 2027-01-01 or 2027-01-01T12:00:00Z.",
)
@click.option(
    "--entry", is_flag=True, help="Print the entry to stdout and the token to stderr, not the other way round."
)
def command(name: str, scopes: tuple[str, ...], expires: datetime | None, *, entry: bool) -> None:
    """Make a token for NAME, a person or a system; the journal names it with all that it does.

    The token goes to stdout and its entry for the file that `[server] token_file` names to stderr. The entry holds only
    the token's SHA-256; the token itself is stored nowhere.

    \b
    rollback-guard token ann --scope operate --scope act > ann.token
    rollback-guard token ci --scope operate --entry >> /etc/rollback-guard/tokens.toml
    """  # noqa: D301  click knows the backspace
    if not name.isprintable() or not 0 < len(name) <= LONGEST_NAME:
        raise click.BadParameter(f"a name has 1 to {LONGEST_NAME} printable characters", param_hint="NAME")
    token = PREFIX + secrets.token_urlsafe(BYTES)
    lines = [
        "[[token]]",
        f"name = {json.dumps(name, ensure_ascii=False)}",
        f"scopes = {json.dumps(list(dict.fromkeys(scopes)))}",
        f'sha256 = "{hashlib.sha256(token.encode()).hexdigest()}"',
    ]
    if expires is not None:
        lines.append(f"expires = {expires:%Y-%m-%dT%H:%M:%SZ}")
    click.echo(token, err=entry)
    click.echo("\n".join(lines), err=not entry)
