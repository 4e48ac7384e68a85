"""Judge one rule in one slot: which of its series pass, which breach, and of which nothing is known.

An empty answer alone says nothing: an absent ratio whose denominator is there is nothing divided by something, and any
other absence is what the rule's `no_data` makes of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from rollback_guard.core import template
from rollback_guard.core.alert import Alert
from rollback_guard.core.condition import Comparison, Condition, Ratio
from rollback_guard.core.model import PRECEDENCE, Labels, NoData, Rule, Verdict, labels_of, worst
from rollback_guard.core.observation import Answer, Failure, Family, Observation, Sample, Unknown, family


@dataclass(frozen=True, slots=True)
class SeriesVerdict:
    """What one slot said of one series. `reason` is set where the verdict is UNKNOWN."""

    series: Labels
    verdict: Verdict
    value: float | None = None
    reason: Unknown | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one slot said of a rule.

    Attributes:
        verdict: Of the rule. A series without anything to judge and without an alert does not hide the others.
        reason: Why nothing is known of the rule as a whole; ``None`` where something is.
        detail: For people: the server's words, what a probe saw.
    """

    verdict: Verdict
    series: tuple[SeriesVerdict, ...] = ()
    reason: Unknown | None = None
    detail: str = ""


NOTHING_SAID = (SeriesVerdict((), Verdict.PASS),)


def judge(rule: Rule, observation: Observation, active: Mapping[Labels, Alert], *, limit: int = 0) -> Judgement:
    """Say what an observation means for each series of a rule.

    Args:
        rule: What was asked and how it is compared.
        observation: What the source said.
        active: The rule's pending and firing alerts: a series of theirs that is missing is absent, not recovered.
        limit: More active series than this are an error of the rule; 0 is no limit.
    """
    measured = observation.measured
    if isinstance(measured, Failure):
        return _blind(measured.reason, measured.detail, active)
    if observation.stale_since is not None:
        return _blind(Unknown.STALE, f"no sample is newer than {observation.stale_since:%H:%M:%SZ}", active)
    if isinstance(observation.when, Failure):
        return _blind(observation.when.reason, f"when: {observation.when.detail}", active)
    if len(measured.samples) == 1 and not active and rule.when is None:
        # Nearly every rule in nearly every slot; what follows would come to the same.
        only = _compare(rule.condition, measured.samples[0])
        return Judgement(only.verdict, (only,), only.reason, observation.detail)
    verdicts = tuple(_series_verdicts(rule, measured, observation, active))
    if rule.when is not None and observation.when is not None:
        # What cannot be split says nothing by saying nothing; whether that may be taken for health, `when` decides.
        verdicts = tuple(_where_it_holds(verdicts or NOTHING_SAID, rule.when, observation.when))
    return _as_a_whole(rule, verdicts, observation, active, limit)


def _series_verdicts(
    rule: Rule, measured: Answer, observation: Observation, active: Mapping[Labels, Alert]
) -> Iterator[SeriesVerdict]:
    for sample in measured.samples:
        yield _compare(rule.condition, sample)
    if measured.samples and not active:
        return
    known = {sample.labels for sample in measured.samples}
    missing = [series for series in active if series not in known]
    if rule.condition.comparison is None:
        yield from (SeriesVerdict(series, Verdict.PASS) for series in missing)
        return
    zeros = _zeros(rule.condition, observation, known=known, missing=missing)
    yield from (verdict for series, verdict in zeros.items() if series in missing or not known)
    for series in missing:
        if series not in zeros:
            yield _absent(rule.no_data, series, others=bool(known or zeros))
    if not known and not zeros and not missing:
        yield _absent(rule.no_data, (), others=False)


def _compare(condition: Condition, sample: Sample) -> SeriesVerdict:
    value, comparison = sample.value, condition.comparison
    if math.isnan(value):
        return SeriesVerdict(sample.labels, Verdict.UNKNOWN, value, Unknown.NAN)
    breached = comparison is None or comparison.holds(value)
    return SeriesVerdict(sample.labels, Verdict.BREACH if breached else Verdict.PASS, value)


def _absent(no_data: NoData, series: Labels, *, others: bool) -> SeriesVerdict:
    if not series and others:
        # The stand-in for "no series at all" ends as soon as there is one.
        return SeriesVerdict(series, Verdict.PASS)
    match no_data:
        case NoData.OK:
            return SeriesVerdict(series, Verdict.PASS)
        case NoData.BREACH:
            return SeriesVerdict(series, Verdict.BREACH)
        case NoData.HOLD:
            return SeriesVerdict(series, Verdict.UNKNOWN, None, Unknown.ABSENT)


def _zeros(
    condition: Condition, observation: Observation, *, known: AbstractSet[Labels], missing: Sequence[Labels]
) -> dict[Labels, SeriesVerdict]:
    """Return verdicts for the series of which only the ratio's denominator is there, or was asked for in vain."""
    ratio, denominator = condition.ratio, observation.denominator
    if ratio is None or denominator is None:
        return {}
    if isinstance(denominator, Failure):
        return {series: SeriesVerdict(series, Verdict.UNKNOWN, None, denominator.reason) for series in missing or [()]}
    samples = (Sample(_matched(sample.labels, ratio), _ratio_value(ratio, sample)) for sample in denominator.samples)
    return {sample.labels: _compare(condition, sample) for sample in samples if sample.labels not in known}


def _ratio_value(ratio: Ratio, denominator: Sample) -> float:
    return math.nan if denominator.value == 0 or math.isnan(denominator.value) else ratio.value


def _matched(labels: Labels, ratio: Ratio) -> Labels:
    return tuple(
        (name, value)
        for name, value in labels
        if (name in ratio.kept if ratio.kept is not None else name not in ratio.dropped)
    )


def _where_it_holds(verdicts: Iterable[SeriesVerdict], when: Condition, said: Answer) -> Iterator[SeriesVerdict]:
    """Replace verdicts of series for which there is too little to judge.

    A sample of `when` speaks for the series that carry all of its labels; without labels it speaks for all. Where there
    is no series, every sample speaks.
    """
    if verdicts is NOTHING_SAID:
        said = Answer(tuple(Sample((), sample.value) for sample in said.samples))
    judged_by_names: dict[tuple[str, ...], dict[Labels, set[Verdict]]] = {}
    for sample in said.samples:
        names = tuple(name for name, _ in sample.labels)
        by_labels = judged_by_names.setdefault(names, {})
        by_labels.setdefault(sample.labels, set()).add(_compare(when, sample).verdict)
    for each in verdicts:
        judged = set[Verdict]()
        for names, by_labels in judged_by_names.items():
            judged |= by_labels.get(tuple(label for label in each.series if label[0] in names), set())
        if Verdict.BREACH in judged:
            yield each
        elif judged or when.comparison is None:
            yield SeriesVerdict(each.series, Verdict.UNKNOWN, each.value, Unknown.NO_TRAFFIC)
        else:
            yield SeriesVerdict(each.series, Verdict.UNKNOWN, each.value, Unknown.ABSENT)


def _as_a_whole(
    rule: Rule,
    verdicts: tuple[SeriesVerdict, ...],
    observation: Observation,
    active: Mapping[Labels, Alert],
    limit: int,
) -> Judgement:
    breaching = [each for each in verdicts if each.verdict is Verdict.BREACH]
    if len(breaching) > 1 and len({final_labels(rule, each.series) for each in breaching}) < len(breaching):
        return _blind(Unknown.DUPLICATE, "two series have the same labels once the rule's labels are added", active)
    if limit and len(breaching) > limit:
        return _blind(Unknown.TOO_LARGE, f"{len(breaching)} series breach, the group's limit is {limit}", active)
    unknown = [each.reason for each in verdicts if each.reason is not None]
    reason = _gravest(unknown) if len(unknown) == len(verdicts) else None
    counted = {each.verdict for each in verdicts if each.reason is None or each.series in active}
    verdict = Verdict.UNKNOWN if reason is not None else worst(counted or {Verdict.PASS})
    return Judgement(verdict, verdicts, reason, observation.detail)


def _gravest(reasons: Sequence[Unknown]) -> Unknown | None:
    """Return the reason that stands for several: one series without anything to judge does not excuse blindness."""
    return next((reason for reason in reasons if family(reason) is Family.BLIND), next(iter(reasons), None))


def _blind(reason: Unknown, detail: str, active: Mapping[Labels, Alert]) -> Judgement:
    unknown = tuple(SeriesVerdict(series, Verdict.UNKNOWN, None, reason) for series in active)
    return Judgement(Verdict.UNKNOWN, unknown, reason, detail)


def final_labels(rule: Rule, series: Labels) -> Labels:
    """Return the labels that people see: the rule's override the sample's, and empty ones are none."""
    labels = dict(series)
    for name, text in rule.labels:
        labels[name] = template.render(
            text,
            labels=dict(series),
            value=math.nan,
            external_labels=dict(rule.external_labels),
            external_url=rule.external_url,
        )
    return labels_of({name: value for name, value in (labels | {"alertname": rule.name}).items() if value})


def most_telling(judgement: Judgement, comparison: Comparison | None) -> SeriesVerdict | None:
    """Return the series to show for a rule: the worst verdict, and of these the smallest margin."""

    def key(each: SeriesVerdict) -> tuple[int, float]:
        known = each.value is not None and not math.isnan(each.value) and comparison is not None
        margin = comparison.margin(each.value) if known and comparison and each.value is not None else math.inf
        return (PRECEDENCE.index(each.verdict), margin)

    return min(judgement.series, key=key, default=None)
