"""Find the test files that people mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

NAMES = ("*.test.yaml", "*.test.yml", "*_test.yaml", "*_test.yml", "*-test.yaml", "*-test.yml")
"""What test files are called in a directory."""


def test_files(paths: Sequence[Path]) -> list[Path]:
    """Return the test files under these paths, each once: a directory stands for what in it is called like one."""
    return list(dict.fromkeys(_found(paths)))


def _found(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted({each for pattern in NAMES for each in path.rglob(pattern)})
        else:
            yield path
