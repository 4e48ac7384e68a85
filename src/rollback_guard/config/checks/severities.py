"""Find severities that look like one that acts, and do not."""

from __future__ import annotations

from collections.abc import Iterator

from rollback_guard.config.inventory import Inventory
from rollback_guard.config.problems import Level, Problem, did_you_mean, quoted
from rollback_guard.core.model import Severity

KNOWN = (Severity.CRITICAL.value, Severity.WARNING.value)


def check(inventory: Inventory) -> Iterator[Problem]:
    """Yield the rules whose `severity` is nearly one that is known."""
    for found in inventory.rules:
        word = found.labels.get("severity", "")
        question = did_you_mean(word.lower(), KNOWN)
        if word and word not in KNOWN and question and "{{" not in word:
            message = f"the severity {quoted(word)} of {found.name} is only shown: it neither acts nor warns"
            yield found.spot.problem(
                "severity-unknown", message, "labels", "severity", hint=question, level=Level.WARNING
            )
