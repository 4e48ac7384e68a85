"""Make trials of a test file: what is played, under which policy, and for how long."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property

from rollback_guard.config.document import Document
from rollback_guard.config.places import KeyPath
from rollback_guard.config.problems import Problem, did_you_mean, quoted
from rollback_guard.config.recordings import Recording
from rollback_guard.core.model import PROBE, SIGNAL, Group, Policy, Rule
from rollback_guard.core.units import format_duration
from rollback_guard.workbench.trials.document import EPOCH, TrialFile, TrialSection

MOST_SLOTS = 100_000
"""Slots of one trial: ten weeks of minutes."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What the rule files of a test file hold.

    Attributes:
        recordings: In the order of the files.
    """

    policy: Policy
    recordings: tuple[Recording, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One test.

    Attributes:
        document: The test file.
        path: Where the test stands in it.
        policy: That of the rule files, evaluated at the slots of the test.
        end: The largest `eval_time`.
    """

    document: Document
    path: KeyPath
    name: str
    section: TrialSection
    policy: Policy
    recordings: tuple[Recording, ...]
    groups: tuple[Group, ...]
    slot_interval: timedelta
    sample_interval: timedelta
    fuzzy: bool = False
    end: timedelta = field(default=timedelta(0))

    @property
    def start(self) -> datetime:
        """When it begins, aware UTC."""
        return self.section.start_timestamp

    @cached_property
    def slots(self) -> Sequence[datetime]:
        """All instants at which its groups are evaluated."""
        return [self.start + number * self.slot_interval for number in range(self.end // self.slot_interval + 1)]

    def slot_of(self, eval_time: timedelta) -> datetime:
        """Return the last slot that is not after a time."""
        return self.start + eval_time // self.slot_interval * self.slot_interval

    @cached_property
    def by_name(self) -> Mapping[str, tuple[Rule, ...]]:
        """The rules, probes and signals, by the name of their alert."""
        found: dict[str, list[Rule]] = {}
        for group in self.groups:
            for rule in group.rules:
                found.setdefault(rule.name, []).append(rule)
        return {name: tuple(rules) for name, rules in found.items()}

    def problem(self, id_: str, message: str, *at: str | int, hint: str = "") -> Problem:
        """Return a problem at a part of the test."""
        return self.document.problem(id_, message, self.document.value_mark((*self.path, *at)), hint=hint)


def trials_of(document: Document, file: TrialFile, rules: Rules) -> list[Trial]:
    """Return the trials of a file, in its order."""
    return [_trial(document, number, section, file, rules) for number, section in enumerate(file.tests)]


def _trial(document: Document, number: int, section: TrialSection, file: TrialFile, rules: Rules) -> Trial:
    interval = file.evaluation_interval
    offset = (section.start_timestamp - EPOCH) % interval
    order = {name: place for place, name in enumerate(file.group_eval_order)}
    groups = sorted(
        (replace(group, interval=interval, offset=offset) for group in rules.policy.groups.values()),
        key=lambda group: order.get(group.id.rpartition("/")[2], order.get(group.id, 0)),
    )
    asserted = (
        *section.alert_rule_test,
        *section.alert_state_test,
        *section.decision_test,
        *section.promql_expr_test,
    )
    return Trial(
        document=document,
        path=("tests", number),
        name=section.name or f"test {number + 1}",
        section=section,
        policy=replace(rules.policy, groups={group.id: group for group in groups}),
        recordings=tuple(sorted(rules.recordings, key=lambda recording: order.get(recording.group, 0))),
        groups=tuple(groups),
        slot_interval=interval,
        sample_interval=section.interval or interval,
        fuzzy=file.fuzzy_compare,
        end=max((each.eval_time for each in asserted), default=timedelta(0)),
    )


def problems_of(trial: Trial) -> Iterator[Problem]:
    """Yield what would let a trial succeed without having tried anything."""
    section = trial.section
    lists = ("alert_rule_test", "alert_state_test", "decision_test", "promql_expr_test")
    if not any(getattr(section, name) for name in lists):
        hint = f"Add one of {', '.join(f'`{name}`' for name in lists)}."
        yield trial.problem("no-assertion", f"the test {quoted(trial.name)} asserts nothing", hint=hint)
    if trial.end // trial.slot_interval > MOST_SLOTS:
        message = f"{format_duration(trial.end)} are more than {MOST_SLOTS} evaluations"
        yield trial.problem("test-too-long", message, hint="Raise `evaluation_interval`, or shorten the test.")
    for place, path, name in _named(trial):
        known = _known(trial, place)
        if name not in known:
            what = {"alertname": "alert", "datasource": "data source"}.get(place, place)
            message = f"the rule files have no {what} {quoted(name)}"
            hint = did_you_mean(name, known) or f"They have {_some(known)}."
            yield trial.problem(f"unknown-{what.replace(' ', '-')}", message, *path, hint=hint)
    for number, outage in enumerate(section.outages):
        if outage.to <= outage.from_:
            yield trial.problem("bad-value", "this outage is over before it begins", "outages", number, "to")


def _named(trial: Trial) -> Iterator[tuple[str, KeyPath, str]]:
    """Yield every name in a test that must be one of the rule files: its kind, its place, itself."""
    kinds = {
        "alert_rule_test": "alertname",
        "alert_state_test": "alertname",
        "decision_test": "guard",
        "rollouts": "guard",
        "probe_results": "probe",
        "action_results": "action",
        "outages": "datasource",
    }
    for list_name, key in kinds.items():
        for number, item in enumerate(getattr(trial.section, list_name)):
            yield key, (list_name, number, key), getattr(item, key)
    for number, signal in enumerate(trial.section.signals):
        yield "signal", ("signals", number, "alertname"), signal.alertname


def _known(trial: Trial, kind: str) -> list[str]:
    policy = trial.policy
    match kind:
        case "alertname":
            return list(trial.by_name)
        case "guard":
            return list(policy.guards)
        case "action":
            return [step.action for guard in policy.guards.values() for step in guard.playbook if step.action]
        case "signal":
            return [name for guard in policy.guards.values() for name in guard.signals]
        case "probe":
            return [rule.name for group in trial.groups if group.source == PROBE for rule in group.rules]
        case _:
            return list({group.source for group in trial.groups} - {PROBE, SIGNAL})


def _some(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(quoted(name) for name in list(dict.fromkeys(names))[:most])
    return shown or "none"
