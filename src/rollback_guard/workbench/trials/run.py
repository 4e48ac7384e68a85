"""Run test files: read them, read the rules that they name, play their trials, and say how each ended."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel

from rollback_guard.adapters.ephemeral import EphemeralError, PrometheusMissing, StartFailed, WriteRefused
from rollback_guard.config import yamlfile
from rollback_guard.config.document import Document, decode, read
from rollback_guard.config.load import load
from rollback_guard.config.places import DocumentError
from rollback_guard.config.problems import Level, Problem, quoted
from rollback_guard.config.validate import validate
from rollback_guard.core.model import Policy
from rollback_guard.core.promql.tokens import PromqlError
from rollback_guard.ports import Clock
from rollback_guard.workbench.trials.document import TrialFile
from rollback_guard.workbench.trials.expect import failures_of
from rollback_guard.workbench.trials.failure import EvaluationError
from rollback_guard.workbench.trials.mistakes import mistakes_in
from rollback_guard.workbench.trials.perform import perform
from rollback_guard.workbench.trials.trial import Rules, Trial, trials_of
from rollback_guard.workbench.trials.verdict import Failure, FileVerdict, TrialVerdict
from rollback_guard.workbench.trials.world import World

ActionTypes = Mapping[str, type[BaseModel]]

WIDTH = 80
"""Of a picture where nobody says how much room there is."""


class Bench:
    """Play test files one after the other in one world; rule files that several of them name are read once.

    Args:
        world: Where trials are laid out.
        clock: Tells how long each took.
        action_types: The settings' model of each type of action.
        wanted: Only trials are played whose name this finds something in.
        width: Characters for a picture.
    """

    def __init__(
        self,
        world: World,
        clock: Clock,
        *,
        action_types: ActionTypes,
        wanted: re.Pattern[str] | None = None,
        width: int = WIDTH,
    ) -> None:
        self._world = world
        self._clock = clock
        self._types = action_types
        self._wanted = wanted
        self._width = width
        self._rules: dict[tuple[Path, ...], tuple[Rules | None, tuple[Problem, ...]]] = {}

    def run(self, path: Path, progress: Callable[[float], None] = lambda share: None) -> FileVerdict:
        """Play the trials of one file.

        Args:
            path: The file.
            progress: Hears now and then which share of it is done.

        Raises:
            EphemeralError: No Prometheus can be started, or it ends again and again.
        """
        trials, problems = self.read(path)
        if problems:
            return FileVerdict(path=str(path), problems=tuple(problems))
        wanted = [trial for trial in trials if self._wanted is None or self._wanted.search(trial.name)]
        return FileVerdict(
            path=str(path),
            trials=tuple(
                self._play(trial, lambda share, done=done: progress((done + share) / len(wanted)))  # type: ignore[misc]
                for done, trial in enumerate(wanted)
            ),
            skipped=len(trials) - len(wanted),
        )

    def read(self, path: Path) -> tuple[list[Trial], list[Problem]]:
        """Return the trials of a file, or what is wrong with it and with the rule files that it names."""
        document, file, problems = _file(path)
        if document is None or file is None:
            return [], problems
        rules, found = self._rules_of(document, file, path.parent)
        if rules is None:
            return [], [*problems, *found]
        trials = trials_of(document, file, rules)
        return trials, [*problems, *mistakes_in(document, file, trials)]

    def _play(self, trial: Trial, progress: Callable[[float], None]) -> TrialVerdict:
        began = self._clock.elapsed()
        progress(0.0)
        try:
            failures = self._failures(trial, progress)
        except (PrometheusMissing, StartFailed):
            raise
        except EphemeralError:
            self._world.forget()  # it ended; once more with another one
            failures = self._failures(trial, progress)
        took = self._clock.elapsed() - began
        return TrialVerdict(name=trial.name, line=trial.line, took_s=took.total_seconds(), failures=tuple(failures))

    def _failures(self, trial: Trial, progress: Callable[[float], None]) -> list[Failure]:
        try:
            performance = perform(self._world, trial, progress=progress)
            return failures_of(performance, width=self._width)
        except (EvaluationError, WriteRefused, PromqlError) as error:
            return [Failure(line=trial.line, what="the test cannot be played", detail=str(error), picture=str(error))]

    def _rules_of(self, document: Document, file: TrialFile, base: Path) -> tuple[Rules | None, tuple[Problem, ...]]:
        paths: dict[Path, None] = {}
        problems: list[Problem] = []
        for number, pattern in enumerate(file.rule_files):
            matches = sorted(glob.glob(str(base / pattern)))  # noqa: PTH207  it may be absolute
            paths.update(dict.fromkeys(map(Path, matches)))
            if not matches:
                mark = document.value_mark(("rule_files", number))
                hint = f"It is taken from the directory of {quoted(document.path)}."
                problems.append(document.problem("no-rule-file", f"no file matches {quoted(pattern)}", mark, hint=hint))
        if problems:
            return None, tuple(problems)
        if not paths:
            return Rules(policy=Policy(groups={}, guards={})), ()
        key = tuple(paths)
        if key not in self._rules:
            self._rules[key] = _load(key, self._types)
        return self._rules[key]


def _load(paths: Sequence[Path], types: ActionTypes) -> tuple[Rules | None, tuple[Problem, ...]]:
    loaded = load(paths, action_types=types)
    errors = tuple(problem for problem in loaded.problems if problem.severity is Level.ERROR)
    if loaded.policy is None:
        return None, errors
    return Rules(policy=loaded.policy, recordings=loaded.recordings), ()


def _file(path: Path) -> tuple[Document | None, TrialFile | None, list[Problem]]:
    text = ""
    try:
        text = decode(read(path))
        document = Document(path=str(path), text=text, parsed=yamlfile.load(text, aliases=True))
    except DocumentError as error:
        document = Document(path=str(path), text=text)
        hint = "Give test files, or directories that hold some." if error.id == "unreadable-file" else error.hint
        is_pattern = glob.has_magic(str(path)) and not path.exists()
        message = "no file matches this pattern" if is_pattern else error.message
        return None, None, [document.problem(error.id, message, error.mark, hint=hint)]
    flaws = document.parsed.flaws if document.parsed else ()
    problems = [document.problem(flaw.id, flaw.message, flaw.mark, hint=flaw.hint) for flaw in flaws]
    valid, found = validate(document, TrialFile)
    problems += found
    return document, valid.model if valid and not problems else None, problems
