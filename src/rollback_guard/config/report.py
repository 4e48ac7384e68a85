"""Show the problems of a check: to people, to programs, and to GitHub beside the lines of a change."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rollback_guard.config.load import Loaded
from rollback_guard.config.problems import Level, Problem, printable

SCHEMA_VERSION = 1
"""Of the JSON form: keys may be added without a new one, never renamed or removed."""

_DATA = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"})
"""What a workflow command of GitHub Actions takes for its own punctuation, in its message and in its properties."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found in the files.

    Attributes:
        problems: Those of loading, and what other checks found about the same files; in the order of the files.
    """

    loaded: Loaded
    problems: tuple[Problem, ...]

    @property
    def valid(self) -> bool:
        """Whether the daemon would run by these files."""
        return self.loaded.policy is not None

    @property
    def warnings(self) -> int:
        """How many warnings there are."""
        return self._count(Level.WARNING)

    def lines(self, output: str) -> Iterator[str]:
        """Yield what goes to standard output: `human`, `json` or `github`."""
        match output:
            case "json":
                yield json.dumps(self.as_data(), indent=2)
            case "github":
                yield from map(annotation, self.problems)
            case _:
                yield from (problem.render() for problem in self.problems)

    def summary(self) -> str:
        """Return one line that says what was looked at and how many problems there are."""
        counts = {level: self._count(level) for level in Level}
        found = [_number(count, level) for level, count in counts.items() if count]
        files = _number(len(self.loaded.files), "file")
        if not self.valid:
            more = "" if self.loaded.complete else "; more is checked once these are mended"
            return f"{', '.join(found)} in {files}{more}"
        rules, guards = _number(self.loaded.rules, "rule"), _number(self.loaded.guards, "guard")
        # Errors are a server's, for the files alone are valid; and a rule of which is warned may never fire.
        if counts[Level.ERROR] or counts[Level.WARNING]:
            return f"{rules}, {guards} in {files}: {', '.join(found)}"
        fine = f"{rules}, {guards} in {files}: fine"
        return f"{fine}, with {', '.join(found)}" if found else fine

    def as_data(self) -> dict[str, Any]:
        """Return all of it as JSON has it."""
        return {
            "schema_version": SCHEMA_VERSION,
            "valid": self.valid,
            "rules": self.loaded.rules,
            "guards": self.loaded.guards,
            "files": list(self.loaded.files),
            "problems": [
                {
                    "path": problem.path,
                    "line": problem.line,
                    "column": problem.column,
                    "severity": problem.severity.value,
                    "id": problem.id,
                    "message": problem.message,
                    "hint": problem.hint,
                    "also": [other._asdict() for other in problem.also],
                }
                for problem in self.problems
            ],
        }

    def _count(self, level: Level) -> int:
        return sum(problem.severity is level for problem in self.problems)


def annotation(problem: Problem) -> str:
    """Return a problem as a command that makes GitHub Actions show it beside its line."""
    path = os.path.normpath(problem.path)  # GitHub knows a file by one name only, and not by a way to it
    place = {"file": path, "line": problem.line, "col": problem.column, "title": problem.id}
    properties = ",".join(f"{name}={printable(str(value)).translate(_PROPERTY)}" for name, value in place.items())
    text = "\n".join(part for part in (problem.message, problem.advice) if part)
    return f"::{problem.severity} {properties}::{text.translate(_DATA)}"


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
