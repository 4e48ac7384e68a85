"""Put the rules of a trial into the order in which Prometheus evaluates them, and say where that order matters.

Within one slot the groups come one after the other, and in each group its rules as they are written, recording rules
among the alerting ones: each sees what those before it wrote in this slot, and of those after it what they wrote in the
last one. promtool leaves the order of groups to chance where the test does not say it; here a group comes after those
whose recordings it reads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rollback_guard.config.recordings import Recording
from rollback_guard.core.model import PROBE, SIGNAL, Group, Rule
from rollback_guard.core.promql.reach import looks_ahead, may_read

ALERTS, ALERTS_FOR_STATE = "ALERTS", "ALERTS_FOR_STATE"
OF_ALERTS = frozenset({ALERTS, ALERTS_FOR_STATE})
"""What Prometheus itself writes about the alerts."""


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """One group of a trial.

    Attributes:
        group: What the guard evaluates; ``None`` for a group of recording rules only.
        items: Its rules, as they are written.
    """

    group: Group | None
    items: tuple[Recording | Rule, ...]


def chapters_of(groups: Sequence[Group], recordings: Sequence[Recording], names: Sequence[str]) -> tuple[Chapter, ...]:
    """Return the groups that ask a data source, in the order of a slot.

    Args:
        groups: As they stand in the files.
        recordings: As they stand in the files.
        names: Groups in the order that the test asks for; those that are not among them count as the first of them.
    """
    placed: list[tuple[tuple[int, int], Chapter]] = []
    asking = [group for group in groups if group.source not in (PROBE, SIGNAL)]
    for number, group in enumerate(asking):
        own = [recording for recording in recordings if recording.group_id == group.id]
        chapter = Chapter(group=group, items=tuple(_merged(group.rules, own)))
        placed.append(((number, 1), chapter))
    known = {group.id for group in asking}
    for group_id in dict.fromkeys(each.group_id for each in recordings if each.group_id not in known):
        own = [recording for recording in recordings if recording.group_id == group_id]
        placed.append(((own[0].groups_before, 0), Chapter(group=None, items=tuple(own))))
    placed.sort(key=lambda each: each[0])
    ranked: dict[int, list[Chapter]] = {}
    for _, chapter in placed:
        ranked.setdefault(rank(_id(chapter), names), []).append(chapter)
    return tuple(chapter for place in sorted(ranked) for chapter in _writers_first(ranked[place]))


def rank(group_id: str, names: Sequence[str]) -> int:
    """Return the place of a group among those named; promtool gives the others that of the first."""
    return next((place for place, name in enumerate(names) if is_called(group_id, name)), 0)


def is_called(group_id: str, name: str) -> bool:
    """Say whether a group has this name; its id may have its file's name before it."""
    return group_id == name or group_id.endswith(f"/{name}")


def expressions_of(item: Recording | Rule) -> tuple[str, ...]:
    """Return what is asked for a rule, as it is written."""
    if isinstance(item, Recording):
        return (item.expr,)
    return (item.condition.expr, item.when.expr) if item.when else (item.condition.expr,)


def reads(item: Recording | Rule, metrics: frozenset[str]) -> bool:
    """Say whether a rule may read one of these metrics."""
    return any(may_read(expr, metrics) for expr in expressions_of(item))


def is_stepwise(chapters: Sequence[Chapter]) -> bool:
    """Say whether its slots have to be played one after the other.

    That is so where what is asked in one slot depends on what was concluded in it or recorded later, where an
    expression would see what is not there yet, and where two rules may record the same series.
    """
    items = [item for chapter in chapters for item in chapter.items]
    to_come = Counter(item.name for item in items if isinstance(item, Recording))
    if max(to_come.values(), default=0) > 1:
        return True
    for item in items:
        if any(map(looks_ahead, expressions_of(item))) or reads(item, OF_ALERTS | frozenset(+to_come)):
            return True
        if isinstance(item, Recording):
            to_come[item.name] -= 1
    return False


def _writers_first(chapters: Sequence[Chapter]) -> Iterator[Chapter]:
    """Yield chapters after those whose recordings they read; where that goes round in a circle, as they stand."""
    left = list(chapters)
    while left:
        ready = (each for each in left if not any(_reads_from(each, other) for other in left if other is not each))
        chosen = next(ready, left[0])
        left.remove(chosen)
        yield chosen


def _reads_from(chapter: Chapter, other: Chapter) -> bool:
    written = frozenset(item.name for item in other.items if isinstance(item, Recording))
    return any(reads(item, written) for item in chapter.items)


def _id(chapter: Chapter) -> str:
    first = chapter.items[0]
    return first.group_id if isinstance(first, Recording) else first.group


def _merged(rules: Sequence[Rule], recordings: Sequence[Recording]) -> Iterator[Recording | Rule]:
    for place, rule in enumerate(rules):
        yield from (recording for recording in recordings if recording.rules_before == place)
        yield rule
    yield from (recording for recording in recordings if recording.rules_before >= len(rules))
