"""Each file under cases/ holds one mistake; the .txt beside it is what `check` says about it.

After a change of words: `UPDATE_CASES=1 pytest tests/config/test_cases.py`, then read the diff.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rollback_guard.config.catalog import CHECKS, LINTS
from rollback_guard.config.load import load

CASES = Path(__file__).parent / "cases"
FILES = sorted(path.name for path in CASES.iterdir() if path.suffix in {".yaml", ".toml"})
MADE_IN_CODE = {"too-large", "not-text", "unreadable-file", "more-problems", "two-guard-files", "promql-too-complex"}


@pytest.mark.parametrize("name", [name for name in FILES if not name.endswith(".rules.yaml")])
def test_a_mistake_is_explained_as_expected(name, action_types, monkeypatch):
    monkeypatch.chdir(CASES)
    loaded = load([Path(name)], action_types=action_types, lint=True)
    said = "".join(f"{problem.render()}\n" for problem in loaded.problems).replace(f"{CASES}/", "/cases/")
    expected = Path(name).with_suffix(".txt")
    if os.environ.get("UPDATE_CASES"):
        expected.write_text(said)
    assert said == expected.read_text()


def test_every_check_has_a_case():
    said = "".join(path.read_text() for path in CASES.glob("*.txt"))
    missing = {id_ for id_ in CHECKS if f"({id_})\n" not in said}
    assert missing == MADE_IN_CODE


def test_every_id_that_is_said_is_in_the_catalogue():
    said = {
        line.rpartition("(")[2].rstrip(")")
        for path in CASES.glob("*.txt")
        for line in path.read_text().splitlines()
        if line and not line.startswith(" ")
    }
    assert said <= {*CHECKS, *LINTS}


def test_every_problem_says_what_to_do():
    lines = [line for path in CASES.glob("*.txt") for line in path.read_text().splitlines()]
    heads = sum(not line.startswith(" ") for line in lines)
    hints = sum(line.startswith("  ") and not line.startswith("    ") for line in lines)
    assert hints == heads
