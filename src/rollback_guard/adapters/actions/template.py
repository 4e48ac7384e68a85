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
from typing import Any
from urllib.parse import quote, quote_plus

from jinja2 import StrictUndefined, Template, Undefined, meta, nodes, pass_eval_context
from jinja2.exceptions import TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from rollback_guard.ports import GuardError, PermanentError
from rollback_guard.secret import REFERENCE, SecretError, SecretText, redact, remember

KNOWN = ("guard", "incident", "alerts", "action")
"""The names a template may use: the keys of `Call.context`."""

OUTPUT_CHARS = 64 * 1024
"""A longer text is a loop gone wrong; it would be refused by the kernel or the server anyway."""

QUOTED_CHARS = 120
"""Of a text or a value in a message."""

_NONCE = secrets.token_hex(16)
"""Marks where a secret belongs; nobody outside this process can write it into a label."""

_COMPOSING = (
    nodes.Include,
    nodes.Import,
    nodes.FromImport,
    nodes.Extends,
    nodes.Block,
    nodes.Macro,
    nodes.CallBlock,
    nodes.FilterBlock,
    nodes.AssignBlock,
)
"""Statements that need other templates, or that could change the text in which a secret's place is marked."""


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


class _Sandbox(ImmutableSandboxedEnvironment):
    """A sandbox in which ``labels.items`` is the label of that name, where there is one."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)


# The evaluation context is asked for so that jinja2 does not compute constant expressions while it compiles:
# checking a file must never run what stands in it.
@pass_eval_context
def _plain(_: object, value: Any) -> str:
    return _defined(value)


@pass_eval_context
def _quoted(_: object, value: Any) -> str:
    text = _defined(value)
    if text in {"", ".", ".."}:
        raise PermanentError(f"a template puts {text!r} into the URL, which would then name something else")
    return quote(text, safe="")


@pass_eval_context
def _one_line(_: object, value: Any) -> str:
    return "".join(char if char.isprintable() else " " for char in _defined(value))


def _defined(value: Any) -> str:
    # `str` of a StrictUndefined raises; `show` would look into it.
    return str(value) if isinstance(value, Undefined) else show(value)


def _sandbox(form: Form) -> _Sandbox:
    finalize = {Form.PLAIN: _plain, Form.URL: _quoted, Form.HEADER: _one_line}[form]
    sandbox = _Sandbox(
        undefined=StrictUndefined, finalize=finalize, optimized=False, keep_trailing_newline=True, autoescape=False
    )
    sandbox.globals.clear()
    # A retry under the same idempotency key has to send the same text.
    del sandbox.filters["random"]
    return sandbox


_SANDBOXES = {form: _sandbox(form) for form in Form}


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
        template = _compile(skeleton, form) if "{" in skeleton else None
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
    return f"<{_NONCE}:{index}>"


def _set_aside(reference: str, references: list[str]) -> str:
    if "{" in reference[2:]:
        raise TemplateProblem(f"{reference}: the name of a secret cannot hold a template")
    references.append(reference)
    return _mark(len(references) - 1)


def _compile(skeleton: str, form: Form) -> Template:
    sandbox = _SANDBOXES[form]
    try:
        tree = sandbox.parse(skeleton)
        unknown = sorted(meta.find_undeclared_variables(tree) - set(KNOWN))
        template = sandbox.from_string(skeleton)
    except TemplateSyntaxError as error:
        raise TemplateProblem(f"template, line {error.lineno}: {error.message}") from None
    except (RecursionError, MemoryError, SyntaxError, OverflowError):
        raise TemplateProblem("template: nested too deeply") from None
    if unknown:
        raise TemplateProblem(f"template: unknown name {unknown[0]!r}; a template knows {', '.join(KNOWN)}")
    if any(_NONCE in const.value for const in tree.find_all(nodes.Const) if isinstance(const.value, str)):
        raise TemplateProblem("template: a secret reference stands inside of an expression; put it outside of {{ }}")
    if found := next(iter(tree.find_all(_COMPOSING)), None):
        raise TemplateProblem(f"template, line {found.lineno}: {type(found).__name__.lower()} is not allowed here")
    return template
