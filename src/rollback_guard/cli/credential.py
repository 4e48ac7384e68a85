"""Read the token of the person who orders something; it never stands on a command line, where everybody sees it."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from urllib.parse import urlsplit

import click

TOKEN_VARIABLE = "ROLLBACK_GUARD_TOKEN"  # noqa: S105  the name of a variable, no token

LONGEST = 4096
"""Characters; what is longer is another file."""

token_file_option = click.option(
    "--token-file",
    envvar="ROLLBACK_GUARD_TOKEN_FILE",
    show_envvar=True,
    metavar="PATH",
    help=f"File that holds your token; without one {TOKEN_VARIABLE} is the token itself.",
)


def read_token(path: str | None) -> str:
    """Return the token out of a file, else out of the environment; empty where there is none.

    Raises:
        click.UsageError: What is there is no token.
    """
    if path is None:
        return _token(os.environ.get(TOKEN_VARIABLE, ""), TOKEN_VARIABLE)
    try:
        with Path(path).open("rb") as file:
            content = file.read(LONGEST + 1).decode()
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or "it is no text"
        raise click.UsageError(f"--token-file {path!r} cannot be read: {said}") from error
    token = _token(content, f"--token-file {path!r}")
    if not token:
        raise click.UsageError(f"--token-file {path!r} is empty")
    return token


def _token(content: str, where: str) -> str:
    token = content.strip()
    if len(token) > LONGEST or not token.isascii() or not token.isprintable() or " " in token:
        raise click.UsageError(f"{where} must hold one token and nothing else")
    return token


def travels_safely(url: str) -> bool:
    """Say whether nobody between here and there can read along: TLS, or no way at all."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https" or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
