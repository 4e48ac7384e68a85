"""Make trials of a test file: what is played, under which policy, and for how long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property

from rollback_guard.config.document import Document
from rollback_guard.config.places import KeyPath
from rollback_guard.config.problems import Problem
from rollback_guard.config.recordings import Recording
from rollback_guard.core.model import Group, Policy, Rule, labels_of
from rollback_guard.core.promql.reach import may_read
from rollback_guard.core.promql.tokens import PromqlError, scan
from rollback_guard.workbench.trials.chapter import OF_ALERTS, Chapter, chapters_of, expressions_of
from rollback_guard.workbench.trials.document import AlertRuleTest, AlertStateTest, TrialFile, TrialSection
from rollback_guard.workbench.trials.fields import EPOCH

ASSERTIONS = ("alert_rule_test", "alert_state_test", "decision_test", "promql_expr_test")
"""The keys of a test that expect something."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What the rule files of a test file hold.

    Attributes:
        recordings: In the order of the files.
    """

    policy: Policy
    recordings: tuple[Recording, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Slots(Sequence[datetime]):
    """Evenly spaced instants, made when they are looked at."""

    start: datetime
    interval: timedelta
    length: int

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, number: int) -> datetime:  # type: ignore[override]  # nobody cuts slices of them
        if not -self.length <= number < self.length:
            raise IndexError(number)
        return self.start + number % self.length * self.interval


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One test.

    Attributes:
        document: The test file.
        path: Where the test stands in it.
        policy: That of the rule files, evaluated at the slots of the test.
        groups: In the order in which they are evaluated.
        chapters: What asks a data source, recording rules too, in the order of a slot.
        end: The largest `eval_time`.
    """

    document: Document
    path: KeyPath
    name: str
    section: TrialSection
    policy: Policy
    groups: tuple[Group, ...]
    chapters: tuple[Chapter, ...]
    slot_interval: timedelta
    sample_interval: timedelta
    fuzzy: bool = False
    end: timedelta = field(default=timedelta(0))

    @property
    def start(self) -> datetime:
        """When it begins, aware UTC."""
        return self.section.start_timestamp

    @cached_property
    def slots(self) -> Slots:
        """All instants at which its groups are evaluated."""
        return Slots(start=self.start, interval=self.slot_interval, length=self.end // self.slot_interval + 1)

    def slot_of(self, eval_time: timedelta) -> datetime:
        """Return the last slot that is not after a time."""
        return self.start + eval_time // self.slot_interval * self.slot_interval

    @cached_property
    def asserted_slots(self) -> frozenset[datetime]:
        """The slots of which something is expected."""
        return frozenset(self.slot_of(each.eval_time) for each in self._of_alerts)

    @cached_property
    def asserted_rules(self) -> frozenset[str]:
        """The rules of which something is expected, and those of guards of which something is or that get orders."""
        names = {each.alertname for each in self._of_alerts}
        found = {rule.id for name in names for rule in self.by_name.get(name, ())}
        named = {each.guard for each in self.section.decision_test}.union(each.guard for each in self.section.orders)
        guards = [guard for guard in self.policy.guards.values() if guard.name in named]
        return frozenset(found.union(*(guard.rules for guard in guards)))

    @cached_property
    def cast(self) -> Policy:
        """What has to be played: everything, or only groups that are asked for where nothing depends on guards."""
        section = self.section
        cures = any(each.cures_after is not None for each in section.action_results)
        exprs = self.queries.union(
            expr for chapter in self.chapters for item in chapter.items for expr in expressions_of(item)
        )
        if section.decision_test or section.signals or section.rollouts or section.orders or cures:
            return self.policy
        if any(may_read(expr, OF_ALERTS) for expr in exprs):
            return self.policy
        asked = [group for group in self.groups if any(rule.id in self.asserted_rules for rule in group.rules)]
        return replace(self.policy, groups={group.id: group for group in asked}, guards={})

    @cached_property
    def queries(self) -> frozenset[str]:
        """The queries of its assertions, without those that can only be refused."""
        return frozenset(filter(_can_be_asked, (test.expr for test in self.section.promql_expr_test)))

    @cached_property
    def by_name(self) -> Mapping[str, tuple[Rule, ...]]:
        """The rules, probes and signals, by the name of their alert."""
        found: dict[str, list[Rule]] = {}
        for group in self.groups:
            for rule in group.rules:
                found.setdefault(rule.name, []).append(rule)
        return {name: tuple(rules) for name, rules in found.items()}

    @property
    def _of_alerts(self) -> tuple[AlertRuleTest | AlertStateTest, ...]:
        return (*self.section.alert_rule_test, *self.section.alert_state_test)

    @property
    def line(self) -> int:
        """Where it stands in its file."""
        return self.document.key_mark(self.path).line

    def line_of(self, kind: str, number: int) -> int:
        """Return where an item of one of its lists stands in its file."""
        return self.document.key_mark((*self.path, kind, number)).line

    def problem(self, id_: str, message: str, *at: str | int, hint: str = "") -> Problem:
        """Return a problem at a part of the test."""
        return self.document.problem(id_, message, self.document.value_mark((*self.path, *at)), hint=hint)


def _can_be_asked(expr: str) -> bool:
    try:
        scan(expr)
    except PromqlError:
        return False
    return True


def trials_of(document: Document, file: TrialFile, rules: Rules) -> list[Trial]:
    """Return the trials of a file, in its order."""
    return [_trial(document, number, section, file, rules) for number, section in enumerate(file.tests)]


def _trial(document: Document, number: int, section: TrialSection, file: TrialFile, rules: Rules) -> Trial:
    interval = file.evaluation_interval
    groups = [_played(group, section, interval) for group in rules.policy.groups.values()]
    chapters = chapters_of(groups, rules.recordings, file.group_eval_order)
    place = {chapter.group.id: number for number, chapter in enumerate(chapters) if chapter.group is not None}
    groups.sort(key=lambda group: place.get(group.id, len(chapters)))
    return Trial(
        document=document,
        path=("tests", number),
        name=section.name or f"test {number + 1}",
        section=section,
        policy=replace(rules.policy, groups={group.id: group for group in groups}),
        groups=tuple(groups),
        chapters=chapters,
        slot_interval=interval,
        sample_interval=section.interval or interval,
        fuzzy=file.fuzzy_compare,
        end=max((each.eval_time for key in ASSERTIONS for each in getattr(section, key)), default=timedelta(0)),
    )


def _played(group: Group, section: TrialSection, interval: timedelta) -> Group:
    """Return a group as it is evaluated in a test: at its slots, with its external labels and URL."""
    external, url, rules = labels_of(section.external_labels), section.external_url, group.rules
    if external or url:
        rules = tuple(replace(rule, external_labels=external, external_url=url) for rule in rules)
    return replace(group, interval=interval, offset=(section.start_timestamp - EPOCH) % interval, rules=rules)
