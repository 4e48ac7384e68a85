"""Find severities that are only shown, though somebody may have meant more by them."""

from __future__ import annotations

from collections.abc import Iterator

from rollback_guard.config.found import Watched
from rollback_guard.config.inventory import Inventory
from rollback_guard.config.problems import Level, Problem, did_you_mean, quoted
from rollback_guard.core.model import Severity

KNOWN = (Severity.CRITICAL.value, Severity.WARNING.value, "info", Severity.NONE.value)
"""`critical` acts and `warning` notifies; `info` and `none` say that a rule is only shown."""

SHORTEST_BEGINNING = 3
"""Letters that are enough to know a word by: `crit`, `inf`."""


def check(inventory: Inventory) -> Iterator[Problem]:
    """Yield the rules whose `severity` is nearly a known one, and once in a file each that is another word."""
    others: dict[tuple[str, str], list[Watched]] = {}
    for found in inventory.rules:
        word = found.labels.get("severity", "")
        if not word or word in KNOWN or "{{" in word:
            continue
        if question := _nearest(word.strip().lower()):
            message = f"the severity {quoted(word)} of {found.name} is only shown: it neither acts nor warns"
            yield found.spot.problem(
                "severity-unknown", message, "labels", "severity", hint=question, level=Level.WARNING
            )
        else:
            others.setdefault((found.spot.document.path, word), []).append(found)
    for (_, word), rules in others.items():
        yield _other(word, rules)


def _nearest(word: str) -> str:
    beginning = next((known for known in KNOWN if len(word) >= SHORTEST_BEGINNING and known.startswith(word)), None)
    return f"Did you mean `{beginning}`?" if beginning else did_you_mean(word, KNOWN)


def _other(word: str, rules: list[Watched]) -> Problem:
    """Return one notice for all rules of a file: whole files are written with words of another house."""
    first, more = rules[0], len(rules) - 1
    and_more = f" and {more} more {'rule' if more == 1 else 'rules'}" if more else ""
    message = f"the severity {quoted(word)} of {first.name}{and_more} is only shown: it neither acts nor warns"
    hint = "Write `critical` where a guard shall act, `warning` where people shall be told, else `info`."
    return first.spot.problem("severity-unknown", message, "labels", "severity", hint=hint, level=Level.NOTICE)
