"""Hold the things that files define, each with its place: groups, rules, probes, signals, guards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

from rollback_guard.config.document import Document
from rollback_guard.config.guards import GuardPolicy
from rollback_guard.config.places import KeyPath, Mark
from rollback_guard.config.problems import Level, Problem
from rollback_guard.config.rulefile import AlertRule, Probe, RuleGroup
from rollback_guard.core.condition import Comparison, Condition, Operator
from rollback_guard.core.model import Severity
from rollback_guard.core.split import split

SIGNAL_INTERVAL = timedelta(seconds=5)
"""How often the alerts from elsewhere are looked at."""

SIGNAL_MEMORY = timedelta(minutes=5)
"""How late it may be said that an alert is resolved: Alertmanager's own `group_interval`."""

NOT_OF_SIGNALS = frozenset({"severity", "alertname"})
"""Labels of a selector that choose among rules, and that an alert from elsewhere has values of its own for."""


@dataclass(frozen=True, kw_only=True)
class Spot:
    """A thing's place: its file, and where it stands there."""

    document: Document
    path: KeyPath

    def has(self, *at: str | int) -> bool:
        """Say whether something is written at a part of the thing, right or wrong."""
        return self.document.parsed is not None and (*self.path, *at) in self.document.parsed.places

    def problem(
        self, id_: str, message: str, *at: str | int, hint: str = "", level: Level = Level.ERROR, value: bool = True
    ) -> Problem:
        """Return a problem at a part of the thing: at its value, or else at its key."""
        path = (*self.path, *at)
        mark: Mark = self.document.value_mark(path) if value else self.document.key_mark(path)
        return self.document.problem(id_, message, mark, hint=hint, level=level)

    def problem_within(
        self, id_: str, message: str, of: tuple[str, str], at: int | None, *, hint: str = "", level: Level
    ) -> Problem:
        """Return a problem at one character of a text value, or where the value begins.

        Args:
            id_: The check that found it.
            message: What is wrong.
            of: The value's key, and the value.
            at: The character, where it is known.
            hint: What to do.
            level: How much it matters.
        """
        key, text = of
        path = (*self.path, key)
        mark = self.document.value_mark(path) if at is None else self.document.mark_within(path, text, at)
        return self.document.problem(id_, message, mark, hint=hint, level=level)


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A rule or probe, as a guard selects it; or an alert from elsewhere, whose `rule` is ``None``."""

    spot: Spot
    id: str
    group: str
    name: str
    labels: Mapping[str, str]
    interval: timedelta
    rule: AlertRule | Probe | None
    query_offset: timedelta = timedelta(0)

    @cached_property
    def condition(self) -> Condition:
        """What it measures; a probe and a signal measure no range of time."""
        if self.rule is None:
            words = f"alert {self.name} from elsewhere"
            return Condition(expr=words, query=words)
        if isinstance(self.rule, AlertRule):
            return split(self.rule.expr)
        comparison = Comparison(op=Operator.LESS, threshold=1.0)
        return Condition(expr=self.rule.url, query=self.rule.url, comparison=comparison)

    @property
    def memory(self) -> timedelta:
        """How long it goes on seeing what is over: its longest range, and how much earlier it looks."""
        if self.rule is None:
            return SIGNAL_MEMORY
        return self.condition.longest_range + self.query_offset

    @property
    def severity(self) -> Severity:
        """What it may cause."""
        word = self.labels.get("severity", "")
        return next((severity for severity in Severity if severity.value == word), Severity.NONE)

    @property
    def may_act(self) -> bool:
        """Whether a guard acts on it."""
        shadow = isinstance(self.rule, AlertRule) and self.rule.shadow
        return self.severity is Severity.CRITICAL and not shadow

    @cached_property
    def static(self) -> Mapping[str, str]:
        """Its labels for selectors: a templated one has no value yet, and `alertname` is its name."""
        return {**{key: text for key, text in self.labels.items() if "{{" not in text}, "alertname": self.name}


@dataclass(frozen=True, kw_only=True)
class FoundGroup:
    """A rule group with its id."""

    spot: Spot
    id: str
    group: RuleGroup
    rules: tuple[Watched, ...]
    records: int
    first_record: int


@dataclass(frozen=True, kw_only=True)
class FoundGuard:
    """A guard, the rules that its selector reaches, and the alerts from elsewhere that it knows."""

    spot: Spot
    guard: GuardPolicy
    listens: tuple[Watched, ...]
    signals: tuple[Watched, ...] = ()

    @cached_property
    def causes(self) -> tuple[Watched, ...]:
        """What it acts on."""
        return tuple(rule for rule in (*self.listens, *self.signals) if rule.may_act)

    @property
    def judged(self) -> tuple[Watched, ...]:
        """The rules that its recovery is read from: those it acts on, or all when it acts on none."""
        return self.causes or self.listens


def signal_labels(guard: GuardPolicy) -> Mapping[str, str]:
    """Return the labels that an alert from elsewhere must have to be one of a guard's signals."""
    return {name: value for name, value in guard.select.items() if name not in NOT_OF_SIGNALS}


def slowest(rules: Iterable[Watched]) -> timedelta:
    """Return the time until rules have forgotten the errors of before a cure."""
    rules = tuple(rules)
    longest = max((rule.memory for rule in rules), default=timedelta(0))
    return longest + 2 * max((rule.interval for rule in rules), default=timedelta(0))
