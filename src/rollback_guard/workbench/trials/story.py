"""Tell what a guard was told and what it concluded."""

from __future__ import annotations

from collections.abc import Iterator

from rollback_guard.config.problems import quoted
from rollback_guard.core.model import Rule
from rollback_guard.core.units import format_duration
from rollback_guard.workbench.trials.film import INACTIVE, Film
from rollback_guard.workbench.trials.orders import Reply
from rollback_guard.workbench.trials.seen import decided
from rollback_guard.workbench.trials.trial import Trial

LONGEST = 30
"""Decisions and orders that are told."""


def lively_rules(trial: Trial, film: Film, guard: str) -> list[Rule]:
    """Return the rules of a guard that were not always inactive."""
    rules = [trial.policy.rules[rule] for rule in sorted(trial.policy.guards[guard].rules)]
    return [rule for rule in rules if any(state != INACTIVE for state in film.tracks[rule.id].states)]


def story(trial: Trial, film: Film, guard: str, *, named: bool = False) -> Iterator[str]:
    """Yield the story of a guard; an order comes before what is concluded in the same instant.

    Args:
        trial: What was played.
        film: What happened.
        guard: Whose story.
        named: Say whose it is, where it is told beside that of another guard.
    """
    told = [(reply.order.at, _told(reply)) for reply in film.told(guard)]
    found = sorted([*told, *((each.at, decided(each)) for each in film.decided(guard))], key=lambda line: line[0])
    if found:
        who = quoted(guard) if named else "it"
        yield f"what {who} was told and concluded:" if told else f"what {who} concluded:"
    for at, words in found[:LONGEST]:
        yield f"  {format_duration(at - trial.start):>8}  {words}"
    if len(found) > LONGEST:
        yield f"  … and {len(found) - LONGEST} times more"


def _told(reply: Reply) -> str:
    words = reply.order.given.words if reply.order.given else ""
    return f"order {words}, refused/{reply.refused.refusal}" if reply.refused else f"order {words}"
