"""docs/backtest.md names every option and every key that there is."""

import re
from pathlib import Path

import pytest

from findings import Scene
from rollback_guard.cli.backtest import command

PAGE = (Path(__file__).parents[2] / "docs" / "backtest.md").read_text()
NAMED = set(re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)))
FREE = {"unknown", "details", "held", "series", "data_since"}
"""Objects whose keys are names of people's own, or reasons."""


@pytest.mark.parametrize("option", [name for each in command.params for name in each.opts if name.startswith("--")])
def test_every_option_is_described(option):
    assert option in NAMED


def test_no_option_is_described_that_is_not_there():
    known = {name for each in command.params for name in each.opts}
    assert {each for each in NAMED if re.fullmatch(r"--[a-z-]+", each)} <= known


def test_every_key_of_the_json_is_described(tmp_path):
    scene = Scene(tmp_path, swept="shop/Errors", compared=True)
    assert set(keys(scene.data())) <= NAMED


def keys(value):
    if isinstance(value, dict):
        for key, each in value.items():
            yield key
            if key not in FREE:
                yield from keys(each)
    elif isinstance(value, list):
        for each in value:
            yield from keys(each)
