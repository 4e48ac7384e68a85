"""Define the type of templates in messages to people; jinja2 is imported only where there is one."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from rollback_guard.config.fields import Flaw, Text, refuse

HINT = "It is a Jinja2 template: `{{ … }}` for a value, `{% if … %}…{% endif %}` for a condition."

LONGEST = 8192
"""Characters; a longer message is read by nobody."""


def _message(text: str) -> str:
    if len(text) > LONGEST:
        raise refuse(Flaw("bad-template", f"a message of more than {LONGEST} characters", "Shorten it."))
    if "{" in text and (problem := _syntax_problem(text)):
        raise refuse(Flaw("bad-template", f"the message is no template: {problem}", HINT))
    return text


def _syntax_problem(text: str) -> str:
    from jinja2.exceptions import TemplateSyntaxError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    try:
        # Parsed and not compiled: checking a file must never run what stands in it.
        ImmutableSandboxedEnvironment(autoescape=False).parse(text)
    except TemplateSyntaxError as error:
        return f"line {error.lineno}: {error.message}"
    except (RecursionError, MemoryError):
        return "nested too deeply"
    return ""


Message = Annotated[Text, AfterValidator(_message)]
