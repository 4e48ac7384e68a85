"""Tell what a guard was told and what it concluded, with pictures of what its rules measured."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rollback_guard.core.units import format_duration
from rollback_guard.workbench.trials.chart import chart
from rollback_guard.workbench.trials.film import INACTIVE, Film
from rollback_guard.workbench.trials.orders import Reply
from rollback_guard.workbench.trials.seen import decided
from rollback_guard.workbench.trials.trial import Trial

LONGEST = 30
"""Decisions and orders that are told."""


def story(trial: Trial, film: Film, guard: str, *, asked_at: datetime, width: int) -> str:
    """Return the story of a guard, and beneath it the pictures of its rules that were not always inactive."""
    rules = [trial.policy.rules[rule] for rule in sorted(trial.policy.guards[guard].rules)]
    lively = [rule for rule in rules if any(state != INACTIVE for state in film.tracks[rule.id].states)]
    pictures = chart(trial, film, lively, asked_at=asked_at, width=width)
    return "\n".join([*_lines(trial, film, guard), pictures]).rstrip()


def _lines(trial: Trial, film: Film, guard: str) -> Iterator[str]:
    """Yield what happened; an order comes before what is concluded in the same instant."""
    told = [(reply.order.at, _told(reply)) for reply in film.told(guard)]
    found = sorted([*told, *((each.at, decided(each)) for each in film.decided(guard))], key=lambda line: line[0])
    if found:
        yield "what it was told and concluded:" if told else "what it concluded:"
    for at, words in found[:LONGEST]:
        yield f"  {format_duration(at - trial.start):>8}  {words}"
    if len(found) > LONGEST:
        yield f"  … and {len(found) - LONGEST} times more"


def _told(reply: Reply) -> str:
    words = reply.order.given.words if reply.order.given else ""
    return f"order {words}, refused/{reply.refused.refusal}" if reply.refused else f"order {words}"
