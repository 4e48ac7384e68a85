"""Hold what was expected of a trial against what happened."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rollback_guard.adapters.ephemeral import QueryRefused
from rollback_guard.config.places import KeyPath
from rollback_guard.config.problems import quoted
from rollback_guard.core import template
from rollback_guard.core.alert import Alert
from rollback_guard.core.judgement import Judgement, final_labels
from rollback_guard.core.model import Labels, Phase, Rule, Verdict, labels_of
from rollback_guard.core.notation import parse_series
from rollback_guard.core.promql.tokens import PromqlError
from rollback_guard.core.records import Decided, Decision
from rollback_guard.core.units import format_duration
from rollback_guard.workbench.trials.chart import chart
from rollback_guard.workbench.trials.document import (
    AlertRuleTest,
    AlertStateTest,
    DecisionTest,
    ExpectedDecision,
    PromqlExprTest,
)
from rollback_guard.workbench.trials.film import INACTIVE, Film, Frame
from rollback_guard.workbench.trials.perform import Performance
from rollback_guard.workbench.trials.trial import Trial

NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """One expectation that was not met.

    Attributes:
        path: Where it stands in the test file.
        what: What was asked, in words.
        missing: What was expected and is not there, as lines.
        surplus: What is there and was not expected, as lines.
        chart: A picture of the rules that it is about; may be empty.
    """

    path: KeyPath
    what: str
    missing: tuple[str, ...]
    surplus: tuple[str, ...]
    chart: str = ""


def mismatches(trial: Trial, performance: Performance) -> list[Mismatch]:
    """Return every expectation that was not met, in the order of the file."""
    section, film = trial.section, performance.film
    found: list[Mismatch | None] = []
    for number, alerts in enumerate(section.alert_rule_test):
        found.append(_alerts(trial, film, alerts, (*trial.path, "alert_rule_test", number)))
    for number, states in enumerate(section.alert_state_test):
        found.append(_states(trial, film, states, (*trial.path, "alert_state_test", number)))
    for number, decisions in enumerate(section.decision_test):
        found.append(_decisions(trial, film, decisions, (*trial.path, "decision_test", number)))
    for number, query in enumerate(section.promql_expr_test):
        found.append(_samples(trial, performance, query, (*trial.path, "promql_expr_test", number)))
    return [each for each in found if each is not None]


def _alerts(trial: Trial, film: Film, test: AlertRuleTest, path: KeyPath) -> Mismatch | None:
    expected = [(labels_of(_filled(each.exp_labels)), labels_of(each.exp_annotations)) for each in test.exp_alerts]
    slot = trial.slot_of(test.eval_time)
    got = [
        (_without_name(alert.labels), _annotations(trial, rule, alert, frame.judgements.get(rule.id)))
        for rule, frame in _frames(trial, film, test.alertname, slot)
        for alert in frame.alerts.get(rule.id, {}).values()
        if alert.phase is Phase.FIRING
    ]
    return _compared(
        path,
        f"alert {quoted(test.alertname)} firing at {format_duration(test.eval_time)}",
        [_alert_line(*each) for each in expected],
        [_alert_line(*each) for each in got],
        picture=lambda: chart(trial, film, trial.by_name[test.alertname], until=slot),
    )


def _states(trial: Trial, film: Film, test: AlertStateTest, path: KeyPath) -> Mismatch | None:
    slot = trial.slot_of(test.eval_time)
    timed = {(labels_of(_filled(each.labels)), each.state) for each in test.exp_states if each.active_at is not None}
    expected = [_state_line(labels_of(_filled(each.labels)), each.state, each.active_at) for each in test.exp_states]
    got = []
    for rule, frame in _frames(trial, film, test.alertname, slot):
        for labels, state, active_at in _not_inactive(rule, frame):
            since = active_at - trial.start if active_at is not None and (labels, state) in timed else None
            got.append(_state_line(labels, state, since))
    return _compared(
        path,
        f"states of {quoted(test.alertname)} at {format_duration(test.eval_time)}",
        expected,
        got,
        picture=lambda: chart(trial, film, trial.by_name[test.alertname], until=slot),
    )


def _decisions(trial: Trial, film: Film, test: DecisionTest, path: KeyPath) -> Mismatch | None:
    until = trial.start + test.eval_time
    means_health = any(each.decision == Decision.NONE.value for each in test.exp_decisions)
    got = film.decisions(test.guard, until, healthy=len(test.exp_decisions) if means_health else 0)
    if len(got) == len(test.exp_decisions) and all(map(_is_met, test.exp_decisions, got)):
        return None
    expected = [_decision_line(each.decision, each.reason, each.action) for each in test.exp_decisions]
    seen = [f"{_decided_line(each)}  (concluded at {format_duration(each.at - trial.start)})" for each in got]
    rules = trial.policy.guards[test.guard].rules
    story = [
        f"  {format_duration(each.at - trial.start):>8}  {_decided_line(each)}"
        for each in film.records
        if isinstance(each, Decided) and each.guard == test.guard and each.at <= until
    ]
    lively = [rule for rule in map(trial.policy.rules.__getitem__, sorted(rules)) if _is_lively(film, rule)]
    pictures = chart(trial, film, lively, until=until) if lively else ""
    return Mismatch(
        path=path,
        what=f"decisions of guard {quoted(test.guard)} at {format_duration(test.eval_time)}",
        missing=tuple(expected) or (NOTHING,),
        surplus=tuple(seen) or (NOTHING,),
        chart="\n".join(["what it concluded until then:", *story, pictures] if story else [pictures]).rstrip(),
    )


def _samples(trial: Trial, performance: Performance, test: PromqlExprTest, path: KeyPath) -> Mismatch | None:
    try:
        said = performance.scene.ask(test.expr, trial.start + test.eval_time)
    except (QueryRefused, PromqlError) as error:
        return Mismatch(
            path=path,
            what=f"{quoted(test.expr)} at {format_duration(test.eval_time)}",
            missing=(f"{len(test.exp_samples)} samples",),
            surplus=(f"the query is refused: {error}",),
        )
    expected = [(parse_series(each.labels) if each.labels.strip() else (), each.value) for each in test.exp_samples]
    what = f"{quoted(test.expr)} at {format_duration(test.eval_time)}"
    order = sorted(expected), sorted(said)
    if len(expected) == len(said) and all(
        left[0] == right[0] and _is_equal(left[1], right[1], fuzzy=trial.fuzzy) for left, right in zip(*order, strict=True)
    ):
        return None
    return _compared(path, what, [_sample_line(*each) for each in expected], [_sample_line(*each) for each in said])


def _compared(
    path: KeyPath,
    what: str,
    expected: Sequence[str],
    got: Sequence[str],
    picture: Callable[[], str] = str,
) -> Mismatch | None:
    missing, surplus = _less(expected, got), _less(got, expected)
    if not missing and not surplus:
        return None
    return Mismatch(
        path=path,
        what=what,
        missing=tuple(missing) or ((NOTHING,) if not expected else ()),
        surplus=tuple(surplus) or ((NOTHING,) if not got else ()),
        chart=picture(),
    )


def _less(lines: Sequence[str], others: Sequence[str]) -> list[str]:
    left = list(others)
    found = []
    for line in sorted(lines):
        if line in left:
            left.remove(line)
        else:
            found.append(line)
    return found


def _frames(trial: Trial, film: Film, alertname: str, slot: datetime) -> Iterator[tuple[Rule, Frame]]:
    for rule in trial.by_name[alertname]:
        yield rule, film.frames[slot][rule.group]


def _not_inactive(rule: Rule, frame: Frame) -> Iterator[tuple[Labels, str, datetime | None]]:
    """Yield what is pending or firing, and what is unknown without being either."""
    alerts = frame.alerts.get(rule.id, {})
    for alert in alerts.values():
        yield _without_name(alert.labels), alert.phase.value, alert.active_at
    judgement = frame.judgements.get(rule.id)
    if judgement is None:
        return
    unknown = [each.series for each in judgement.series if each.verdict is Verdict.UNKNOWN and each.series not in alerts]
    if not judgement.series and judgement.verdict is Verdict.UNKNOWN:
        unknown = [()]
    for series in unknown:
        yield _without_name(final_labels(rule, series)), Verdict.UNKNOWN.value, None


def _is_lively(film: Film, rule: Rule) -> bool:
    return any(state != INACTIVE for state in film.tracks[rule.id].states)


def _annotations(trial: Trial, rule: Rule, alert: Alert, judgement: Judgement | None) -> Labels:
    said = next((each.value for each in judgement.series if each.series == alert.series), None) if judgement else None
    value = alert.value if said is None else said
    rendered = {
        name: template.render(
            text,
            labels=dict(alert.series),
            value=math.nan if value is None else value,
            external_labels=trial.section.external_labels,
            external_url=trial.section.external_url,
        )
        for name, text in rule.annotations
    }
    return labels_of(rendered)


def _is_met(expected: ExpectedDecision, got: Decided) -> bool:
    return (
        expected.decision == got.decision.value
        and (expected.reason is None or expected.reason == got.reason.value)
        and (expected.action is None or expected.action == (got.action or ""))
    )


def _is_equal(left: float, right: float, *, fuzzy: bool) -> bool:
    if math.isnan(left) or math.isnan(right):
        return math.isnan(left) and math.isnan(right)
    return left == right or (fuzzy and math.nextafter(left, right) == right)


def _filled(labels: dict[str, str]) -> dict[str, str]:
    """Return the labels that count: an empty one is none, and the name of the alert is said already."""
    return {name: value for name, value in labels.items() if value and name != "alertname"}


def _without_name(labels: Labels) -> Labels:
    return tuple(label for label in labels if label[0] != "alertname")


def _alert_line(labels: Labels, annotations: Labels) -> str:
    return _shown(labels) + (f" annotations {_shown(annotations)}" if annotations else "")


def _state_line(labels: Labels, state: str, active_at: timedelta | None) -> str:
    since = "" if active_at is None else f" since {format_duration(active_at)}"
    return f"{state} {_shown(labels)}{since}"


def _decision_line(decision: str, reason: str | None, action: str | None) -> str:
    return f"{decision}/{reason or '(any reason)'}" + (f" {action}" if action else "")


def _decided_line(decided: Decided) -> str:
    return _decision_line(decided.decision.value, decided.reason.value, decided.action)


def _sample_line(labels: Labels, value: float) -> str:
    name = dict(labels).get("__name__", "")
    rest = _shown(tuple(label for label in labels if label[0] != "__name__"))
    return f"{name}{rest} {value!r}"


def _shown(labels: Labels) -> str:
    return "{" + ", ".join(f'{name}="{value}"' for name, value in labels) + "}"


