"""Hold what became of the questions: what was found, who was asked, and what was not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from rollback_guard.config.problems import Level, Problem
from rollback_guard.core.wording import span
from rollback_guard.workbench.online.findings import Settled


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerReport:
    """What became of one data source.

    Attributes:
        unreachable: Why it gave no answer; empty where it did.
        questions: Requests that it got.
        not_asked: What is not known of it, each a phrase with its reason.
    """

    name: str
    url: str
    version: str = ""
    unreachable: str = ""
    rules: int = 0
    questions: int = 0
    took: timedelta = timedelta(0)
    not_asked: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yield what people are told of it, one line for each thing."""
        if self.unreachable:
            yield f"{self.name}: {self.url} cannot be asked: {self.unreachable}"
            return
        version = f", version {self.version}" if self.version else ""
        yield f"{self.name}: {self.url}{version}: {self.questions} questions in {span(self.took)}"
        yield from (f"{self.name}: not known: {it}" for it in self.not_asked)

    def as_data(self) -> dict[str, Any]:
        """Return the same as JSON has it."""
        return {
            "name": self.name,
            "url": self.url,
            "reached": not self.unreachable,
            "unreachable": self.unreachable,
            "version": self.version,
            "rules": self.rules,
            "questions": self.questions,
            "seconds": round(self.took.total_seconds(), 3),
            "not_asked": list(self.not_asked),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found online.

    Attributes:
        problems: Those that are not switched off, in the order of the files.
        settled: Where a lint that goes by the text alone has nothing more to say.
    """

    problems: tuple[Problem, ...]
    servers: tuple[ServerReport, ...]
    settled: frozenset[Settled] = frozenset()

    @property
    def is_reached(self) -> bool:
        """Whether every data source answered."""
        return not any(each.unreachable for each in self.servers)

    @property
    def has_errors(self) -> bool:
        """Whether a rule cannot work with its server at all."""
        return any(problem.severity is Level.ERROR for problem in self.problems)

    def still_told(self, problem: Problem) -> bool:
        """Say whether what a lint found is to be told beside what the servers know."""
        return Settled(problem.id, problem.path, problem.line, problem.column) not in self.settled

    def lines(self) -> Iterator[str]:
        """Yield what is told beside the findings, one line for each thing."""
        for server in self.servers:
            yield from server.lines()
