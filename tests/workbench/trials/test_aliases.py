"""Test files may have YAML's aliases and merge keys; rule files may not, and no file can be made to grow without bounds."""

import json
from pathlib import Path

import pytest
import yaml

from rollback_guard.config import yamlfile
from rollback_guard.config.places import DocumentError
from rollback_guard.config.schema import model_schema
from rollback_guard.workbench.trials.document import TrialFile

ROOT = Path(__file__).parents[3]
FINE = [
    "a: &a [1, 2]\nb: *a\n",
    "a: &a {x: 1}\nb: {<<: *a, y: 2}\n",
    "a: &a {x: 1, y: 1}\nb: {y: 2, <<: *a}\n",
    "a: &a {x: 1}\nb: &b {x: 2, z: 3}\nc: {<<: [*a, *b]}\n",
    "a: &a {x: &x [1]}\nb: {<<: *a, q: *x}\n",
    "a: &a {x: 1}\nb: &b {<<: *a, y: 2}\nc: {<<: *b}\n",
]


def plain(data):
    """Return the data as text, as PyYAML and ours agree on its shape and not on its scalars."""
    if isinstance(data, dict):
        return {str(key): plain(value) for key, value in data.items()}
    return [plain(item) for item in data] if isinstance(data, list) else str(data)


@pytest.mark.parametrize("text", FINE)
def test_aliases_mean_what_they_mean_elsewhere(text):
    assert plain(yamlfile.load(text, aliases=True).data) == plain(yaml.safe_load(text))


def test_an_anchor_may_be_given_anew():
    assert yamlfile.load("- &a x\n- *a\n- &a y\n- *a\n", aliases=True).data == ["x", "x", "y", "y"]


@pytest.mark.parametrize("text", FINE)
def test_a_rule_file_has_none(text):
    with pytest.raises(DocumentError) as refused:
        yamlfile.load(text)
    assert refused.value.id == "yaml-alias"


HOSTILE = {
    "laughs": (
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
        "too-large",
    ),
    "tower": ("[" * 5000 + "]" * 5000, "too-deep"),
    "itself": ("a: &a [*a]\n", "yaml-alias"),
    "its own merge": ("a: &a {<<: *a}\n", "yaml-alias"),
    "nothing": ("a: *b\n", "yaml-alias"),
    "a merge of text": ("a: {<<: text}\n", "yaml-alias"),
    "many merges": ("a: &a {k: 1}\nb: [" + "{<<: *a}," * 2000 + "]\n", "yaml-alias"),
    "large merges": (
        "a: &a {" + "".join(f"k{number}: 1," for number in range(9000)) + "}\nb: [" + "{<<: *a}," * 900 + "]\n",
        "too-large",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_grows_without_bounds(name):
    text, expected = HOSTILE[name]
    with pytest.raises(DocumentError) as refused:
        yamlfile.load(text, aliases=True)
    assert refused.value.id == expected


def test_a_key_that_is_there_twice_is_a_mistake_and_one_that_is_merged_is_none():
    assert [flaw.id for flaw in yamlfile.load("a: {x: 1, x: 2}\n", aliases=True).flaws] == ["duplicate-key"]
    assert yamlfile.load("a: &a {x: 1}\nb: {x: 2, <<: *a}\n", aliases=True).flaws == ()


def test_the_schema_for_editors_is_that_of_the_files_and_takes_all_of_ours():
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((ROOT / "docs" / "schema" / "tests.schema.json").read_text())
    assert schema == json.loads(json.dumps(model_schema(TrialFile, "rollback-guard test file")))
    judge = jsonschema.Draft7Validator(schema)
    judge.check_schema(schema)
    files = [*ROOT.glob("rules/tests/**/*.test.yaml"), *Path(__file__).parent.glob("parity/*.test.yaml")]
    assert [str(path) for path in files if not judge.is_valid(yaml.safe_load(path.read_text()))] == []
    assert not judge.is_valid(
        {"tests": [{"decision_test": [{"guard": "g", "exp_decisions": [{"decision": "acted"}]}]}]}
    )
