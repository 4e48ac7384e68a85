"""Ask everything that one read needs, in few requests, without hurting a server that is hurt already.

Queries travel in batches. When a batch fails through what is in it, its queries are asked one by one, so that a broken
rule harms only itself. When it fails through the server or the road, nothing is asked again; and what has not been
asked yet is given up once a request has timed out, or as many as may run at once have failed, and none was answered.

What names the ends of the query itself, as `@ end()` does, is asked for each instant by itself: in a range query they
are those of the range, and its values would be others than those of the instants.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from datetime import timedelta

from rollback_guard.adapters.prometheus.batch import Allowance, Points, Result
from rollback_guard.adapters.prometheus.client import Client
from rollback_guard.adapters.prometheus.grid import Grid
from rollback_guard.adapters.prometheus.refusal import SILENT, Refused
from rollback_guard.adapters.prometheus.strands import strands_of
from rollback_guard.core.observation import Failure, Sample, Unknown

NAMES_ENDS = re.compile(r"\b(?:start|end|range|step)\b(?:\s|\#.*\n)*\(", re.IGNORECASE)
"""Such a query may ask from when to when it is asked; newer servers know all four words. Where that stands in a text or
a comment it takes longer, and is not wrong."""

INSTANTS_AT_ONCE = 64
"""Instants that are asked one by one before it is looked whether there is sense in going on."""

SIGN_OF_LIFE = "vector(1)"
"""Asked beside batches that were late when nothing was answered: is it the server or the batch?"""


class Inquiry:
    """All questions of one read."""

    def __init__(self, client: Client, allowance: Allowance, *, patience: int, until: timedelta | None) -> None:
        self._client = client
        self._allowance = allowance
        self._patience = patience
        self._until = until
        self._answered = False
        self._unanswered = 0
        self._given_up: Refused | None = None
        self._late: list[tuple[str, ...]] = []

    async def ask(self, queries: Iterable[str], grid: Grid) -> dict[str, Result]:
        """Return what was said to each query: samples by instant, or why there are none."""
        asked = tuple(dict.fromkeys(queries))
        bound = [query for query in asked if grid.count > 1 and NAMES_ENDS.search(query)]
        said = await self._ask([query for query in asked if query not in bound], grid)
        said |= await self._one_by_one(bound, grid) if bound else {}
        if asked:
            self._settle()
        return said

    async def _one_by_one(self, queries: Sequence[str], grid: Grid) -> dict[str, Result]:
        """Ask for each instant by itself; as of a range query, nothing is left of one that fails for an instant."""
        found: dict[str, dict[int, tuple[Sample, ...]]] = {query: {} for query in queries}
        failed: dict[str, Result] = {}
        for some in grid.pieces(INSTANTS_AT_ONCE):
            left = [query for query in queries if query not in failed]
            if not left:
                break
            for said in await asyncio.gather(*(self._ask(left, instant) for instant in some.pieces(1))):
                for query in left:
                    if isinstance(result := said[query], Failure):
                        failed.setdefault(query, result)
                    else:
                        found[query].update(result)
        return {query: strands_of(points, grid) for query, points in found.items()} | failed

    async def _ask(self, queries: Iterable[str], grid: Grid) -> dict[str, Result]:
        batches = list(self._allowance.pack(queries))
        if not batches:
            return {}
        if self._allowance.in_doubt:
            batches.insert(0, (SIGN_OF_LIFE,))
        answers = await asyncio.gather(*(self._batch(batch, grid) for batch in batches))
        return {query: result for answer in answers for query, result in answer.items()}

    def _settle(self) -> None:
        if self._answered:
            for batch in self._late:
                self._allowance.halve(batch)
        self._allowance.in_doubt = bool(self._late) and not self._answered
        self._late.clear()

    async def _batch(self, batch: tuple[str, ...], grid: Grid) -> dict[str, Result]:
        answer = await self._send(batch, grid)
        if not isinstance(answer, Refused):
            self._allowance.trust(batch)
            return dict(answer)
        if answer.reason is Unknown.TIMEOUT:
            self._late.append(batch)
        if len(batch) == 1 or answer.shared:
            return dict.fromkeys(batch, answer.failure)
        alone = await asyncio.gather(*(self._alone(query, grid) for query in batch))
        if not any(isinstance(result, Failure) for result in alone):
            self._allowance.halve(batch)  # none of them is broken: together they were too much
        return dict(zip(batch, alone, strict=True))

    async def _alone(self, query: str, grid: Grid) -> Result:
        answer = await self._send((query,), grid)
        if isinstance(answer, Refused):
            if not answer.shared:
                self._allowance.isolate(query)
            return answer.failure
        return answer[query]

    async def _send(self, batch: tuple[str, ...], grid: Grid) -> dict[str, Points] | Refused:
        async with self._client.places:
            if self._given_up is not None:
                return self._given_up
            try:
                answer = await self._client.ask(batch, grid, self._until)
            except Refused as refused:
                self._note(refused)
                return refused
            self._answered = True
            return answer

    def _note(self, refused: Refused) -> None:
        if refused.reason not in SILENT:
            self._answered = True
        # A time-out without any answer is worth as much as several requests that failed at once.
        self._unanswered += self._patience if refused.reason is Unknown.TIMEOUT else 1
        if not self._answered and self._unanswered >= self._patience:
            self._given_up = refused
