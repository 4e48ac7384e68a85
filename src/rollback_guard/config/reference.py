"""Write the tables of the reference from the schema, so that the two cannot drift apart.

A page marks where a table belongs, `<!-- keys: Probe -->` to `<!-- end -->`; what stands between is written here. The
tables of actions, `<!-- action: http -->`, are those of the models that the caller knows. `<!-- checks -->` and
`<!-- lints -->` list the ids of problems.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from rollback_guard.config import calendar, channels, guards, rulefile, settings
from rollback_guard.config.catalog import CHECKS, LINTS
from rollback_guard.config.fields import DURATION, URL, Section
from rollback_guard.config.schema import model_schema

SECTIONS: Mapping[str, type[Section]] = {
    model.__name__: model
    for module in (rulefile, guards, settings, channels, calendar)
    for model in vars(module).values()
    if isinstance(model, type) and issubclass(model, Section) and model is not Section
}
"""Every part of the files, by the name that a page asks for it."""

_BLOCK = re.compile(
    r"<!-- (keys: (?P<keys>\w+)|action: (?P<action>[\w.]+)|checks|lints) -->\n.*?<!-- end -->", re.DOTALL
)


def refresh(
    page: str, actions: Mapping[str, type[BaseModel]], *, sections: Mapping[str, type[Section]] = SECTIONS
) -> str:
    """Return a page with its tables as the schema has them now.

    Args:
        page: Markdown.
        actions: The settings of each type of action.
        sections: The parts of the files, by name.

    Raises:
        KeyError: It asks for a section that there is not.
    """

    def table(block: re.Match[str]) -> str:
        if block["keys"]:
            return keys_table(sections[block["keys"]])
        if block[1] == "lints":
            return lints_table()
        return keys_table(actions[block["action"]], nested=True) if block["action"] else checks_table()

    return _BLOCK.sub(lambda block: f"<!-- {block[1]} -->\n{table(block)}\n<!-- end -->", page)


def asked_for(page: str) -> Iterator[str]:
    """Yield what a page shows, each as it asks for it."""
    for block in _BLOCK.finditer(page):
        yield block[1]


def keys_table(model: type[BaseModel], *, nested: bool = False) -> str:
    """Return the keys of a section as a Markdown table; nested, with those of the sections below it."""
    schema = model_schema(model)
    rows = _rows(schema, schema.get("definitions", {}), "", nested=nested)
    return "\n".join(["| key | value | default | meaning |", "|---|---|---|---|", *rows])


def _rows(section: Mapping[str, Any], definitions: Mapping[str, Any], prefix: str, *, nested: bool) -> Iterator[str]:
    for name, key in section["properties"].items():
        default = _default(key, needed=name in section.get("required", ()))
        inner = definitions.get(_named(key), {})
        meaning = key.get("description") or inner.get("description", "")
        yield f"| `{prefix}{name}` | {_kind(key)} | {default} | {_cell(meaning)} |"
        if nested and "properties" in inner:
            yield from _rows(inner, definitions, f"{prefix}{name}.", nested=True)


def _named(key: Mapping[str, Any]) -> str:
    """Return the name of the section that a key refers to, or nothing."""
    options = (key, *key.get("allOf", ()), *key.get("anyOf", ()))
    return next((str(option["$ref"]).rpartition("/")[2] for option in options if "$ref" in option), "")


def checks_table() -> str:
    """Return all checks as a Markdown table."""
    rows = [f"| `{id_}` | {_cell(text)} |" for id_, text in CHECKS.items()]
    return "\n".join(["| check | what it found |", "|---|---|", *rows])


def lints_table() -> str:
    """Return all lints as a Markdown table, each with a link to its page beside this one."""
    rows = [f"| [`{id_}`]({id_}.md) | {_cell(text)} |" for id_, text in LINTS.items()]
    return "\n".join(["| lint | what it found |", "|---|---|", *rows])


def _kind(key: Mapping[str, Any]) -> str:
    if "enum" in key:
        return " or ".join(f"`{word}`" for word in key["enum"])
    if key.get("pattern") == DURATION or key.get("format") == "prometheus-duration":
        return "duration"
    match key.get("type"):
        case "array":
            return f"list of {_kind(key['items'])}"
        case "object":
            return "table"
        case "integer":
            return f"{key['minimum']} to {key['maximum']}" if "minimum" in key else "number"
        case "boolean":
            return "`true` or `false`"
        case "string":
            return "URL" if key.get("pattern") == URL else "text"
        case list():
            return "text"
        case _:
            return "table"


def _default(key: Mapping[str, Any], *, needed: bool) -> str:
    if needed:
        return "**required**"
    match key.get("default"):
        case None | {} | [] | dict():
            return ""
        case bool() as flag:
            return f"`{str(flag).lower()}`"
        case value:
            return f"`{value}`"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
