"""Load the strict part of YAML that rule files need, with the place of everything.

libyaml's events are composed here, without recursion: a bomb is refused at its first alias, a tower of brackets at its
33rd level, a million keys at the bound, long before they cost anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from rollback_guard.config.aliases import written_out
from rollback_guard.config.places import DEEPEST, MOST_NODES, DocumentError, KeyPath, Mark, Parsed, Place
from rollback_guard.config.problems import quoted
from rollback_guard.config.scalars import Plain, resolve

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MERGE = "<<"

MOST_FLAWS = 100
"""Mistakes in one file after which the rest of it is not read."""


def load(text: str, *, aliases: bool = False) -> Parsed:
    """Return the data of the one document in a text.

    Args:
        text: The whole file.
        aliases: Whether it may have aliases and merge keys; a rule file may not.

    Raises:
        DocumentError: It is no YAML, or more of YAML than a rule file may use.
    """
    composer = _Composer()
    try:
        for event in written_out(events(text)) if aliases else events(text):
            composer.take(event)
    except yaml.MarkedYAMLError as error:
        raise _refused(error, text) from error
    except yaml.YAMLError as error:
        message = f"not YAML: {str(error).splitlines()[0]}"
        raise DocumentError("yaml-syntax", message, hint="Save it as UTF-8 text.") from error
    return Parsed(composer.data, composer.places, tuple(composer.flaws))


def events(text: str) -> Iterator[Any]:
    """Yield libyaml's events of a text."""
    yield from yaml.parse(text, Loader=_Loader)


def _refused(error: yaml.MarkedYAMLError, text: str) -> DocumentError:
    """Return libyaml's complaint at the place where a person can mend it."""
    mark, unfinished = error.problem_mark, "end of stream" in str(error.problem)
    if mark is None or (unfinished and error.context_mark is not None):
        mark = error.context_mark  # what is never closed, not where the file ends
    message = ", ".join(part for part in (error.problem, error.context) if part) or "not YAML"
    hint = "Close it, or put the text in other quotes." if unfinished else "Look at indentation and quotes."
    if mark is not None and text[mark.index : mark.index + 1] == "\t":
        hint = "Indent with blanks; YAML allows no tabs."
    return DocumentError("yaml-syntax", message, mark=_mark(mark), hint=hint)


def _mark(mark: Any) -> Mark:
    return Mark(mark.line + 1, mark.column + 1) if mark is not None else Mark()


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not come yet."""

    value: Any
    path: KeyPath
    key: str | None = None
    key_mark: Mark | None = None
    key_places: dict[str, Mark] = field(default_factory=dict)


class _Composer:
    """Build data from events; keeps what is open on a stack of its own."""

    def __init__(self) -> None:
        self.data: Any = None
        self.places: dict[KeyPath, Place] = {}
        self.flaws: list[DocumentError] = []
        self._stack: list[_Open] = []
        self._nodes = 0
        self._documents = 0

    def take(self, event: Any) -> None:
        """Go on by one event."""
        match event:
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.MappingStartEvent():
                self._begin(event, {})
            case yaml.SequenceStartEvent():
                self._begin(event, [])
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._stack.pop()
            case yaml.AliasEvent():
                hint = "Write the value out; rule files have no aliases."
                raise DocumentError("yaml-alias", "aliases are not allowed", mark=_mark(event.start_mark), hint=hint)
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    hint = "Prometheus reads only the first document of a file; put the others into files of their own."
                    mark = _mark(event.start_mark)
                    raise DocumentError("yaml-documents", "the file holds a second document", mark=mark, hint=hint)

    def _scalar(self, event: Any) -> None:
        self._check(event)
        text = resolve(event.value) if event.implicit[0] and not event.style else event.value
        top = self._stack[-1] if self._stack else None
        if top is not None and isinstance(top.value, dict) and top.key is None:
            self._key(top, text, _mark(event.start_mark))
        else:
            self._put(text, event, scalar=True)

    def _begin(self, event: Any, value: Any) -> None:
        self._check(event)
        if len(self._stack) >= DEEPEST:
            message = f"nested deeper than {DEEPEST} levels"
            raise DocumentError("too-deep", message, mark=_mark(event.start_mark), hint="A rule file needs six.")
        top = self._stack[-1] if self._stack else None
        if top is not None and isinstance(top.value, dict) and top.key is None:
            raise DocumentError(
                "yaml-key", "a key must be a text", mark=_mark(event.start_mark), hint="Write `key: value`."
            )
        self._stack.append(_Open(value, self._put(value, event, scalar=False)))

    def _put(self, value: Any, event: Any, *, scalar: bool) -> KeyPath:
        mark = _mark(event.start_mark)
        if not self._stack:
            self.data = value
            path: KeyPath = ()
            key_mark = None
        else:
            top = self._stack[-1]
            path, key_mark = (*top.path, self._attach(top, value)), top.key_mark
            top.key_mark = None
        self.places[path] = Place(mark, key_mark, scalar and event.style in ("|", ">"), scalar)
        return path

    @staticmethod
    def _attach(top: _Open, value: Any) -> str | int:
        if top.key is None:
            top.value.append(value)
            return len(top.value) - 1
        key, top.key = top.key, None
        top.value[key] = value
        return key

    def _key(self, top: _Open, text: str, mark: Mark) -> None:
        if text == MERGE:
            raise DocumentError("yaml-alias", "merge keys are not allowed", mark=mark, hint="Write the keys out.")
        if isinstance(text, Plain) and text.trap:
            hint = f'Put it in quotes: "{text}".'
            self._flaw(DocumentError("yaml-bool", f"the key {quoted(text)} is {text.trap}", mark=mark, hint=hint))
        key = str(text)
        if key in top.key_places:
            message = f"{quoted(key)} is there twice; it first stands in line {top.key_places[key].line}"
            self._flaw(DocumentError("duplicate-key", message, mark=mark, hint="Keep one of the two."))
        top.key, top.key_mark = key, mark
        top.key_places[key] = mark

    def _flaw(self, error: DocumentError) -> None:
        """Remember a mistake that does not keep the rest from being read."""
        self.flaws.append(error)
        if len(self.flaws) >= MOST_FLAWS:
            raise error

    def _check(self, event: Any) -> None:
        self._nodes += 1
        if self._nodes > MOST_NODES:
            message = f"more than {MOST_NODES} keys and values in one file"
            raise DocumentError("too-large", message, mark=_mark(event.start_mark), hint="Split the file.")
        if event.anchor is not None:
            hint = "Write the value out where it is needed."
            raise DocumentError("yaml-alias", "anchors are not allowed", mark=_mark(event.start_mark), hint=hint)
        if event.tag is not None:
            message = f"the tag {quoted(event.tag)} is not allowed"
            raise DocumentError("yaml-tag", message, mark=_mark(event.start_mark), hint="Remove it.")
