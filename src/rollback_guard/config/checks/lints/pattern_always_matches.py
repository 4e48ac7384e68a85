"""Find regular expressions that choose nothing, because they match all or none."""

from __future__ import annotations

from collections.abc import Iterator

from promql_parser import VectorSelector

from rollback_guard.config.checks.lints.asked import Asked
from rollback_guard.config.problems import Problem, quoted
from rollback_guard.core.promql.shape import Match, matches_of


def check(asked: Asked) -> Iterator[Problem]:
    """Yield the matchers that might as well not be there, and those that leave nothing over."""
    for node, _ in asked.nodes:
        if not isinstance(node, VectorSelector):
            continue
        for match in matches_of(node):
            if found := _said(match):
                message, hint = found
                yield asked.problem("pattern-always-matches", message, hint=hint, at=asked.places.matcher(node, match))


def _said(match: Match) -> tuple[str, str] | None:
    written = quoted(f'{match.label}{match.operator}"{match.value}"')
    if match.operator == "=~" and match.value == "":
        hint = f'If that is meant, write `{match.label}=""`.'
        return f"{written} matches only where there is no {quoted(match.label)}", hint
    if not _matches_all(match.value):
        return None
    if match.operator == "=~":
        hint = f'Leave it out, or name what is meant; `{match.label}!=""` is every series that has the label.'
        return f"{written} matches every series, with or without the label", hint
    if match.operator == "!~":
        return f"{written} matches nothing, so this never has an answer", "Name what is to be left out."
    return None


def _matches_all(pattern: str) -> bool:
    """Say whether a pattern matches every text; of patterns with brackets only the simplest are known."""
    while pattern.startswith("(") and pattern.endswith(")") and "(" not in pattern[1:]:
        pattern = pattern[1:-1].removeprefix("?:")
    pattern = pattern.removeprefix("^").removesuffix("$")
    if any(sign in pattern for sign in "()[]\\"):
        return False
    parts = set(pattern.split("|"))
    return ".*" in parts or {".+", ""} <= parts
