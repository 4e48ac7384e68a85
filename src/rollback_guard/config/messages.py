"""Define the type of templates in messages to people; jinja2 is imported only where there is one."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated

from pydantic import AfterValidator

from rollback_guard.config.fields import Flaw, Text, refuse
from rollback_guard.config.problems import did_you_mean, quoted
from rollback_guard.core.notice import Notice

HINT = "It is a Jinja2 template: `{{ … }}` for a value, `{% if … %}…{% endif %}` for a condition."

LONGEST = 8192
"""Characters; a longer message is read by nobody."""


KNOWN = tuple(sorted({field.name for field in fields(Notice)} - {"channels"}))
"""What a message may name: all of its notice but who else hears of it."""


def _message(text: str) -> str:
    if len(text) > LONGEST:
        raise refuse(Flaw("bad-template", f"a message of more than {LONGEST} characters", "Shorten it."))
    if "{" in text and (flaw := _flaw(text)):
        raise refuse(flaw)
    return text


def _flaw(text: str) -> Flaw | None:
    from jinja2 import meta
    from jinja2.exceptions import TemplateSyntaxError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    # Not optimized: checking a file must never compute what stands in it.
    sandbox = ImmutableSandboxedEnvironment(autoescape=False, optimized=False)
    try:
        tree = sandbox.parse(text)
        sandbox.compile(text, raw=True)
        unknown = sorted(meta.find_undeclared_variables(tree) - set(KNOWN))
    except TemplateSyntaxError as error:
        return Flaw("bad-template", f"this is no template: line {error.lineno}: {error.message}", HINT)
    except (RecursionError, MemoryError):
        return Flaw("bad-template", "this is no template: nested too deeply", HINT)
    if unknown:
        near = did_you_mean(unknown[0], KNOWN)
        hint = near or f"Known here: {', '.join(f'`{name}`' for name in KNOWN)}."
        return Flaw("bad-template", f"the template names {quoted(unknown[0])}, which no message has", hint)
    return None


Message = Annotated[Text, AfterValidator(_message)]
