"""Hold what was expected of a trial against what happened."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from rollback_guard.adapters.ephemeral import QueryRefused
from rollback_guard.config.places import KeyPath
from rollback_guard.config.problems import quoted
from rollback_guard.core.model import Labels, labels_of
from rollback_guard.core.notation import parse_series
from rollback_guard.core.promql.tokens import PromqlError
from rollback_guard.core.records import Decided, Decision
from rollback_guard.core.units import format_duration
from rollback_guard.workbench.trials import hints
from rollback_guard.workbench.trials.chart import chart
from rollback_guard.workbench.trials.document import (
    AlertRuleTest,
    AlertStateTest,
    DecisionTest,
    ExpectedDecision,
    PromqlExprTest,
)
from rollback_guard.workbench.trials.film import INACTIVE, Film
from rollback_guard.workbench.trials.perform import Performance
from rollback_guard.workbench.trials.seen import NAME, SeenAlert, SeenState, decided, firing, shown, states
from rollback_guard.workbench.trials.trial import Trial

NOTHING = "nothing"

LONGEST_STORY = 30
"""Decisions that are told."""

T = TypeVar("T", SeenAlert, SeenState, str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """One expectation that was not met.

    Attributes:
        path: Where it stands in the test file.
        what: What was asked, in words.
        missing: What was expected and is not there, as lines.
        surplus: What is there and was not expected, as lines.
        hints: What may be the cause, as sentences.
        chart: A picture of the rules that it is about; may be empty.
    """

    path: KeyPath
    what: str
    missing: tuple[str, ...]
    surplus: tuple[str, ...]
    hints: tuple[str, ...] = ()
    chart: str = ""


def mismatches(performance: Performance, *, width: int) -> list[Mismatch]:
    """Return every expectation that was not met, in the order of the file; pictures are so many characters wide."""
    trial, film = performance.scene.trial, performance.film
    section = trial.section
    found: list[Mismatch | None] = []
    for number, alerts in enumerate(section.alert_rule_test):
        found.append(_alerts(trial, film, alerts, (*trial.path, "alert_rule_test", number), width))
    for number, asked in enumerate(section.alert_state_test):
        found.append(_states(trial, film, asked, (*trial.path, "alert_state_test", number), width))
    for number, decisions in enumerate(section.decision_test):
        found.append(_decisions(trial, film, decisions, (*trial.path, "decision_test", number), width))
    for number, query in enumerate(section.promql_expr_test):
        found.append(_samples(trial, performance, query, (*trial.path, "promql_expr_test", number)))
    return [each for each in found if each is not None]


def _alerts(trial: Trial, film: Film, test: AlertRuleTest, path: KeyPath, width: int) -> Mismatch | None:
    slot = trial.slot_of(test.eval_time)
    expected = [
        SeenAlert(labels=_counting(each.exp_labels), annotations=labels_of(each.exp_annotations))
        for each in test.exp_alerts
    ]
    got = firing(trial, film, test.alertname, slot)
    missing, surplus = _less(expected, got), _less(got, expected)
    if not missing and not surplus:
        return None
    told = _without_common_texts(missing, surplus)
    return Mismatch(
        path=path,
        what=f"alert {quoted(test.alertname)} firing at {format_duration(test.eval_time)}",
        missing=tuple(map(str, told[0])) or ((NOTHING,) if not expected else ()),
        surplus=tuple(map(str, told[1])) or ((NOTHING,) if not got else ()),
        hints=(*hints.on_labels(missing, surplus), *hints.on_rules(trial, film, test.alertname, slot, missing)),
        chart=chart(trial, film, trial.by_name[test.alertname], asked_at=slot, width=width),
    )


def _states(trial: Trial, film: Film, test: AlertStateTest, path: KeyPath, width: int) -> Mismatch | None:
    slot = trial.slot_of(test.eval_time)
    expected = [
        SeenState(labels=_counting(each.labels), state=each.state, active_at=each.active_at) for each in test.exp_states
    ]
    timed = {(each.labels, each.state) for each in expected if each.active_at is not None}
    got = [
        each if (each.labels, each.state) in timed else replace(each, active_at=None)
        for each in states(trial, film, test.alertname, slot)
    ]
    missing, surplus = _less(expected, got), _less(got, expected)
    if not missing and not surplus:
        return None
    return Mismatch(
        path=path,
        what=f"states of {quoted(test.alertname)} at {format_duration(test.eval_time)}",
        missing=tuple(map(str, missing)) or ((NOTHING,) if not expected else ()),
        surplus=tuple(map(str, surplus)) or ((NOTHING,) if not got else ()),
        hints=(*hints.on_labels(missing, surplus), *hints.on_rules(trial, film, test.alertname, slot, missing)),
        chart=chart(trial, film, trial.by_name[test.alertname], asked_at=slot, width=width),
    )


def _decisions(trial: Trial, film: Film, test: DecisionTest, path: KeyPath, width: int) -> Mismatch | None:
    until = trial.start + test.eval_time
    means_health = any(each.decision == Decision.NONE.value for each in test.exp_decisions)
    got = film.decisions(test.guard, until, healthy=len(test.exp_decisions) if means_health else 0)
    if _are_met(test.exp_decisions, got):
        return None
    own = [each for each in film.records if isinstance(each, Decided) and each.guard == test.guard]
    rules = [trial.policy.rules[rule] for rule in sorted(trial.policy.guards[test.guard].rules)]
    lively = [rule for rule in rules if any(state != INACTIVE for state in film.tracks[rule.id].states)]
    return Mismatch(
        path=path,
        what=f"decisions of guard {quoted(test.guard)} at {format_duration(test.eval_time)}",
        missing=tuple(map(_expected_decision, test.exp_decisions)) or (NOTHING,),
        surplus=tuple(f"{decided(each)}, at {format_duration(each.at - trial.start)}" for each in got) or (NOTHING,),
        hints=tuple(hints.on_decisions(trial, film, test, own, got)),
        chart="\n".join([*_story(trial, own), chart(trial, film, lively, asked_at=until, width=width)]).rstrip(),
    )


def _story(trial: Trial, own: Sequence[Decided]) -> Iterator[str]:
    if own:
        yield "what it concluded:"
    for each in own[:LONGEST_STORY]:
        yield f"  {format_duration(each.at - trial.start):>8}  {decided(each)}"
    if len(own) > LONGEST_STORY:
        yield f"  … and {len(own) - LONGEST_STORY} times more"


def _samples(trial: Trial, performance: Performance, test: PromqlExprTest, path: KeyPath) -> Mismatch | None:
    what = f"{quoted(test.expr)} at {format_duration(test.eval_time)}"
    expected = sorted((_labels_of(each.labels), each.value) for each in test.exp_samples)
    wanted = [_sample_line(*each) for each in expected]
    try:
        said = sorted(performance.scene.ask(test.expr, trial.start + test.eval_time))
    except (QueryRefused, PromqlError) as error:
        refused = (f"the query is refused: {error.message}",)
        return Mismatch(path=path, what=what, missing=tuple(wanted) or (NOTHING,), surplus=refused)
    if len(expected) == len(said) and all(
        left[0] == right[0] and _is_equal(left[1], right[1], fuzzy=trial.fuzzy)
        for left, right in zip(expected, said, strict=True)
    ):
        return None
    got = [_sample_line(*each) for each in said]
    return Mismatch(
        path=path,
        what=what,
        missing=tuple(_less(wanted, got)) or ((NOTHING,) if not wanted else ()),
        surplus=tuple(_less(got, wanted)) or ((NOTHING,) if not got else ()),
        hints=tuple(hints.on_samples(trial, test.eval_time, expected, said)),
    )


def _are_met(expected: Sequence[ExpectedDecision], got: Sequence[Decided]) -> bool:
    return len(got) == len(expected) and all(map(hints.is_met, expected, got))


def _less(things: Sequence[T], others: Sequence[T]) -> list[T]:
    left, found = list(others), []
    for thing in sorted(things, key=str):
        if thing in left:
            left.remove(thing)
        else:
            found.append(thing)
    return found


def _without_common_texts(
    missing: Sequence[SeenAlert], surplus: Sequence[SeenAlert]
) -> tuple[list[SeenAlert], list[SeenAlert]]:
    """Return the alerts to be shown: where two have the same labels, only with the annotations that differ."""
    left, right = list(missing), list(surplus)
    for place, one in enumerate(left):
        for number, other in enumerate(right):
            if one.labels == other.labels:
                common = set(one.annotations) & set(other.annotations)
                left[place] = replace(one, annotations=tuple(it for it in one.annotations if it not in common))
                right[number] = replace(other, annotations=tuple(it for it in other.annotations if it not in common))
                break
    return left, right


def _labels_of(text: str) -> Labels:
    return parse_series(text) if text else ()


def _is_equal(left: float, right: float, *, fuzzy: bool) -> bool:
    if math.isnan(left) or math.isnan(right):
        return math.isnan(left) and math.isnan(right)
    return left == right or (fuzzy and math.nextafter(left, right) == right)


def _counting(labels: dict[str, str]) -> Labels:
    """Return the labels that count: an empty one is none, and the name of the alert is said already."""
    return labels_of({name: value for name, value in labels.items() if value and name != NAME})


def _expected_decision(expected: ExpectedDecision) -> str:
    words = f"{expected.decision}/{expected.reason or '(any reason)'}"
    return f"{words} {expected.action}" if expected.action else words


def _sample_line(labels: Labels, value: float) -> str:
    name = dict(labels).get("__name__", "")
    rest = tuple(label for label in labels if label[0] != "__name__")
    return f"{name}{shown(rest) if rest or not name else ''} {value!r}"
