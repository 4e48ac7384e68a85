"""Hold what was expected of a trial against what happened."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from rollback_guard.adapters.ephemeral import QueryRefused
from rollback_guard.config.problems import quoted
from rollback_guard.core.model import Labels, labels_of
from rollback_guard.core.notation import parse_series
from rollback_guard.core.promql.tokens import PromqlError
from rollback_guard.core.records import Decided, Decision
from rollback_guard.core.units import format_duration
from rollback_guard.workbench.trials import hints
from rollback_guard.workbench.trials.document import (
    AlertRuleTest,
    AlertStateTest,
    DecisionTest,
    ExpectedDecision,
    PromqlExprTest,
)
from rollback_guard.workbench.trials.film import Film
from rollback_guard.workbench.trials.orders import Reply
from rollback_guard.workbench.trials.perform import Performance
from rollback_guard.workbench.trials.pictures import Found, Illustrator, Subject
from rollback_guard.workbench.trials.scene import Scene
from rollback_guard.workbench.trials.seen import NAME, SeenAlert, SeenState, decided, firing, shown, states
from rollback_guard.workbench.trials.trial import Trial
from rollback_guard.workbench.trials.verdict import Failure

NOTHING = "nothing"
DONE = "done"

T = TypeVar("T")


def failures_of(performance: Performance, *, width: int) -> list[Failure]:
    """Return every order and expectation that was not met; pictures are so many characters wide."""
    scene, film = performance.scene, performance.film
    illustrator = Illustrator(trial=scene.trial, film=film, width=width)
    found = _Judge(trial=scene.trial, film=film, scene=scene, illustrator=illustrator).failures()
    return list(illustrator.paint(list(found)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judge:
    """Hold one trial's orders and expectations, one after the other, against its film."""

    trial: Trial
    film: Film
    scene: Scene
    illustrator: Illustrator

    def failures(self) -> Iterator[Found]:
        """Yield what is not as it should be: orders first, for what they are refused spoils the rest."""
        section = self.trial.section
        for reply in self.film.replies:
            yield from self._order(reply)
        for number, alerts in enumerate(section.alert_rule_test):
            yield from self._alerts(alerts, self.trial.line_of("alert_rule_test", number))
        for number, states_ in enumerate(section.alert_state_test):
            yield from self._states(states_, self.trial.line_of("alert_state_test", number))
        for number, decisions in enumerate(section.decision_test):
            yield from self._decisions(decisions, self.trial.line_of("decision_test", number))
        for number, samples in enumerate(section.promql_expr_test):
            yield from self._samples(samples, self.trial.line_of("promql_expr_test", number))

    def _order(self, reply: Reply) -> Iterator[Found]:
        order, refused = reply.order, reply.refused
        line, given = self.trial.line_of(order.kind, order.number), order.given
        if given is None:
            if refused is not None:
                what = f"what {quoted(order.kind)} asks for is refused"
                yield Found(failure=Failure(line=line, what=what, detail=refused.detail))
            return
        if given.exp_refusal == (refused.refusal.value if refused else None):
            return
        failure = Failure(
            line=line,
            what=f"order {quoted(given.words)} at {format_duration(given.at)}",
            missing=(f"refused/{given.exp_refusal}" if given.exp_refusal else DONE,),
            surplus=(f"refused/{refused.refusal}: {refused.detail}" if refused else DONE,),
            hints=tuple(hints.on_refusal(self.trial, self.film, given, refused)) if refused else (),
        )
        subject = self.illustrator.subject_of(given.guard, order.at) if given.guard else None
        yield Found(failure=failure, subject=subject)

    def _alerts(self, test: AlertRuleTest, line: int) -> Iterator[Found]:
        expected = [
            SeenAlert(labels=_counting(each.exp_labels), annotations=labels_of(each.exp_annotations))
            for each in test.exp_alerts
        ]
        got = firing(self.trial, self.film, test.alertname, self.trial.slot_of(test.eval_time))
        what = f"alert {quoted(test.alertname)} firing at {format_duration(test.eval_time)}"
        yield from self._compared(test, expected, got, what=what, line=line)

    def _states(self, test: AlertStateTest, line: int) -> Iterator[Found]:
        expected = [
            SeenState(labels=_counting(each.labels), state=each.state, active_at=each.active_at)
            for each in test.exp_states
        ]
        timed = {(each.labels, each.state) for each in expected if each.active_at is not None}
        got = [
            each if (each.labels, each.state) in timed else replace(each, active_at=None)
            for each in states(self.trial, self.film, test.alertname, self.trial.slot_of(test.eval_time))
        ]
        what = f"states of {quoted(test.alertname)} at {format_duration(test.eval_time)}"
        yield from self._compared(test, expected, got, what=what, line=line)

    def _compared(
        self,
        test: AlertRuleTest | AlertStateTest,
        expected: Sequence[hints.Seen],
        got: Sequence[hints.Seen],
        *,
        what: str,
        line: int,
    ) -> Iterator[Found]:
        missing, surplus = _less(expected, got), _less(got, expected)
        if not missing and not surplus:
            return
        trial, film, slot = self.trial, self.film, self.trial.slot_of(test.eval_time)
        told_missing, told_surplus = _without_common_texts(missing, surplus)
        failure = Failure(
            line=line,
            what=what,
            missing=_lines(told_missing, of=expected),
            surplus=_lines(told_surplus, of=got),
            hints=(*hints.on_labels(missing, surplus), *hints.on_rules(trial, film, test.alertname, slot, missing)),
        )
        yield Found(failure=failure, subject=Subject(rules=trial.by_name[test.alertname], asked_at=(slot,)))

    def _decisions(self, test: DecisionTest, line: int) -> Iterator[Found]:
        until = self.trial.start + test.eval_time
        means_health = any(each.decision == Decision.NONE.value for each in test.exp_decisions)
        got = self.film.decisions(test.guard, until, healthy=len(test.exp_decisions) if means_health else 0)
        if _are_met(test.exp_decisions, got):
            return
        told = [f"{decided(each)}, at {format_duration(each.at - self.trial.start)}" for each in got]
        failure = Failure(
            line=line,
            what=f"decisions of guard {quoted(test.guard)} at {format_duration(test.eval_time)}",
            missing=tuple(map(_expected_decision, test.exp_decisions)) or (NOTHING,),
            surplus=tuple(told) or (NOTHING,),
            hints=tuple(hints.on_decisions(self.trial, self.film, test, got)),
        )
        yield Found(failure=failure, subject=self.illustrator.subject_of(test.guard, until))

    def _samples(self, test: PromqlExprTest, line: int) -> Iterator[Found]:
        what = f"{quoted(test.expr)} at {format_duration(test.eval_time)}"
        expected = sorted((_labels_of(each.labels), each.value) for each in test.exp_samples)
        wanted = [_sample_line(*each) for each in expected]
        try:
            said = sorted(self.scene.ask(test.expr, self.trial.start + test.eval_time))
        except (QueryRefused, PromqlError) as error:
            refused = (f"the query is refused: {error.message}",)
            yield Found(failure=Failure(line=line, what=what, missing=tuple(wanted) or (NOTHING,), surplus=refused))
            return
        if len(expected) == len(said) and all(
            left[0] == right[0] and _is_equal(left[1], right[1], fuzzy=self.trial.fuzzy)
            for left, right in zip(expected, said, strict=True)
        ):
            return
        got = [_sample_line(*each) for each in said]
        failure = Failure(
            line=line,
            what=what,
            missing=_lines(_less(wanted, got), of=wanted),
            surplus=_lines(_less(got, wanted), of=got),
            hints=tuple(hints.on_samples(self.trial, test.eval_time, expected, said)),
        )
        yield Found(failure=failure)


def _lines(left: Sequence[object], *, of: Sequence[object]) -> tuple[str, ...]:
    """Return what is left of some things on one side, one a line; where there was nothing at all, that is said."""
    return tuple(map(str, left)) if of else (NOTHING,)


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
    missing: Sequence[hints.Seen], surplus: Sequence[hints.Seen]
) -> tuple[list[hints.Seen], list[hints.Seen]]:
    """Return the alerts to be shown: where two have the same labels, only with the annotations that differ."""
    left, right = list(missing), list(surplus)
    for place, one in enumerate(left):
        for number, other in enumerate(right):
            if isinstance(one, SeenAlert) and isinstance(other, SeenAlert) and one.labels == other.labels:
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
