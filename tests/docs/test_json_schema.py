"""The JSON Schemas say what the loader says, as far as a schema can."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import yaml

from rollback_guard.adapters.actions import registry
from rollback_guard.config import schema
from rollback_guard.config.load import load

jsonschema = pytest.importorskip("jsonschema")

ROOT = Path(__file__).parents[2]
CASES = ROOT / "tests" / "config" / "cases"
RULES = schema.rules_schema()
GUARD = schema.guard_schema(registry.settings_types())


def faults(document, model):
    return [error.message for error in jsonschema.Draft7Validator(model).iter_errors(document)]


def test_both_are_valid_draft_7():
    jsonschema.Draft7Validator.check_schema(RULES)
    jsonschema.Draft7Validator.check_schema(GUARD)


@pytest.mark.parametrize("path", sorted(ROOT.glob("rules/*.yaml")), ids=lambda path: path.name)
def test_the_repositorys_rule_files_are_valid(path):
    assert faults(yaml.safe_load(path.read_text()), RULES) == []


def test_the_repositorys_guard_toml_is_valid():
    assert faults(tomllib.loads((ROOT / "guard.toml").read_text()), GUARD) == []


@pytest.mark.parametrize(
    "name",
    [
        "alert-and-record",
        "bad-duration",
        "bad-status",
        "bad-url",
        "bad-value",
        "duration-unit",
        "empty-name",
        "empty-playbook",
        "missing-key",
        "not-yet",
        "armed-word",
        "step-kind",
        "too-many-incidents",
        "unapproved-word",
        "too-many-actions",
        "unknown-key",
        "wrong-type",
    ],
)
def test_what_check_refuses_for_its_shape_an_editor_refuses_too(name):
    assert load([CASES / f"{name}.yaml"], action_types={}).policy is None
    assert faults(yaml.safe_load((CASES / f"{name}.yaml").read_text()), RULES)


@pytest.mark.parametrize(
    "name",
    [
        "toml-unknown-key",
        "toml-bad-mode",
        "toml-out-of-bounds",
        "rules-empty",
        "channel-type",
        "channel-two-addresses",
        "channel-no-address",
        "webhook-no-url",
    ],
)
def test_what_check_refuses_in_guard_toml_an_editor_refuses_too(name):
    assert faults(tomllib.loads((CASES / f"{name}.toml").read_text()), GUARD)
