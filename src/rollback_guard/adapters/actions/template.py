"""Fill texts of the configuration with what the guard knows, and with secrets, in that order and never mixed.

A text is taken apart when it is loaded: its ``${file:…}`` and ``${env:…}`` references are set aside before the template
is compiled. So a label value that looks like a reference, or like a template, stays what it is: text.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from jinja2 import Template

from rollback_guard.ports import GuardError, PermanentError
from rollback_guard.secret import REFERENCE, SecretError, SecretText, redact, remember

MEMBERS: Mapping[str, frozenset[str]] = {
    "guard": frozenset({"name", "instance"}),
    "incident": frozenset({"id", "opened_at", "breached_at", "rules", "by", "why"}),
    "rollout": frozenset({"id", "version", "previous_version", "started_at"}),
    "action": frozenset({"name", "goal", "step", "key", "undoes"}),
    "alerts": frozenset({"rule", "phase", "labels", "value", "op", "threshold", "active_at"}),
}
"""What a template may use of `Call.context`: the members of each name, and of each of the alerts."""

KNOWN = ("guard", "incident", "rollout", "alerts", "action")
"""The names a template may use: the keys of `Call.context`. Without a rollout there is none to name."""

OUTPUT_CHARS = 64 * 1024
"""A longer text is a loop gone wrong; it would be refused by the kernel or the server anyway."""

QUOTED_CHARS = 120
"""Of a text or a value in a message."""

NONCE = secrets.token_hex(16)
"""Marks where a secret belongs; nobody outside this process can write it into a label."""


class TemplateProblem(ValueError):  # noqa: N818  shown to people as a problem of their file
    """A text cannot be used; found when it is loaded."""


class Form(StrEnum):
    """Where a rendered value is put, and so what must not be able to break out of it."""

    PLAIN = "plain"
    URL = "url"
    HEADER = "header"


def show(value: Any) -> str:
    """Return a value of the context as text: JSON's words for structures, truth and nothing left empty."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case None:
            return ""
        case Mapping() | list() | tuple():
            return json.dumps(value, ensure_ascii=False, default=str)
        case _:
            return str(value)


@dataclass(frozen=True, slots=True)
class Text:
    """A text of the configuration, ready to be filled; `str` shows it as it was written."""

    source: str
    template: Template | None
    skeleton: str
    references: tuple[str, ...]

    @classmethod
    def parse(cls, source: str, form: Form = Form.PLAIN) -> Text:
        """Take a text apart and compile it.

        Raises:
            TemplateProblem: The template has a syntax error or uses a name that no call knows.
        """
        references: list[str] = []
        skeleton = REFERENCE.sub(lambda match: _set_aside(match[0], references), source)
        template = _compiled(skeleton, form) if "{" in skeleton else None
        return cls(source, template, skeleton, tuple(references))

    def __str__(self) -> str:
        return self.source

    def fill(self, context: Mapping[str, Any]) -> str:
        """Return the text with the context rendered in, then with its secrets revealed.

        Raises:
            PermanentError: A value or a secret is missing, or the result is too long.
        """
        text = self.skeleton if self.template is None else self._render(self.template, context)
        for index, reference in enumerate(self.references):
            mark = _mark(index)
            if mark in text:
                text = text.replace(mark, reveal(reference))
        return text

    def _render(self, template: Template, context: Mapping[str, Any]) -> str:
        known = {name: context[name] for name in KNOWN if name in context}
        try:
            return "".join(_bounded(template.generate(known)))
        except GuardError as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001  a template can fail in any way that Python can
            reason = redact(f"{type(error).__name__}: {error}")
        raise PermanentError(f"template {shorten(repr(self.source))}: {shorten(reason)}")


def reveal(reference: str) -> str:
    """Return what a reference refers to, remembered also in the spellings in which servers send it back.

    Raises:
        PermanentError: It cannot be read; the message names the reference.
    """
    try:
        value = SecretText(reference).reveal()
    except SecretError as error:
        reason = str(error)
    else:
        for spelling in {json.dumps(value)[1:-1], repr(value)[1:-1], quote(value, safe=""), quote_plus(value)}:
            if spelling != value:
                remember(spelling)
        return value
    raise PermanentError(reason)


def shorten(text: str) -> str:
    """Return the beginning of a text, for a message."""
    return text if len(text) <= QUOTED_CHARS else f"{text[: QUOTED_CHARS - 1]}…"


def _bounded(parts: Iterable[str]) -> Iterator[str]:
    size = 0
    for part in parts:
        size += len(part)
        if size > OUTPUT_CHARS:
            raise PermanentError(f"the text is longer than {OUTPUT_CHARS} characters")
        yield part


def _mark(index: int) -> str:
    return f"<{NONCE}:{index}>"


def _set_aside(reference: str, references: list[str]) -> str:
    if "{" in reference[2:]:
        raise TemplateProblem(f"{reference}: the name of a secret cannot hold a template")
    references.append(reference)
    return _mark(len(references) - 1)


def _compiled(skeleton: str, form: Form) -> Template:
    from rollback_guard.adapters.actions.sandbox import compiled  # jinja2 takes megabytes, and many texts are plain

    return compiled(skeleton, form)
