"""Render and check one template.

A rule file's texts are Go templates. They are rendered here from a value and its labels alone: they run no queries,
read no clock, and are bounded in time and size, for they stand in the way of a decision.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from rollback_guard.core.regex import RegexError
from rollback_guard.core.template.format import FormatError
from rollback_guard.core.template.functions import QUERYING, UNSUPPORTED
from rollback_guard.core.template.interpreter import NAMES, Data, Rendering
from rollback_guard.core.template.lexer import TemplateError
from rollback_guard.core.template.syntax import (
    Action,
    Block,
    FunctionName,
    Include,
    Literal,
    Nested,
    Nil,
    Node,
    Operand,
    Pipeline,
    Template,
    Variable,
    parse,
)

__all__ = ["problems", "render", "syntax_problem", "uses_value"]

_ERRORS = (TemplateError, FormatError, RegexError, ValueError, OverflowError, RecursionError)


def render(
    text: str, *, labels: Mapping[str, str], value: float, external_labels: Mapping[str, str], external_url: str
) -> str:
    """Return the text for one series, or what fails in it."""
    data = Data(labels=labels, external_labels=external_labels, external_url=external_url, value=float(value))
    try:
        return Rendering(_parsed(text), data).text()
    except _ERRORS as error:
        return f"<error expanding template: {error}>"


def syntax_problem(text: str) -> str | None:
    """Return why a template does not parse, which Prometheus would refuse too; ``None`` when it does."""
    try:
        _parsed(text)
    except TemplateError as error:
        return str(error)
    return None


def problems(text: str) -> list[str]:
    """Return what will go wrong with a template whatever the labels are; nothing when all is well."""
    try:
        template = _parsed(text)
    except TemplateError as error:
        return [f"template: {error}"]
    called = {operand.name for operand in _operands(template) if isinstance(operand, FunctionName)}
    found = []
    if called & QUERYING:
        names = ", ".join(sorted(called & QUERYING))
        found.append(f"template: rollback-guard does not run queries in templates, so that {names} can not be used")
    found.extend(f"template: rollback-guard has no function {name}" for name in sorted(called & UNSUPPORTED))
    if found:
        return found
    return [f"template: {error}" for error in dict.fromkeys(_trials(template))]


def uses_value(text: str) -> bool:
    """Say whether a template reads the value, so that a label made of it would change in every slot."""
    try:
        operands = list(_operands(_parsed(text)))
    except TemplateError:
        return False
    return any(
        isinstance(operand, Variable)
        and (operand.name == "$value" or (operand.name in {".", "$"} and operand.fields[:1] == ("Value",)))
        for operand in operands
    )


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Template:
    return parse(text, NAMES)


class _AnyLabel(dict[str, str]):
    """Labels of which every one exists; "0" is also a number, a duration and a pattern."""

    def get(self, key: str, default: Any = None) -> Any:
        return "0"


def _trials(template: Template) -> Iterator[str]:
    """Yield the errors of renderings that no label could have prevented."""
    for value in (0.0, 1.5, math.nan):
        labels = _AnyLabel(instance="0")
        data = Data(labels=labels, external_labels=labels, external_url="http://localhost", value=value)
        try:
            Rendering(template, data).text()
        except _ERRORS as error:
            yield str(error)


def _operands(template: Template) -> Iterator[Operand]:
    """Yield every operand of a template, those of its definitions included."""
    pending: list[Node | Operand | Pipeline] = [*template.nodes]
    for nodes in template.defined.values():
        pending.extend(nodes)
    while pending:
        match pending.pop():
            case Action(pipeline) | Include(_, Pipeline() as pipeline):
                pending.append(pipeline)
            case Block(_, pipeline, body, otherwise):
                pending += [pipeline, *body, *otherwise]
            case Pipeline(commands):
                pending.extend(operand for command in commands for operand in command)
            case Nested(pipeline) as nested:
                yield nested
                pending.append(pipeline)
            case Literal() | Nil() | Variable() | FunctionName() as operand:
                yield operand
