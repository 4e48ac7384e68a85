"""Tell how tests ended: for people, for machines, for CI."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from rollback_guard.config.problems import Problem, printable
from rollback_guard.workbench.trials.verdict import Failure, FileVerdict, TrialVerdict, failed

OF_WHOLE_FILES = ("unreadable-file", "test-crashed")
"""Problems without a place in their file: it is not there, or the process is not that read it."""


def lines_of(file: FileVerdict, *, verbose: bool) -> Iterator[tuple[str, str]]:
    """Yield what people read of one file, each line with its kind: failures, and successes where they are asked for."""
    for problem in file.problems:
        yield from (("problem", line) for line in _rendered(problem).splitlines())
    for trial in file.trials:
        if trial.failures:
            yield "failed", f"FAIL {printable(file.path)}:{trial.line}: {printable(trial.name)}"
            for failure in trial.failures:
                yield from _failure_lines(file.path, failure, failure.picture)
        elif verbose:
            yield (
                "succeeded",
                f"ok   {printable(file.path)}:{trial.line}: {printable(trial.name)} ({trial.took_s:.2f}s)",
            )


def _rendered(problem: Problem) -> str:
    """Return a problem as people read it; what is wrong with a file as a whole has no line and no column."""
    text, path = problem.render(), printable(os.path.normpath(problem.path))
    place = f"{path}:{problem.line}:{problem.column}: "
    return f"{path}: {text.removeprefix(place)}" if problem.id in OF_WHOLE_FILES else text


def _failure_lines(path: str, failure: Failure, picture: str) -> Iterator[tuple[str, str]]:
    yield "what", f"  {printable(path)}:{failure.line}: {printable(failure.what)}"
    yield from (("expected", f"    - expected  {printable(line)}") for line in failure.missing)
    yield from (("got", f"    + got       {printable(line)}") for line in failure.surplus)
    yield from (("hint", f"    hint: {printable(line)}") for line in failure.hints)
    yield from (("picture", f"    {printable(line)}") for line in picture.splitlines())


def summary(files: Sequence[FileVerdict], took_s: float) -> str:
    """Return one line on the whole run."""
    trials = [trial for file in files for trial in file.trials]
    bad, wrong = sum(bool(trial.failures) for trial in trials), sum(bool(file.problems) for file in files)
    told = [f"{bad} failed"] if bad else []
    told += [f"{_number(wrong, 'file')} could not be played"] if wrong else []
    parts = [f"{_number(len(trials), 'test')} in {_number(len(files), 'file')}: {', '.join(told) or 'all succeeded'}"]
    if skipped := sum(file.skipped for file in files):
        parts.append(f"{skipped} not asked for")
    return f"{', '.join(parts)}, in {took_s:.1f}s"


def as_json(files: Sequence[FileVerdict], took_s: float) -> str:
    """Return the whole run as JSON."""
    return json.dumps(
        {
            "schema_version": 1,
            "succeeded": not any(file.is_failed for file in files) and any(file.trials for file in files),
            "tests": sum(len(file.trials) for file in files),
            "failed": failed(files),
            "skipped": sum(file.skipped for file in files),
            "took_s": round(took_s, 3),
            "files": [_file_data(file) for file in files],
        },
        indent=2,
    )


def _file_data(file: FileVerdict) -> dict[str, object]:
    return {
        "path": file.path,
        "problems": [
            {"line": it.line, "column": it.column, "path": it.path, "id": it.id, "message": it.message, "hint": it.hint}
            for it in file.problems
        ],
        "tests": [
            {
                "name": trial.name,
                "line": trial.line,
                "succeeded": not trial.failures,
                "took_s": round(trial.took_s, 3),
                "failures": [
                    {
                        "line": failure.line,
                        "what": failure.what,
                        "missing": list(failure.missing),
                        "surplus": list(failure.surplus),
                        "hints": list(failure.hints),
                        "detail": failure.detail,
                    }
                    for failure in trial.failures
                ],
            }
            for trial in file.trials
        ],
    }


def as_junit(files: Sequence[FileVerdict], took_s: float) -> str:
    """Return the whole run as JUnit XML, as CI systems read it."""
    suites = Element(
        "testsuites",
        name="rollback-guard test",
        tests=str(sum(len(file.trials) + bool(file.problems) for file in files)),
        failures=str(failed(files)),
        time=f"{took_s:.3f}",
    )
    for file in files:
        suite = SubElement(
            suites,
            "testsuite",
            name=_legal(file.path),
            tests=str(len(file.trials) + bool(file.problems)),
            failures=str(failed([file])),
            skipped="0",
            time=f"{sum(trial.took_s for trial in file.trials):.3f}",
        )
        if file.problems:
            case = SubElement(suite, "testcase", name="the file is valid", classname=_legal(file.path), time="0")
            text = "\n".join(map(_rendered, file.problems))
            SubElement(case, "failure", message=_legal(file.problems[0].message)).text = _legal(text)
        for trial in file.trials:
            _case(suite, file, trial)
    indent(suites)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(suites, encoding="unicode")


def _case(suite: Element, file: FileVerdict, trial: TrialVerdict) -> None:
    case = SubElement(
        suite, "testcase", name=_legal(trial.name), classname=_legal(file.path), time=f"{trial.took_s:.3f}"
    )
    case.set("file", _legal(file.path))
    case.set("line", str(trial.line))
    for failure in trial.failures:
        text = "\n".join(line for _, line in _failure_lines(file.path, failure, failure.detail))
        SubElement(case, "failure", message=_legal(failure.what)).text = _legal(text)


def _legal(text: str) -> str:
    """Return a text without what XML cannot hold."""
    return "".join(char if char.isprintable() or char in "\n\t" else "�" for char in text)


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
