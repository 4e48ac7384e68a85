"""What ARCHITECTURE.md says holds."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "rollback_guard"
LONGEST_MODULE = 400
KEPT_PROMISES = {*range(1, 6), *range(10, 42), 43, 45}


def test_imports_point_one_way():
    checked = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_no_module_is_longer_than_the_ceiling():
    lengths = {path.relative_to(SOURCE): len(path.read_text().splitlines()) for path in SOURCE.rglob("*.py")}
    assert {path: length for path, length in lengths.items() if length > LONGEST_MODULE} == {}


def test_every_module_says_what_it_is_for():
    silent = [path for path in SOURCE.rglob("*.py") if ast.get_docstring(ast.parse(path.read_text())) is None]
    assert silent == []


def test_the_code_map_names_only_what_is_there():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    for row in rows:
        folder = SOURCE
        for name in re.findall(r"`([\w/.]+)`", row):
            folder = (SOURCE / name).parent if "/" in name else folder
            assert (folder / Path(name).name).exists() or (SOURCE / name).exists(), name


def test_every_promise_of_this_version_is_kept_by_a_test():
    marked = {
        int(number)
        for path in (ROOT / "tests").rglob("test_*.py")
        for number in re.findall(r"mark\.promise\((\d+)\)", path.read_text())
    }
    assert marked >= KEPT_PROMISES, sorted(KEPT_PROMISES - marked)
