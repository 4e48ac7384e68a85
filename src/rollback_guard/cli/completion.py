"""Name what may follow on the command line, for the shell: quickly, or not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import click
from click.shell_completion import CompletionItem

PATIENCE_S = 1.0
"""A shell that hangs after Tab is worse than one that knows no names."""

MOST = 200


def guards(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the names of guards that begin so."""

    def names(ask: Callable[[str], Any]) -> list[tuple[str, str]]:
        return [(each["name"], each["incident_phase"] or "") for each in ask("/api/v1/guards?limit=10000")["guards"]]

    return _matching(ctx, names, incomplete)


def incidents(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the ids of incidents that begin so, newest first."""

    def names(ask: Callable[[str], Any]) -> list[tuple[str, str]]:
        return [(each["id"], each["phase"]) for each in ask("/api/v1/incidents?limit=1000")["incidents"]]

    return _matching(ctx, names, incomplete)


def steps(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the steps of the playbook of the guard that was named before."""

    def names(ask: Callable[[str], Any]) -> list[tuple[str, str]]:
        # With an option that has no value yet, click does not get as far as the arguments.
        guard = ctx.params.get("guard") or next(iter(ctx.args), "")
        found = ask(f"/api/v1/guards?guard={quote(guard, safe='')}")["guards"]
        return [(step, "") for guard in found for step in guard["playbook"] if step]

    return _matching(ctx, names, incomplete)


def _matching(
    ctx: click.Context, names: Callable[[Callable[[str], Any]], list[tuple[str, str]]], incomplete: str
) -> list[CompletionItem]:
    """Return what the daemon knows, if it says so in time."""
    from rollback_guard.cli.remote import DEFAULT_URL, Remote, check_url

    found: list[CompletionItem] = []

    def look() -> None:
        # Whatever is wrong, a traceback between the prompt and the cursor would not say it.
        with suppress(Exception):
            remote = Remote(
                url=check_url(ctx.params.get("url") or DEFAULT_URL),
                ca_file=ctx.params.get("ca_file"),
                timeout_s=PATIENCE_S,
            )
            known = [(name, text) for name, text in names(remote.exchange) if name.startswith(incomplete)]
            found.extend(CompletionItem(name, help=text or None) for name, text in known[:MOST] if name.isprintable())

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    looking.join(PATIENCE_S)
    return list(found)
