"""Parse the templates of labels and annotations: Go's text/template, as Prometheus' rule files use it.

What Go refuses when it parses is refused here too: an unknown function, an undefined variable, a missing `end`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rollback_guard.core.template.lexer import TemplateError, Token, cut, unquote

MAX_DEPTH = 40
"""Parentheses and blocks inside of each other."""

GIVEN = ("$", "$labels", "$externalLabels", "$externalURL", "$value")
"""Variables that Prometheus defines before the text."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant; its Go type follows from its Python type."""

    value: str | int | float | bool


@dataclass(frozen=True, slots=True)
class Nil:
    """The word ``nil``."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable such as ``$labels``, or ``.`` under the name ``.``; `fields` are looked up in it."""

    name: str
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FunctionName:
    """A function to call."""

    name: str


@dataclass(frozen=True, slots=True)
class Nested:
    """A pipeline in parentheses; `fields` are looked up in its value."""

    pipeline: Pipeline
    fields: tuple[str, ...] = ()


Operand = Literal | Nil | Variable | FunctionName | Nested


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands of which each gets the value of the one before as its last argument."""

    commands: tuple[tuple[Operand, ...], ...]
    declared: tuple[str, ...] = ()
    assigns: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """Text to be written as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Action:
    """A pipeline whose value is written."""

    pipeline: Pipeline


@dataclass(frozen=True, slots=True)
class Block:
    """``if``, ``with`` or ``range``, with what to do otherwise."""

    word: str
    pipeline: Pipeline
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Include:
    """``template``: another template by its name."""

    name: str
    pipeline: Pipeline | None


@dataclass(frozen=True, slots=True)
class Jump:
    """``break`` or ``continue``."""

    word: str


Node = Text | Action | Block | Include | Jump


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed text, with the templates that it defines."""

    nodes: tuple[Node, ...]
    defined: Mapping[str, tuple[Node, ...]] = field(default_factory=dict)


_INTEGER = re.compile(r"[+-]?(?:0[xXbBoO])?[0-9a-fA-F_]+")
_OCTAL = re.compile(r"([+-]?)0([0-7_]+)")
_INT64 = 2**63


def parse(text: str, functions: frozenset[str]) -> Template:
    """Return the parsed template.

    Args:
        text: The text of a label or annotation.
        functions: Names that may be called.

    Raises:
        TemplateError: Go would refuse it too, or it is beyond our limits.
    """
    return _Parser(cut(text), functions).template()


class _Parser:
    """Read tokens into nodes; keeps the names that are in scope, for Go refuses unknown ones before it runs."""

    def __init__(self, tokens: Sequence[Token], functions: frozenset[str]) -> None:
        self._tokens = tokens
        self._position = 0
        self._functions = functions
        self._variables = list(GIVEN)
        self._depth = 0
        self._ranges = 0
        self._defined: dict[str, tuple[Node, ...]] = {}

    def template(self) -> Template:
        nodes, ended_by = self._nodes()
        if ended_by:
            raise self._error(f"unexpected {{{{{ended_by}}}}}")
        return Template(nodes=nodes, defined=self._defined)

    def _error(self, message: str) -> TemplateError:
        line = self._tokens[min(self._position, len(self._tokens) - 1)].line
        return TemplateError(f"line {line}: {message}")

    def _peek(self) -> Token | None:
        return self._tokens[self._position] if self._position < len(self._tokens) else None

    def _take(self, kind: str, text: str | None = None) -> Token | None:
        token = self._peek()
        if token is None or token.kind != kind or (text is not None and token.text != text):
            return None
        self._position += 1
        return token

    def _close(self) -> None:
        if not self._take("end"):
            token = self._peek()
            raise self._error(f'unexpected "{token.text if token else ""}" at the end of an action')

    @contextmanager
    def _deeper(self) -> Iterator[None]:
        """Bound nesting, and forget the variables that were declared inside."""
        self._depth += 1
        known = len(self._variables)
        if self._depth > MAX_DEPTH:
            raise self._error(f"more than {MAX_DEPTH} blocks and parentheses inside of each other")
        yield
        self._depth -= 1
        del self._variables[known:]

    def _nodes(self) -> tuple[tuple[Node, ...], str]:
        """Return the nodes up to the end of the block, and the word that ended it."""
        nodes: list[Node] = []
        while (token := self._peek()) is not None:
            self._position += 1
            if token.kind == "text":
                nodes.extend([Text(token.text)] if token.text else [])
                continue
            word = self._peek()
            if word is not None and word.kind == "word" and word.text in {"end", "else"}:
                self._position += 1
                return tuple(nodes), word.text
            node = self._action()
            nodes.extend([node] if node else [])
        return tuple(nodes), ""

    def _action(self) -> Node | None:
        token = self._peek()
        word = token.text if token is not None and token.kind == "word" else ""
        match word:
            case "if" | "with" | "range":
                self._position += 1
                return self._block(word)
            case "define" | "block" | "template":
                self._position += 1
                return self._named(word)
            case "break" | "continue":
                self._position += 1
                if not self._ranges:
                    raise self._error(f"{{{{{word}}}}} outside of {{{{range}}}}")
                self._close()
                return Jump(word)
        pipeline = self._pipeline("command")
        self._close()
        return Action(pipeline)

    def _block(self, word: str) -> Block:
        with self._deeper():
            pipeline = self._pipeline(word)
            self._close()
            self._ranges += word == "range"
            body, ended_by = self._nodes()
            self._ranges -= word == "range"
            otherwise: tuple[Node, ...] = ()
            if ended_by == "else":
                following = self._take("word", "if") or self._take("word", "with")
                if following:
                    return Block(word, pipeline, body, (self._block(following.text),))
                self._close()
                otherwise, ended_by = self._nodes()
            if ended_by != "end":
                raise self._error(f"{{{{{word}}}}} has no {{{{end}}}}")
            self._close()
        return Block(word, pipeline, body, otherwise)

    def _named(self, word: str) -> Node | None:
        name = self._take("string")
        if name is None:
            raise self._error(f"{word} needs the name of a template in quotes")
        called = unquote(name.text)
        pipeline = None
        following = self._peek()
        if word == "block" or (word == "template" and following is not None and following.kind != "end"):
            pipeline = self._pipeline(word)
        self._close()
        if word != "template":
            self._define(called)
        return None if word == "define" else Include(called, pipeline)

    def _define(self, name: str) -> None:
        with self._deeper():
            outside, ranges = self._variables, self._ranges
            self._variables, self._ranges = ["$"], 0
            body, ended_by = self._nodes()
            if ended_by != "end":
                raise self._error("a definition has no {{end}}")
            self._close()
            self._variables, self._ranges = outside, ranges
        self._defined[name] = body

    def _pipeline(self, of: str) -> Pipeline:
        declared, assigns = self._declaration(of)
        commands = [self._command()]
        while self._take("sign", "|"):
            commands.append(self._command())
        if not commands[0] and len(commands) == 1:
            raise self._error(f"missing value for {of}")
        commands = commands if commands[-1] else commands[:-1]  # Go lets a pipe stand at the end
        for stage, command in enumerate(commands):
            if not command:
                raise self._error("a command of a pipeline is missing")
            is_dot = isinstance(command[0], Variable) and command[0] == Variable(".")
            if stage and (is_dot or isinstance(command[0], Literal | Nil)):
                raise self._error(f"what stands in stage {stage + 1} of a pipeline can not be called")
        return Pipeline(tuple(commands), declared, assigns)

    def _declaration(self, of: str) -> tuple[tuple[str, ...], bool]:
        start = self._position
        names: list[str] = []
        while name := self._take("variable"):
            names.append(name.text)
            if not (of == "range" and len(names) == 1 and self._take("sign", ",")):
                break
        if names and self._take("sign", ":="):
            self._variables.extend(names)
            return tuple(names), False
        if names and self._take("sign", "="):
            return tuple(names), True
        self._position = start
        return (), False

    def _command(self) -> tuple[Operand, ...]:
        operands: list[Operand] = []
        while True:
            token = self._peek()
            if token is None or token.kind == "end" or (token.kind == "sign" and token.text in {"|", ")"}):
                return tuple(operands)
            if operands and not token.spaced:
                raise self._error(f'unexpected "{token.text}" after an operand')
            operands.append(self._operand(token))

    def _operand(self, token: Token) -> Operand:
        self._position += 1
        operand: Operand
        match token.kind:
            case "string":
                return Literal(unquote(token.text))
            case "char":
                return Literal(self._character(token.text))
            case "number":
                return Literal(self._number(token.text))
            case "word":
                return self._word(token.text)
            case "field":
                operand = Variable(".", (token.text[1:],))
            case "variable":
                if token.text not in self._variables:
                    raise self._error(f'undefined variable "{token.text}"')
                operand = Variable(token.text)
            case "sign" if token.text == ".":
                return Variable(".")
            case "sign" if token.text == "(":
                with self._deeper():
                    operand = Nested(self._pipeline("parenthesised command"))
                if not self._take("sign", ")"):
                    raise self._error("a parenthesis is never closed")
            case _:
                raise self._error(f'unexpected "{token.text}"')
        fields = []
        while (following := self._peek()) and following.kind == "field" and not following.spaced:
            self._position += 1
            fields.append(following.text[1:])
        if isinstance(operand, Nested):
            return Nested(operand.pipeline, tuple(fields))
        return Variable(operand.name, (*operand.fields, *fields))

    def _word(self, word: str) -> Operand:
        if word in {"true", "false"}:
            return Literal(word == "true")
        if word == "nil":
            return Nil()
        if word not in self._functions:
            raise self._error(f'function "{word}" not defined')
        return FunctionName(word)

    def _character(self, text: str) -> int:
        character = unquote('"' + text[1:-1].replace('"', '\\"').replace("\\'", "'") + '"')
        if len(character) != 1:
            raise self._error(f"malformed character constant: {text}")
        return ord(character)

    def _number(self, text: str) -> int | float:
        octal = _OCTAL.fullmatch(text)
        try:
            if octal:
                return int(octal[1] + octal[2], 8)
            number = int(text, 0) if _INTEGER.fullmatch(text) and not _has_exponent(text) else float(text)
        except ValueError:
            raise self._error(f'bad number syntax: "{text}"') from None
        if isinstance(number, int) and not -_INT64 <= number < _INT64:
            raise self._error(f"integer overflow: {text}")
        return number


def _has_exponent(text: str) -> bool:
    return "e" in text.lower() and "x" not in text.lower()
