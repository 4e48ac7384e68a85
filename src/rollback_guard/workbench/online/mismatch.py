"""Find the matcher that keeps a selector from selecting anything, or the metric that is called alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rollback_guard.config.problems import did_you_mean, quoted
from rollback_guard.core.observation import Sample
from rollback_guard.core.promql.reach import NAME
from rollback_guard.core.promql.shape import Match
from rollback_guard.workbench.online.selectors import Selector
from rollback_guard.workbench.online.server import Server

TOPIC = "which matcher matches nothing"

VALUES_NAMED = 6
"""Of a label; those of the most series come first."""

MOST_NAMES = 20_000
"""Names of metrics that a mistyped one is compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """The matchers without which a selector would select something.

    Attributes:
        matchers: Each of them alone; more than one where they only fail together.
        by_value: The labels are there, with other values; they may have these some day.
    """

    matchers: tuple[Match, ...]
    by_value: bool = True
    message: str
    hint: str


class Mismatches:
    """Find out for many selectors what is wrong with them, with few questions."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._found: dict[Selector, Mismatch] = {}
        self._near: dict[Selector, str] = {}

    def of(self, selector: Selector) -> Mismatch | None:
        """Return which matcher it is; ``None`` where it is the metric, or cannot be told."""
        return self._found.get(selector)

    def lacks_metric(self, selector: Selector) -> bool:
        """Say whether nothing at all has its name, whatever it is matched by."""
        return selector in self._near

    def near(self, selector: Selector) -> str:
        """Return a question that names a metric that exists and is called alike, or nothing."""
        return self._near.get(selector, "")

    async def find(self, selectors: Iterable[Selector]) -> None:
        """Look into selectors that have had no series for a week."""
        ordered = sorted(selectors, key=lambda it: it.text)
        bare = {it: _within_an_hour(Selector(it.name)) for it in ordered if it.name and it.matchers}
        said = await self._server.instant(TOPIC, (f"count({query})" for query in bare.values()))
        for selector in ordered:
            samples = said.get(f"count({bare[selector]})") if selector in bare else ()
            if samples or (selector.matchers and not selector.name):
                await self._look_into(selector, samples or ())
            elif samples == () and selector.name:
                self._near[selector] = did_you_mean(selector.name, await self._metrics())

    async def _look_into(self, selector: Selector, bare: tuple[Sample, ...]) -> None:
        """Leave out each matcher in turn: which one brings series back, and which values have they?"""
        queries = {
            matcher: f"count by ({matcher.label}) ({_within_an_hour(rest)})"
            for matcher in selector.matchers
            if matcher.label != NAME and (rest := selector.without(matcher)) is not None
        }
        said = await self._server.instant(TOPIC, queries.values())
        needed = {matcher: samples for matcher, query in queries.items() if (samples := said[query])}
        if len(needed) == 1:
            ((matcher, samples),) = needed.items()
            self._found[selector] = await self._one(selector, matcher, samples)
        elif needed:
            words = " and ".join(quoted(matcher.text) for matcher in needed)
            self._found[selector] = Mismatch(
                matchers=tuple(needed),
                message=f"no series of {_name(selector)} has both {words}",
                hint="; ".join(_values(matcher, samples) for matcher, samples in needed.items()) + ".",
            )
        elif bare:
            number = f"{bare[0].value:.0f}"
            self._found[selector] = Mismatch(
                matchers=selector.matchers,
                by_value=False,
                message=f"none of the {number} series of {_name(selector)} has all that {quoted(selector.text)} asks",
                hint="More than one of the matchers matches nothing.",
            )

    async def _one(self, selector: Selector, matcher: Match, samples: tuple[Sample, ...]) -> Mismatch:
        values = _by_frequency(matcher, samples)
        if not values:
            labels = await self._labels(selector)
            near = did_you_mean(matcher.label, labels)
            return Mismatch(
                matchers=(matcher,),
                by_value=False,
                message=f"no series of {_name(selector)} has the label {quoted(matcher.label)}",
                hint=near or (f"Its labels are {_listed(labels)}." if labels else ""),
            )
        near = did_you_mean(matcher.value, values) if matcher.operator == "=" else ""
        return Mismatch(
            matchers=(matcher,),
            message=f"{quoted(matcher.text)} matches no series of {_name(selector)}",
            hint=f"{near} {_values(matcher, samples)}.".strip(),
        )

    async def _metrics(self) -> list[str]:
        names = await self._server.get(TOPIC, "/api/v1/label/__name__/values", **self._last_hour())
        return [name for name in names[:MOST_NAMES] if isinstance(name, str)] if isinstance(names, list) else []

    async def _labels(self, selector: Selector) -> list[str]:
        match = {"match[]": selector.name} if selector.name else {}
        labels = await self._server.get(TOPIC, "/api/v1/labels", **match, **self._last_hour())
        return [it for it in labels if isinstance(it, str) and it != "__name__"] if isinstance(labels, list) else []

    def _last_hour(self) -> dict[str, str]:
        end = self._server.now.timestamp()
        return {"start": f"{end - 3600:.3f}", "end": f"{end:.3f}"}


def _within_an_hour(selector: Selector) -> str:
    return f"last_over_time({selector.text}[1h])"


def _name(selector: Selector) -> str:
    return quoted(selector.name) if selector.name else "the metrics"


def _by_frequency(matcher: Match, samples: tuple[Sample, ...]) -> list[str]:
    ordered = sorted(samples, key=lambda it: (-it.value, it.labels))
    return [value for sample in ordered for label, value in sample.labels if label == matcher.label]


def _values(matcher: Match, samples: tuple[Sample, ...]) -> str:
    return f"The values of {quoted(matcher.label)} are {_listed(_by_frequency(matcher, samples))}"


def _listed(values: list[str]) -> str:
    named = ", ".join(map(quoted, values[:VALUES_NAMED]))
    return f"{named} and {len(values) - VALUES_NAMED} more" if len(values) > VALUES_NAMED else named
