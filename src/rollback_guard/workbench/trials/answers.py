"""Ask the server what it says of a trial: of all slots at once where that is the same, else of one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from rollback_guard.config.recordings import Recording
from rollback_guard.core.alert import Alert
from rollback_guard.core.evaluation import NO_ALERTS, evaluate
from rollback_guard.core.fold import fold
from rollback_guard.core.model import Group, Labels, Rule
from rollback_guard.core.observation import Observation, Reading
from rollback_guard.core.promql.reach import looks_ahead, may_read
from rollback_guard.core.state import State
from rollback_guard.workbench.trials.chapter import OF_ALERTS, Chapter, expressions_of, reads
from rollback_guard.workbench.trials.scene import Scene
from rollback_guard.workbench.trials.world import Observations

MOST_AT_ONCE = 50_000
"""Observations that are held at once."""

PARTS_KEPT = 4
"""Parts of the time that are held: after an outage some of the past is read back."""

AlertsOf = Mapping[str, Mapping[Labels, Alert]]
"""The active alerts by rule."""


class Answers(Protocol):
    """What the data sources say where no outage keeps them from it."""

    def open(self, group: Group, slot: datetime, state: State) -> None:
        """Let the time of a group come: all groups before it were evaluated."""
        ...

    def told(self, group: Group, slot: datetime) -> Mapping[str, Observation]:
        """Return what is said of one slot of a group that was opened, by rule id."""
        ...

    def close(self, slot: datetime, alerts: Mapping[str, AlertsOf]) -> None:
        """Hear of a slot after it was evaluated: the active alerts of each group, by rule."""
        ...


class Stretches:
    """Read rules over whole stretches of time, by range queries."""

    def __init__(self, scene: Scene, rules: Mapping[str, Sequence[Rule]]) -> None:
        self._scene = scene
        self._rules = rules
        self._length = max(100, MOST_AT_ONCE // max(1, sum(map(len, rules.values()))))
        self._parts: dict[tuple[str, int], Observations] = {}

    def told(self, group: Group, slot: datetime) -> Mapping[str, Observation]:
        """Return what is said of one slot of a group."""
        trial, rules = self._scene.trial, self._rules[group.id]
        if not rules:
            return {}
        number = (slot - trial.start) // trial.slot_interval // self._length
        part = self._parts.get((group.id, number))
        if part is None:
            first = number * self._length
            slots = [trial.slots[each] for each in range(first, min(len(trial.slots), first + self._length))]
            part = self._parts[group.id, number] = self._scene.observe(group.query_offset, rules, slots)
            own = [key for key in self._parts if key[0] == group.id]
            for key in own[:-PARTS_KEPT]:
                del self._parts[key]
        return part[slot]


class AllAtOnce:
    """Tell what is the same whether it is asked slot by slot or for all of the time."""

    def __init__(self, scene: Scene) -> None:
        trial = scene.trial
        scene.write(trial.slots[-1])
        for chapter in trial.chapters:
            for item in chapter.items:
                if isinstance(item, Recording):
                    scene.record(item, trial.slots)
        self._stretches = Stretches(scene, {group.id: group.rules for group in _groups(trial.chapters)})

    def open(self, group: Group, slot: datetime, state: State) -> None:
        """Do nothing: all is there."""

    def told(self, group: Group, slot: datetime) -> Mapping[str, Observation]:
        """Return what is said of one slot of a group."""
        return self._stretches.told(group, slot)

    def close(self, slot: datetime, alerts: Mapping[str, AlertsOf]) -> None:
        """Do nothing: nobody asks for alerts."""


class SlotBySlot:
    """Tell of one slot after the other, of each rule after all that Prometheus evaluates before it has been written.

    Rules that read only what is given are no different here: they are read ahead, or together where the samples
    themselves come slot by slot.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._chapters = scene.trial.chapters
        self._next = 0
        self._told: dict[str, dict[datetime, dict[str, Observation]]] = {}
        items = [item for chapter in self._chapters for item in chapter.items]
        asked = scene.trial.queries.union(*map(expressions_of, items))
        self._writes_alerts = any(may_read(expr, OF_ALERTS) for expr in asked)
        self._is_lazy = any(looks_ahead(expr) for item in items for expr in expressions_of(item))
        written = OF_ALERTS | {item.name for item in items if isinstance(item, Recording)}
        free = {
            group.id: [rule for rule in group.rules if not reads(rule, written)] for group in _groups(self._chapters)
        }
        self._free = {rule.id for rules in free.values() for rule in rules}
        self._free_rules = free
        self._ahead: dict[str, Observation] = {}
        self._stretches = None if self._is_lazy else Stretches(scene, free)
        if not self._is_lazy:
            scene.write(scene.trial.slots[-1])

    def open(self, group: Group, slot: datetime, state: State) -> None:
        """Evaluate all that comes before a group in its slot, and the group."""
        self._begin(slot)
        while self._next < len(self._chapters):
            chapter = self._chapters[self._next]
            self._next += 1
            self._read(chapter, slot, state)
            if chapter.group is not None and chapter.group.id == group.id:
                return

    def told(self, group: Group, slot: datetime) -> Mapping[str, Observation]:
        """Return what is said of one slot of a group."""
        return self._told[group.id][slot]

    def close(self, slot: datetime, alerts: Mapping[str, AlertsOf]) -> None:
        """Evaluate what comes after the last group; the next slot begins anew."""
        self._begin(slot)
        for chapter in self._chapters[self._next :]:
            self._read(chapter, slot, State())
        self._next = 0

    def _begin(self, slot: datetime) -> None:
        """Have the samples of a slot come, and read together what they alone decide."""
        if self._next or not self._is_lazy:
            return
        self._scene.write(slot)
        self._ahead = {}
        for offset in dict.fromkeys(group.query_offset for group in _groups(self._chapters)):
            alike = [group for group in _groups(self._chapters) if group.query_offset == offset]
            rules = [rule for group in alike for rule in self._free_rules[group.id]]
            if rules:
                self._ahead |= self._scene.observe(offset, rules, [slot])[slot]

    def _read(self, chapter: Chapter, slot: datetime, state: State) -> None:
        found: dict[str, Observation] = {}
        if chapter.group is not None:
            told = self._told.setdefault(chapter.group.id, {})
            if not self._scene.trial.section.outages:
                told.clear()  # nobody reads the past back
            told[slot] = found
        for part in self._parts(chapter.items):
            if isinstance(part, Recording):
                self._scene.record(part, [slot])
            elif chapter.group is not None:
                found |= self._observed(chapter.group, part, slot)
                if self._writes_alerts:
                    self._write_alerts(chapter.group, part, found, slot, state)

    def _observed(self, group: Group, rules: Sequence[Rule], slot: datetime) -> dict[str, Observation]:
        ahead = self._stretches.told(group, slot) if self._stretches else self._ahead
        found = {rule.id: ahead[rule.id] for rule in rules if rule.id in self._free}
        rest = [rule for rule in rules if rule.id not in self._free]
        return {**found, **self._scene.observe(group.query_offset, rest, [slot])[slot]} if rest else found

    def _parts(self, items: Sequence[Recording | Rule]) -> Iterator[Recording | list[Rule]]:
        """Yield recording rules, and between them the alerting rules that can be asked for together."""
        together: list[Rule] = []
        for item in items:
            if together and (isinstance(item, Recording) or reads(item, OF_ALERTS)):
                yield together
                together = []
            if isinstance(item, Recording):
                yield item
            else:
                together.append(item)
        if together:
            yield together

    def _write_alerts(
        self, group: Group, rules: Sequence[Rule], found: Mapping[str, Observation], slot: datetime, state: State
    ) -> None:
        """Write the alerts that these rules have now; their group is evaluated as a whole later, to the same end."""
        reading = Reading(group=group.id, slot=slot, observations=found)
        record, _ = evaluate(group, state.groups.get(group.id), reading)
        alerts = fold(state, record).groups[group.id].alerts
        history = self._scene.history()
        for rule in rules:
            self._scene.note_alerts(history, slot, rule.id, alerts.get(rule.id, NO_ALERTS).values())
        self._scene.write_history(history)


class Remembered:
    """Pass on other answers, and remember the alerts, so that queries can ask for them at the end."""

    def __init__(self, answers: AllAtOnce, scene: Scene) -> None:
        self._answers = answers
        self._scene = scene
        self._groups = _groups(scene.trial.chapters)
        self._history = self._scene.history()

    def open(self, group: Group, slot: datetime, state: State) -> None:
        """Pass it on."""
        self._answers.open(group, slot, state)

    def told(self, group: Group, slot: datetime) -> Mapping[str, Observation]:
        """Pass it on."""
        return self._answers.told(group, slot)

    def close(self, slot: datetime, alerts: Mapping[str, AlertsOf]) -> None:
        """Remember which alerts were active."""
        for group in self._groups:
            for rule in group.rules:
                active = alerts[group.id].get(rule.id, NO_ALERTS)
                self._scene.note_alerts(self._history, slot, rule.id, active.values())

    def write(self) -> None:
        """Write what Prometheus would have written about them."""
        self._scene.write_history(self._history)


def _groups(chapters: Sequence[Chapter]) -> list[Group]:
    return [chapter.group for chapter in chapters if chapter.group is not None]
