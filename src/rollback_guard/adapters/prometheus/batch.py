"""Join many queries into one, and take its answer apart again.

Pure: what a batch looks like and who may travel in one; `inquiry` does the asking.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rollback_guard.adapters.prometheus.grid import Grid
from rollback_guard.adapters.prometheus.refusal import Refused
from rollback_guard.core.model import Labels, labels_of
from rollback_guard.core.observation import Answer, Failure, Sample, Unknown

PLACE = "__rule__"
"""The label that keeps the queries of a batch apart. `or` joins by whole label sets, and this one always differs."""

BATCH_CHARS = 64 * 1024
"""The text of one batch; proxies in front of Prometheus often refuse bodies from 1 MB on."""

GROWTH = 4
"""A batch that answered may grow by this part. A batch that is too large for the server is met again only now and then,
and after an outage there are no more than a dozen slots with more requests than usual."""

Points = Mapping[int, tuple[Sample, ...]]
"""The samples of one query by the time for which they were asked, in milliseconds."""

Result = Points | Failure


def combine(queries: Sequence[str]) -> str:
    """Return one query that asks all of them.

    The operands of `or` form a balanced tree: a chain of them would match every series of all earlier queries again
    for each further one. The line break ends a comment that a query may end with.
    """
    parts = [
        f'label_replace((\n{query}\n), "{PLACE}", "{place}", "", "")' if len(queries) > 1 else query
        for place, query in enumerate(queries)
    ]
    while len(parts) > 1:
        pairs = zip(parts[::2], parts[1::2], strict=False)
        odd = parts[-1:] if len(parts) % 2 else []
        parts = [f"({left} or {right})" for left, right in pairs] + odd
    return parts[0]


def split(queries: Sequence[str], series: Iterable[Mapping[str, Any]], grid: Grid) -> dict[str, Points]:
    """Return the samples of each query from the answer to their combination, without metric names.

    Raises:
        Refused: The answer does not have the shape of one.
    """
    found: dict[str, list[Points]] = {query: [] for query in queries}
    try:
        for each in series:
            labels = dict(each["metric"])
            place = int(labels.pop(PLACE)) if len(queries) > 1 else 0
            labels.pop("__name__", None)
            kept = labels_of(labels)
            if place < 0 or not all(isinstance(value, str) for value in labels.values()):
                raise ValueError(f"labels {each['metric']}")  # noqa: TRY301  told as the library's own are
            found[queries[place]].append(_points(kept, each, grid))
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        words = "a series is a histogram or has no value" if isinstance(error, KeyError) else f"malformed: {error}"
        raise Refused(Unknown.BAD_RESPONSE, words, shared=False) from error
    return {query: _joined(parts) for query, parts in found.items()}


def _points(labels: Labels, series: Mapping[str, Any], grid: Grid) -> Points:
    if grid.count == 1:
        return {grid.start_ms: (Sample(labels, float(series["value"][1])),)}
    return {round(at_s * 1000): (Sample(labels, float(value)),) for at_s, value in series["values"]}


def _joined(parts: Sequence[Points]) -> Points:
    """Return the points of one query from those of its series; nearly always there is one."""
    if len(parts) == 1:
        return parts[0]
    joined: dict[int, list[Sample]] = {}
    for part in parts:
        for at_ms, samples in part.items():
            joined.setdefault(at_ms, []).extend(samples)
    return {at_ms: tuple(samples) for at_ms, samples in joined.items()}


def answer_at(result: Result, at_ms: int) -> Answer | Failure:
    """Return what a query said for one instant; two samples of one series say nothing."""
    if isinstance(result, Failure):
        return result
    samples = result.get(at_ms, ())
    if len({sample.labels for sample in samples}) != len(samples):
        return Failure(Unknown.DUPLICATE, "two series have equal labels once the metric's name is dropped")
    return Answer(samples)


class Allowance:
    """Remember how many queries may travel together with one that gave trouble.

    A query that failed on its own travels alone until it has answered; one whose batch was late travels in ever
    smaller batches, so that after a few slots the slow one is found, with hardly more requests than before.

    Attributes:
        in_doubt: Whether batches were late while nothing at all was answered.
    """

    def __init__(self, batch_size: int) -> None:
        self.in_doubt = False
        self._batch_size = batch_size
        self._sizes: dict[str, int] = {}

    def pack(self, queries: Iterable[str]) -> Iterator[tuple[str, ...]]:
        """Yield the queries in batches; those with equal allowance travel together."""
        by_size: dict[int, list[str]] = {}
        for query in dict.fromkeys(queries):
            by_size.setdefault(self._sizes.get(query, self._batch_size), []).append(query)
        for size, alike in by_size.items():
            yield from _chunks(alike, size)

    def isolate(self, query: str) -> None:
        """Have a query travel alone: it failed by itself."""
        self._sizes[query] = 1

    def halve(self, queries: Sequence[str]) -> None:
        """Have the queries of a batch that was too much travel in smaller ones."""
        self._sizes.update(dict.fromkeys(queries, max(1, math.ceil(len(queries) / 2))))

    def trust(self, queries: Iterable[str]) -> None:
        """Let queries that answered travel in larger batches again."""
        for query in queries:
            size = self._sizes.pop(query, self._batch_size)
            grown = size + size // GROWTH + 1
            if grown < self._batch_size:
                self._sizes[query] = grown


def _chunks(queries: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    chunk: list[str] = []
    chars = 0
    for query in queries:
        if chunk and (len(chunk) == size or chars + len(query) > BATCH_CHARS):
            yield tuple(chunk)
            chunk, chars = [], 0
        chunk.append(query)
        chars += len(query)
    if chunk:
        yield tuple(chunk)
