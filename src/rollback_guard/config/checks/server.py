"""Hold the guard's own server against who may reach it."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from rollback_guard.config.inventory import Inventory
from rollback_guard.config.problems import Level, Problem
from rollback_guard.config.settings import split_listen


def check(inventory: Inventory) -> Iterator[Problem]:
    """Yield half a certificate, and an address that others reach and that takes no orders."""
    if inventory.settings is None:
        return
    document, server = inventory.settings.document, inventory.settings.model.server
    if (server.cert_file is None) != (server.key_file is None):
        there, missing = ("cert_file", "key_file") if server.cert_file else ("key_file", "cert_file")
        message, mark = f"`{there}` is there and `{missing}` is not", document.key_mark(("server", there))
        yield document.problem("server-certificate", message, mark, hint="HTTPS needs both; without both it is HTTP.")
    if server.token_file is None and not _is_loopback(split_listen(server.listen)[0]):
        message = "this address is reached from outside, and without `token_file` it takes no orders"
        hint = "Add `token_file`, or listen on `127.0.0.1`; without it nobody can pause, veto or approve."
        mark = document.value_mark(("server", "listen"))
        yield document.problem("no-tokens", message, mark, hint=hint, level=Level.WARNING)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
