"""Copies of one team's service side by side: each with one guard of the team's pack, under a name of its own.

A pack calls its groups, guards, probes, jobs, actions and channels after the service. So a copy is the same text with
another name in its place, and one daemon can watch a copy for every trigger without any of them knowing the others.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any


def renamed(text: str, name: str, copy: str) -> str:
    """Return a text in which the service is called NAME-COPY."""
    return text.replace(name, f"{name}-{copy}")


def settings_of(text: str, name: str, copies: Iterable[str]) -> str:
    """Return a guard.toml with channels and actions once per copy."""
    head, marker, own = text.partition("[notify.")
    return head + "".join(renamed(marker + own, name, copy) for copy in copies)


def rules_of(text: str, guard: str, *, severities: Collection[str] = ("critical",)) -> str:
    """Return a rule file in JSON with one of its guards, and of the rules that this one selects those of some severities.

    Where a rule compares with the past, that is but seconds ago in a test and soon as bad as the present: it fires sooner.
    """
    found = json.loads(text)
    (found["guards"],) = [[each] for each in found["guards"] if each["guard"] == guard]
    select = found["guards"][0]["select"].items()

    def is_kept(labels: Mapping[str, Any]) -> bool:
        return select <= labels.items() and labels["severity"] in severities

    for group in found["groups"]:
        group["rules"] = [each for each in group["rules"] if is_kept(group["labels"] | each.get("labels", {}))]
        for rule in group["rules"]:
            if " offset " in rule["expr"]:
                rule["for"] = "3s"
    found["groups"] = [group for group in found["groups"] if group["rules"]]
    found["probes"] = [each for each in found["probes"] if is_kept(each["labels"])]
    return json.dumps(found)
