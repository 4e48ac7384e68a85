"""Lay out what a backtest found as plain data: what `--output json` prints, and what the page draws."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rollback_guard.core.model import Guard, Labels, Policy, Rule
from rollback_guard.workbench.backtest.compare import Comparison, GuardChange, RuleChange
from rollback_guard.workbench.backtest.judge import Kind, Past, Score, score
from rollback_guard.workbench.backtest.remarks import refused, without_data
from rollback_guard.workbench.backtest.run import Played
from rollback_guard.workbench.backtest.sweep import Tried
from rollback_guard.workbench.backtest.tally import BUCKETS, Episode, GuardTally, RuleTally, Spell
from rollback_guard.workbench.backtest.window import Plan

Data = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """A sweep of one rule."""

    rule: str
    op: str
    tried: Sequence[Tried]


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All that a backtest found.

    Attributes:
        files: The rule files, as the person named them.
        compared: What other rules would have changed, and which files they are.
        remarks: What the figures do not say.
    """

    files: Sequence[str]
    plan: Plan
    played: Played
    past: Past
    swept: Swept | None = None
    compared: tuple[Sequence[str], Comparison] | None = None
    remarks: Sequence[str] = ()


def as_data(found: Findings) -> Data:
    """Return the findings as data: times as RFC 3339 in UTC, spans in seconds."""
    plan, tally = found.plan, found.played.tally
    listeners = _listeners(plan.policy)
    return {
        "schema_version": 1,
        "files": list(found.files),
        "start": _time(plan.start),
        "end": _time(plan.end),
        "took": {"all_s": round(found.played.played_s, 1), "reading_s": round(found.played.read_s, 1)},
        "resumed_at": _time(found.played.resumed_at),
        "data_since": {source: _time(since) for source, since in tally.data_since.items()},
        "without_data": list(without_data(plan, tally)),
        "refused": [{"id": id_, "detail": detail} for id_, detail in refused(tally)],
        "remarks": list(found.remarks),
        "not_played": list(plan.left_out),
        "deploys": [{"at": _time(it.at), "guard": it.guard, "version": it.version} for it in found.past.deploys],
        "incidents": [
            {"start": _time(it.start), "end": _time(it.end), "name": it.name, "guard": it.guard}
            for it in found.past.incidents
        ],
        "deploy_window_s": found.past.deploy_window.total_seconds(),
        "rules": [
            _rule(rule, plan, tally.rules[rule.id], _past_of(rule, found, listeners.get(rule.id, ())), listeners)
            for rule in plan.policy.rules.values()
        ],
        "guards": [_guard(guard, plan, tally.guards[guard.name], found.past) for guard in plan.policy.guards.values()],
        "sweep": _sweep(found.swept) if found.swept else None,
        "compare": _comparison(*found.compared) if found.compared else None,
    }


def _past_of(rule: Rule, found: Findings, guards: Sequence[str]) -> Past:
    """Return what people know of the time in which a rule could be played."""
    source = found.plan.policy.groups[rule.group].source
    return found.past.of(guards).within(found.played.tally.begins(source), found.plan.end)


def _listeners(policy: Policy) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for guard, rules in policy.rules_of.items():
        for rule in rules:
            found.setdefault(rule.id, []).append(guard)
    return found


def _rule(rule: Rule, plan: Plan, tally: RuleTally, past: Past, listeners: Mapping[str, list[str]]) -> Data:
    comparison = rule.condition.comparison
    judged = score(tally.firing, past)
    longest = tally.longest_pending
    return {
        "id": rule.id,
        "name": rule.name,
        "group": rule.group,
        "guards": listeners.get(rule.id, []),
        "severity": rule.severity.value,
        "shadow": rule.shadow,
        "expr": " ".join(rule.condition.expr.split()),
        "op": comparison.op.value if comparison else None,
        "threshold": comparison.threshold if comparison else None,
        "for_s": rule.hold.total_seconds(),
        "interval_s": plan.policy.groups[rule.group].interval.total_seconds(),
        "slots": tally.slots,
        "unknown": tally.unknown,
        "details": tally.details,
        "nearest": {"value": tally.nearest.value, "at": _time(tally.nearest.at)} if tally.nearest else None,
        "firings": tally.firings,
        "pendings": tally.pendings,
        "longest_pending_s": longest.lasted(plan.end).total_seconds() if longest else None,
        "firing_s": sum((each.lasted(plan.end) for each in tally.firing), timedelta(0)).total_seconds(),
        "firing": [
            {**_spell(spell), "kind": kind.value if past.is_known else None}
            for spell, kind in zip(tally.firing, judged.kinds, strict=True)
        ],
        "pending": [_spell(spell) for spell in tally.pending],
        "unseen": [_spell(spell) for spell in tally.unseen],
        "score": _score(judged) if past.is_known else None,
        "line": _line(tally, plan),
    }


def _line(tally: RuleTally, plan: Plan) -> Data:
    """Return the values by time, each instant that has one with its lowest and highest."""
    step = (plan.end - plan.start) / BUCKETS
    known = [number for number, low in enumerate(tally.low) if low is not None]
    return {
        "at": [round((plan.start + (number + 0.5) * step).timestamp()) for number in known],
        "low": [tally.low[number] for number in known],
        "high": [tally.high[number] for number in known],
        "step_s": step.total_seconds(),
    }


def _spell(spell: Spell) -> Data:
    return {
        "began_at": _time(spell.began_at),
        "ended_at": _time(spell.ended_at),
        "active_at": _time(spell.active_at),
        "series": _labels(spell.series),
        "value": spell.value,
        "why": spell.why,
    }


def _score(judged: Score) -> Data:
    delay = judged.mean_delay
    return {
        "in_incidents": judged.count(Kind.INCIDENT),
        "after_deploys": judged.count(Kind.DEPLOY),
        "false_alarms": judged.count(Kind.FALSE_ALARM),
        "false_alarms_per_week": round(judged.false_alarms_per_week, 3),
        "incidents_detected": judged.detected,
        "incidents_missed": [{"start": _time(it.start), "name": it.name} for it in judged.missed],
        "mean_detection_delay_s": delay.total_seconds() if delay is not None else None,
        "longest_detection_delay_s": max(judged.delays).total_seconds() if judged.delays else None,
    }


def _guard(guard: Guard, plan: Plan, tally: GuardTally, past: Past) -> Data:
    acts = [
        Spell(began_at=each.deeds[0].at, ended_at=each.closed_at, active_at=each.breached_at) for each in acting(tally)
    ]
    own = past.of([guard.name])
    judged = score(acts, own)
    return {
        "name": guard.name,
        "rules": [rule.id for rule in plan.policy.rules_of[guard.name]],
        "playbook": [step.name for step in guard.playbook],
        "incidents": [_episode(each) for each in tally.episodes],
        "actions": sum(len(each.deeds) for each in tally.episodes),
        "held": tally.held,
        "conclusions": [
            {"at": _time(it.at), "decision": it.decision, "reason": it.reason, "action": it.action}
            for it in tally.conclusions
        ],
        "conclusions_left_out": tally.left_out,
        "score": {**_score(judged), "kinds": [kind.value for kind in judged.kinds]} if own.is_known else None,
    }


def acting(tally: GuardTally) -> list[Episode]:
    """Return the incidents in which a guard would have done something."""
    return [each for each in tally.episodes if each.deeds]


def _episode(episode: Episode) -> Data:
    return {
        "id": episode.id,
        "opened_at": _time(episode.opened_at),
        "breached_at": _time(episode.breached_at),
        "rules": list(episode.rules),
        "actions": [{"at": _time(it.at), "action": it.action, "reason": it.reason} for it in episode.deeds],
        "ended_at": _time(episode.ended_at),
        "decision": episode.decision,
        "reason": episode.reason,
        "closed_at": _time(episode.closed_at),
    }


def _sweep(swept: Swept) -> Data:
    return {
        "rule": swept.rule,
        "op": swept.op,
        "tried": [
            {
                "threshold": each.threshold,
                "for_s": each.hold.total_seconds(),
                "firings": each.firings,
                **_score(each.score),
                "pareto": each.is_best,
                "current": each.is_current,
            }
            for each in swept.tried
        ],
    }


def _comparison(files: Iterable[str], comparison: Comparison) -> Data:
    return {
        "files": list(files),
        "rules": [_rule_change(each) for each in comparison.rules],
        "guards": [_guard_change(each) for each in comparison.guards],
    }


def _rule_change(change: RuleChange) -> Data:
    return {
        "id": change.name,
        "only_before": [_spell(each) for each in change.only_before],
        "only_after": [_spell(each) for each in change.only_after],
        "moved": [
            {"before": _spell(it.before), "after": _spell(it.after), "earlier_s": it.earlier_by.total_seconds()}
            for it in change.moved
            if it.earlier_by
        ],
        "same": sum(not it.earlier_by for it in change.moved),
    }


def _guard_change(change: GuardChange) -> Data:
    return {
        "name": change.name,
        "only_before": [_act(*each) for each in change.only_before],
        "only_after": [_act(*each) for each in change.only_after],
        "moved": [
            {"before": _act(*before), "after": _act(*after), "earlier_s": (before[0] - after[0]).total_seconds()}
            for before, after in change.moved
        ],
    }


def _act(at: datetime, action: str) -> Data:
    return {"at": _time(at), "action": action}


def _labels(labels: Labels) -> dict[str, str]:
    return dict(labels)


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="seconds").replace("+00:00", "Z")
