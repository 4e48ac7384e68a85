"""Join many queries into one, and take its answer apart again.

Pure: what a batch looks like and who may travel in one; `inquiry` does the asking.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

from rollback_guard.adapters.prometheus.grid import Grid
from rollback_guard.adapters.prometheus.refusal import Refused
from rollback_guard.adapters.prometheus.strands import Packed, Strands, strand_of
from rollback_guard.core.model import Labels, labels_of
from rollback_guard.core.observation import Answer, Failure, Sample, Unknown

PLACE = "__rule__"
"""The label that keeps the queries of a batch apart. `or` joins by whole label sets, and this one always differs."""

BATCH_CHARS = 64 * 1024
"""The text of one batch; proxies in front of Prometheus often refuse bodies from 1 MB on."""

GROWTH = 4
"""A batch that answered may grow by this part. A batch that is too large for the server is met again only now and then,
and after an outage there are no more than a dozen slots with more requests than usual."""

HISTOGRAMS = frozenset({"histogram", "histograms"})
"""Where the samples of a native histogram stand; over a range a series may have numbers beside them."""

NO_NUMBER = "the answer is a native histogram: take a number of it, as histogram_quantile() and histogram_count() do"

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
    found: dict[str, list[tuple[Labels, Any]]] = {query: [] for query in queries}
    samples_of, kind = itemgetter("value" if grid.count == 1 else "values"), list if grid.count == 1 else Packed
    try:
        for each in series:
            if not HISTOGRAMS.isdisjoint(each):
                raise Refused(Unknown.BAD_RESPONSE, NO_NUMBER, shared=False)
            labels = dict(each["metric"])
            place = int(labels.pop(PLACE)) if len(queries) > 1 else 0
            labels.pop("__name__", None)
            samples = samples_of(each)
            if place < 0 or not all(isinstance(value, str) for value in labels.values()):
                raise ValueError(f"labels {each['metric']}")  # noqa: TRY301  told as the library's own are
            if not isinstance(samples, kind):
                raise TypeError("samples that are no list")  # noqa: TRY301  as above
            found[queries[place]].append((labels_of(labels), samples))
        return {query: _points(parts, grid) for query, parts in found.items()}
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        words = "a series has no value" if isinstance(error, KeyError) else f"malformed: {error}"
        raise Refused(Unknown.BAD_RESPONSE, words, shared=False) from error


def _points(parts: Sequence[tuple[Labels, Any]], grid: Grid) -> Points:
    if grid.count > 1:
        return Strands(grid, [strand_of(labels, samples, grid) for labels, samples in parts])
    samples = tuple(Sample(labels, float(value)) for labels, (_, value) in parts)
    return {grid.start_ms: samples} if samples else {}


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
