"""Every rule file of the repository has tests, and they succeed through the product's own command."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RULES = ROOT / "rules"
TESTS = sorted((RULES / "tests").rglob("*.test.yaml"))


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_the_tests_of_a_pack_succeed(path):
    done = subprocess.run(
        [sys.executable, "-m", "rollback_guard.cli", "test", str(path)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "path", sorted({*RULES.glob("*.yaml"), *RULES.glob("library/*.yaml")}), ids=lambda path: path.stem
)
def test_every_pack_has_tests(path):
    assert any(f"/{path.name}" in test.read_text() for test in TESTS), f"no test file names {path.name}"


@pytest.mark.parametrize(
    "path",
    sorted({*RULES.glob("*.yaml"), *RULES.glob("library/*.yaml"), ROOT / "guard.toml"}),
    ids=lambda path: path.stem,
)
def test_check_finds_nothing_in_a_pack(path):
    done = subprocess.run(
        [sys.executable, "-m", "rollback_guard.cli", "check", "--strict", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
