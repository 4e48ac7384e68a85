"""Tell a server that has data from one that only answers.

After a restart with lost data, or behind an address that leads elsewhere, every query is answered well, and with
nothing. To `absent(up{job="shop"})`, to a rule with `no_data: ok` and to whatever cannot be split that is a verdict.
So a question goes along that every server with data answers: what it says counts where the answer has a sample that
is a number above zero, and where the newest of the samples that it rests on is not old.

The question travels in a batch of the rules, at the same instant: it costs no request and no time of its own. What was
answered serves all groups whose slots fall into the same second, unless one of their rules would take an empty answer
for a verdict. For such a rule only the very batch counts: a server may be restarted between two requests, and two of
them may answer in turns.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from rollback_guard.adapters.prometheus.batch import Result, answer_at
from rollback_guard.adapters.prometheus.freshness import query_of
from rollback_guard.adapters.prometheus.grid import MILLISECOND, from_ms
from rollback_guard.adapters.prometheus.refusal import SILENT
from rollback_guard.core.model import Group, NoData
from rollback_guard.core.observation import Failure, Observation, Unknown

SECOND_MS = 1000

LIVES = timedelta(seconds=2)
"""How long ago an answer may have been given to serve another group. A clock that was set asks for old slots anew."""

REMEMBERED = 8
"""Answers that are kept: groups are read within a moment after their slots."""

PATIENCE = timedelta(minutes=2)
"""The samples of the heartbeat may be this old at least, however fresh the rules want theirs: `max_age` is meant for
what a rule measures, and a server may well scrape most of its targets once a minute."""


@dataclass(frozen=True, slots=True)
class Beat:
    """What a server said of itself at one instant, and when it was asked by the steady clock."""

    at_ms: int
    asked_at: timedelta
    said: Mapping[str, Result]


class Heartbeat:
    """The question that goes along, and what was answered a moment ago.

    Args:
        query: PromQL; empty asks nothing and doubts nothing.
        selectors: Whose samples it rests on.
    """

    def __init__(self, query: str, selectors: Iterable[str] = ()) -> None:
        self._query = query.strip()
        self._ages = tuple(map(query_of, selectors))
        self._beats: deque[Beat] = deque(maxlen=REMEMBERED)

    def queries(self, group: Group) -> tuple[str, ...]:
        """Return what is asked."""
        return (self._query, *self.ages(group)) if self._query else ()

    def ages(self, group: Group) -> tuple[str, ...]:
        """Return the part of the question that asks for the times of the newest samples."""
        return self._ages if _max_age_ms(group) is not None else ()

    @staticmethod
    def max_age_ms(group: Group) -> int:
        """Return how old its samples may be for a group whose rules care."""
        return _max_age_ms(group) or PATIENCE // MILLISECOND

    def known(self, group: Group, at_ms: int, now: timedelta) -> dict[str, Result]:
        """Return what serves as an answer without asking; nothing where it has to be asked."""
        queries = set(self.queries(group))
        if not queries or _takes_nothing_for_a_verdict(group):
            return {}
        for beat in self._beats:
            is_same = beat.at_ms // SECOND_MS == at_ms // SECOND_MS and timedelta(0) <= now - beat.asked_at < LIVES
            if is_same and queries <= beat.said.keys():
                return {query: _moved(beat.said[query], beat.at_ms, at_ms) for query in queries}
        return {}

    def learn(self, group: Group, said: Mapping[str, Result], at_ms: int, asked_at: timedelta) -> None:
        """Remember an answer for the other groups; one that was not given may be given to the next who asks."""
        own = {query: said[query] for query in self.queries(group)}
        if own and not any(map(_is_lost, own.values())):
            self._beats.appendleft(Beat(at_ms, asked_at, own))

    def is_lost(self, said: Mapping[str, Result]) -> bool:
        """Say whether the question got no answer, which says nothing of the data."""
        return any(_is_lost(said[query]) for query in (self._query, *self._ages) if query in said)

    def doubt(self, group: Group, said: Mapping[str, Result], at_ms: int) -> Failure | None:
        """Return why nothing that the server says for this instant counts; ``None`` where it does."""
        return next(self._doubts(group, said, at_ms), None) if self._query else None

    def _doubts(self, group: Group, said: Mapping[str, Result], at_ms: int) -> Iterator[Failure]:
        answer = answer_at(said[self._query], at_ms)
        if isinstance(answer, Failure):
            yield Failure(answer.reason, f"heartbeat {self._query}: {answer.detail}")
            return
        if not any(math.isfinite(sample.value) and sample.value > 0 for sample in answer.samples):
            told = ", ".join(f"{sample.value:g}" for sample in answer.samples[:3]) or "nothing"
            yield Failure(Unknown.HEARTBEAT, f"the server answers {self._query} with {told}")
        max_age_ms = _max_age_ms(group)
        if max_age_ms is not None:
            yield from self._doubts_of_age(said, at_ms, max_age_ms)

    def _doubts_of_age(self, said: Mapping[str, Result], at_ms: int, max_age_ms: int) -> Iterator[Failure]:
        for query in self._ages:
            answer = answer_at(said[query], at_ms)
            if isinstance(answer, Failure):
                yield Failure(answer.reason, f"heartbeat {query}: {answer.detail}")
                continue
            newest_ms = max((round(sample.value * 1000) for sample in answer.samples), default=None)
            # A selector of it may be empty, as in `a or b`: that the whole is not was seen already.
            if newest_ms is not None and newest_ms < at_ms - max_age_ms:
                words = f"the newest sample of {self._query} is of {from_ms(newest_ms):%H:%M:%SZ}"
                yield Failure(Unknown.HEARTBEAT, words)


def _max_age_ms(group: Group) -> int | None:
    """Return how old the samples of the heartbeat may be; ``None`` where no rule of the group cares."""
    ages = [rule.max_age for rule in group.rules if rule.max_age is not None]
    return max(PATIENCE, *ages) // MILLISECOND if ages else None


def _takes_nothing_for_a_verdict(group: Group) -> bool:
    """Say whether an empty answer would be a verdict to any rule of the group, or would hide that it is blind."""
    return any(
        rule.condition.comparison is None
        or rule.no_data is not NoData.HOLD
        or (rule.when is not None and rule.when.comparison is None)
        for rule in group.rules
    )


def _moved(result: Result, from_at_ms: int, to_at_ms: int) -> Result:
    return result if isinstance(result, Failure) else {to_at_ms: result.get(from_at_ms, ())}


def _is_lost(result: Result) -> bool:
    """Say whether a question got no answer at all."""
    return isinstance(result, Failure) and result.reason in SILENT


def disbelieved(group: Group, said: Mapping[str, Result], doubt: Failure) -> dict[str, Observation]:
    """Return the observations of an instant at which the server is not believed.

    Where it is only not known whether it has a heartbeat, a failure of a rule's own says more.
    """
    observations = {}
    for rule in group.rules:
        result = said[rule.condition.query]
        own = isinstance(result, Failure) and doubt.reason is not Unknown.HEARTBEAT
        observations[rule.id] = Observation(measured=result if isinstance(result, Failure) and own else doubt)
    return observations
