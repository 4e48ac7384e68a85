"""Hold the addresses of people: each channel has one, and its secret does not stand in the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

from rollback_guard.config.channels import AppriseChannel
from rollback_guard.config.document import Document
from rollback_guard.config.inventory import Inventory
from rollback_guard.config.masking import is_secretive
from rollback_guard.config.places import KeyPath
from rollback_guard.config.problems import Level, Problem
from rollback_guard.config.settings import DeadManSection
from rollback_guard.core.units import format_duration
from rollback_guard.secret import REFERENCE

OPEN_SCHEMES = frozenset(
    {"dbus", "form", "forms", "http", "https", "json", "jsons", "mailto", "mailtos", "syslog", "xml", "xmls"}
)
"""Apprise URLs that need no secret; of all the others the address itself is one."""

_TOKEN = re.compile(r"(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9_-]{16,}")
"""A word of letters and digits that nobody has made up."""

HINT = 'Keep the whole URL in a file and write `url_file = "/run/secrets/NAME"`, or put `${file:…}` in its place.'


def check(inventory: Inventory) -> Iterator[Problem]:
    """Yield what is wrong with the addresses of channels and of the dead-man's switch."""
    if inventory.settings is None:
        return
    document, model = inventory.settings.document, inventory.settings.model
    for name, channel in model.notify.items():
        path: KeyPath = ("notify", name)
        if isinstance(channel, AppriseChannel):
            yield from _one_of_two(document, path, channel)
        if channel.url and (level := _secret_in(channel.url)):
            mark, message = document.value_mark((*path, "url")), "the URL of this channel seems to hold a secret"
            yield document.problem("secret-in-url", message, mark, hint=HINT, level=level)
    if model.dead_man:
        yield from _one_of_two(document, ("dead_man",), model.dead_man)
        if model.dead_man.timeout and model.dead_man.timeout > model.dead_man.every:
            message = f"a call may take longer than the {format_duration(model.dead_man.every)} until the next one"
            mark = document.value_mark(("dead_man", "timeout"))
            hint = "Shorten `timeout` or lengthen `every`."
            yield document.problem("dead-man-timeout", message, mark, hint=hint)


def _one_of_two(document: Document, path: KeyPath, place: AppriseChannel | DeadManSection) -> Iterator[Problem]:
    data = document.data
    for part in path:
        data = data[part]
    given = [key for key in ("url", "url_file") if key in data]
    if len(given) > 1:
        message, mark = "`url` and `url_file` exclude each other", document.key_mark((*path, "url_file"))
        yield document.problem("two-addresses", message, mark, hint="Keep one of them.")
    elif not given:
        hint = 'Add `url_file = "/run/secrets/NAME"` with the file that holds it, or `url`.'
        yield document.problem("missing-key", "`url_file` is missing", document.key_mark(path), hint=hint)


def _secret_in(url: str) -> Level | None:
    """Say how sure it is that a URL holds a secret."""
    if REFERENCE.search(url):
        return None
    try:
        parts = urlsplit(url)
        password, query = parts.password, parse_qsl(parts.query)
    except ValueError:
        return Level.ERROR
    if parts.scheme.lower() not in OPEN_SCHEMES or password:
        return Level.ERROR
    if any(is_secretive(name) or name.lower() in {"pass", "pwd", "key", "auth"} for name, _ in query):
        return Level.ERROR
    return Level.WARNING if _TOKEN.search(url.partition("://")[2]) else None
