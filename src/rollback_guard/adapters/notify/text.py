"""Put a notice into the words of the configuration, or into its own where it has none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rollback_guard.core.notice import Notice
from rollback_guard.ports import EmptyTextError
from rollback_guard.secret import redact
from rollback_guard.specs import ChannelSpec

if TYPE_CHECKING:
    from jinja2 import Template

TITLE_CHARS = 500
BODY_CHARS = 8000
"""Of a template's result: more is a loop gone wrong, and no channel would take it."""

REASON_CHARS = 200


class Wording:
    """The title and the body of one channel's notices.

    A template that fails never costs a notice: the default text is sent, with a line that says why. One that leaves
    nothing was meant so.

    Raises:
        ValueError: A template is none.
    """

    def __init__(self, spec: ChannelSpec) -> None:
        self._title = _compiled(spec, "title", spec.title)
        self._body = _compiled(spec, "body", spec.body)

    def of(self, notice: Notice) -> tuple[str, str]:
        """Return title and body, of which one may be empty.

        Raises:
            EmptyTextError: Both are.
        """
        faults: list[str] = []
        title = _filled("title", self._title, notice, most=TITLE_CHARS, faults=faults)
        body = _filled("body", self._body, notice, most=BODY_CHARS, faults=faults)
        title, body = " ".join(title.split()), "\n".join((body, *faults))
        if not title and not body.strip():
            raise EmptyTextError("the templates of this channel leave nothing of it")
        return title, body


def names(notice: Notice) -> dict[str, Any]:
    """Return what templates and receivers may use of a notice: plain data, no secrets."""
    return {
        "id": notice.id,
        "thread": notice.thread,
        "at": notice.at.isoformat(),
        "kind": notice.kind.value,
        "urgency": notice.urgency.value,
        "title": notice.title,
        "body": notice.body,
        "guard": notice.guard,
        "incident": notice.incident,
        "resolves": notice.resolves,
        "data": dict(notice.data),
    }


def _compiled(spec: ChannelSpec, key: str, source: str | None) -> Template | None:
    if source is None:
        return None
    # jinja2 takes megabytes, and most channels have no template.
    from jinja2 import StrictUndefined
    from jinja2.exceptions import TemplateSyntaxError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Sandbox(ImmutableSandboxedEnvironment):
        """A sandbox in which ``data.items`` is the value of that name, where there is one."""

        def getattr(self, obj: Any, attribute: str) -> Any:
            if isinstance(obj, Mapping) and attribute in obj:
                return obj[attribute]
            return super().getattr(obj, attribute)

    sandbox = Sandbox(undefined=StrictUndefined, autoescape=False, optimized=False)
    sandbox.globals.clear()
    try:
        return sandbox.from_string(source)
    except TemplateSyntaxError as error:
        raise ValueError(f"[notify.{spec.name}] {key}: template, line {error.lineno}: {error.message}") from None
    except (RecursionError, MemoryError, SyntaxError, OverflowError):
        raise ValueError(f"[notify.{spec.name}] {key}: template: nested too deeply") from None


def _filled(key: str, template: Template | None, notice: Notice, *, most: int, faults: list[str]) -> str:
    default = str(names(notice)[key])
    if template is None:
        return default
    try:
        return "".join(_bounded(template.generate(names(notice)), most))
    except Exception as error:  # noqa: BLE001  a template can fail in any way that Python can
        reason = redact(f"{type(error).__name__}: {error}")[:REASON_CHARS]
        faults.append(f"(The template of this channel's {key} failed, so this is the default text: {reason})")
        return default


def _bounded(parts: Iterable[str], most: int) -> Iterator[str]:
    size = 0
    for part in parts:
        size += len(part)
        if size > most:
            raise ValueError(f"the text is longer than {most} characters")
        yield part
