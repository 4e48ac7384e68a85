"""Turn what was said to queries into observations of rules. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rollback_guard.adapters.prometheus.batch import Points, Result, answer_at
from rollback_guard.adapters.prometheus.refusal import SILENT
from rollback_guard.adapters.prometheus.strands import Strands
from rollback_guard.core.model import Group, Labels, Rule
from rollback_guard.core.observation import Answer, Failure, Observation

Expected = Mapping[str, frozenset[Labels]]


def queries_of(group: Group) -> Iterator[str]:
    """Yield what is asked for every slot."""
    for rule in group.rules:
        yield rule.condition.query
        if rule.when is not None:
            yield rule.when.query


def denominators_of(group: Group, said: Mapping[str, Result], expected: Expected) -> Iterator[str]:
    """Yield the denominators of the ratios that are absent, wholly or in part, at some instant."""
    for rule in group.rules:
        ratio, result = rule.condition.ratio, said[rule.condition.query]
        if ratio is not None and not isinstance(result, Failure) and _lacks(result, expected.get(rule.id)):
            yield ratio.denominator


def observe(group: Group, said: Mapping[str, Result], at_ms: int, expected: Expected) -> dict[str, Observation]:
    """Return what was said for one instant, by rule."""
    return {rule.id: observe_rule(rule, said, at_ms, expected.get(rule.id)) for rule in group.rules}


def has_samples(observation: Observation) -> bool:
    """Say whether a verdict would rest on samples, be it only on those of the denominator."""
    return any(
        isinstance(answer, Answer) and answer.samples for answer in (observation.measured, observation.denominator)
    )


def is_silence(said: Mapping[str, Result]) -> bool:
    """Say whether the server gave no answer to anything."""
    return all(isinstance(result, Failure) and result.reason in SILENT for result in said.values())


def with_series_said(group: Group, said: Mapping[str, Result], expected: Expected) -> dict[str, frozenset[Labels]]:
    """Return the expected series of each ratio and all those that appeared in what was said.

    A series that appears and goes within the slots that are read back at once may have an alert in between, which
    only whoever evaluates them knows.
    """
    grown = dict(expected)
    for rule in group.rules:
        result = said[rule.condition.query]
        if rule.condition.ratio is not None and not isinstance(result, Failure):
            grown[rule.id] = grown.get(rule.id, frozenset()) | _labels(result)
    return grown


def _labels(points: Points) -> frozenset[Labels]:
    if isinstance(points, Strands):
        return points.labels
    return frozenset(sample.labels for samples in points.values() for sample in samples)


def observe_rule(rule: Rule, said: Mapping[str, Result], at_ms: int, expected: frozenset[Labels] | None) -> Observation:
    """Return what was said of one rule for one instant; of a ratio that lacks expected series its denominator too."""
    measured = answer_at(said[rule.condition.query], at_ms)
    when = None if rule.when is None else answer_at(said[rule.when.query], at_ms)
    denominator = None
    if rule.condition.ratio is not None and _lacks_series(measured, expected):
        denominator = answer_at(said[rule.condition.ratio.denominator], at_ms)
    return Observation(measured=measured, when=when, denominator=denominator)


def _lacks(points: Points, expected: frozenset[Labels] | None) -> bool:
    """Say whether a series is missing at some instant."""
    if isinstance(points, Strands):
        return not points.strands or not points.is_whole or bool(expected and expected - points.labels)
    return not points or any(_lacks_series(Answer(samples), expected) for samples in points.values())


def _lacks_series(answer: Answer | Failure, expected: frozenset[Labels] | None) -> bool:
    if isinstance(answer, Failure):
        return False
    return not answer.samples or bool(expected and expected - {sample.labels for sample in answer.samples})
