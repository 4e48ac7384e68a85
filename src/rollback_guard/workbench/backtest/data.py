"""Lay out what a backtest found as plain data: what `--output json` prints, and what the text and the page show."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from rollback_guard.core.model import Guard, Labels, Policy, Rule
from rollback_guard.workbench.backtest.compare import Comparison, GuardChange, RuleChange
from rollback_guard.workbench.backtest.history import MICROSECOND
from rollback_guard.workbench.backtest.plan import Plan
from rollback_guard.workbench.backtest.playback import Played
from rollback_guard.workbench.backtest.remarks import refused, without_data
from rollback_guard.workbench.backtest.results import (
    BUCKETS,
    GuardIncident,
    GuardResult,
    Period,
    Results,
    RuleResult,
    SlotValues,
)
from rollback_guard.workbench.backtest.score import Kind, Past, Score, score
from rollback_guard.workbench.backtest.sweep import Tried

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
    plan, results = found.plan, found.played.results
    listeners = _listeners(plan.policy)
    return {
        "schema_version": 1,
        "files": list(found.files),
        "start": _time(plan.start),
        "end": _time(plan.end),
        "took": {"all_s": round(found.played.played_s, 1), "reading_s": round(found.played.read_s, 1)},
        "resumed_at": _time(found.played.resumed_at),
        "data_since": {source: _time(since) for source, since in results.data_since.items()},
        "without_data": list(without_data(plan, results)),
        "refused": [{"id": id_, "detail": detail} for id_, detail in refused(results)],
        "remarks": list(found.remarks),
        "not_played": list(plan.left_out),
        "deploys": [{"at": _time(it.at), "guard": it.guard, "version": it.version} for it in found.past.deploys],
        "incidents": [
            {"start": _time(it.start), "end": _time(it.end), "name": it.name, "guard": it.guard}
            for it in found.past.incidents
        ],
        "deploy_window_s": found.past.deploy_window.total_seconds(),
        "rules": [
            _rule(rule, plan, results, _past_of(rule, found, listeners.get(rule.id, ())), listeners)
            for rule in plan.policy.rules.values()
        ],
        "guards": [_guard(guard, plan, results, found.past) for guard in plan.policy.guards.values()],
        "sweep": _sweep(found.swept) if found.swept else None,
        "compare": _comparison(*found.compared) if found.compared else None,
    }


def _past_of(rule: Rule, found: Findings, guards: Sequence[str]) -> Past:
    """Return what people know of the time in which a rule could be played."""
    source = found.plan.policy.groups[rule.group].source
    return found.past.of(guards).within(found.played.results.begins(source), found.plan.end)


def _listeners(policy: Policy) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for guard, rules in policy.rules_of.items():
        for rule in rules:
            found.setdefault(rule.id, []).append(guard)
    return found


def _rule(rule: Rule, plan: Plan, results: Results, past: Past, listeners: Mapping[str, list[str]]) -> Data:
    result, comparison = results.rules[rule.id], rule.condition.comparison
    judged = score(result.firing, past)
    longest = result.longest_pending
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
        "slots": result.slots,
        "unknown": result.unknown,
        "details": result.details,
        "nearest": {"value": result.nearest.value, "at": _time(result.nearest.at)}
        if result.nearest and result.was_known
        else None,
        "firings": result.firings if result.was_known else None,
        "pendings": result.pendings if result.was_known else None,
        "longest_pending_s": longest.lasted(plan.end).total_seconds() if longest else None,
        "firing_s": sum((each.lasted(plan.end) for each in result.firing), timedelta(0)).total_seconds()
        if result.was_known
        else None,
        "firing": [
            {**_period(period), "kind": kind.value if past.is_known else None}
            for period, kind in zip(result.firing, judged.kinds, strict=True)
        ],
        "pending": [_period(period) for period in result.pending],
        "unseen": [_period(period) for period in result.unseen],
        "score": _score(judged) if past.is_known and result.was_known else None,
        "line": _line(result, results, plan, plan.policy.groups[rule.group].interval),
    }


def _line(result: RuleResult, results: Results, plan: Plan, interval: timedelta) -> Data:
    """Return the values by time, each bucket that has one with its lowest and highest, and single slots."""
    step = (plan.end - plan.start) / BUCKETS
    known = [number for number, low in enumerate(result.low) if low is not None]
    return {
        "at": [round((plan.start + (number + 0.5) * step).timestamp()) for number in known],
        "low": [result.low[number] for number in known],
        "high": [result.high[number] for number in known],
        "step_s": step.total_seconds(),
        "slots": list(_slots(result, results, interval)),
    }


def _slots(result: RuleResult, results: Results, interval: timedelta) -> Iterator[Data]:
    """Yield the buckets whose slots are all known one by one: of those that are not, one may be the peak."""
    for bucket, same in groupby(result.slot_values, key=lambda each: each.bucket):
        pieces = list(same)
        values = [value for each in pieces for value in each.values]
        begin, end = results.end_of(bucket - 1) - MICROSECOND, results.end_of(bucket)
        if len(values) > 1 and _is_whole(pieces, begin, end, interval):
            yield {"bucket": bucket, "at": round(pieces[0].began_at.timestamp()), "values": values}


def _is_whole(pieces: Sequence[SlotValues], begin: datetime, end: datetime, interval: timedelta) -> bool:
    lasts = [begin, *(each.began_at + (len(each.values) - 1) * interval for each in pieces)]
    nexts = [*(each.began_at for each in pieces), end]
    return all(later - earlier <= interval for earlier, later in zip(lasts, nexts, strict=True))


def _period(period: Period) -> Data:
    return {
        "began_at": _time(period.began_at),
        "ended_at": _time(period.ended_at),
        "active_at": _time(period.active_at),
        "series": _labels(period.series),
        "value": period.value,
        "why": period.why,
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


def _guard(guard: Guard, plan: Plan, results: Results, past: Past) -> Data:
    result, rules = results.guards[guard.name], [rule.id for rule in plan.policy.rules_of[guard.name]]
    acts = [
        Period(began_at=each.actions[0].at, ended_at=each.closed_at, active_at=each.breached_at)
        for each in acting(result)
    ]
    own = past.of([guard.name])
    judged, could_act = score(acts, own), bool(acts) or any(results.rules[rule].was_known for rule in rules)
    return {
        "name": guard.name,
        "rules": rules,
        "playbook": [step.name for step in guard.playbook],
        "incidents": [_guard_incident(each) for each in result.incidents],
        "actions": sum(len(each.actions) for each in result.incidents),
        "held": result.held,
        "conclusions": [
            {"at": _time(it.at), "decision": it.decision, "reason": it.reason, "action": it.action}
            for it in result.conclusions
        ],
        "conclusions_left_out": result.left_out,
        "score": {**_score(judged), "kinds": [kind.value for kind in judged.kinds]}
        if own.is_known and could_act
        else None,
    }


def acting(result: GuardResult) -> list[GuardIncident]:
    """Return the incidents in which a guard would have done something."""
    return [each for each in result.incidents if each.actions]


def _guard_incident(incident: GuardIncident) -> Data:
    return {
        "id": incident.id,
        "opened_at": _time(incident.opened_at),
        "breached_at": _time(incident.breached_at),
        "rules": list(incident.rules),
        "actions": [{"at": _time(it.at), "action": it.action, "reason": it.reason} for it in incident.actions],
        "ended_at": _time(incident.ended_at),
        "decision": incident.decision,
        "reason": incident.reason,
        "closed_at": _time(incident.closed_at),
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
                "same_as": {"threshold": each.same_as[0], "for_s": each.same_as[1].total_seconds()}
                if each.same_as
                else None,
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
        "only_before": [_period(each) for each in change.only_before],
        "only_after": [_period(each) for each in change.only_after],
        "moved": [
            {"before": _period(it.before), "after": _period(it.after), "earlier_s": it.earlier_by.total_seconds()}
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


def as_json(data: Mapping[str, Any]) -> str:
    """Return one line of JSON; values that it has no form for are texts, as in Prometheus' own answers: ``"+Inf"``.

    On one line, for it has some thousand points of a chart for each rule: programs do not mind, and people use jq.
    """
    try:
        return json.dumps(data, allow_nan=False)
    except ValueError:
        return json.dumps(_spelled(data), allow_nan=False)


def _spelled(value: Any) -> Any:
    match value:
        case dict():
            return {key: _spelled(each) for key, each in value.items()}
        case list():
            return [_spelled(each) for each in value]
        case float() if math.isnan(value):
            return "NaN"
        case float() if math.isinf(value):
            return "+Inf" if value > 0 else "-Inf"
        case _:
            return value
