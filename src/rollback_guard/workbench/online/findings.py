"""Make what is told of what was found: each thing once, and nothing that follows from another. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from rollback_guard.config.problems import Elsewhere, Level, Problem

EXPLAIN_UNKNOWN = frozenset(
    {"online-gone", "online-never", "online-no-histogram", "online-no-history", "online-no-match", "online-short-range"}
)
"""Why nothing comes back."""

ABOUT_WHAT_IS_READ = EXPLAIN_UNKNOWN | {"online-max-age", "online-rate-of-gauge", "online-raw-counter"}
"""What is the same in every rule that reads the same; all others are about one rule."""

_BY_WEIGHT = (Level.ERROR, Level.WARNING, Level.NOTICE)


class Settled(NamedTuple):
    """A lint that has to guess from a name, and a place where the server knows; whether or not there is a finding."""

    lint: str
    path: str
    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found of one expression.

    Attributes:
        rule: The rule's id.
        name: The rule's name.
        is_unknown: It says only that the rule is unknown now, as one is whose selectors select nothing.
    """

    problem: Problem
    rule: str
    name: str
    is_unknown: bool = False


Told = Finding | Settled
"""What a check of rules tells."""


def without_consequences(findings: Iterable[Finding]) -> list[Finding]:
    """Leave out that a rule is unknown, where another finding of it says why."""
    found = list(findings)
    explained = {it.rule for it in found if it.problem.id in EXPLAIN_UNKNOWN and it.problem.severity is Level.WARNING}
    return [it for it in found if not (it.is_unknown and it.rule in explained)]


def told_once(findings: Iterable[Finding]) -> list[Problem]:
    """Return the problems, each that several rules share at the first of them that it is worst for."""
    alike: dict[tuple[str, ...], list[Finding]] = {}
    for number, finding in enumerate(findings):
        problem = finding.problem
        is_shared = problem.id in ABOUT_WHAT_IS_READ
        alike.setdefault((problem.id, problem.message) if is_shared else (str(number),), []).append(finding)
    return [_first_of(its) for its in alike.values()]


def _first_of(findings: list[Finding]) -> Problem:
    ordered = sorted(findings, key=_place)
    first = min(ordered, key=lambda it: _BY_WEIGHT.index(it.problem.severity))
    others = {it.rule: it for it in reversed(ordered) if it.rule != first.rule}
    also = tuple(
        Elsewhere(it.name, it.problem.path, it.problem.line, it.problem.column)
        for it in sorted(others.values(), key=_place)
    )
    return replace(first.problem, also=also)


def _place(finding: Finding) -> tuple[str, int, int]:
    return finding.problem.path, finding.problem.line, finding.problem.column
