"""Hold a document against its schema: every mistake becomes a problem with its place.

What remains when the mistaken keys are left out is handed on, so that cross-checks see the rest of the file too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from rollback_guard.config.document import Document
from rollback_guard.config.fields import Flaw, described
from rollback_guard.config.masking import holds_secret
from rollback_guard.config.places import KeyPath
from rollback_guard.config.problems import Problem, did_you_mean, quoted
from rollback_guard.config.vocabulary import known_keys, later_keys

MOST_PROBLEMS = 200
"""Problems of one file that are explained; nobody reads more, and a hostile file has a hundred thousand."""

OF_TEST_FILES = frozenset({"rule_files", "evaluation_interval", "group_eval_order", "fuzzy_compare", "tests"})

ITEM_LISTS = frozenset({"groups", "rules", "probes", "guards", "maintenance"})
"""Lists whose items stand for themselves: a broken one is left out, the others are still checked."""

NAMED_TABLES = frozenset({"datasources", "notify"})
"""Tables of guard.toml whose entries stand for themselves."""

_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")
"""A key of TOML that needs no quotes."""

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class Valid(Generic[Model]):
    """A file, or the part of it that is in order.

    Attributes:
        complete: Nothing was left out.
        kept: Of each list what is left of it, as indexes in the file.
    """

    document: Document
    model: Model
    complete: bool = True
    kept: Mapping[KeyPath, tuple[int, ...]] = field(default_factory=dict)

    def origin(self, path: KeyPath) -> KeyPath:
        """Return where a part of the model stands in the file."""
        return _origin(self.kept, path)


def validate(
    document: Document, model: type[Model], *, at: KeyPath = (), data: Any = None
) -> tuple[Valid[Model] | None, list[Problem]]:
    """Return what of the document is in order, and its problems.

    Args:
        document: A parsed file.
        model: What it should be.
        at: The part of the document that the data is of; the whole by default.
        data: Taken instead of the document's own.
    """
    data = document.data if data is None else data
    try:
        return Valid(document=document, model=model.model_validate(data)), []
    except ValidationError as error:
        errors = error.errors(include_url=False)
    paths = [_path_in(data, error) for error in errors]
    problems = _problems(document, model, at, errors, paths)
    return _remainder(document, model, data, set(paths)), problems


def _remainder(document: Document, model: type[Model], data: Any, doomed: set[KeyPath]) -> Valid[Model] | None:
    """Return the file without its mistaken keys; where one of them was needed, without the item that needs it."""
    while () not in doomed:
        kept: dict[KeyPath, tuple[int, ...]] = {}
        rest = _without(data, (), (), doomed, kept)
        try:
            return Valid(document=document, model=model.model_validate(rest), complete=False, kept=kept)
        except ValidationError as error:
            paths = [_origin(kept, _path_in(rest, it)) for it in error.errors(include_url=False)]
        doomed |= {_item(path) for path in paths}
    return None


def _origin(kept: Mapping[KeyPath, tuple[int, ...]], path: KeyPath) -> KeyPath:
    """Return where a part stood before others were left out."""
    new: KeyPath = ()
    old: KeyPath = ()
    for part in path:
        old = (*old, kept[new][part] if isinstance(part, int) and new in kept else part)
        new = (*new, part)
    return old


def _without(
    value: Any, path: KeyPath, new: KeyPath, doomed: set[KeyPath], kept: dict[KeyPath, tuple[int, ...]]
) -> Any:
    if isinstance(value, dict):
        return {
            key: _without(item, (*path, key), (*new, key), doomed, kept)
            for key, item in value.items()
            if (*path, key) not in doomed
        }
    if isinstance(value, list):
        kept[new] = tuple(index for index in range(len(value)) if (*path, index) not in doomed)
        return [
            _without(value[index], (*path, index), (*new, place), doomed, kept) for place, index in enumerate(kept[new])
        ]
    return value


def _item(path: KeyPath) -> KeyPath:
    if len(path) > 1 and path[0] in NAMED_TABLES:
        return path[:2]
    ends = (n for n in range(len(path), 1, -1) if isinstance(path[n - 1], int) and path[n - 2] in ITEM_LISTS)
    return path[: next(ends, 0)]


def _path_in(data: Any, error: ErrorDetails) -> KeyPath:
    """Return pydantic's location without what is no part of the data: tags of unions, `[key]`."""
    path: KeyPath = ()
    for part in error["loc"]:
        in_list = isinstance(data, list) and isinstance(part, int) and 0 <= part < len(data)
        if not in_list and not (isinstance(data, dict) and part in data):
            continue
        data = data[part]
        path = (*path, part)
    return path


def _problems(
    document: Document, model: type[BaseModel], at: KeyPath, errors: list[ErrorDetails], paths: list[KeyPath]
) -> list[Problem]:
    problems: list[Problem] = []
    for error, path in zip(errors[:MOST_PROBLEMS], paths, strict=False):
        problems.extend(_translated(document, model, at, error, path))
    if len(errors) > MOST_PROBLEMS:
        message = f"{len(errors) - MOST_PROBLEMS} more problems in this file are not shown"
        hint = "Mend the first ones and check again."
        problems.append(document.problem("more-problems", message, document.key_mark(()), hint=hint))
    return problems


def _translated(
    document: Document, model: type[BaseModel], at: KeyPath, error: ErrorDetails, path: KeyPath
) -> Iterable[Problem]:
    full = (*at, *path)
    match error["type"]:
        case "flaws":
            yield from _flaws(document, full, error)
        case "extra_forbidden":
            yield _unknown_key(document, model, full, error["loc"])
        case "missing":
            message = f"{quoted(error['loc'][-1])} is missing"
            hint = f"Add `{error['loc'][-1]}` here."
            yield document.problem("missing-key", message, document.key_mark(full), hint=hint)
        case other:
            id_ = "wrong-type" if other.endswith(("_type", "_parsing")) else "bad-value"
            message, hint = _said(full, error)
            yield document.problem(id_, message, document.value_mark(full), hint=hint)


def _flaws(document: Document, path: KeyPath, error: ErrorDetails) -> Iterator[Problem]:
    flaws: tuple[Flaw, ...] = error.get("ctx", {})["flaws"]
    mark = document.key_mark(path) if error["loc"][-1:] == ("[key]",) else document.value_mark(path)
    text = error["input"] if isinstance(error["input"], str) else ""
    secret = holds_secret(path) and error["loc"][-1:] != ("[key]",)
    for flaw in flaws:
        message = "this value is not valid here" if secret and str(error["input"]) in flaw.message else flaw.message
        place = mark if flaw.offset is None else document.mark_within(path, text, flaw.offset)
        yield document.problem(flaw.id, message, place, hint=flaw.hint, level=flaw.level)


def _unknown_key(document: Document, model: type[BaseModel], path: KeyPath, loc: tuple[int | str, ...]) -> Problem:
    word = str(loc[-1])
    known = known_keys(model, loc[:-1])
    mark = document.key_mark(path)
    if word in later_keys(path):
        hint = "Remove it; nothing is accepted and then ignored."
        return document.problem("not-yet", f"this version does not know {quoted(word)} yet", mark, hint=hint)
    if word in OF_TEST_FILES and len(path) == 1 and "groups" in known:
        hint = "This is a file of tests: put those into a folder that `[guard] rules` does not name, as `rules/tests/`."
        return document.problem("unknown-key", f"no rule file has {quoted(word)}", mark, hint=hint)
    if word == "record" and "alert" in known:
        hint = "A rule has either `alert` or `record`, and only an alert can cause anything."
        return document.problem("unknown-key", f"a rule with `alert` has no {quoted(word)}", mark, hint=hint)
    near = did_you_mean(word, known)
    where = f"in {quoted(table)}" if (table := _table(document, path[:-1])) else "here"
    shown = ", ".join(f"`{key}`" for key in known)
    hint = near or f"Known {where}: {shown}."
    return document.problem("unknown-key", f"unknown key {quoted(word)}", mark, hint=hint)


def _table(document: Document, path: KeyPath) -> str:
    """Return the header of a table of guard.toml; what stands at the end of the file belongs to the last one."""
    if not document.path.endswith(".toml") or not path:
        return ""
    names = [part if _BARE.match(part) else json.dumps(part) for part in path if isinstance(part, str)]
    return f"[[{'.'.join(names)}]]" if isinstance(path[-1], int) else f"[{'.'.join(names)}]"


EXPECTED: Mapping[str, tuple[str, str]] = {
    "dict_type": ("a table of keys", "Write keys with values below it."),
    "model_type": ("a table of keys", "Write keys with values below it."),
    "list_type": ("a list", "Write `[a, b]`, or in YAML lines that begin with `-`."),
    "string_type": ("a text", "Put it in quotes."),
    "bool_type": ("true or false", "Write it without quotes."),
    "bool_parsing": ("true or false", "Write it without quotes."),
    "int_type": ("a whole number", "Write it without quotes and fraction."),
    "int_parsing": ("a whole number", "Write it without quotes and fraction."),
}
"""What pydantic's types are called here, and what to do."""


REFERENCE = "The reference says what may stand here."


def _said(path: KeyPath, error: ErrorDetails) -> tuple[str, str]:
    name = next((f"{quoted(part)}: " for part in reversed(path) if isinstance(part, str)), "")
    if found := EXPECTED.get(error["type"]):
        return f"{name}expected {found[0]}, found {described(error['input'])}", found[1]
    if holds_secret(path):
        return f"{name}this value is not valid", REFERENCE
    message, _, hint = error["msg"].removeprefix("Value error, ").partition(": write ")
    return f"{name}{message[:1].lower()}{message[1:]}", f"Write {hint}." if hint else REFERENCE
