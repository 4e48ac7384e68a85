"""Tell a server that has data from one that only answers.

After a restart with lost data, or behind an address that leads elsewhere, every query is answered well, and with
nothing. To `absent(up{job="shop"})`, to a rule with `no_data: ok` and to whatever cannot be split that is a verdict.
So a question goes along that every server with data answers: what it says counts where the answer has a sample that
is a number above zero, and where the newest of the samples that it rests on is not old.

The question travels in a batch of the rules, at the same instant: it costs no request and no time of its own. What the
server said in another request, be it a moment ago and for another group, would prove nothing: it may have been
restarted since, or another one may have answered. Only how old its samples are is remembered, for that can be proven
for a while.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import timedelta

from rollback_guard.adapters.prometheus.batch import Result, answer_at
from rollback_guard.adapters.prometheus.freshness import query_of
from rollback_guard.adapters.prometheus.grid import MILLISECOND, from_ms
from rollback_guard.adapters.prometheus.refusal import SILENT
from rollback_guard.core import promql
from rollback_guard.core.model import Group
from rollback_guard.core.observation import Failure, Observation, Unknown

PATIENCE = timedelta(minutes=2)
"""The samples of the heartbeat may be this old at least, however fresh the rules want theirs: `max_age` is meant for
what a rule measures, and a server may well scrape most of its targets once a minute."""


class Heartbeat:
    """The question that goes along.

    Args:
        query: PromQL; empty asks nothing and doubts nothing.
    """

    def __init__(self, query: str) -> None:
        self._query = query.strip()
        self._ages = tuple(map(query_of, _selectors(self._query)))
        self._newest_ms: dict[str, int] = {}

    def queries(self, group: Group, at_ms: int) -> Iterator[str]:
        """Yield what is asked for a present slot."""
        if self._query:
            yield self._query
        yield from (query for query in self.ages(group) if not self._is_known(query, group, at_ms))

    def queries_of_past(self, group: Group) -> Iterator[str]:
        """Yield what is asked for past slots, about which nothing is remembered."""
        if self._query:
            yield self._query
        yield from self.ages(group)

    def ages(self, group: Group) -> tuple[str, ...]:
        """Return the part of the question that asks for the times of the newest samples."""
        return self._ages if _max_age_ms(group) is not None else ()

    def learn(self, group: Group, said: Mapping[str, Result], at_ms: int) -> None:
        """Remember when the newest samples were, after an answer that was believed."""
        for query in self.ages(group):
            newest_ms = _newest_ms(said[query], at_ms) if query in said else None
            if newest_ms is not None:
                self._newest_ms[query] = newest_ms

    def is_lost(self, said: Mapping[str, Result]) -> bool:
        """Say whether the question got no answer, which says nothing of the data."""
        return bool(self._query) and _is_lost(said[self._query])

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
            result = said.get(query)  # what was not asked is known to be new enough
            if isinstance(result, Failure):
                yield Failure(result.reason, f"heartbeat {query}: {result.detail}")
            # A selector of it may be empty, as in `a or b`: that the whole is not was seen already.
            elif result is not None and (newest_ms := _newest_ms(result, at_ms)) is not None:
                if newest_ms < at_ms - max_age_ms:
                    words = f"the newest sample of {self._query} is of {from_ms(newest_ms):%H:%M:%SZ}"
                    yield Failure(Unknown.HEARTBEAT, words)

    def _is_known(self, query: str, group: Group, at_ms: int) -> bool:
        """Say whether memory proves that the samples are new enough, for some time to come."""
        newest_ms, max_age_ms = self._newest_ms.get(query), _max_age_ms(group)
        return newest_ms is not None and max_age_ms is not None and 0 <= at_ms - newest_ms <= max_age_ms // 2


def _max_age_ms(group: Group) -> int | None:
    """Return how old the samples of the heartbeat may be; ``None`` where no rule of the group cares."""
    ages = [rule.max_age for rule in group.rules if rule.max_age is not None]
    return max(PATIENCE, *ages) // MILLISECOND if ages else None


def _newest_ms(result: Result, at_ms: int) -> int | None:
    samples = () if isinstance(result, Failure) else result.get(at_ms, ())
    return max((round(sample.value * 1000) for sample in samples), default=None)


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


def _selectors(query: str) -> tuple[str, ...]:
    """Return whose samples the query rests on; one that cannot be parsed is refused by the server in its own words."""
    try:
        return promql.selectors(promql.parse(query)) if query else ()
    except promql.PromqlError:
        return ()
