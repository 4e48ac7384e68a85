"""Find secrets that stand in a file as plain text, and credentials that contradict each other."""

from __future__ import annotations

from collections.abc import Iterator

from rollback_guard.config.document import Document
from rollback_guard.config.inventory import Inventory
from rollback_guard.config.masking import is_secretive
from rollback_guard.config.places import KeyPath
from rollback_guard.config.problems import Level, Problem, quoted
from rollback_guard.config.settings import Datasource
from rollback_guard.secret import REFERENCE


def check(inventory: Inventory) -> Iterator[Problem]:
    """Yield what is wrong with credentials."""
    for file in inventory.files:
        for number in range(len(file.model.probes)):
            yield from _literals(file.document, file.origin(("probes", number)))
    if inventory.settings:
        document, model = inventory.settings.document, inventory.settings.model
        yield from _literals(document, ())
        if model.prometheus:
            yield from _datasource(document, ("prometheus",), model.prometheus)
        for name, source in model.datasources.items():
            yield from _datasource(document, ("datasources", name), source)


def _literals(document: Document, top: KeyPath) -> Iterator[Problem]:
    """Yield the headers below a place whose name promises a secret and whose value refers to none."""
    for path, value in document.texts_below(top):
        if _is_literal(path, value):
            message = f"the header {quoted(path[-1])} seems to hold a secret"
            hint = 'Keep it in a file of its own and write `"${file:/path/to/it}"`, or `"${env:NAME}"`.'
            yield document.problem("literal-secret", message, document.key_mark(path), hint=hint, level=Level.WARNING)


def _is_literal(path: KeyPath, value: str) -> bool:
    return (
        path[-2:-1] == ("headers",)
        and (is_secretive(str(path[-1])) or "key" in str(path[-1]).lower())
        and bool(value.strip())
        and REFERENCE.search(value) is None
    )


def _datasource(document: Document, path: KeyPath, source: Datasource) -> Iterator[Problem]:
    if (source.cert_file is None) != (source.key_file is None):
        there = "cert_file" if source.cert_file else "key_file"
        missing = "key_file" if source.cert_file else "cert_file"
        message, mark = f"`{there}` is there and `{missing}` is not", document.key_mark((*path, there))
        yield document.problem("client-certificate", message, mark, hint="A client certificate needs both.")
    if source.bearer_token_file and source.basic_auth:
        message, mark = "a bearer token and basic authentication exclude each other", document.key_mark(path)
        yield document.problem("two-credentials", message, mark, hint="Keep one of them.")
