"""Write the JSON Schemas of the files, in the draft that editors' language servers know."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema, to_jsonable_python

from rollback_guard.config.rulefile import RuleFile
from rollback_guard.config.settings import GuardFile
from rollback_guard.core.units import format_duration

DRAFT = "http://json-schema.org/draft-07/schema#"


class _Generator(GenerateJsonSchema):
    """Writes defaults as people write them: durations with units, nothing where there is no value."""

    ref_template = "#/definitions/{model}"

    def encode_default(self, dft: Any) -> Any:
        match dft:
            case timedelta():
                return format_duration(dft)
            case BaseModel():
                return written(dft)
            case _:
                return to_jsonable_python(dft)

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> dict[str, Any]:
        found = super().default_schema(schema)
        if found.get("default", ...) is None:
            found.pop("default")
        return found

    def nullable_schema(self, schema: core_schema.NullableSchema) -> dict[str, Any]:
        # A key that may be left out is not a key that may be null.
        return self.generate_inner(schema["schema"])


def written(section: BaseModel) -> dict[str, Any]:
    """Return a section's values as people would write them, without those that are not there."""
    shown: dict[str, Any] = {}
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            value = written(value)
        elif isinstance(value, timedelta):
            value = format_duration(value)
        if value not in (None, {}, []):
            shown[field.alias or name] = value
    return shown


def rules_schema() -> dict[str, Any]:
    """Return the schema of rule files."""
    return model_schema(RuleFile, "rollback-guard rule file")


def guard_schema(action_types: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    """Return the schema of guard.toml, with the settings of each type of action."""
    schema = model_schema(GuardFile, "rollback-guard guard.toml")
    definitions = schema.setdefault("definitions", {})
    choices = []
    for type_, model in sorted(action_types.items()):
        action = model_schema(model, f"action of type {type_}")
        for name, definition in action.pop("definitions", {}).items():
            definitions[f"{type_}.{name}"] = _renamed(definition, type_)
        definitions[f"action.{type_}"] = _renamed({k: v for k, v in action.items() if k != "$schema"}, type_)
        choices.append({"$ref": f"#/definitions/action.{type_}"})
    if choices:
        schema["properties"]["actions"]["additionalProperties"] = {"oneOf": choices}
    return schema


def model_schema(model: type[BaseModel], title: str = "") -> dict[str, Any]:
    """Return the schema of one section and what is below it."""
    schema = model.model_json_schema(by_alias=True, ref_template="#/definitions/{model}", schema_generator=_Generator)
    return {"$schema": DRAFT, **_old_words(schema), **({"title": title} if title else {})}


def _old_words(value: Any) -> Any:
    """Return a schema in draft 7's words; titles that only repeat a key are left out."""
    if isinstance(value, list):
        return [_old_words(item) for item in value]
    if not isinstance(value, dict):
        return value
    found: dict[str, Any] = {}
    for key, item in value.items():
        if (key == "title" and isinstance(item, str)) or key == "discriminator":
            continue
        found["definitions" if key == "$defs" else key] = _old_words(item)
    if "$ref" in found and len(found) > 1:  # draft 7 ignores what stands beside a reference
        found["allOf"] = [{"$ref": found.pop("$ref")}]
    return found


def _renamed(value: Any, type_: str) -> Any:
    if isinstance(value, list):
        return [_renamed(item, type_) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: item.replace("#/definitions/", f"#/definitions/{type_}.") if key == "$ref" else _renamed(item, type_)
        for key, item in value.items()
    }
