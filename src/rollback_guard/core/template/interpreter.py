"""Run a parsed template over one alert's data, with Go's rules for values, scopes and calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit

from rollback_guard.core.template.format import format_value, type_name
from rollback_guard.core.template.functions import FUNCTIONS, QUERYING, UNSUPPORTED, Arguments, Function, is_true
from rollback_guard.core.template.lexer import TemplateError
from rollback_guard.core.template.syntax import (
    Action,
    Block,
    FunctionName,
    Include,
    Jump,
    Literal,
    Nested,
    Nil,
    Node,
    Operand,
    Pipeline,
    Template,
    Text,
    Variable,
)

MAX_OUTPUT = 64 * 1024
"""Characters of one rendered text, and of any text on the way to it."""

MAX_STEPS = 20_000
"""Nodes and commands of one rendering."""

MAX_INCLUDES_DEEP = 20

_OPERATORS = frozenset({"and", "or"})
_SURROUNDINGS = frozenset({"externalURL", "pathPrefix"})
NAMES = frozenset(FUNCTIONS) | _OPERATORS | _SURROUNDINGS | QUERYING | UNSUPPORTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """What ``.`` is at the top."""

    labels: Mapping[str, str]
    external_labels: Mapping[str, str]
    external_url: str
    value: float

    def __str__(self) -> str:
        shown = (self.labels, self.external_labels, self.external_url, self.value)
        return "{" + " ".join(map(format_value, shown)) + "}"


class _Jump(Exception):  # noqa: N818  it is a jump, no error
    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


_NOTHING = object()
"""No value came through the pipeline; ``None`` would be Go's nil."""


@dataclass(slots=True)
class _Scope:
    """Variables by name, innermost last."""

    names: list[tuple[str, Any]] = field(default_factory=list)

    def read(self, name: str) -> Any:
        for known, value in reversed(self.names):
            if known == name:
                return value
        raise TemplateError(f"undefined variable: {name}")

    def assign(self, name: str, value: Any) -> None:
        for index in reversed(range(len(self.names))):
            if self.names[index][0] == name:
                self.names[index] = (name, value)
                return
        raise TemplateError(f"undefined variable: {name}")


class Rendering:
    """Run one template once."""

    def __init__(self, template: Template, data: Data) -> None:
        self._template = template
        self._data = data
        self._written: list[str] = []
        self._size = 0
        self._steps = 0
        self._includes = 0
        self._scope = _Scope([
            ("$", data), ("$labels", data.labels), ("$externalLabels", data.external_labels),
            ("$externalURL", data.external_url), ("$value", data.value),
        ])  # fmt: skip

    def text(self) -> str:
        """Return what the template writes; to be called once."""
        self._run(self._template.nodes, self._data)
        return "".join(self._written)

    def _step(self) -> None:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise TemplateError(f"more than {MAX_STEPS} steps")

    def _write(self, text: str) -> None:
        self._size += len(text)
        if self._size > MAX_OUTPUT:
            raise TemplateError(f"more than {MAX_OUTPUT} characters")
        self._written.append(text)

    def _run(self, nodes: tuple[Node, ...], dot: Any) -> None:
        for node in nodes:
            self._step()
            match node:
                case Text(text):
                    self._write(text)
                case Action(pipeline):
                    value = self._pipeline(pipeline, dot)
                    if not pipeline.declared:
                        self._write("<no value>" if value is None else format_value(value))
                case Block():
                    self._block(node, dot)
                case Include(name, argument):
                    self._include(name, None if argument is None else self._pipeline(argument, dot))
                case Jump(word):
                    raise _Jump(word)

    def _block(self, block: Block, dot: Any) -> None:
        known = len(self._scope.names)
        value = self._pipeline(block.pipeline, dot, declare=block.word != "range")
        if block.word == "range":
            self._range(block, value, dot)
        elif is_true(value):
            self._run(block.body, value if block.word == "with" else dot)
        else:
            self._run(block.otherwise, dot)
        del self._scope.names[known:]

    def _range(self, block: Block, value: Any, dot: Any) -> None:
        if value is not None and not isinstance(value, Mapping):
            raise TemplateError(f"range can't iterate over {type_name(value)}")
        names, known = block.pipeline.declared, len(self._scope.names)
        for key, item in sorted((value or {}).items()):
            pair = (item,) if len(names) == 1 else (key, item)
            self._bind(names, pair, assigns=block.pipeline.assigns)
            try:
                self._run(block.body, item)
            except _Jump as jump:
                if jump.word == "break":
                    break
            finally:
                del self._scope.names[known:]
        if not value:
            self._run(block.otherwise, dot)

    def _bind(self, names: tuple[str, ...], values: tuple[Any, ...], *, assigns: bool) -> None:
        for name, value in zip(names, values, strict=False):
            if assigns:
                self._scope.assign(name, value)
            else:
                self._scope.names.append((name, value))

    def _include(self, name: str, argument: Any) -> None:
        if name not in self._template.defined:
            raise TemplateError(f'template "{name}" not defined')
        if self._includes >= MAX_INCLUDES_DEEP:
            raise TemplateError("templates include each other too deeply")
        outside, self._scope = self._scope, _Scope([("$", argument)])
        self._includes += 1
        self._run(self._template.defined[name], argument)
        self._includes -= 1
        self._scope = outside

    def _pipeline(self, pipeline: Pipeline, dot: Any, *, declare: bool = True) -> Any:
        value: Any = _NOTHING
        for command in pipeline.commands:
            value = self._command(command, value, dot)
        if declare:
            self._bind(pipeline.declared, (value,), assigns=pipeline.assigns)
        return value

    def _command(self, command: tuple[Operand, ...], final: Any, dot: Any) -> Any:
        self._step()
        first, arguments = command[0], command[1:]
        if isinstance(first, FunctionName):
            return self._call(first.name, arguments, final, dot)
        if arguments or final is not _NOTHING:
            raise TemplateError(f"can't give argument to non-function {_shown(first)}")
        if isinstance(first, Nil):
            raise TemplateError("nil is not a command")
        return self._value(first, dot)

    def _value(self, operand: Operand, dot: Any) -> Any:
        match operand:
            case Literal(value):
                return value
            case Variable(name, fields):
                return _look_up(dot if name == "." else self._scope.read(name), fields)
            case Nested(pipeline, fields):
                return _look_up(self._pipeline(pipeline, dot), fields)
            case FunctionName(name):
                return self._call(name, (), _NOTHING, dot)
            case Nil():
                return None

    def _call(self, name: str, arguments: tuple[Operand, ...], final: Any, dot: Any) -> Any:
        if name in _OPERATORS:
            return self._and_or(name, arguments, final, dot)
        function = self._function(name)
        count = len(arguments) + (final is not _NOTHING)
        if count < len(function.takes) or (count > len(function.takes) and function.rest is None):
            least = "at least " if function.rest else ""
            raise TemplateError(f"wrong number of args for {name}: want {least}{len(function.takes)} got {count}")
        kinds = (*function.takes, *[function.rest or "any"] * count)
        values = [self._value(operand, dot) for operand in arguments]
        values += [] if final is _NOTHING else [final]
        result = function.call(*(_typed(kind, value) for kind, value in zip(kinds, values, strict=False)))
        if isinstance(result, str) and len(result) > MAX_OUTPUT:
            raise TemplateError(f"more than {MAX_OUTPUT} characters")
        return result

    def _function(self, name: str) -> Function:
        if name == "externalURL":
            return Function(lambda: self._data.external_url, ())
        if name == "pathPrefix":
            return Function(lambda: unquote(urlsplit(self._data.external_url).path), ())
        if name in QUERYING:
            return Function(_refusing("rollback-guard does not run queries in templates"), (), "any")
        if name in UNSUPPORTED:
            return Function(_refusing(f"rollback-guard has no function {name}"), (), "any")
        return FUNCTIONS[name]

    def _and_or(self, name: str, arguments: tuple[Operand, ...], final: Any, dot: Any) -> Any:
        """Stop at the first argument that decides, and leave the others alone."""
        if not arguments and final is _NOTHING:
            raise TemplateError(f"wrong number of args for {name}: want at least 1 got 0")
        value: Any = None
        for argument in arguments:
            value = self._value(argument, dot)
            if is_true(value) is (name == "or"):
                return value
        return value if final is _NOTHING else final


def _refusing(message: str) -> Callable[..., Any]:
    def refuse(*_: Any) -> NoReturn:
        raise TemplateError(message)

    return refuse


_FIELDS = {"Labels": "labels", "ExternalLabels": "external_labels", "ExternalURL": "external_url", "Value": "value"}


def _look_up(value: Any, fields: tuple[str, ...]) -> Any:
    for name in fields:
        if isinstance(value, Data) and name in _FIELDS:
            value = getattr(value, _FIELDS[name])
        elif isinstance(value, Mapping):
            value = value.get(name, None if isinstance(value, Arguments) else "")
        else:
            raise TemplateError(f"can't evaluate field {name} in type {type_name(value)}")
    return value


def _typed(kind: str, value: Any) -> Any:
    expected = {"text": str, "int": int}.get(kind)
    if expected is not None and (not isinstance(value, expected) or isinstance(value, bool)):
        wanted = "string" if kind == "text" else kind
        raise TemplateError(f"wrong type for value; expected {wanted}; got {type_name(value)}")
    return value


def _shown(operand: Operand) -> str:
    match operand:
        case Variable(name, fields):
            return name.removesuffix(".") + "".join(f".{part}" for part in fields) or "."
        case Literal(value):
            return format_value(value)
    return "value"
