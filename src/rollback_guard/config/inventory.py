"""Lay out what all files hold together, each thing with its place, for the checks and the compiler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel

from rollback_guard.config import identity
from rollback_guard.config.found import (
    SIGNAL_INTERVAL,
    FoundGroup,
    FoundGuard,
    Spot,
    Watched,
    signal_labels,
    slowest,
)
from rollback_guard.config.guards import GuardPolicy, PlaybookStep
from rollback_guard.config.rulefile import AlertRule, RecordRule, RuleFile, RuleGroup
from rollback_guard.config.settings import Datasource, GuardFile
from rollback_guard.config.validate import Valid
from rollback_guard.core.model import PROBE, SIGNAL, Severity

DEFAULT_SOURCE = "prometheus"
"""The name of `[prometheus]` among the data sources."""


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
        source = self.datasources.get(group.datasource or DEFAULT_SOURCE)
        return source.query_offset if source else timedelta(0)

    @cached_property
    def datasources(self) -> Mapping[str, Datasource]:
        """All data sources by name."""
        if self.settings is None:
            return {}
        model = self.settings.model
        return {**({DEFAULT_SOURCE: model.prometheus} if model.prometheus else {}), **model.datasources}

    @cached_property
    def probes(self) -> tuple[Watched, ...]:
        """All probes."""
        return tuple(
            Watched(
                spot=Spot(document=file.document, path=file.origin(("probes", number))),
                id=f"{PROBE}/{probe.probe}",
                group=f"{PROBE}/{probe.probe}",
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
                signals=_signals(file, number, guard),
            )
            for file in self.files
            for number, guard in enumerate(file.model.guards)
        )

    @cached_property
    def signals(self) -> tuple[Watched, ...]:
        """All alerts from elsewhere."""
        return tuple(signal for found in self.guards for signal in found.signals)

    @cached_property
    def undos(self) -> Mapping[str, str]:
        """By an action's name the action that takes it back; those of mistaken actions are left out."""
        named = {name: getattr(action, "undo", None) for name, action in (self.actions or {}).items()}
        return {name: undo for name, undo in named.items() if undo}

    @cached_property
    def _by_id(self) -> Mapping[str, Watched]:
        return {rule.id: rule for rule in (*self.rules, *self.signals)}

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

    def named(self, found: FoundGuard, name: str) -> tuple[Watched, ...]:
        """Return what a guard means by a name: any rule by its id, or those of its own that are called so."""
        if name in self._by_id:
            return (self._by_id[name],)
        return tuple(rule for rule in (*found.listens, *found.signals) if rule.name == name)

    def judges(self, found: FoundGuard, step: PlaybookStep) -> tuple[Watched, ...]:
        """Return the rules that tell whether a step helped."""
        if not step.verify.rules:
            return found.judged
        return tuple(rule for name in step.verify.rules for rule in self.named(found, name))

    def within(self, found: FoundGuard, step: PlaybookStep) -> timedelta:
        """Return how long a step's effect is waited for: as written, or as long as its rules need to show it."""
        return step.verify.within or slowest(self.judges(found, step)) + step.verify.stable_for

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


def _signals(file: Valid[RuleFile], number: int, guard: GuardPolicy) -> tuple[Watched, ...]:
    group = f"{SIGNAL}/{guard.guard}"
    return tuple(
        Watched(
            spot=Spot(document=file.document, path=file.origin(("guards", number, "signals", place))),
            id=f"{group}/{name}",
            group=group,
            name=name,
            labels={**signal_labels(guard), "severity": Severity.CRITICAL.value},
            interval=SIGNAL_INTERVAL,
            rule=None,
        )
        for place, name in enumerate(guard.signals)
    )
