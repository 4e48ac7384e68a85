"""Lay out what all files hold together, each thing with its place, for the checks and the compiler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel

from rollback_guard.config import identity
from rollback_guard.config.document import Document
from rollback_guard.config.places import KeyPath, Mark
from rollback_guard.config.problems import Level, Problem
from rollback_guard.config.rulefile import AlertRule, GuardPolicy, Probe, RecordRule, RuleFile, RuleGroup
from rollback_guard.config.settings import GuardFile
from rollback_guard.config.validate import Valid
from rollback_guard.core.condition import Comparison, Condition, Operator
from rollback_guard.core.model import Severity
from rollback_guard.core.split import split

PROBE_GROUPS = "probe"
"""Groups of probes are called `probe/<name>`."""


@dataclass(frozen=True, kw_only=True)
class Spot:
    """A thing's place: its file, and where it stands there."""

    document: Document
    path: KeyPath

    def problem(
        self, id_: str, message: str, *at: str | int, hint: str = "", level: Level = Level.ERROR, value: bool = True
    ) -> Problem:
        """Return a problem at a part of the thing: at its value, or else at its key."""
        path = (*self.path, *at)
        mark: Mark = self.document.value_mark(path) if value else self.document.key_mark(path)
        return self.document.problem(id_, message, mark, hint=hint, level=level)


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A rule or probe, as a guard selects it."""

    spot: Spot
    id: str
    group: str
    name: str
    labels: Mapping[str, str]
    interval: timedelta
    rule: AlertRule | Probe
    query_offset: timedelta = timedelta(0)

    @cached_property
    def condition(self) -> Condition:
        """What it measures; a probe measures no range of time."""
        if isinstance(self.rule, AlertRule):
            return split(self.rule.expr)
        comparison = Comparison(op=Operator.LESS, threshold=1.0)
        return Condition(expr=self.rule.url, query=self.rule.url, comparison=comparison)

    @property
    def memory(self) -> timedelta:
        """How long it goes on seeing what is over: its longest range, and how much earlier it looks."""
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
    """A guard, and the rules that its selector reaches."""

    spot: Spot
    guard: GuardPolicy
    listens: tuple[Watched, ...]

    @property
    def judged(self) -> tuple[Watched, ...]:
        """The rules that its recovery is read from: those it acts on, or all when it acts on none."""
        return tuple(rule for rule in self.listens if rule.may_act) or self.listens

    @property
    def slowest(self) -> timedelta:
        """Time until its rules have forgotten the errors of before a cure."""
        longest = max((rule.memory for rule in self.judged), default=timedelta(0))
        return longest + 2 * max((rule.interval for rule in self.judged), default=timedelta(0))


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """Everything that the files hold.

    Attributes:
        settings: guard.toml, where one was given and is in order.
        actions: By name; None where there is no guard.toml to look them up in.
        complete: Nothing was left out for being wrong, so that what is missing here is missing.
        base: What relative paths are relative to.
    """

    files: tuple[Valid[RuleFile], ...]
    settings: Valid[GuardFile] | None = None
    actions: Mapping[str, BaseModel | None] | None = None
    complete: bool = True
    base: Path = field(default_factory=Path)

    @cached_property
    def groups(self) -> tuple[FoundGroup, ...]:
        """All groups, in the order of the files."""
        names = identity.group_ids([(file.document.path, [it.name for it in file.model.groups]) for file in self.files])
        return tuple(
            self._group(file, number, names[index][number])
            for index, file in enumerate(self.files)
            for number in range(len(file.model.groups))
        )

    def query_offset_of(self, group: RuleGroup) -> timedelta:
        """Return how much earlier than its slot a group looks: its own word, or its data source's."""
        if group.query_offset is not None:
            return group.query_offset
        if self.settings is None:
            return timedelta(0)
        model = self.settings.model
        source = model.datasources.get(group.datasource) if group.datasource else model.prometheus
        return source.query_offset if source else timedelta(0)

    @cached_property
    def probes(self) -> tuple[Watched, ...]:
        """All probes."""
        return tuple(
            Watched(
                spot=Spot(document=file.document, path=file.origin(("probes", number))),
                id=f"{PROBE_GROUPS}/{probe.probe}",
                group=f"{PROBE_GROUPS}/{probe.probe}",
                name=probe.probe,
                labels=probe.labels,
                interval=probe.interval,
                rule=probe,
            )
            for file in self.files
            for number, probe in enumerate(file.model.probes)
        )

    @cached_property
    def rules(self) -> tuple[Watched, ...]:
        """All rules and probes."""
        return (*(rule for group in self.groups for rule in group.rules), *self.probes)

    @cached_property
    def guards(self) -> tuple[FoundGuard, ...]:
        """All guards."""
        return tuple(
            FoundGuard(
                spot=Spot(document=file.document, path=file.origin(("guards", number))),
                guard=guard,
                listens=self.carrying(guard.select),
            )
            for file in self.files
            for number, guard in enumerate(file.model.guards)
        )

    @cached_property
    def _by_label(self) -> Mapping[tuple[str, str], tuple[Watched, ...]]:
        found: dict[tuple[str, str], list[Watched]] = {}
        for rule in self.rules:
            for label in rule.static.items():
                found.setdefault(label, []).append(rule)
        return {label: tuple(rules) for label, rules in found.items()}

    def carrying(self, selector: Mapping[str, str]) -> tuple[Watched, ...]:
        """Return the rules and probes that have all these labels; an empty selector reaches none."""
        candidates = min((self._by_label.get(label, ()) for label in selector.items()), key=len, default=())
        return tuple(rule for rule in candidates if selector.items() <= rule.static.items())

    def _group(self, file: Valid[RuleFile], number: int, id_: str) -> FoundGroup:
        group = file.model.groups[number]
        alerts = [(index, rule) for index, rule in enumerate(group.rules) if isinstance(rule, AlertRule)]
        labels = [{**group.labels, **rule.labels} for _, rule in alerts]
        ids = identity.rule_ids(id_, [(rule.alert, own) for (_, rule), own in zip(alerts, labels, strict=True)])
        rules = tuple(
            Watched(
                spot=Spot(document=file.document, path=file.origin(("groups", number, "rules", index))),
                id=ids[place],
                group=id_,
                name=rule.alert,
                labels=labels[place],
                interval=group.interval,
                rule=rule,
                query_offset=self.query_offset_of(group),
            )
            for place, (index, rule) in enumerate(alerts)
        )
        records = [index for index, rule in enumerate(group.rules) if isinstance(rule, RecordRule)]
        spot = Spot(document=file.document, path=file.origin(("groups", number)))
        first = file.origin(("groups", number, "rules", records[0]))[-1] if records else 0
        return FoundGroup(spot=spot, id=id_, group=group, rules=rules, records=len(records), first_record=int(first))
