"""Say what a change of rules would have changed: which firings and actions came, went, or moved."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from rollback_guard.core.model import Policy
from rollback_guard.workbench.backtest.results import GuardIncident, Period, Results

Act = tuple[datetime, str]
"""When which action was begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A firing that both have."""

    before: Period
    after: Period

    @property
    def earlier_by(self) -> timedelta:
        """How much earlier it fires now; negative where it fires later."""
        return self.before.began_at - self.after.began_at


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleChange:
    """What became of the firings of one rule; a rule that only one side has has nothing on the other."""

    name: str
    only_before: tuple[Period, ...] = ()
    only_after: tuple[Period, ...] = ()
    moved: tuple[Moved, ...] = ()

    @property
    def is_nothing(self) -> bool:
        """Whether nothing changed."""
        return not self.only_before and not self.only_after and all(not each.earlier_by for each in self.moved)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardChange:
    """The first actions of the incidents of one guard, before and after.

    Attributes:
        moved: Those among them that belong together: both have them, at different times.
    """

    name: str
    only_before: tuple[Act, ...] = ()
    only_after: tuple[Act, ...] = ()
    moved: tuple[tuple[Act, Act], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All that a change of rules would have changed."""

    rules: tuple[RuleChange, ...]
    guards: tuple[GuardChange, ...]


def compare(before: tuple[Policy, Results], after: tuple[Policy, Results], *, until: datetime) -> Comparison:
    """Hold two backtests of the same time against each other; rules are told apart by their ids."""
    old, new = before[1], after[1]
    rules = dict.fromkeys([*old.rules, *new.rules])
    guards = dict.fromkeys([*old.guards, *new.guards])
    return Comparison(
        rules=tuple(
            _rule(
                name,
                old.rules[name].firing if name in old.rules else [],
                new.rules[name].firing if name in new.rules else [],
                until,
            )
            for name in rules
        ),
        guards=tuple(_guard(name, old, new) for name in guards),
    )


def _rule(name: str, before: list[Period], after: list[Period], until: datetime) -> RuleChange:
    left = list(after)
    moved, gone = [], []
    for old in before:
        new = next((each for each in left if each.series == old.series and _overlap(old, each, until)), None)
        if new is None:
            gone.append(old)
        else:
            left.remove(new)
            moved.append(Moved(before=old, after=new))
    return RuleChange(name=name, only_before=tuple(gone), only_after=tuple(left), moved=tuple(moved))


def _overlap(one: Period, other: Period, until: datetime) -> bool:
    first = (one.active_at or one.began_at, one.ended_at or until)
    second = (other.active_at or other.began_at, other.ended_at or until)
    return first[0] <= second[1] and second[0] <= first[1]


def _guard(name: str, old: Results, new: Results) -> GuardChange:
    before, after = _acting(name, old), _acting(name, new)
    left = list(after)
    moved: list[tuple[Act, Act]] = []
    for one in before:
        other = next((each for each in left if _is_same(one, each)), None)
        if other is not None:
            left.remove(other)
            moved.append((_act(one), _act(other)))
    was, now = list(map(_act, before)), list(map(_act, after))
    return GuardChange(
        name=name,
        only_before=tuple(each for each in was if each not in now),
        only_after=tuple(each for each in now if each not in was),
        moved=tuple((one, other) for one, other in moved if one != other),
    )


def _acting(name: str, results: Results) -> list[GuardIncident]:
    incidents = results.guards[name].incidents if name in results.guards else []
    return [each for each in incidents if each.actions]


def _act(incident: GuardIncident) -> Act:
    return incident.actions[0].at, incident.actions[0].action


def _is_same(one: GuardIncident, other: GuardIncident) -> bool:
    """Say whether two incidents began with the same action, and have a time in common."""
    ended = [each.closed_at or each.ended_at for each in (one, other)]
    overlap = (ended[1] is None or one.breached_at <= ended[1]) and (ended[0] is None or other.breached_at <= ended[0])
    return overlap and one.actions[0].action == other.actions[0].action
