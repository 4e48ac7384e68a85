"""Find ratios whose two sides are not chosen from the same thing."""

from __future__ import annotations

from collections.abc import Iterator

from rollback_guard.config.checks.lints.asked import Asked
from rollback_guard.config.problems import Problem, quoted
from rollback_guard.core.promql import names
from rollback_guard.core.promql.share import Division, Side, division

SCOPES = names.OWNERS | names.TRAFFIC
"""Labels that both sides have to agree on; any other may tell apart two steps of the same thing."""


def check(asked: Asked) -> Iterator[Problem]:
    """Yield the divisions where one side is of one service, and the other of all of them."""
    for node, _ in asked.nodes:
        found = division(node)
        if found is None:
            continue
        for label in sorted(_missing(found, found.part, found.whole)):
            message = (
                f"the denominator counts all, the numerator only those of one {quoted(label)}: the ratio is too small"
            )
            yield _problem(asked, found.whole, label, message)
        for label in sorted(_missing(found, found.whole, found.part)):
            message = (
                f"the numerator counts all, the denominator only those of one {quoted(label)}: the ratio is too large"
            )
            yield _problem(asked, found.part, label, message)


def _missing(found: Division, one: Side, other: Side) -> set[str]:
    """Return the labels that one side is chosen by, and the other neither is chosen nor told apart by."""
    chosen = {it.label for it in one.matches if it.operator in ("=", "=~") and not it.is_of_all}
    free = chosen - {match.label for match in other.matches} - one.kept
    if one.metric == other.metric:
        # Without an outcome it may be the share that one service has in all of them.
        outcome = {it.label for it in found.chosen if it.label in names.STATUS or names.tone_of_value(*it)}
        if not outcome:
            return set()
        # A part may be smaller on purpose; a part of what the whole leaves out never is.
        return free & (SCOPES if one is found.whole else names.OWNERS) - outcome - names.STATUS
    if found.tone == 0 or any(match.label not in names.STATUS for match in other.matches):
        return set()  # two things of their own, such as the memory that one request costs
    return free & names.OWNERS


def _problem(asked: Asked, side: Side, label: str, message: str) -> Problem:
    hint = f"Add {quoted(label)} to the matchers of {quoted(side.metric)}, too."
    return asked.problem("absent-label", message, hint=hint, at=asked.places.of(side.selector))
