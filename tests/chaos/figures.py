"""Count what the chaos did and what it cost, over all tests and workers of a run.

With CHAOS_FIGURES=path they are added up in that file, as JSON; without it nothing is kept. The journal's records say
what was intended, the target says what happened; neither knows of the other.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

NAMES = (
    "faults_injected",
    "kills_among_them",
    "effects_expected",
    "effects_lost",
    "effects_doubled",
    "notices_expected",
    "notices_lost",
    "notices_repeated_under_their_id",
    "journals_checked",
    "journals_broken",
)


def add(**counts: int) -> None:
    """Add to the figures of this run."""
    unknown = counts.keys() - set(NAMES)
    assert not unknown, unknown
    where = os.environ.get("CHAOS_FIGURES")
    if where is None:
        return
    with Path(where).open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        so_far = json.loads(file.read() or "{}")
        file.truncate(0)
        json.dump({name: so_far.get(name, 0) + counts.get(name, 0) for name in NAMES}, file, indent=2)


def add_run(*, kills: int = 0, others: int = 0, flaw: object) -> None:
    """Add one guard's life: how often it was killed, what else was done to it, and what is wrong with its journal."""
    add(
        faults_injected=kills + others,
        kills_among_them=kills,
        journals_checked=1,
        journals_broken=flaw is not None,
    )


def add_effects(expected: Iterable[str], seen: Iterable[str]) -> None:
    """Add effects: those that should have happened once each, and those that did."""
    wanted, found = set(expected), Counter(seen)
    add(
        effects_expected=len(wanted),
        effects_lost=len(wanted - found.keys()),
        effects_doubled=sum(found.values()) - len(found.keys() & wanted),
    )


def add_notices(expected: Iterable[str], seen: Iterable[str]) -> None:
    """Add notices by their ids; one that comes again under its id is allowed."""
    wanted, found = set(expected), Counter(seen)
    add(
        notices_expected=len(wanted),
        notices_lost=len(wanted - found.keys()),
        notices_repeated_under_their_id=sum(found.values()) - len(found),
    )
