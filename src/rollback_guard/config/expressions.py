"""Define the types of PromQL conditions and of templates in labels and annotations."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from rollback_guard.config.fields import Flaw, LabelText, Text, refuse
from rollback_guard.core import promql, template

TEMPLATE_HINT = "It is a Go template with the functions that Prometheus has for alerts."
HEARTBEAT_HINT = 'Write what every healthy server answers with something, such as `count(up)`, or "" for no question.'
VALUE_HINT = "Use it in an annotation: with it in a label every new value would be another alert."


def _condition(text: str) -> str:
    flaws = tuple(
        Flaw(problem.id.value, problem.message, _sentence(problem.hint), problem.offset)
        for problem in promql.find_problems(text)
    )
    if flaws:
        raise refuse(*flaws)
    return text


def _heartbeat(text: str) -> str:
    if not text.strip():
        return ""
    flaws = tuple(
        Flaw(problem.id.value, problem.message, HEARTBEAT_HINT, problem.offset)
        for problem in promql.find_problems(text)
        if problem.id not in (promql.ProblemId.BOOL, promql.ProblemId.NO_CONDITION)
    )
    if flaws:
        raise refuse(*flaws)
    return text


def _sentence(hint: str) -> str:
    return f"{hint[:1].upper()}{hint[1:]}." if hint and not hint.endswith((".", "?")) else hint


def _template(text: str) -> str:
    if "{{" in text:
        flaws = tuple(Flaw("bad-template", message, TEMPLATE_HINT) for message in template.problems(text))
        if flaws:
            raise refuse(*flaws)
    return text


def _label(text: str) -> str:
    text = _template(text)
    if "{{" in text and template.uses_value(text):
        raise refuse(Flaw("value-in-label", "a label must not hold the value", VALUE_HINT))
    return text


Expression = Annotated[Text, AfterValidator(_condition)]
Template = Annotated[LabelText, AfterValidator(_template)]
LabelTemplate = Annotated[LabelText, AfterValidator(_label)]
Heartbeat = Annotated[Text, AfterValidator(_heartbeat)]
