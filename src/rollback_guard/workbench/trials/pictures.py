"""Show what failures have in common once: the story of a guard, and pictures of what rules measured.

Five expectations of one guard that are not met have one cause, and nobody reads the same twenty lines five times.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from rollback_guard.core.model import Rule
from rollback_guard.workbench.trials.chart import chart, fits
from rollback_guard.workbench.trials.film import Film
from rollback_guard.workbench.trials.story import lively_rules, story
from rollback_guard.workbench.trials.trial import Trial
from rollback_guard.workbench.trials.verdict import Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What there is to see of failures.

    Attributes:
        guards: Whose stories are told.
        rules: What is drawn.
        asked_at: The times that are marked.
    """

    guards: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    asked_at: tuple[datetime, ...]

    def joined(self, other: Subject) -> Subject:
        """Return what there is to see of both."""
        return Subject(
            guards=tuple(dict.fromkeys((*self.guards, *other.guards))),
            rules=tuple({rule.id: rule for rule in (*self.rules, *other.rules)}.values()),
            asked_at=(*self.asked_at, *other.asked_at),
        )

    def has_part_of(self, other: Subject) -> bool:
        """Say whether something would be seen in both."""
        rules = {rule.id for rule in self.rules}
        return bool(set(self.guards) & set(other.guards)) or any(rule.id in rules for rule in other.rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A failure without its picture, and what there is to see of it; ``None`` where there is nothing."""

    failure: Failure
    subject: Subject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Illustrator:
    """Give failures their pictures.

    Attributes:
        width: Characters that there is room for.
    """

    trial: Trial
    film: Film
    width: int

    def subject_of(self, guard: str, asked_at: datetime) -> Subject:
        """Return what there is to see of a guard."""
        rules = lively_rules(self.trial, self.film, guard)
        return Subject(guards=(guard,), rules=tuple(rules), asked_at=(asked_at,))

    def paint(self, found: Sequence[Found]) -> Iterator[Failure]:
        """Yield the failures with their pictures, those beside each other that have one in common."""
        for subject, together in self._grouped(found):
            last = len(together) - 1
            common = self._picture(subject) if subject else ""
            for number, each in enumerate(together):
                if each.subject is None:
                    yield replace(each.failure, picture=each.failure.detail)
                else:
                    own = common if last == 0 else self._picture(each.subject)
                    yield replace(each.failure, detail=own, picture=common if number == last else "")

    def _grouped(self, found: Sequence[Found]) -> list[tuple[Subject | None, list[Found]]]:
        """Return the failures in groups, each with what there is to see of all of its own."""
        groups: list[tuple[Subject | None, list[Found]]] = []
        for each in found:
            seen, like = each.subject, list[int]()
            for place, (subject, _) in enumerate(groups):
                if seen is None or subject is None or not each.subject or not subject.has_part_of(each.subject):
                    continue
                joined = subject.joined(seen)
                if fits(self.trial, joined.asked_at, width=self.width):
                    seen = joined
                    like.append(place)
            if like:
                groups[like[0]] = (seen, [*(it for place in like for it in groups[place][1]), each])
                groups = [group for place, group in enumerate(groups) if place not in like[1:]]
            else:
                groups.append((seen, [each]))
        return groups

    def _picture(self, subject: Subject) -> str:
        several = len(subject.guards) > 1
        lines = [line for guard in subject.guards for line in story(self.trial, self.film, guard, named=several)]
        drawn = chart(self.trial, self.film, subject.rules, asked_at=subject.asked_at, width=self.width)
        return "\n".join([*lines, drawn]).rstrip()
