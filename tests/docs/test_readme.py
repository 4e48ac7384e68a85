"""What README shows works, word for word."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from click.testing import CliRunner

from rollback_guard.cli import main

README = Path(__file__).parents[2] / "README.md"
FILE = re.compile(r"^```(?:yaml|toml)\n# ([\w./-]+\.(?:yaml|toml))\b.*\n((?:.*\n)*?)```$", re.MULTILINE)


def test_its_rules_are_sound_and_their_test_succeeds(tmp_path):
    files = dict(FILE.findall(README.read_text()))
    assert files.keys() == {"rules/checkout.yaml", "guard.toml", "rules/tests/checkout.test.yaml"}
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with contextlib.chdir(tmp_path):
        checked = CliRunner().invoke(main, ["check", "guard.toml", "--output", "json"])
        assert checked.exit_code == 0, checked.output
        played = CliRunner().invoke(main, ["test", "rules/tests"])
        assert played.exit_code == 0, played.output
