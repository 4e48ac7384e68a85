"""Know which keys stand where: those of this version, and those that a later one will bring."""

from __future__ import annotations

from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, Tag

from rollback_guard.config.places import KeyPath

LATER: Mapping[KeyPath, frozenset[str]] = {
    ("groups", "*", "rules", "*"): frozenset({"baseline"}),
}
"""Keys that are designed and not built: a person who writes one has made no typing mistake."""


def later_keys(path: KeyPath) -> frozenset[str]:
    """Return the keys of later versions that may stand beside the last key of a path."""
    return LATER.get(tuple("*" if isinstance(part, int) else part for part in path[:-1]), frozenset())


def known_keys(model: type[BaseModel], loc: tuple[int | str, ...]) -> tuple[str, ...]:
    """Return the keys that may stand at a place, given as pydantic gives it."""
    kind: Any = model
    for part in loc:
        kind = _inside(kind, part)
    return keys_of(kind) if isinstance(kind, type) and issubclass(kind, BaseModel) else ()


def keys_of(model: type[BaseModel]) -> tuple[str, ...]:
    """Return the keys of a section, as people write them."""
    return tuple(field.alias or name for name, field in model.model_fields.items())


def _inside(kind: Any, part: int | str) -> Any:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        fields = {field.alias or name: field for name, field in kind.model_fields.items()}
        return _bare(fields[str(part)].annotation) if str(part) in fields else None
    origin = get_origin(kind)
    if origin is list:
        return _bare(get_args(kind)[0])
    if origin is dict:
        return _bare(get_args(kind)[1])
    if origin in (Union, UnionType):  # the part is the tag that chose one of them
        return next((_bare(option) for option in get_args(kind) if part in _tags(option)), None)
    return None


def _bare(kind: Any) -> Any:
    """Return a type without its annotations and without `| None`."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, UnionType):
        options = [option for option in get_args(kind) if option is not type(None)]
        if len(options) == 1:
            return _bare(options[0])
    return kind


def _tags(option: Any) -> tuple[str, ...]:
    return tuple(extra.tag for extra in get_args(option)[1:] if isinstance(extra, Tag))
