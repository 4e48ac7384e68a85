"""Say how tests ended: of one trial, of one file, of a whole run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rollback_guard.config.problems import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One reason for which a trial failed.

    Attributes:
        line: Where the expectation stands in its file.
        what: What was asked, in words.
        missing: What was expected and is not there.
        surplus: What is there and was not expected.
        hints: What may be the cause, as sentences.
        detail: A picture, or the server's words; may be empty.
        picture: The same for people, who read from above: of failures beside each other that have one in common only
            the last one has it, with the times of all of them marked.
    """

    line: int
    what: str
    missing: tuple[str, ...] = ()
    surplus: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    detail: str = ""
    picture: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialVerdict:
    """How one trial ended."""

    name: str
    line: int
    took_s: float
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileVerdict:
    """How the trials of one file ended.

    Attributes:
        problems: Mistakes of the file, or of the rule files that it names; nothing was played where one is an error.
        skipped: Trials that were not asked for.
    """

    path: str
    trials: tuple[TrialVerdict, ...] = ()
    problems: tuple[Problem, ...] = ()
    skipped: int = 0

    @property
    def is_failed(self) -> bool:
        """Whether anything in it is not as it should be."""
        return bool(self.problems) or any(trial.failures for trial in self.trials)


def failed(verdicts: Sequence[FileVerdict]) -> int:
    """Return how many trials failed; a file that could not be played counts as one."""
    return sum(max(bool(file.problems), sum(bool(trial.failures) for trial in file.trials)) for file in verdicts)
