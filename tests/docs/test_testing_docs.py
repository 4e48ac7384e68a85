"""docs/testing.md says what the schema of test files says, and its example does what it says.

After a change of the schema: `UPDATE_DOCS=1 pytest tests/docs/test_testing_docs.py`.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from rollback_guard.config import reference
from rollback_guard.config.fields import Section
from rollback_guard.workbench.trials import document

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"
SECTIONS = {
    model.__name__: model
    for model in vars(document).values()
    if isinstance(model, type) and issubclass(model, Section) and model is not Section
}


def test_its_tables_are_those_of_the_schema():
    page = PAGE.read_text()
    expected = reference.refresh(page, {}, sections=SECTIONS)
    if os.environ.get("UPDATE_DOCS"):
        PAGE.write_text(expected)
    assert page == expected


def test_it_shows_every_section_once():
    shown = list(reference.asked_for(PAGE.read_text()))
    assert sorted(shown) == sorted(f"keys: {name}" for name in SECTIONS)


def test_its_example_succeeds_and_can_fail(tmp_path):
    for block in re.findall(r"```yaml\n# (\S+)\n(.*?)```", PAGE.read_text(), re.DOTALL):
        (tmp_path / block[0]).write_text(block[1])
    assert run(tmp_path).returncode == 0, run(tmp_path).stdout
    test = tmp_path / "checkout.test.yaml"
    test.write_text(test.read_text().replace("not_recovered", "action_failed"))
    failed = run(tmp_path)
    assert failed.returncode == 1
    assert "+ got       act/not_recovered roll-back" in failed.stdout


def run(directory):
    command = [sys.executable, "-m", "rollback_guard.cli", "test", "checkout.test.yaml"]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True)
