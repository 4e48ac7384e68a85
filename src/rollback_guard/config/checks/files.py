"""Look for the files that a configuration names: secrets, certificates, programs.

Whoever checks may be another user on another machine, where no secret is: what is missing is a warning, and programs,
which are rather beside the configuration, have an id of their own. Nothing is opened, so that no content can come into
a message.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from rollback_guard.config.anchor import FREE_TABLES, anchored_path
from rollback_guard.config.document import Document
from rollback_guard.config.inventory import Inventory
from rollback_guard.config.places import KeyPath
from rollback_guard.config.problems import Level, Problem, printable
from rollback_guard.secret import REFERENCE

FILE_KEYS = frozenset(
    {
        "bearer_token_file",
        "ca_file",
        "cert_file",
        "key_file",
        "password_file",
        "secret_file",
        "token_file",
        "url_file",
    }
)
"""Keys whose value is the path of a file."""

LONGEST_PATH = 1000
"""Characters that a message shows of a path."""

HINT = "It has to be there on the machine that runs the guard, for the user that runs it."


def check(inventory: Inventory) -> Iterator[Problem]:
    """Yield the files that are named and not there, or may not be read or executed; each where it is first named."""
    if inventory.settings is None:
        return  # relative paths begin at a guard.toml, which is not here
    told: set[tuple[str, str]] = set()
    for problem in sorted(_problems(inventory, inventory.settings.document), key=lambda it: (it.path, it.line)):
        if (problem.path, problem.message) not in told:
            told.add((problem.path, problem.message))
            yield problem


def _problems(inventory: Inventory, settings: Document) -> Iterator[Problem]:
    for file in inventory.files:
        for number in range(len(file.model.probes)):
            yield from _below(inventory.base, file.document, file.origin(("probes", number)))
    yield from _below(inventory.base, settings, ())
    yield from _programs(inventory.base, settings)


def _below(base: Path, document: Document, top: KeyPath) -> Iterator[Problem]:
    for path, value in document.texts_below(top):
        files = (Path(anchored_path(base, name)) for name in _named(path, value))
        yield from islice((it for file in files for it in _missing("missing-file", document, path, file)), 1)


def _named(path: KeyPath, value: str) -> Iterator[str]:
    """Yield the files that a value names: by itself, or in `${file:…}` where such references are followed."""
    if _is_followed(path) and REFERENCE.search(value):
        yield from (match[2] for match in REFERENCE.finditer(value) if match[1] == "file")
    elif path[-1] in FILE_KEYS and not FREE_TABLES.intersection(path[:-1]) and value.strip():
        yield value


def _is_followed(path: KeyPath) -> bool:
    addressed = path[0] in ("notify", "dead_man") and path[-1] == "url"
    return path[0] == "actions" or "headers" in path[:-1] or addressed


def _programs(base: Path, document: Document) -> Iterator[Problem]:
    """Yield the commands whose program is a path; one that is only a name is looked for where the guard runs."""
    tables = document.data.get("actions")
    for name, table in (tables if isinstance(tables, dict) else {}).items():
        if not isinstance(table, dict):
            continue
        cwd = base / table["cwd"] if isinstance(table.get("cwd"), str) else base
        inspect = table.get("inspect")
        commands: dict[KeyPath, Any] = {("command",): table.get("command"), ("inspect",): inspect}
        if isinstance(inspect, dict):
            commands[("inspect", "command")] = inspect.get("command")
        for at, words in commands.items():
            word = words[0] if isinstance(words, list) and words else None
            if isinstance(word, str) and "/" in word and "{" not in word and not word.startswith("~"):
                path = ("actions", name, *at, 0)
                yield from _missing("missing-program", document, path, Path(anchored_path(cwd, word)))


def _missing(id_: str, document: Document, path: KeyPath, file: Path) -> Iterator[Problem]:
    if flaw := _flaw(file, os.X_OK if id_ == "missing-program" else os.R_OK):
        message = (
            f"the {'program' if id_ == 'missing-program' else 'file'} `{printable(str(file))[:LONGEST_PATH]}` {flaw}"
        )
        hint = "Make it executable: `chmod +x`." if flaw == NOT_EXECUTABLE else HINT
        yield document.problem(id_, message, document.value_mark(path), hint=hint, level=Level.WARNING)


NOT_EXECUTABLE = "is not executable"


def _flaw(file: Path, access: int) -> str:
    """Say what keeps a file from being read or executed, or nothing."""
    try:
        file.stat()
        if file.is_dir():
            return "is a directory"
        if os.access(file, access):
            return ""
    except OSError as error:
        return "may not be looked at by this user" if error.errno == errno.EACCES else "does not exist"
    except ValueError:  # a NUL in the name
        return "does not exist"
    return NOT_EXECUTABLE if access == os.X_OK else "may not be read by this user"
